"""What pre-training and fine-tuning share: arguments, optimiser, moving average, checkpoints, the loop."""

import argparse
import json
import math
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import AutoModelForTextEncoding, AutoTokenizer, get_cosine_schedule_with_warmup

from .configuration_codefusion import CodeFusionConfig
from .data.tasks import Collator, LengthBatchSampler
from .modeling_codefusion import CodeFusionForConditionalGeneration


LOSS_TERMS = ("denoising_loss", "decoder_mse_loss", "cross_entropy_loss", "embedding_nll_loss", "prior_loss")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that `run_pretrain.py` and `run_finetune.py` have in common, named as in transformers' scripts."""
    model = parser.add_argument_group("model")
    model.add_argument("--model_name_or_path", help="Folder or Hub id of a checkpoint to start from.")
    model.add_argument("--config_name", help="Preset in examples/configs/ (tiny, mini-cf, ...) or a JSON file.")
    model.add_argument("--tokenizer_name", help="Folder of the tokenizer; by default the checkpoint's.")
    model.add_argument(
        "--encoder_name_or_path",
        help="Start the encoder from this pre-trained one (folder or Hub id, e.g. Salesforce/codet5-small). With "
        "another tokenizer, its embeddings are averaged over the pieces of each of our tokens.",
    )
    model.add_argument("--num_encoder_layers", type=int, help="Keep only the first layers of that encoder.")
    model.add_argument("--attn_implementation", default="eager", choices=("eager", "sdpa"))
    data = parser.add_argument_group("data")
    data.add_argument("--train_file", required=True, nargs="+", help="JSON lines, or .gz of them.")
    data.add_argument("--validation_file", help="JSON lines to sample from during training.")
    data.add_argument("--language", default="cf")
    data.add_argument(
        "--canvas_buckets", type=int, nargs="*", help="Shorter canvases for batches of short programs, in tokens."
    )
    data.add_argument("--max_train_samples", type=int)
    data.add_argument("--max_eval_samples", type=int, default=200)
    optim = parser.add_argument_group("optimisation")
    optim.add_argument("--output_dir", required=True)
    optim.add_argument("--seed", type=int, default=0)
    optim.add_argument("--per_device_train_batch_size", type=int, default=64)
    optim.add_argument("--gradient_accumulation_steps", type=int, default=1)
    optim.add_argument("--max_train_steps", type=int, default=1000)
    optim.add_argument("--learning_rate", type=float, default=5e-4)
    optim.add_argument("--encoder_learning_rate", type=float, help="For the encoder; by default --learning_rate.")
    optim.add_argument("--weight_decay", type=float, default=0.0)
    optim.add_argument("--num_warmup_steps", type=int, default=200)
    optim.add_argument("--max_grad_norm", type=float, default=1.0)
    optim.add_argument("--ema_decay", type=float, default=0.999)
    optim.add_argument(
        "--mixed_precision", choices=("no", "bf16", "fp16"), help="By default, what accelerate was told."
    )
    optim.add_argument("--gradient_checkpointing", action="store_true", help="Less memory for more time.")
    loop = parser.add_argument_group("loop")
    loop.add_argument("--logging_steps", type=int, default=50)
    loop.add_argument("--eval_steps", type=int, default=1000)
    loop.add_argument("--num_inference_steps", type=int, help="Denoising steps of the validation.")
    loop.add_argument("--checkpointing_steps", type=int, default=1000)
    loop.add_argument("--checkpoints_total_limit", type=int, default=2)
    loop.add_argument("--resume_from_checkpoint", help="Folder of a checkpoint, or 'latest'.")
    loop.add_argument(
        "--stop_after_steps", type=int, help="Save and stop here; the schedule stays that of the full run."
    )
    loop.add_argument("--push_to_hub", action="store_true")
    loop.add_argument("--hub_model_id")


