"""What pre-training and fine-tuning share: options, model, moving average, checkpoints, the loop."""

from .arguments import add_arguments, check_ranges
from .checkpointing import JsonLog, Progress, checkpoints, save_checkpoint
from .devices import check_world_size, default_attention, default_precision, measure_peak
from .ema import EMA, full_state_dict, full_tensor, scalars_to_vectors
from .loop import parameter_groups, row_generator, train
from .models import (
    add_lora,
    build_model,
    lengthen_canvas,
    load_preset,
    load_pretrained_encoder,
    move_to_tokenizer,
    replace_encoder,
    resolve_checkpoint,
    save_model,
    set_attention,
    set_dropout,
)
from .throughput import TrainingFlops, compare_rates, training_rate


__all__ = [
    "EMA",
    "JsonLog",
    "Progress",
    "TrainingFlops",
    "add_arguments",
    "add_lora",
    "build_model",
    "check_ranges",
    "check_world_size",
    "checkpoints",
    "compare_rates",
    "default_attention",
    "default_precision",
    "full_state_dict",
    "full_tensor",
    "lengthen_canvas",
    "load_preset",
    "load_pretrained_encoder",
    "measure_peak",
    "move_to_tokenizer",
    "parameter_groups",
    "replace_encoder",
    "resolve_checkpoint",
    "row_generator",
    "save_checkpoint",
    "save_model",
    "scalars_to_vectors",
    "set_attention",
    "set_dropout",
    "train",
    "training_rate",
]
