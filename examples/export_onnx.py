"""
Exports a model as three ONNX graphs, which `onnx_generate.py` samples from without torch:

    python examples/export_onnx.py --model cf --output_dir runs/cf-onnx
    python examples/export_onnx.py --model cf --output_dir runs/cf-onnx --int8 --data tests/fixtures/cf_dev.jsonl
    python examples/onnx_generate.py --model runs/cf-onnx "Color cells that have value greater than 1129"

encoder.onnx holds all that is computed once for an utterance, denoiser.onnx is one step, decoder.onnx reads programs
off; sampling.json has the model's default sampler as numbers. With --data the exported model is compared with torch,
with --int8 a copy with 8-bit weights is made in OUTPUT_DIR/int8, and compared, too.
"""

import argparse
import contextlib
import copy
import io
import json
import logging
import shutil
import sys
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from onnx_generate import GRAPHS, OnnxCodeFusion, time_onnx
from torch import nn
from torch._higher_order_ops.scan import scan
from torch.export import Dim
from tqdm.auto import tqdm

from codefusion_hf.data.benchmarks import read_jsonl
from codefusion_hf.data.prompts import source_text
from codefusion_hf.evaluation import load
from codefusion_hf.layers_codefusion import CodeFusionCopy, CodeFusionMemory, CodeFusionStack
from codefusion_hf.networks_codefusion import CodeFusionHead
from codefusion_hf.ranking_codefusion import CHOICES, cut


OPSET = 18  # what torch's exporter writes without converting
# What the NumPy loop does; and what only saves time, and is left out.
REQUIRED = {
    "guidance_scale": 1,
    "clamping": False,
    "decode_with": "head",
    "candidate_order": "logprob",
    "diversity_penalty": 0,
    "dedupe": True,
}
LEFT_OUT = ("canvas_buckets", "stability_threshold")


class TraceableStack(CodeFusionStack):
    """[`CodeFusionStack`] for a canvas whose length is not known when the graph is written."""

    def forward(self, hidden_states, memory_key_values, memory_mask, blocks=None, cache=None):
        """As in [`CodeFusionStack`]."""
        index = torch.arange(hidden_states.shape[1])
        hidden_states = hidden_states + self.positions(index)
        position_bias = self.position_bias(index)
        for layer, key_values in zip(self.layers, memory_key_values):
            hidden_states = layer(hidden_states, position_bias, key_values, memory_mask)
        return self.norm(hidden_states)


class TraceableCopy(CodeFusionCopy):
    """[`CodeFusionCopy`] with one memory row for each row, and its walk along the canvas as a loop of the graph."""

    def forward(self, hidden_states, memory, blocks=None, cache=None):
        """As in [`CodeFusionCopy`]."""
        scores = torch.matmul(self.q_proj(hidden_states), self.k_proj(memory.hidden_states).transpose(1, 2))
        can_copy = memory.can_copy[:, None]
        own = F.softmax((scores * self.scaling).masked_fill(~can_copy, torch.finfo(scores.dtype).min), dim=-1)
        follow = torch.sigmoid(self.follow(hidden_states))
        copyable = memory.can_copy.to(own.dtype)

        def advance(pointer, position):
            own_weights, followed = position
            moved = followed * F.pad(pointer, (1, 0))[:, :-1] * copyable
            pointer = moved + own_weights * (1 - moved.sum(-1, keepdim=True))
            return pointer, pointer.clone()

        # Contiguous: the exporter knows no strides.
        positions = tuple(x.transpose(0, 1).contiguous() for x in (own, follow))
        weights = scan(advance, torch.zeros_like(copyable), positions)[1].transpose(0, 1).contiguous()
        context = torch.matmul(weights, memory.hidden_states)
        gate = torch.sigmoid(self.gate(hidden_states) + self.context_gate(context))
        return gate * can_copy.any(-1, keepdim=True), weights, context