def load_preset(name: str, presets: Path) -> CodeFusionConfig:
    """
    Config of a preset (a file name in `presets` without `.json`) or of a JSON file.

    Raises:
        ValueError: if there is no such preset; the message lists the presets.
    """
    path = Path(name) if name.endswith(".json") else presets / f"{name}.json"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in presets.glob("*.json")))
        raise ValueError(f"unknown preset {name!r}: presets are {names}; or give a JSON file")
    values = json.loads(path.read_text())
    known = set(CodeFusionConfig().to_dict())
    if unknown := set(values) - known:
        raise ValueError(f"{path} has unknown settings: {', '.join(sorted(unknown))}")
    return CodeFusionConfig(**values)


def build_model(args: argparse.Namespace, presets: Path):
    """
    Model and tokenizer that the arguments ask for: a checkpoint, or a preset with fresh weights and, optionally, a
    pre-trained encoder.

    Raises:
        ValueError: if the arguments name neither, or the tokenizer does not fit.
    """
    if bool(args.model_name_or_path) == bool(args.config_name):
        raise ValueError("give either --model_name_or_path or --config_name")
    if args.encoder_name_or_path and args.model_name_or_path:
        raise ValueError("--encoder_name_or_path starts a new model: it goes with --config_name")
    if args.num_encoder_layers and not args.encoder_name_or_path:
        raise ValueError("--num_encoder_layers shortens the encoder of --encoder_name_or_path: give that, too")
    set_seed(args.seed)  # fresh weights
    tokenizer_path = args.tokenizer_name or args.model_name_or_path
    if not tokenizer_path:
        raise ValueError("--config_name needs --tokenizer_name (examples/train_tokenizer.py makes one)")
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_path)
    if args.model_name_or_path:
        model = CodeFusionForConditionalGeneration.from_pretrained(
            args.model_name_or_path, attn_implementation=args.attn_implementation, dtype=torch.float32
        )
        if len(tokenizer) > model.config.vocab_size:
            raise ValueError(f"the tokenizer has {len(tokenizer)} tokens, the model {model.config.vocab_size}")
        return model, tokenizer
    config = load_preset(args.config_name, presets)
    encoder = None
    if args.encoder_name_or_path:
        encoder = load_pretrained_encoder(args.encoder_name_or_path, tokenizer, args.num_encoder_layers)
        config.encoder_config = encoder.config
    else:
        config.encoder_config.vocab_size = len(tokenizer)
    config.vocab_size, config.language = len(tokenizer), args.language
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        setattr(config, name, getattr(tokenizer, name))
    config._attn_implementation = args.attn_implementation
    config.encoder_config._attn_implementation = args.attn_implementation
    model = CodeFusionForConditionalGeneration(config)
    if encoder is not None:
        # The pooler of a BERT is not part of our model.
        left_out = model.encoder.load_state_dict(encoder.state_dict(), strict=False)
        if left_out.missing_keys:
            raise ValueError(f"{args.encoder_name_or_path} lacks {', '.join(left_out.missing_keys[:3])}")
    return model, tokenizer


def load_pretrained_encoder(name_or_path: str, tokenizer, num_layers: int | None = None):
    """
    A pre-trained text encoder for another tokenizer: each token's embedding is the mean of the embeddings of the
    pieces into which the encoder's own tokenizer splits it. With the encoder's own tokenizer nothing changes.

    Args:
        name_or_path (`str`): Folder or Hub id of any model that `AutoModelForTextEncoding` loads.
        tokenizer: The tokenizer the encoder shall read.
        num_layers (`int`, *optional*): Keep the first layers only.
    """
    extra = {"num_hidden_layers": num_layers} if num_layers else {}
    encoder = AutoModelForTextEncoding.from_pretrained(name_or_path, dtype=torch.float32, **extra)
    own = AutoTokenizer.from_pretrained(name_or_path)
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout_rate"):
        if hasattr(encoder.config, name):
            setattr(encoder.config, name, 0.0)  # few epochs over many pairs; and dropout is slow on CPU
    if own.get_vocab() != tokenizer.get_vocab():
        old = encoder.get_input_embeddings().weight.data
        special = dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens))
        roles = {
            tokenizer.pad_token_id: own.pad_token_id,
            tokenizer.eos_token_id: own.sep_token_id or own.eos_token_id,
        }
        new = torch.nn.Embedding(len(tokenizer), old.shape[1], padding_idx=tokenizer.pad_token_id)
        new.weight.data.normal_(std=float(old.std()))
        for index in range(len(tokenizer)):
            if index in roles:
                pieces = [roles[index]]
            elif index in special:
                continue
            else:
                text = tokenizer.convert_tokens_to_string([tokenizer.convert_ids_to_tokens(index)]).strip()
                pieces = own(text, add_special_tokens=False)["input_ids"] if text else []
            if pieces and own.unk_token_id not in pieces:
                new.weight.data[index] = old[pieces].mean(0)
        encoder.set_input_embeddings(new)
        encoder.config.vocab_size = len(tokenizer)
        encoder.config.pad_token_id = tokenizer.pad_token_id
    return encoder


