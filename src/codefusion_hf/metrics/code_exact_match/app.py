import evaluate
from evaluate.utils import launch_gradio_widget


module = evaluate.load("codefusion/code_exact_match")
launch_gradio_widget(module)
