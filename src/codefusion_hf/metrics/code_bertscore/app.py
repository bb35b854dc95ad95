import evaluate
from evaluate.utils import launch_gradio_widget


module = evaluate.load("codefusion/code_bertscore")
launch_gradio_widget(module)