class TraceableHead(CodeFusionHead):
    """[`CodeFusionHead`] with one memory row for each row."""

    def forward(self, decoded, hidden, table, memory, blocks=None, cache=None):
        """As in [`CodeFusionHead`]."""
        logits = self.score(decoded, table)
        if self.copy is None:
            return logits
        gate, weights, _ = self.copy(hidden, memory)
        tokens = memory.input_ids
        same = (tokens[:, :, None] == tokens[:, None, :]).to(weights.dtype)
        scores = F.log_softmax(logits, dim=-1) + torch.log1p(-gate.clamp(max=1 - 1e-6))
        places = tokens[:, None].expand(-1, weights.shape[1], -1)
        return scores.scatter(-1, places, torch.log(scores.gather(-1, places).exp() + gate * (weights @ same)))


TRACEABLE = {CodeFusionStack: TraceableStack, CodeFusionCopy: TraceableCopy, CodeFusionHead: TraceableHead}


class Graph(nn.Module):
    """A part of the model as a function of tensors; key/value pairs come as one flat list."""

    def __init__(self, model):
        super().__init__()
        self.model = model


class EncoderGraph(Graph):
    """All that is computed once for an utterance."""

    def forward(self, input_ids, attention_mask):
        """`(batch_size, source_length)` each to E_s, its mask, L(s), and the keys and values of every layer."""
        memory = self.model.encode(input_ids, attention_mask)
        source_embeddings = F.embedding(input_ids, self.model.embedding_table())
        key_values = [x for pair in memory.denoiser_key_values + memory.decoder_key_values for x in pair]
        return memory.hidden_states, memory.mask, source_embeddings, *key_values


class DenoiserGraph(Graph):
    """x0 from x_t."""

    def forward(self, latents, timestep, previous, hidden_states, mask, can_copy, source_embeddings, key_values):
        """One memory row for each row of `latents`."""
        memory = CodeFusionMemory(hidden_states, mask, None, can_copy, pairs(key_values), [])
        timesteps = timestep.expand(latents.shape[0])
        inputs = self.model._scaled(latents, timesteps)
        return self.model.denoiser(inputs, timesteps[:, None], memory, source_embeddings, previous)


class DecoderGraph(Graph):
    """Decoder and head."""

    def forward(self, latents, hidden_states, mask, can_copy, input_ids, key_values):
        """Scores, the most probable tokens and their log-probabilities, and L of the most probable program."""
        memory = CodeFusionMemory(hidden_states, mask, input_ids, can_copy, [], pairs(key_values))
        table, config = self.model.embedding_table(), self.model.config
        logits = self.model.decode(latents, memory, table)[1]
        top = logits.topk(min(CHOICES, logits.shape[-1]), dim=-1)
        program = cut(top.indices[..., 0], config.pad_token_id, config.eos_token_id, keep_eos=True)
        top_scores = top.values - logits.logsumexp(-1, keepdim=True)
        return logits, top.indices, top_scores, F.embedding(program, table)


