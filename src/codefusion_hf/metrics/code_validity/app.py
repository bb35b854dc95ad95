import evaluate
from evaluate.utils import launch_gradio_widget


module = evaluate.load("codefusion/code_validity", "python")  # or "bash", "cf"
launch_gradio_widget(module)
