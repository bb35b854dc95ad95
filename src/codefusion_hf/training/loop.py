"""The training loop that pre-training and fine-tuning share."""

import argparse
import copy
import hashlib
import importlib.util
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedType
from accelerate.utils import broadcast_object_list, send_to_device, set_seed
from torch.utils.data import DataLoader, IterableDataset
from tqdm.auto import tqdm
from transformers import get_cosine_schedule_with_warmup

from ..data.batching import Collator, IndexedDataset, LengthBatchSampler, LengthBatchStream
from ..memory import keep_freed_memory
from ..modeling_codefusion import CodeFusionForConditionalGeneration, draw_block_size
from .arguments import check_arguments
from .checkpointing import (
    JsonLog,
    Progress,
    StopOnInterrupt,
    drop_later,
    find_checkpoint,
    load_progress,
    save_checkpoint,
)
from .devices import check_world_size, default_precision, measure_peak
from .ema import EMA, full_state_dict, full_tensor, scalars_to_vectors
from .models import add_lora, save_model
from .throughput import TrainingFlops, compare_rates


LOSS_TERMS = ("denoising_loss", "decoder_mse_loss", "cross_entropy_loss", "embedding_nll_loss", "prior_loss")
DTYPES = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def train(
    args: argparse.Namespace,
    model: CodeFusionForConditionalGeneration,
    tokenizer,
    dataset,
    validate: Callable[[CodeFusionForConditionalGeneration], dict] | None = None,
) -> None:
    """
    Trains `model` on `dataset` and writes to `args.output_dir`: `log.jsonl`, checkpoints `step_N/` from which a run
    resumes exactly (same batches, same noise), and at the end the averaged weights as `save_pretrained` does; with
    early stopping those of the best validation, which are also in `best/`; with LoRA merged, the adapters in
    `adapter/`.

    Every random draw is keyed on seed, epoch and example (or step), never on the process: the loss does not depend on
    how a global batch is divided into processes and accumulated batches.

    Args:
        args: See [`add_arguments`].
        dataset:
            Map-style: with `lengths()`, `num_too_long`, a settable `epoch`, and examples `{"source": list[int],
            "target": list[int], "unconditional": bool, "noised": list[bool] | None}`. Or an `IterableDataset` of
            such examples with their number in the stream as `index`, this process's share of them, with
            `set_epoch(epoch)` and `skip(n)`.
        validate (`Callable`, *optional*):
            Called with the averaged weights in place; returns scores to log, `args.metric_for_best_model` among them.

    Raises:
        ValueError: for arguments that do not fit together, or an output folder that holds another run.
        RuntimeError: if processes were launched that accelerate does not see, or the loss is not finite.
    """
    check_arguments(args, validate is not None, not isinstance(dataset, IterableDataset))
    canvases = sorted({*(args.canvas_buckets or []), model.config.max_target_length})
    if not 1 <= canvases[0] <= canvases[-1] == model.config.max_target_length:
        raise ValueError(f"--canvas_buckets must be from 1 to {model.config.max_target_length}, got {canvases}")
    keep_freed_memory()
    if args.measure_speed:
        return _measure_speed(args, model, tokenizer, dataset, canvases)
    run = _Run(args, model, tokenizer, dataset, canvases, validate)
    run.loop()
    run.finish()