def pairs(tensors: list[torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(key, value) of each layer."""
    return list(zip(tensors[::2], tensors[1::2]))


@torch.no_grad()
def export(model, tokenizer, folder: str | Path) -> None:
    """
    Writes encoder.onnx, denoiser.onnx, decoder.onnx (fp32), sampling.json and tokenizer.json.

    Args:
        model ([`CodeFusionForConditionalGeneration`]): Any with cross-attention; it stays as it is.
        tokenizer (`PreTrainedTokenizerFast`): The model's.
        folder (`str` or `Path`): Made if it is missing.

    Raises:
        ImportError: without the exporter's packages.
        ValueError: for models with infilling or a `block_size`, and for settings that the NumPy loop does not know.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise ImportError("exporting graphs needs onnx and onnxscript: pip install 'codefusion-hf[onnx]'") from None
    if model.encoder is None:
        raise ValueError("a model with `conditioning='infill'` cannot be exported: it has no encoder")
    if model.config.block_size is not None:
        raise ValueError("a model with a `block_size` cannot be exported: the graph has one timestep for all tokens")
    settings = sampling_settings(model)  # before the slow part

    table = model.embedding_table().float()
    model = copy.deepcopy(model).cpu().float().eval()
    model.set_attn_implementation("eager")
    model.code_embeddings = nn.Embedding.from_pretrained(table.cpu())
    model.embedding_table = lambda: model.code_embeddings.weight  # normalised once, here
    for module in model.modules():
        module.__class__ = TRACEABLE.get(type(module), type(module))

    config = model.config
    rows, length = Dim("rows"), Dim("length", max=config.max_target_length)
    source = Dim("source", max=config.max_source_length)
    ids = torch.arange(2 * min(6, config.max_source_length)).view(2, -1) % config.vocab_size
    visible = torch.ones_like(ids)
    memory = model.encode(ids, visible)
    latents = torch.zeros(2, min(4, config.max_target_length), config.embedding_dim)
    of_ids, of_latents, of_states = {0: rows, 1: source}, {0: rows, 1: length}, {0: rows, 1: source}
    of_mask, of_keys = {0: rows, 3: source}, {0: rows, 2: source}
    of_memory = {
        "hidden_states": (memory.hidden_states, of_states),
        "mask": (memory.mask, of_mask),
        "can_copy": (visible.bool(), of_states),
    }
    names, values = {}, {}
    for part, layers in (("denoiser", memory.denoiser_key_values), ("decoder", memory.decoder_key_values)):
        names[part] = [f"{part}_{name}_{i}" for i in range(len(layers)) for name in ("key", "value")]
        values[part] = [x for pair in layers for x in pair]
    graphs = {
        "encoder": (
            EncoderGraph(model),
            {"input_ids": (ids, of_ids), "attention_mask": (visible, of_ids)},
            ["hidden_states", "mask", "source_embeddings", *names["denoiser"], *names["decoder"]],
        ),
        "denoiser": (
            DenoiserGraph(model),
            {
                "latents": (latents, of_latents),
                "timestep": (torch.tensor(1), None),
                "previous": (latents.clone(), of_latents),
                **of_memory,
                "source_embeddings": (F.embedding(ids, table), of_states),
            },
            ["denoised"],
        ),
        "decoder": (
            DecoderGraph(model),
            {"latents": (latents, of_latents), **of_memory, "input_ids": (ids, of_ids)},
            ["logits", "top_tokens", "top_scores", "embeddings"],
        ),
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, (graph, inputs, outputs) in tqdm(graphs.items(), desc="graphs"):
        arguments, shapes = ([value[i] for value in inputs.values()] for i in (0, 1))
        input_names = list(inputs)
        if name in values:
            arguments.append(values[name])
            shapes.append([of_keys] * len(values[name]))
            input_names += names[name]
        write_graph(graph, tuple(arguments), tuple(shapes), input_names, outputs, folder / f"{name}.onnx")
    (folder / "sampling.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))


def write_graph(graph, arguments, shapes, input_names, output_names, path: Path) -> None:
    """`torch.onnx.export` without its chatter, as one file."""
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            # Two steps: the options with which the exporter itself would call the first give scans it cannot write.
            traced = torch.export.export(graph.eval(), arguments, dynamic_shapes=shapes)
            program = torch.onnx.export(
                traced,
                dynamo=True,
                input_names=input_names,
                output_names=output_names,
                opset_version=OPSET,
                verbose=False,
            )
            ClearMetadataAndDocStringPass()(program.model)  # among them the paths of this machine
            program.save(path, external_data=False)
    finally:
        logger.setLevel(level)


def sampling_settings(model, **generation) -> dict:
    """
    What the NumPy loop needs to know, as JSON. A step of any of the samplers is
    `x_s = a x_t + b x0 + c previous_x0 + d noise`; the four numbers are read off the scheduler.

    Raises:
        ValueError: for settings that the loop does not know.
    """
    config = model._prepare_generation_config(None, **generation)
    for name, allowed in REQUIRED.items():
        if getattr(config, name) != allowed:
            raise ValueError(
                f"the export needs `{name}`={allowed!r}, the model's default is {getattr(config, name)!r}"
            )
    if dropped := [name for name in LEFT_OUT if getattr(config, name)]:
        print(f"left out, they only save time: {', '.join(dropped)}", file=sys.stderr)

    scheduler = model._prepare_scheduler(config)
    latents, denoised, previous, noise = torch.eye(4)
    steps = []
    for timestep in scheduler.timesteps.tolist():
        # The solver remembers the x0 of the call before: the second call makes that one `previous`.
        coefficients = scheduler.step(denoised, timestep, latents, noise)
        scheduler.step(previous, timestep, latents, noise)
        steps.append({"timestep": timestep, "coefficients": coefficients.tolist()})
    revised = scheduler.timestep_at(config.revision_strength)
    alpha, sigma = scheduler.add_noise(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), revised).tolist()
    return {
        "max_source_length": model.config.max_source_length,
        "max_length": config.max_length,
        "latent_dim": model.config.embedding_dim,
        "pad_token_id": model.config.pad_token_id,
        "eos_token_id": model.config.eos_token_id,
        "num_candidates": config.num_candidates,
        "is_stochastic": scheduler.is_stochastic,
        "steps": steps,
        "revision": {
            "num_revisions": config.num_revisions,
            "timestep": revised,
            "alpha": alpha,
            "sigma": sigma,
        },
    }


def quantize(folder: Path, target: Path) -> None:
    """A copy of an exported model with int8 weights; activations are quantised as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target.mkdir(parents=True, exist_ok=True)
    for name in ("sampling.json", "tokenizer.json"):
        shutil.copyfile(folder / name, target / name)
    logging.getLogger().setLevel(logging.ERROR)  # the quantiser recommends a preparation that graphs do not need
    for name in tqdm(GRAPHS, desc="int8"):
        quantize_dynamic(folder / f"{name}.onnx", target / f"{name}.onnx", weight_type=QuantType.QInt8)


@torch.no_grad()
def compare(model, tokenizer, exported: OnnxCodeFusion, prompts: list[str], num_return_sequences: int = 5) -> dict:
    """
    The exported model against torch, at the same settings and seed.

    Returns:
        `dict`: `rows`, those with the `same_first` and the `same_all` candidates, and the largest difference of their
        scores where they are, in nats.
    """
    counts = {"rows": len(prompts), "same_first": 0, "same_all": 0, "largest_score_difference": 0.0}
    left_out = dict.fromkeys(LEFT_OUT)
    for prompt in tqdm(prompts, desc="rows"):
        inputs = tokenizer([prompt], return_tensors="pt").to(model.device)
        output = model.generate(
            **inputs, num_return_sequences=num_return_sequences, seed=0, return_dict_in_generate=True, **left_out
        )
        texts = tokenizer.batch_decode(output.sequences, skip_special_tokens=True)
        found = exported.generate([prompt], num_return_sequences)[0]
        same = [candidate["generated_code"] for candidate in found] == texts
        counts["same_first"] += found[0]["generated_code"] == texts[0]
        counts["same_all"] += same
        if same:
            scores = zip(found, output.sequences_scores.tolist())
            largest = max(abs(candidate["score"] - score) for candidate, score in scores)
            counts["largest_score_difference"] = max(counts["largest_score_difference"], largest)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cf", help="A shipped model or a folder.")
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--num_inference_steps", type=int, help="The exported model's, as the next; else the model's.")
    parser.add_argument("--num_revisions", type=int)
    parser.add_argument("--int8", action="store_true", help="Also write a copy with 8-bit weights to OUTPUT_DIR/int8.")
    parser.add_argument("--data", help="JSON lines with `nl` and `table`, to compare the programs with torch's.")
    parser.add_argument("--num_threads", type=int, nargs="*", default=[], help="Time one utterance at these threads.")
    args = parser.parse_args()
    if min(args.num_threads, default=1) < 1:
        parser.error("--num_threads must be at least 1")

    model, tokenizer = load(args.model)
    prompts = []
    if args.data:
        prompts = [source_text(row["nl"], row.get("table")) for row in read_jsonl(args.data)]
    for name in ("num_inference_steps", "num_revisions"):
        if (value := getattr(args, name)) is not None:
            setattr(model.generation_config, name, value)
    folder = Path(args.output_dir)
    export(model, tokenizer, folder)
    folders = {"fp32": folder}
    if args.int8:
        folders["int8"] = folder / "int8"
        quantize(folder, folders["int8"])
    report = {}
    for name, path in folders.items():
        size = sum((path / f"{graph}.onnx").stat().st_size for graph in GRAPHS)
        report[name] = {"size_mb": round(size / 1e6, 2)}
        if prompts:
            report[name] |= compare(model.float(), tokenizer, OnnxCodeFusion(path), prompts)
        for threads in args.num_threads:
            report[name][f"latency_ms_{threads}_threads"] = round(time_onnx(path, num_threads=threads), 1)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    try:
        main()
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f"export_onnx.py: error: {error}")
