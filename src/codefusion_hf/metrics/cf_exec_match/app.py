import evaluate
from evaluate.utils import launch_gradio_widget


module = evaluate.load("codefusion/cf_exec_match")
launch_gradio_widget(module)