class EMA:
    """
    Exponential moving average of the parameters, with the usual warm-up of the decay: early weights are forgotten.

    Args:
        model (`torch.nn.Module`): Source of the parameters.
        decay (`float`): Share of the average that stays, per step.
    """

    def __init__(self, model: torch.nn.Module, decay: float):
        if not 0 <= decay < 1:
            raise ValueError(f"`ema_decay` must be in [0, 1), got {decay}")
        self.decay, self.step = decay, 0
        self.shadow = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, model: torch.nn.Module) -> None:
        """Moves the average towards the model's parameters."""
        self.step += 1
        weight = 1 - min(self.decay, (1 + self.step) / (10 + self.step))
        names = list(self.shadow)
        parameters = dict(model.named_parameters())
        torch._foreach_lerp_([self.shadow[n] for n in names], [parameters[n].detach() for n in names], weight)

    @torch.no_grad()
    def swap(self, model: torch.nn.Module) -> None:
        """Exchanges the model's parameters and the average; a second call undoes it."""
        for name, parameter in model.named_parameters():
            if name in self.shadow:
                kept = parameter.detach().clone()
                parameter.copy_(self.shadow[name])
                self.shadow[name].copy_(kept)

    def state_dict(self) -> dict:
        """For `accelerator.save_state`."""
        return {"step": self.step, "shadow": self.shadow}

    def load_state_dict(self, state: dict) -> None:
        """For `accelerator.load_state`."""
        self.step = state["step"]
        for name, value in state["shadow"].items():
            self.shadow[name].copy_(value)


def parameter_groups(model: torch.nn.Module, args: argparse.Namespace) -> list[dict]:
    """Optimiser groups: the encoder at its own learning rate, and no weight decay on vectors and scalars."""
    groups: dict[tuple, list] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            special = name.startswith("encoder.") and args.encoder_learning_rate is not None
            rate = args.encoder_learning_rate if special else args.learning_rate
            key = (rate, args.weight_decay if parameter.ndim > 1 else 0.0)
            groups.setdefault(key, []).append(parameter)
    return [{"params": params, "lr": lr, "weight_decay": decay} for (lr, decay), params in groups.items()]


