"""
The paper's fine-tuned autoregressive baselines (appendix B.1): T5, CodeT5 and CodeGen, and the control that the paper
lacks: the same architecture from scratch with the size, tokenizer and data of one of our models.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import string
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm
from transformers import (
    AddedToken,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BertConfig,
    BertLMHeadModel,
    DataCollatorForSeq2Seq,
    EncoderDecoderModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    T5Config,
    T5ForConditionalGeneration,
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
)

from .. import evaluation
from ..configuration_codefusion import CodeFusionConfig
from ..data.batching import LengthBatchSampler
from ..data.benchmarks import table_of
from ..data.prompts import source_text
from ..modeling_codefusion import CodeFusionForConditionalGeneration
from ..training import (
    EMA,
    JsonLog,
    Progress,
    check_world_size,
    default_precision,
    parameter_groups,
    save_checkpoint,
    save_model,
)
from ..training.checkpointing import StopOnInterrupt, drop_later, find_checkpoint, load_progress


NUM_TRAIN_EPOCHS = 100  # paper, appendix B.1
SEPARATOR = "\n"  # between utterance and program, for a causal model


def load(name_or_path: str, attn_implementation: str = "eager") -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """
    A pre-trained encoder-decoder (T5, CodeT5) or causal model (CodeGen), or a folder that [`train`] has written.

    Args:
        name_or_path (`str`): Folder or Hub id.
        attn_implementation (`str`, defaults to `"eager"`): Whose backward pass is the fastest on CPU.

    Raises:
        ValueError: If it is a CodeFusion model, or its tokenizer lacks what generation needs.
        OSError: If it cannot be found.
    """
    config = AutoConfig.from_pretrained(name_or_path)
    if isinstance(config, CodeFusionConfig):
        raise ValueError(f"{name_or_path} is a CodeFusion model: see run_finetune.py and run_evaluate.py")
    tokenizer = AutoTokenizer.from_pretrained(name_or_path)
    if tokenizer.eos_token_id is None:
        raise ValueError(f"the tokenizer of {name_or_path} has no token that ends a program (eos_token)")
    if tokenizer.pad_token_id is None:  # CodeGen's; padding is masked, so any token will do
        tokenizer.pad_token = tokenizer.eos_token
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model = kind.from_pretrained(name_or_path, dtype=torch.float32, attn_implementation=attn_implementation)
    return _ready(model), tokenizer


def from_scratch(
    config: CodeFusionConfig,
    tokenizer: PreTrainedTokenizerBase,
    encoder: PreTrainedModel | None = None,
    dropout: float = 0.0,
    attn_implementation: str = "eager",
) -> tuple[PreTrainedModel, int]:
    """
    An encoder-decoder of the size of a CodeFusion model: the same encoder, width, feed-forward width, heads and
    vocabulary, and as many decoder layers as bring the number of parameters closest.

    Args:
        config (`CodeFusionConfig`): A preset.
        tokenizer: Of both models.
        encoder (`PreTrainedModel`, *optional*): A pre-trained encoder that reads the tokenizer's tokens, see
            [`training.load_pretrained_encoder`]. The model is then this encoder and a BERT decoder with
            cross-attention (`EncoderDecoderModel`); without it a T5, whose encoder is the preset's.
        dropout (`float`, defaults to 0): Of the fresh parts.
        attn_implementation (`str`, defaults to `"eager"`).

    Returns:
        `tuple`: The model with fresh weights, and the number of parameters that CodeFusion has.

    Raises:
        ValueError: If the preset's encoder is no T5 of the denoiser's width and there is no pre-trained one.
    """
    config = CodeFusionConfig.from_dict(config.to_dict())
    config.vocab_size = config.encoder_config.vocab_size = len(tokenizer)
    ids = {name: getattr(tokenizer, name) for name in ("pad_token_id", "eos_token_id")}
    ids["decoder_start_token_id"] = ids["pad_token_id"]  # as T5 has it
    if encoder is not None:
        config.encoder_config = encoder.config
        encoder.set_attn_implementation(attn_implementation)
    elif config.encoder_config.model_type != "t5" or config.encoder_config.d_model != config.d_model:
        raise ValueError("the preset's encoder must be a T5 of width `d_model`, or give a pre-trained encoder")
    with torch.device("meta"):  # sizes without memory
        target = count_parameters(CodeFusionForConditionalGeneration(config))

    def build(num_layers: int) -> PreTrainedModel:
        if encoder is None:
            own = config.encoder_config.to_dict()
            sizes = {name: own[name] for name in ("d_model", "d_ff", "d_kv", "num_heads", "num_layers", "vocab_size")}
            # `decoder_layers` is for generate(): transformers 5.23 makes the cache as deep as the encoder without it.
            depth = {"num_decoder_layers": num_layers, "decoder_layers": num_layers}
            t5 = T5Config(**sizes, **ids, **depth, dropout_rate=dropout)
            t5._attn_implementation = attn_implementation
            return T5ForConditionalGeneration(t5)
        bert = BertConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.d_model,
            intermediate_size=config.d_ff,
            num_attention_heads=config.num_heads,
            num_hidden_layers=num_layers,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            max_position_embeddings=-(-config.max_target_length // 8) * 8 + 8,
            type_vocab_size=1,
            pad_token_id=ids["pad_token_id"],
            is_decoder=True,
            add_cross_attention=True,
        )
        bert._attn_implementation = attn_implementation
        model = EncoderDecoderModel(encoder=encoder, decoder=BertLMHeadModel(bert))
        for name, value in ids.items():
            setattr(model.config, name, value)
            setattr(model.generation_config, name, value)
        return model

    def size(num_layers: int) -> int:
        with torch.device("meta"):
            return count_parameters(_ready(build(num_layers)))

    one, two = size(1), size(2)
    return _ready(build(max(1, 1 + round((target - one) / (two - one))))), target


def count_parameters(model: torch.nn.Module) -> int:
    """Trainable parameters, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _ready(model: PreTrainedModel) -> PreTrainedModel:
    for name, parameter in model.named_parameters():
        if ".pooler." in name:  # a BERT has it and nothing uses it, but DDP wants a gradient of all that is trained
            parameter.requires_grad_(False)
    return model


