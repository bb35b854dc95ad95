"""The options that the training scripts share, named as in transformers' scripts."""

import argparse

import torch

from ..languages import LANGUAGES


REPORTERS = ("tensorboard", "wandb", "trackio", "none")


def add_arguments(parser: argparse.ArgumentParser, validates: bool = True) -> None:
    """Adds the options that `run_pretrain.py` and `run_finetune.py` have in common, and those of a validation."""
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model_name_or_path", help="Checkpoint to start from: a shipped model (cf), a folder or a Hub id."
    )
    model.add_argument("--config_name", help="Preset in examples/configs/ (tiny, mini-cf, ...) or a JSON file.")
    model.add_argument(
        "--tokenizer_name",
        help="Folder of the tokenizer; by default the checkpoint's. With another one a checkpoint's embeddings are "
        "averaged over the pieces of each new token.",
    )
    model.add_argument(
        "--encoder_name_or_path",
        help="Start the encoder from this pre-trained one (folder or Hub id, e.g. Salesforce/codet5-small), that of a "
        "checkpoint, too. With another tokenizer, its embeddings are averaged over the pieces of each of our tokens.",
    )
    model.add_argument("--num_encoder_layers", type=int, help="Keep only the first layers of that encoder.")
    model.add_argument(
        "--block_size",
        type=int,
        help="Denoise from left to right in blocks of up to this many tokens; 0: all at once. By default the model's.",
    )
    model.add_argument(
        "--max_target_length", type=int, help="Tokens of the canvas; that of a checkpoint can only grow."
    )
    model.add_argument("--dropout", type=float, help="In all networks, the encoder's too; by default the model's.")
    model.add_argument(
        "--lora_rank",
        type=int,
        help="Train adapters of this rank beside the layers instead of the layers (LoRA, Hu et al., 2021).",
    )
    model.add_argument(
        "--attn_implementation",
        choices=("eager", "sdpa"),
        help="By default eager on CPU, where the backward pass of SDPA is slow, and sdpa elsewhere.",
    )
    data = parser.add_argument_group("data")
    data.add_argument("--train_file", required=True, nargs="+", help="JSON lines, or .gz of them.")
    purpose = "sample from as it goes" if validates else "leave out: programs that a model will be measured on"
    data.add_argument("--validation_file", help=f"JSON lines to {purpose}.")
    data.add_argument("--language", choices=LANGUAGES, help="By default the checkpoint's or the preset's.")
    data.add_argument(
        "--canvas_buckets", type=int, nargs="*", help="Shorter canvases for batches of short programs, in tokens."
    )
    data.add_argument(
        "--full_canvas_share",
        type=float,
        default=0.5,
        help="Share of the updates on the full canvas although a shorter one would do.",
    )
    data.add_argument("--max_train_samples", type=int)
    data.add_argument("--dataloader_num_workers", type=int, default=0, help="Processes that prepare batches.")
    optim = parser.add_argument_group("optimisation")
    optim.add_argument("--output_dir", required=True)
    optim.add_argument("--seed", type=int, default=0)
    optim.add_argument("--per_device_train_batch_size", type=int, default=64)
    optim.add_argument("--gradient_accumulation_steps", type=int, default=1)
    optim.add_argument("--max_train_steps", type=int, help="Updates of the weights; 1000 by default.")
    optim.add_argument("--num_train_epochs", type=int, help="Passes over the data, instead of --max_train_steps.")
    optim.add_argument("--learning_rate", type=float, default=5e-4)
    optim.add_argument("--encoder_learning_rate", type=float, help="For the encoder; by default --learning_rate.")
    optim.add_argument("--weight_decay", type=float, default=0.0)
    optim.add_argument("--num_warmup_steps", type=int, help="By default 200, and at most a tenth of the run.")
    optim.add_argument("--max_grad_norm", type=float, default=1.0)
    optim.add_argument("--ema_decay", type=float, default=0.999)
    optim.add_argument(
        "--mixed_precision",
        choices=("no", "bf16", "fp16"),
        help="By default what accelerate was told, else bf16 on devices that compute in it.",
    )
    optim.add_argument("--gradient_checkpointing", action="store_true", help="Less memory for more time.")
    optim.add_argument(
        "--torch_compile",
        nargs="?",
        const="inductor",
        metavar="BACKEND",
        help="Compile the layers of the model, by inductor if no other backend of torch.compile is named.",
    )
    loop = parser.add_argument_group("loop")
    loop.add_argument("--logging_steps", type=int, default=50)
    loop.add_argument("--report_to", nargs="+", choices=REPORTERS, default=["none"], help="Trackers beside log.jsonl.")
    loop.add_argument("--checkpointing_steps", type=int, default=1000)
    loop.add_argument("--checkpoints_total_limit", type=int, default=2)
    loop.add_argument("--resume_from_checkpoint", help="Folder of a checkpoint, or 'latest'.")
    loop.add_argument(
        "--stop_after_steps", type=int, help="Save and stop here; the schedule stays that of the full run."
    )
    loop.add_argument(
        "--measure_speed",
        action="store_true",
        help="Do not train: print examples per second in bf16 with eager attention and in fp32 with SDPA.",
    )
    loop.add_argument("--push_to_hub", action="store_true", help="At the end, to --hub_model_id.")
    loop.add_argument("--hub_model_id", metavar="ORGANISATION/NAME")
    if not validates:
        parser.set_defaults(early_stopping_patience=None)
        return
    validation = parser.add_argument_group("validation")
    validation.add_argument("--max_eval_samples", type=int, default=200, help="Of the validation file.")
    validation.add_argument("--eval_steps", type=int, default=1000, help="Validate every so many steps.")
    validation.add_argument("--num_inference_steps", type=int, help="Denoising steps of the validation.")
    validation.add_argument(
        "--early_stopping_patience",
        type=int,
        help="Stop after this many validations without a better score, and keep the weights of the best one.",
    )
    validation.add_argument("--metric_for_best_model", default="exact_1", help="Score that early stopping compares.")