class _Run:
    """One process's part in a run."""

    def __init__(self, args, model, tokenizer, dataset, canvases, validate):
        self.args, self.tokenizer, self.dataset, self.validate = args, tokenizer, dataset, validate
        self.output = output = Path(args.output_dir)
        self.accelerator = accelerator = Accelerator(
            mixed_precision=args.mixed_precision or default_precision(),
            gradient_accumulation_steps=args.gradient_accumulation_steps,
            log_with=_trackers(args.report_to) or None,
            project_dir=str(output),
        )
        check_world_size(accelerator)
        told, asked = accelerator.gradient_accumulation_steps, args.gradient_accumulation_steps
        if told != asked:
            raise ValueError(f"--gradient_accumulation_steps is {asked}, but accelerate was told {told}: say the same")
        set_seed(args.seed + accelerator.process_index)  # of dropout: all else has generators of its own
        checkpoint = find_checkpoint(output, args.resume_from_checkpoint)
        self.main = accelerator.is_main_process
        self.pad_token_id = tokenizer.pad_token_id
        self._load_data(canvases, model.config.max_source_length)
        self._resolve_steps()

        self.flops = TrainingFlops(model, canvases)
        if args.gradient_checkpointing:
            model.gradient_checkpointing_enable()
        self.lora = add_lora(model, args.lora_rank) if args.lora_rank else None
        if args.torch_compile:
            for module in model.modules():
                if type(module).__name__ in model._no_split_modules:
                    module.compile(dynamic=True, backend=args.torch_compile)
        self.sharded = accelerator.distributed_type == DistributedType.FSDP
        if self.sharded and self.lora is not None:
            raise ValueError("--lora_rank does not go with FSDP: adapters are small, use DistributedDataParallel")
        # Sharded weights are not sampled from: the first process validates with a whole model.
        self.whole = copy.deepcopy(model) if self.sharded and self.main and validate else None
        if self.sharded:
            scalars_to_vectors(model)
        fused = accelerator.device.type == "cpu"  # one pass over the weights: the step waits for memory
        optimizer = torch.optim.AdamW(parameter_groups(model, args), betas=(0.9, 0.98), fused=fused or None)
        self.scheduler = get_cosine_schedule_with_warmup(optimizer, self.num_warmup_steps, self.max_steps)
        if accelerator.distributed_type == DistributedType.DEEPSPEED:
            batch_size = args.per_device_train_batch_size
            accelerator.state.deepspeed_plugin.deepspeed_config["train_micro_batch_size_per_gpu"] = batch_size
        # The schedule is stepped once per update by hand: a prepared one would step once per process.
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        self.plain = accelerator.unwrap_model(self.model)
        self.ema = EMA(self.plain, args.ema_decay)  # after the weights were sharded
        accelerator.register_for_checkpointing(self.scheduler)
        accelerator.register_for_checkpointing(self.ema)

        self.terms: dict[str, list[torch.Tensor]] = {}  # losses that are not yet in `progress.sums`
        self.progress = Progress()
        if checkpoint is not None:
            accelerator.load_state(str(checkpoint))
            self.progress = load_progress(
                checkpoint, accelerator.num_processes, accelerator.process_index, self.updates_per_epoch
            )
        peak = measure_peak(accelerator.device, DTYPES.get(accelerator.mixed_precision, torch.bfloat16))
        self.peak = float(accelerator.reduce(torch.tensor([peak], device=accelerator.device)))
        self._open_logs()

    def _load_data(self, canvases, max_source_length) -> None:
        args, accelerator = self.args, self.accelerator
        common = (args.per_device_train_batch_size, canvases, args.seed, args.gradient_accumulation_steps)
        loading = {
            "collate_fn": Collator(self.pad_token_id, canvases, max_source_length),
            "num_workers": args.dataloader_num_workers,
            "generator": torch.Generator(),  # else each pass over the data would draw from torch's own
            "pin_memory": accelerator.device.type == "cuda",
        }
        self.streams = isinstance(self.dataset, IterableDataset)
        if self.streams:
            self.batches = LengthBatchStream(self.dataset, *common, full_canvas_share=args.full_canvas_share)
            self.updates_per_epoch = None
            loading["num_workers"] = min(1, args.dataloader_num_workers)  # each worker would read the whole stream
            self.loader = DataLoader(self.batches, batch_size=None, **loading)
        else:
            self.batches = LengthBatchSampler(
                self.dataset.lengths(),
                *common,
                accelerator.num_processes,
                accelerator.process_index,
                args.full_canvas_share,
            )
            self.updates_per_epoch = self.batches.num_updates
            self.loader = DataLoader(IndexedDataset(self.dataset), batch_sampler=self.batches, **loading)

    def _resolve_steps(self) -> None:
        args = self.args
        self.max_steps = args.max_train_steps or 1000
        if args.num_train_epochs:
            self.max_steps = args.num_train_epochs * self.updates_per_epoch
        self.last = min(self.max_steps, args.stop_after_steps or self.max_steps)
        self.num_warmup_steps = args.num_warmup_steps
        if self.num_warmup_steps is None:
            self.num_warmup_steps = min(200, self.max_steps // 10)

    def _open_logs(self) -> None:
        args, accelerator, progress = self.args, self.accelerator, self.progress
        attention = self.plain.config._attn_implementation
        settings = vars(args) | {
            "max_train_steps": self.max_steps,
            "num_warmup_steps": self.num_warmup_steps,
            "mixed_precision": accelerator.mixed_precision,
            "num_processes": accelerator.num_processes,
            "peak_flops_per_second": self.peak,
        }
        if self.main:
            self.output.mkdir(parents=True, exist_ok=True)
            drop_later(self.output, progress.step)
            (self.output / "arguments.json").write_text(json.dumps(settings, indent=2) + "\n")
            self.log = JsonLog(self.output / "log.jsonl", progress.step)
        plain_types = (bool, float, int, str)
        accelerator.init_trackers(
            "codefusion",
            config={k: v if isinstance(v, plain_types) else str(v) for k, v in settings.items()},
            init_kwargs={"tensorboard": {"purge_step": progress.step + 1}},
        )
        parameters = sum(parameter.numel() for parameter in self.plain.parameters())
        trained = sum(parameter.numel() for parameter in self.plain.parameters() if parameter.requires_grad)
        shown = f"{parameters:,} parameters"
        if trained < parameters:
            shown += f" ({trained:,} trained)"
        if not self.streams:
            shown += f", {len(self.dataset):,} examples ({self.dataset.num_too_long} too long, left out), "
            shown += f"{self.updates_per_epoch:,} steps an epoch"
        shown += f", steps {progress.step} to {self.last} of {self.max_steps}\n"
        shown += f"{accelerator.num_processes} process(es) on {accelerator.device.type}, mixed precision "
        shown += f"{accelerator.mixed_precision}, {attention} attention, matrix products reach "
        accelerator.print(shown + f"{self.peak / 1e9:,.0f} GFLOP/s")

    # The loop

    def loop(self) -> None:
        """From where the run is to its end."""
        args, progress = self.args, self.progress
        self.bar = tqdm(total=self.last, initial=progress.step, unit="step", disable=not self.main, file=sys.stderr)
        self._restart_clock()
        self.model.train()
        with StopOnInterrupt() as interrupt:
            while progress.step < self.last and not progress.stopped:
                for batches in self._updates():
                    self._update(batches)
                    complete = progress.step == self.max_steps
                    if progress.step % args.logging_steps == 0 or complete:
                        self._report()
                    if self.validate is not None and (progress.step % args.eval_steps == 0 or complete):
                        self._evaluate()
                    interrupted = self._any(interrupt.requested)
                    ends = progress.step == self.last or progress.stopped or interrupted
                    if progress.step % args.checkpointing_steps == 0 or ends:
                        self._sum_up()
                        save_checkpoint(self.accelerator, self.output, progress, args.checkpoints_total_limit)
                        self._restart_clock()
                    if interrupted:
                        self.bar.close()
                        self.accelerator.print(
                            f"interrupted at step {progress.step}: add --resume_from_checkpoint latest to go on"
                        )
                        raise SystemExit(130)
                    if ends:
                        break
                else:
                    progress.epoch, progress.update = progress.epoch + 1, 0
        self.bar.close()

    def _updates(self) -> Iterator[list[dict]]:
        # The accumulated batches of each update that is left of the epoch.
        progress, size = self.progress, self.args.gradient_accumulation_steps
        # Not through accelerate: it counts epochs from the start of the process, and prefetches across their ends.
        self.batches.set_epoch(progress.epoch, progress.update)
        if not self.streams:
            self.dataset.epoch = progress.epoch
        iterator, found = iter(self.loader), progress.update > 0
        while True:
            batches = [batch for batch in (next(iterator, None) for _ in range(size)) if batch is not None]
            # A stream may end in one process first: then it ends in all of them.
            if self._any(len(batches) < size) if self.streams else len(batches) < size:
                break
            found = True
            yield batches
        if not found:
            raise ValueError("the training data do not fill one batch: lower --per_device_train_batch_size")

    def _update(self, batches: list[dict]) -> None:
        args, progress, accelerator = self.args, self.progress, self.accelerator
        # What a batch has in common is drawn for the step, so that all processes draw the same.
        coin = hashlib.blake2b(f"{args.seed} self-condition {progress.step}".encode()).digest()
        self_condition = coin[0] % 2 == 0
        block_size = 0
        if largest := self.plain.config.block_size:
            generator = torch.Generator().manual_seed(int.from_bytes(coin[1:5], "little"))
            block_size = draw_block_size(largest, generator)
        self_condition = self_condition and not block_size
        for batch in batches:
            generators = [row_generator(args.seed, progress.epoch, index) for index in batch.pop("index")]
            self._count(batch, self_condition, block_size > 0)
            batch = send_to_device(batch, accelerator.device, non_blocking=True)
            with accelerator.accumulate(self.model):
                with accelerator.autocast():
                    drawn = {"self_condition": self_condition, "block_size": block_size, "generator": generators}
                    result = self.model(**batch, **drawn, output_logits=False)
                accelerator.backward(result.loss)
                if accelerator.sync_gradients:
                    self.norm = accelerator.clip_grad_norm_(self.model.parameters(), args.max_grad_norm)
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
            for name in ("loss", *LOSS_TERMS):
                if result.get(name) is not None:
                    self.terms.setdefault(name, []).append(result[name].detach())
        self.scheduler.step()
        self.ema.update(self.plain)
        progress.step += 1
        progress.update += 1
        self.bar.update()

    # What it writes

    def _restart_clock(self) -> None:
        # Rates leave out the time of validations and checkpoints.
        self.done = dict.fromkeys(("examples", "tokens", "flops"), 0.0)
        self.started = time.perf_counter()

    def _count(self, batch: dict, self_condition: bool, blocks: bool) -> None:
        rows, canvas = batch["labels"].shape
        self.done["examples"] += rows
        self.done["tokens"] += int(batch["attention_mask"].sum() + (batch["labels"] != self.pad_token_id).sum())
        self.done["flops"] += self.flops(rows, batch["input_ids"].shape[1], canvas, self_condition, blocks)

    def _sum_up(self) -> None:
        progress = self.progress
        for name, values in self.terms.items():
            for value in torch.stack(values).tolist():  # one by one: then it does not matter where a run was resumed
                progress.sums[name] = progress.sums.get(name, 0.0) + value
        progress.count += len(self.terms.get("loss", ()))
        self.terms = {}

    def _report(self) -> None:
        progress, accelerator, seconds = self.progress, self.accelerator, time.perf_counter() - self.started
        self._sum_up()
        mine = [*progress.sums.values(), progress.count, *self.done.values()]
        device = accelerator.device
        mine = torch.tensor(mine, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
        *sums, count, examples, tokens, flops = accelerator.reduce(mine).tolist()
        means = {name: round(value / count, 5) for name, value in zip(progress.sums, sums)}
        progress.sums, progress.count = {}, 0
        if not math.isfinite(means["loss"]):
            raise RuntimeError(f"the loss is {means['loss']} at step {progress.step}: lower --learning_rate")
        embeddings = full_tensor(self.plain.code_embeddings.weight.detach())
        epoch = progress.epoch + (progress.update / self.updates_per_epoch if self.updates_per_epoch else 0)
        self._log(
            {
                "step": progress.step,
                **means,
                "epoch": round(epoch, 4),
                "grad_norm": round(float(full_tensor(self.norm)), 4),
                "learning_rate": self.scheduler.get_last_lr()[0],
                "embedding_norm": round(float(embeddings.norm(dim=-1).mean()), 4),
                "examples_per_second": round(examples / seconds, 1),
                "tokens_per_second": round(tokens / seconds, 1),
                "model_flops_utilization": round(flops / seconds / self.peak, 4),
            }
        )
        self.bar.set_postfix(loss=means["loss"], refresh=False)
        self._restart_clock()

    def _log(self, record: dict) -> None:
        if self.main:
            self.log.write(record)
        self.accelerator.log({k: v for k, v in record.items() if k != "step"}, step=record["step"])

    def _evaluate(self) -> None:
        args, progress = self.args, self.progress
        with self.ema.applied(self.plain):
            weights = full_state_dict(self.plain) if self.sharded else None
            scores = None
            if self.main:
                sampled = self.plain
                if self.sharded:
                    self.whole.load_state_dict(weights)
                    sampled = self.whole.to(self.accelerator.device).eval()
                scores = self.validate(sampled)
            (scores,) = broadcast_object_list([scores])
            self._log({"step": progress.step, **scores})
            if args.early_stopping_patience:
                if progress.better(scores[args.metric_for_best_model]):
                    self._save(self.output / "best")
                progress.stopped = progress.waited >= args.early_stopping_patience
        self._restart_clock()

    def _save(self, folder: Path) -> None:
        # The weights that the model has at the moment.
        unfinished = self.output / "unfinished"
        if self.main:
            shutil.rmtree(unfinished, ignore_errors=True)
        save_model(self.plain, self.tokenizer, unfinished, self.lora, self.main)
        if self.main:
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(unfinished, folder)
        self.accelerator.wait_for_everyone()

    def finish(self) -> None:
        """Saves the averaged weights, or the best ones, and pushes them to the Hub if that was asked for."""
        args, output, best = self.args, self.output, self.output / "best"
        if args.early_stopping_patience and self.progress.best_score is not None:
            score, step = self.progress.best_score, self.progress.best_step
            self.accelerator.print(f"the best {args.metric_for_best_model} was {score}, at step {step}")
            if self.main:
                shutil.copytree(best, output, dirs_exist_ok=True)
        else:
            with self.ema.applied(self.plain):
                save_model(self.plain, self.tokenizer, output, self.lora, self.main)
        self.accelerator.wait_for_everyone()
        is_over = self.progress.step >= self.max_steps or self.progress.stopped
        if self.main and args.push_to_hub and is_over:  # what --stop_after_steps left is for resuming
            from ..hub import checkpoint_upload, push

            print(push(checkpoint_upload(output, args.hub_model_id)))
        self.accelerator.end_training()

    def _any(self, flag: bool) -> bool:
        # Whether the flag is set in any of the processes.
        if self.accelerator.num_processes == 1:
            return flag
        return bool(self.accelerator.reduce(torch.tensor([float(flag)], device=self.accelerator.device)).item())


def row_generator(seed: int, epoch: int, index: int) -> torch.Generator:
    """The source of all noise for one example in one epoch; on CPU, so that it is the same on every device."""
    digest = hashlib.blake2b(f"{seed} {epoch} {index}".encode(), digest_size=4).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))


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


def _trackers(names: list[str]) -> list[str]:
    # Accelerate leaves out what is not installed, silently.
    names = [name for name in names if name != "none"]
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ValueError(f"--report_to {name} needs a package that is not installed: pip install {name}")
    return names


def _measure_speed(args, model, tokenizer, dataset, canvases) -> None:
    collator = Collator(tokenizer.pad_token_id, canvases, model.config.max_source_length)
    size, share = args.per_device_train_batch_size, args.full_canvas_share
    sampler = LengthBatchSampler(dataset.lengths(), size, canvases, args.seed, full_canvas_share=share)
    loader = DataLoader(IndexedDataset(dataset), batch_sampler=sampler, collate_fn=collator)
    batches = [batch for batch, _ in zip(loader, range(9))]
    for batch in batches:
        batch.pop("index")
    print(json.dumps(compare_rates(model.to(Accelerator().device), batches)))
