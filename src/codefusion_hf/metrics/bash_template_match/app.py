import evaluate
from evaluate.utils import launch_gradio_widget


module = evaluate.load("codefusion/bash_template_match")
launch_gradio_widget(module)