def check_arguments(args: argparse.Namespace, can_validate: bool, has_length: bool) -> None:
    """
    Finds what contradicts itself before anything is trained or written.

    Args:
        can_validate (`bool`): Whether there is a validation to run.
        has_length (`bool`): Whether the length of the data is known.

    Raises:
        ValueError: naming the option and what is allowed.
    """
    check_ranges(args)
    if args.max_train_steps and args.num_train_epochs:
        raise ValueError("give --max_train_steps or --num_train_epochs, not both")
    if not 0 <= args.full_canvas_share <= 1:
        raise ValueError(f"--full_canvas_share must be from 0 to 1, got {args.full_canvas_share}")
    if args.early_stopping_patience and not can_validate:
        raise ValueError(
            "--early_stopping_patience is for fine-tuning, with something to validate on: give --validation_file"
        )
    if args.measure_speed and not has_length:
        raise ValueError("--measure_speed does not go with --streaming: it needs examples that stay")
    if not has_length and not args.max_train_steps:
        raise ValueError("streamed data have no length: give --max_train_steps")
    if args.torch_compile and args.torch_compile not in (backends := torch._dynamo.list_backends(exclude_tags=())):
        raise ValueError(f"--torch_compile must be one of {', '.join(backends)}, got {args.torch_compile!r}")
    if args.push_to_hub and not args.hub_model_id:
        raise ValueError("--push_to_hub needs --hub_model_id ORGANISATION/NAME")
    if "none" in args.report_to and len(args.report_to) > 1:
        raise ValueError("--report_to none excludes the other trackers")


def check_ranges(args: argparse.Namespace, may_be_0: str | None = None) -> None:
    """
    Finds numbers out of range among the options that the training scripts, those of baselines included, may have.

    Args:
        may_be_0 (`str`, *optional*): An option for which that means something.

    Raises:
        ValueError: naming the option and what is allowed.
    """
    at_least_1 = (
        "max_train_steps num_train_epochs stop_after_steps per_device_train_batch_size per_device_eval_batch_size "
        "gradient_accumulation_steps max_train_samples max_eval_samples max_target_length lora_rank logging_steps "
        "eval_steps checkpointing_steps checkpoints_total_limit early_stopping_patience"
    )
    for name in at_least_1.split():
        least = 0 if name == may_be_0 else 1
        if (value := getattr(args, name, None)) is not None and value < least:
            raise ValueError(f"--{name} must be at least {least}, got {value}")
    if args.num_warmup_steps is not None and args.num_warmup_steps < 0:
        raise ValueError(f"--num_warmup_steps must be at least 0, got {args.num_warmup_steps}")
    if args.max_grad_norm <= 0:  # 0 would turn every gradient into 0
        raise ValueError(f"--max_grad_norm must be positive, got {args.max_grad_norm}")