def train(
    args: argparse.Namespace,
    model: CodeFusionForConditionalGeneration,
    tokenizer,
    dataset,
    validate: Callable[[CodeFusionForConditionalGeneration], dict] | None = None,
) -> None:
    """
    Trains `model` on `dataset` and writes to `args.output_dir`: `log.jsonl`, checkpoints `step_N/` from which a run
    resumes exactly (same batches, same noise), and at the end the averaged weights as `save_pretrained` does.

    Args:
        args: See [`add_arguments`].
        dataset: One of `data.tasks`.
        validate (`Callable`, *optional*): Called with the averaged weights in place; returns scores to log.

    Raises:
        ValueError: for arguments that do not fit together, or an output folder that holds another run.
        RuntimeError: if processes were launched that accelerate does not see, or the loss is not finite.
    """
    accelerator = Accelerator(
        mixed_precision=args.mixed_precision, gradient_accumulation_steps=args.gradient_accumulation_steps
    )
    check_world_size(accelerator)
    set_seed(args.seed)
    output = Path(args.output_dir)
    if not args.resume_from_checkpoint and checkpoints(output):
        raise ValueError(
            f"{output} holds checkpoints of another run: choose another --output_dir, or go on with it by "
            "--resume_from_checkpoint latest"
        )
    if args.checkpoints_total_limit < 1:
        raise ValueError(f"--checkpoints_total_limit must be at least 1, got {args.checkpoints_total_limit}")
    if accelerator.is_main_process:
        output.mkdir(parents=True, exist_ok=True)
        (output / "arguments.json").write_text(json.dumps(vars(args), indent=2) + "\n")
    if args.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    canvases = sorted({*(args.canvas_buckets or []), model.config.max_target_length})
    if not 1 <= canvases[0] <= canvases[-1] == model.config.max_target_length:
        raise ValueError(f"--canvas_buckets must be from 1 to {model.config.max_target_length}, got {canvases}")
    group = args.gradient_accumulation_steps * accelerator.num_processes
    sampler = LengthBatchSampler(dataset.lengths(), args.per_device_train_batch_size, canvases, args.seed, group)
    collator = Collator(tokenizer.pad_token_id, canvases, model.config.max_source_length)
    loader = DataLoader(dataset, batch_sampler=sampler, collate_fn=collator)
    optimizer = torch.optim.AdamW(parameter_groups(model, args), betas=(0.9, 0.98))
    scheduler = get_cosine_schedule_with_warmup(optimizer, args.num_warmup_steps, args.max_train_steps)
    ema = EMA(model.to(accelerator.device), args.ema_decay)
    # The schedule is stepped once per update by hand: a prepared one would step once per process.
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    accelerator.register_for_checkpointing(scheduler)
    accelerator.register_for_checkpointing(ema)
    plain = accelerator.unwrap_model(model)

    updates_per_epoch = len(loader) // args.gradient_accumulation_steps
    step = resume(accelerator, args, output)
    last = min(args.max_train_steps, args.stop_after_steps or args.max_train_steps)
    parameters = sum(p.numel() for p in plain.parameters())
    accelerator.print(
        f"{parameters:,} parameters, {len(dataset):,} examples ({dataset.num_too_long} too long, left out), "
        f"{updates_per_epoch:,} steps an epoch, steps {step} to {last} of {args.max_train_steps}"
    )
    bar = tqdm(total=last, initial=step, unit="step", disable=not accelerator.is_main_process, file=sys.stderr)
    sums, count, started = {}, 0, time.perf_counter()
    model.train()
    with _StopOnInterrupt() as interrupt:
        while step < last:
            epoch, done = divmod(step, updates_per_epoch)
            batches = loader
            if done:
                batches = accelerator.skip_first_batches(loader, done * args.gradient_accumulation_steps)
            # Accelerate counts epochs from the start of the process and tells the sampler: correct it, in both places.
            batches.set_epoch(epoch)
            sampler.set_epoch(epoch)
            dataset.epoch = epoch
            for number, batch in enumerate(batches):
                # The noise of a step depends on (seed, step, process) alone, so a resumed run repeats it.
                micro = step * args.gradient_accumulation_steps + number % args.gradient_accumulation_steps
                key = (args.seed * 1_000_003 + micro) * 1_009 + accelerator.process_index
                generator = torch.Generator().manual_seed(key)
                with accelerator.accumulate(model), accelerator.autocast():
                    result = model(**batch, generator=generator)
                    accelerator.backward(result.loss)
                    if accelerator.sync_gradients:
                        norm = accelerator.clip_grad_norm_(model.parameters(), args.max_grad_norm)
                    optimizer.step()
                    optimizer.zero_grad(set_to_none=True)
                for name in ("loss", *LOSS_TERMS):
                    if result.get(name) is not None:
                        sums[name] = sums.get(name, 0.0) + result[name].detach()
                count += 1
                if not accelerator.sync_gradients:
                    continue
                scheduler.step()
                ema.update(plain)
                step += 1
                bar.update()
                if step % args.logging_steps == 0 or step == last:
                    means = {name: round(float(value) / count, 5) for name, value in sums.items()}
                    if not math.isfinite(means["loss"]):
                        raise RuntimeError(f"the loss is {means['loss']} at step {step}: lower --learning_rate")
                    rate = count * args.per_device_train_batch_size * accelerator.num_processes
                    record = {
                        "step": step,
                        **means,
                        "grad_norm": round(float(norm), 4),
                        "learning_rate": scheduler.get_last_lr()[0],
                        "embedding_norm": round(float(plain.code_embeddings.weight.detach().norm(dim=-1).mean()), 4),
                        "examples_per_second": round(rate / (time.perf_counter() - started), 1),
                    }
                    log(accelerator, output, record)
                    bar.set_postfix(loss=means["loss"], refresh=False)
                    sums, count, started = {}, 0, time.perf_counter()
                if validate is not None and (step % args.eval_steps == 0 or step == last):
                    if accelerator.is_main_process:
                        log(accelerator, output, {"step": step, **averaged(plain, ema, validate)})
                    accelerator.wait_for_everyone()
                    model.train()
                    started = time.perf_counter()
                if step % args.checkpointing_steps == 0 or step == last or interrupt.requested:
                    save_checkpoint(accelerator, args, output, step)
                if interrupt.requested:
                    bar.close()
                    accelerator.print(f"interrupted at step {step}: add --resume_from_checkpoint latest to go on")
                    raise SystemExit(130)
                if step >= last:
                    break
    bar.close()
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        averaged(plain, ema, lambda m: m.save_pretrained(output))
        tokenizer.save_pretrained(output)
        if args.push_to_hub:
            averaged(plain, ema, lambda m: m.push_to_hub(args.hub_model_id or output.name))
            tokenizer.push_to_hub(args.hub_model_id or output.name)
    accelerator.end_training()