def add_lost_characters(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, codes: Sequence[str]) -> list[str]:
    """
    Gives a token to each character of the programs that the tokenizer loses: T5's knows no braces, backslashes or line
    breaks, without which hardly a program can be written. Fine-tuning learns them from scratch.

    Returns:
        `list[str]`: The characters.
    """
    used = set("".join(codes)) & set(string.printable) - {" "}
    kept = {c: _round_trip(tokenizer, f"a{c}b") for c in used}
    lost = sorted(c for c, text in kept.items() if c.lower() not in text.lower())
    tokenizer.add_tokens([AddedToken(c, normalized=False) for c in lost])
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer))
    return lost


def _round_trip(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    return tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids, skip_special_tokens=True)


class PairDataset(Dataset):
    """
    (utterance, program) pairs as features of a transformers model, tokenised once. A causal model reads both in one
    sequence and learns the program alone.

    Args:
        rows (`Sequence[dict]`): `nl`, `code`, optionally `table` or its released form `data`.
        tokenizer: Of the model.
        causal (`bool`): Whether the model is a decoder alone.
        max_source_length, max_target_length (`int`): Rows with more tokens are left out and counted in `num_too_long`.
    """

    def __init__(self, rows: Sequence[dict], tokenizer, causal: bool, max_source_length: int, max_target_length: int):
        sources = _encode_sources(tokenizer, rows, causal)
        targets = tokenizer([row["code"] for row in rows], add_special_tokens=not causal, verbose=False)["input_ids"]
        if causal:
            targets = [[*target, tokenizer.eos_token_id] for target in targets]
        pairs = list(zip(sources, targets))
        pairs = [(s, t) for s, t in pairs if len(s) <= max_source_length and len(t) <= max_target_length]
        self.num_too_long = len(rows) - len(pairs)
        self.lengths = [(len(source), len(target)) for source, target in pairs]
        self.examples = [
            {"input_ids": source + target, "labels": [-100] * len(source) + target}
            if causal
            else {"input_ids": source, "labels": target}
            for source, target in pairs
        ]

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, key: tuple[int, int]) -> dict:
        index, _ = key  # of LengthBatchSampler; nothing is padded to its canvas here
        return self.examples[index]


def _encode_sources(tokenizer, rows: Sequence[dict], causal: bool) -> list[list[int]]:
    texts = [source_text(row["nl"], table_of(row)) + SEPARATOR * causal for row in rows]
    return tokenizer(texts, add_special_tokens=not causal, verbose=False)["input_ids"]