def averaged(model: torch.nn.Module, ema: EMA, function: Callable):
    """Calls `function(model)` with the averaged weights in place."""
    ema.swap(model)
    training = model.training
    model.eval()
    try:
        return function(model)
    finally:
        ema.swap(model)
        model.train(training)


def log(accelerator: Accelerator, output: Path, record: dict) -> None:
    """Appends one JSON line to log.jsonl and shows it."""
    if accelerator.is_main_process:
        with open(output / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        tqdm.write(json.dumps(record), file=sys.stderr)


def save_checkpoint(accelerator: Accelerator, args: argparse.Namespace, output: Path, step: int) -> None:
    """Saves all that a resumed run needs as `step_N/`, then removes the oldest checkpoints over the limit."""
    accelerator.save_state(str(output / f"step_{step}"))
    if accelerator.is_main_process:
        for old in checkpoints(output)[: -args.checkpoints_total_limit]:
            shutil.rmtree(old)


def checkpoints(output: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first."""
    found = [path for path in output.glob("step_*") if path.name[5:].isdigit()]
    return sorted(found, key=lambda path: int(path.name[5:]))


def resume(accelerator: Accelerator, args: argparse.Namespace, output: Path) -> int:
    """Loads the checkpoint that the arguments name and returns its step; 0 without one."""
    name = args.resume_from_checkpoint
    if not name:
        return 0
    if name == "latest":
        found = checkpoints(output)
        if not found:
            accelerator.print(f"no checkpoint in {output} yet: starting from step 0")
            return 0
        path = found[-1]
    else:
        path = Path(name)
    if not path.is_dir() or not path.name.startswith("step_"):
        raise ValueError(f"--resume_from_checkpoint must be 'latest' or a folder step_N, got {name!r}")
    accelerator.load_state(str(path))
    return int(path.name[5:])


class _StopOnInterrupt:
    """Ctrl-C asks for a stop after the current step instead of tearing an update apart; a second one stops at once."""

    def __enter__(self):
        self.requested = False
        self.main_thread = threading.current_thread() is threading.main_thread()
        if self.main_thread:
            self.previous = signal.signal(signal.SIGINT, self._request)
        return self

    def _request(self, *_):
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(self, *_):
        if self.main_thread:
            signal.signal(signal.SIGINT, self.previous)


def check_world_size(accelerator: Accelerator) -> None:
    """Raises `RuntimeError` where accelerate would silently train several independent copies on CPU."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and accelerator.num_processes == 1:
        raise RuntimeError(
            "several processes were started but accelerate sees one: on CPU launch with "
            "`ACCELERATE_USE_CPU=true torchrun --nproc_per_node N script.py`"
        )