def train(
    args: argparse.Namespace,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    dataset: PairDataset,
    validate: Callable[[PreTrainedModel], dict] | None = None,
) -> bool:
    """
    Trains with cross-entropy and writes to `args.output_dir` what [`training.train`] writes: `log.jsonl`, checkpoints
    `step_N/` from which a run resumes exactly, and at the end the averaged weights.

    Args:
        args: See `examples/run_seq2seq_baseline.py`.
        validate (`Callable`, *optional*): Called with the averaged weights in place; returns scores to log.

    Returns:
        `bool`: Whether all steps are done; `False` if `args.stop_after_steps` came first.

    Raises:
        ValueError: for arguments that do not fit together, or an output folder that holds another run.
        RuntimeError: if processes were launched that accelerate does not see, or the loss is not finite.
    """
    accelerator = Accelerator(
        mixed_precision=args.mixed_precision or default_precision(),
        gradient_accumulation_steps=args.gradient_accumulation_steps,
    )
    check_world_size(accelerator)
    set_seed(args.seed + accelerator.process_index)  # of dropout
    output, main = Path(args.output_dir), accelerator.is_main_process
    checkpoint = find_checkpoint(output, args.resume_from_checkpoint)
    sampler = LengthBatchSampler(
        dataset.lengths,
        args.per_device_train_batch_size,
        range(8, args.max_target_length + 8, 8),  # programs of similar length
        args.seed,
        args.gradient_accumulation_steps,
        accelerator.num_processes,
        accelerator.process_index,
    )
    tokenizer.padding_side = "right"  # while training: to the left, absolute positions would be shifted
    collator = DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=8)
    # A generator of its own: else each pass over the data would draw from torch's, which dropout uses.
    loader = DataLoader(dataset, batch_sampler=sampler, collate_fn=collator, generator=torch.Generator())
    total = args.max_train_steps or (args.num_train_epochs or NUM_TRAIN_EPOCHS) * sampler.num_updates
    last = min(total, args.stop_after_steps or total)
    warmup = min(200, total // 10) if args.num_warmup_steps is None else args.num_warmup_steps
    if args.config_name:  # as our models are trained
        betas, schedule = (0.9, 0.98), partial(get_cosine_schedule_with_warmup, num_training_steps=total)
    else:  # the paper names Adam and a rate
        betas, schedule = (0.9, 0.999), get_constant_schedule_with_warmup
    optimizer = torch.optim.AdamW(parameter_groups(model, args), betas=betas)
    scheduler = schedule(optimizer, num_warmup_steps=warmup)
    # The sampler gives each process its share, and the schedule is stepped once per update.
    model, optimizer = accelerator.prepare(model, optimizer)
    plain = accelerator.unwrap_model(model)
    ema = EMA(plain, args.ema_decay)
    accelerator.register_for_checkpointing(scheduler)
    accelerator.register_for_checkpointing(ema)
    progress = Progress()
    if checkpoint is not None:
        accelerator.load_state(str(checkpoint))
        progress = load_progress(checkpoint, accelerator.num_processes, accelerator.process_index, sampler.num_updates)
    if main:
        output.mkdir(parents=True, exist_ok=True)
        drop_later(output, progress.step)
        settings = {
            "max_train_steps": total,
            "num_warmup_steps": warmup,
            "mixed_precision": accelerator.mixed_precision,
            "num_processes": accelerator.num_processes,
        }
        (output / "arguments.json").write_text(json.dumps({**vars(args), **settings}, indent=2) + "\n")
        log = JsonLog(output / "log.jsonl", progress.step)
    accelerator.print(
        f"{count_parameters(plain):,} parameters, {len(dataset):,} examples ({dataset.num_too_long} too long, left "
        f"out), {sampler.num_updates:,} steps an epoch, steps {progress.step} to {last} of {total}, "
        f"mixed precision {accelerator.mixed_precision}"
    )
    bar = tqdm(total=last, initial=progress.step, unit="step", disable=not main, file=sys.stderr)
    losses, examples, started = [], 0, time.perf_counter()
    model.train()
    with StopOnInterrupt() as interrupt, bar:
        while progress.step < last:
            if progress.update == sampler.num_updates:
                progress.epoch, progress.update = progress.epoch + 1, 0
            sampler.set_epoch(progress.epoch, progress.update)
            for batch in loader:
                with accelerator.accumulate(model):
                    with accelerator.autocast():
                        loss = model(**batch.to(accelerator.device)).loss
                    accelerator.backward(loss)
                    if accelerator.sync_gradients:
                        norm = accelerator.clip_grad_norm_(model.parameters(), args.max_grad_norm)
                    optimizer.step()
                    optimizer.zero_grad(set_to_none=True)
                losses.append(loss.detach())
                examples += len(batch["labels"]) * accelerator.num_processes
                if not accelerator.sync_gradients:
                    continue
                scheduler.step()
                ema.update(plain)
                progress.step, progress.update = progress.step + 1, progress.update + 1
                bar.update()
                step, complete = progress.step, progress.step == total
                if step % args.logging_steps == 0 or complete:
                    losses = _sum_up(progress, losses)
                    mean = _reduce(accelerator, progress.sums["loss"]) / _reduce(accelerator, progress.count)
                    if not math.isfinite(mean):
                        raise RuntimeError(f"the loss is {mean} at step {step}: lower --learning_rate")
                    record = {
                        "step": step,
                        "loss": round(mean, 5),
                        "epoch": round(progress.epoch + progress.update / sampler.num_updates, 4),
                        "grad_norm": round(float(norm), 4),
                        "learning_rate": scheduler.get_last_lr()[0],
                        "examples_per_second": round(examples / (time.perf_counter() - started), 1),
                    }
                    if main:
                        log.write(record)
                    progress.sums, progress.count = {}, 0
                    examples, started = 0, time.perf_counter()
                if validate is not None and (step % args.eval_steps == 0 or complete):
                    if main:
                        with ema.applied(plain):
                            log.write({"step": step, **validate(plain)})
                    accelerator.wait_for_everyone()
                    examples, started = 0, time.perf_counter()  # rates leave out validations and checkpoints
                interrupted = _reduce(accelerator, float(interrupt.requested)) > 0
                if step % args.checkpointing_steps == 0 or step == last or interrupted:
                    losses = _sum_up(progress, losses)
                    save_checkpoint(accelerator, output, progress, args.checkpoints_total_limit)
                    examples, started = 0, time.perf_counter()
                if interrupted:
                    accelerator.print(f"interrupted at step {step}: add --resume_from_checkpoint latest to go on")
                    raise SystemExit(130)
                if step == last:
                    break
    with ema.applied(plain):
        save_model(plain, tokenizer, output, main=main)
    accelerator.wait_for_everyone()
    return progress.step >= total


def _sum_up(progress: Progress, losses: list[torch.Tensor]) -> list:
    for value in torch.stack(losses).tolist() if losses else ():  # one by one: the same wherever a run was resumed
        progress.sums["loss"] = progress.sums.get("loss", 0.0) + value
    progress.count += len(losses)
    return []


def _reduce(accelerator: Accelerator, value: float) -> float:
    # The sum over all processes.
    if accelerator.num_processes == 1:
        return value
    return accelerator.reduce(torch.tensor([float(value)], device=accelerator.device)).item()


@torch.inference_mode()
def generate_candidates(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: list[dict],
    language: str,
    num_return_sequences: int = 5,
    num_beams: int = 5,
    max_target_length: int = 128,
    valid_first: bool = False,
) -> list[list[dict]]:
    """
    Programs by beam search, as [`evaluation.generate_candidates`] gives them for CodeFusion.

    Args:
        rows (`list[dict]`): One batch, with `nl` and optionally `table`.
        language (`str`): Of the programs.
        num_return_sequences, num_beams (`int`, default to 5, as in the paper).
        max_target_length (`int`, defaults to 128): Tokens of a program, at most.
        valid_first (`bool`, defaults to `False`): Whether candidates that parse, and whose literals the utterance or
            the table has, come first, as with our models; by default the order is that of the search.

    Returns:
        `list[list[dict]]`: For each row its distinct candidates: `code`, `score` (mean log-probability of a token) and
        `valid`.

    Raises:
        ValueError: If an utterance is longer than the model can read, or an argument is out of range.
    """
    if not 1 <= num_return_sequences <= num_beams:
        raise ValueError(
            f"`num_return_sequences` must be from 1 to `num_beams` ({num_beams}), got {num_return_sequences}"
        )
    causal = not model.config.is_encoder_decoder
    sources = _encode_sources(tokenizer, rows, causal)
    reader = getattr(model.config, "encoder", model.config)
    limit = getattr(reader, "max_position_embeddings", None)
    for row, source in zip(rows, sources):
        if limit and len(source) + max_target_length * causal > limit:
            raise ValueError(f"the row with id {row['id']} has {len(source)} tokens, too many for {limit} positions")
    inputs = tokenizer.pad({"input_ids": sources}, padding_side="left" if causal else "right", return_tensors="pt")
    output = model.generate(
        **{name: inputs[name].to(model.device) for name in ("input_ids", "attention_mask")},
        do_sample=False,
        num_beams=num_beams,
        num_return_sequences=num_return_sequences,
        max_new_tokens=max_target_length,
        pad_token_id=tokenizer.pad_token_id,
        return_dict_in_generate=True,
        output_scores=True,
    )
    sequences = output.sequences[:, inputs["input_ids"].shape[1] :] if causal else output.sequences
    texts = tokenizer.batch_decode(sequences, skip_special_tokens=True)
    scores = output.sequences_scores.tolist()
    candidates = []
    for i, row in enumerate(rows):
        group = slice(i * num_return_sequences, (i + 1) * num_return_sequences)
        ranked = evaluation.rank_candidates(texts[group], scores[group], row, language)
        candidates.append(ranked if valid_first else sorted(ranked, key=lambda candidate: -candidate["score"]))
    return candidates


def weights_digest(folder: str | Path) -> str:
    """Identifies the weights in a folder; of a Hub id it is the id."""
    files = sorted(Path(folder).glob("*.safetensors"))
    digest = hashlib.sha256()
    for path in files:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()[:16] if files else str(folder)
