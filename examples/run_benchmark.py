"""
Measures generation against its alternatives, in one run on one machine, medians of interleaved repeats after warm-up:

- the paper's sampler: 1200 DDPM steps, keys and values of E_s computed anew in every step;
- ours: the model's own settings;
- a T5 of as many parameters with the same tokenizer (random weights), beam 5, five sequences, in as many steps as the
  longest of the five programs has tokens, on average over the utterances;
- the floor: the matrix products of the denoising loop alone, at these shapes and in this dtype;
- without --quick also: other dtypes, int8 and torch.compile, canvas lengths, batch sizes, whole processes.

    python examples/run_benchmark.py --model cf                 # one table, and BENCHMARK.json with --output
    python examples/run_benchmark.py --model cf --quick --json
    python examples/run_benchmark.py --preset paper             # the 136M model, random weights

Times on shared machines are noisy: compare figures of one run with each other, not with other machines'.
"""

import argparse
import copy
import functools
import itertools
import json
import math
import platform
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from tqdm.auto import tqdm
from transformers import AutoTokenizer, PreTrainedTokenizerBase, T5Config, T5ForConditionalGeneration

import codefusion_hf
from codefusion_hf import CodeFusionConfig, CodeFusionForConditionalGeneration
from codefusion_hf.baselines.seq2seq import count_parameters, from_scratch
from codefusion_hf.data.benchmarks import read_benchmark
from codefusion_hf.data.prompts import source_text
from codefusion_hf.evaluation import load
from codefusion_hf.layers_codefusion import CodeFusionCache
from codefusion_hf.training import load_preset


FIXTURES = Path(__file__).parents[1] / "tests" / "fixtures"
# The single request, and where the others of a batch come from; of other languages as for CF.
UTTERANCES = {
    "cf": ("Color cells that have value greater than 1129", "cf_dev.jsonl"),
    "bash": ("Find all files larger than 10 MB in the current directory and delete them", "bash_pairs.jsonl"),
    "python": ("sort dictionary `d` by value in descending order", "python_pairs.jsonl"),
}
NUM_RETURN_SEQUENCES = 5
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")
CALLS_WITH_CACHE = 4  # of the denoiser, of so many one is timed: each holds a cache
ATTENTION = "scaled_dot_product"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cf", help="A shipped model or a folder.")
    parser.add_argument("--preset", help="Random weights in the sizes of examples/configs/PRESET.json instead.")
    parser.add_argument(
        "--dtype",
        choices=("bfloat16", "float32"),
        help="Of both models; by default bfloat16, for a model with blocks float32: its small products gain nothing.",
    )
    parser.add_argument("--data", help="JSON lines whose utterances make the batches; by default a fixture.")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="Fewer repeats, and the paper's sampler extrapolated.")
    parser.add_argument("--json", action="store_true", help="Print one JSON object.")
    parser.add_argument("--output", help="Write the JSON object here, too.")
    args = parser.parse_args()
    if args.repeats < 1:
        parser.error("--repeats must be at least 1")
    repeats = min(args.repeats, 5) if args.quick else args.repeats

    if args.preset:
        model, tokenizer = random_model(args.preset)
    else:
        model, tokenizer = load(args.model)
    args.dtype = args.dtype or ("float32" if model.config.block_size else "bfloat16")
    model = model.to(getattr(torch, args.dtype)).eval()
    bench = Benchmark(model, tokenizer, read_utterances(args.data, tokenizer, model), repeats)
    results = {
        "model": args.preset or args.model,
        "dtype": args.dtype,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "parameters": sum(p.numel() for p in model.parameters()),
        "size_on_disk_mb": size_on_disk_mb(model, None if args.preset else args.model),
        "settings": {
            name: getattr(model.generation_config, name)
            for name in (
                "num_inference_steps",
                "num_revisions",
                "num_candidates",
                "sampler",
                "canvas_buckets",
                "block_size",
                "num_beams",
            )
        },
    }
    sections = [bench.memory, bench.single, bench.batched]
    sections += [lambda: bench.paper_sampler(60 if args.quick else 1200), bench.floor]
    if not args.quick:
        sections += [bench.variants, bench.canvases, bench.batches]
        sections += [] if args.preset else [lambda: commands(args.model)]
    for section in tqdm(sections, desc="benchmark", unit="part", disable=None):
        results |= section()
    results["vs_paper_sampler"] = round(results["paper_sampler_ms"] / results["latency_ms"], 1)
    results["vs_t5_beam5"] = round(results["t5_beam5_ms"] / results["latency_ms"], 2)
    results["vs_t5_beam5_batch64"] = round(results["t5_beam5_batch64_ms"] / results["batch64_ms"], 2)
    if args.output:
        Path(args.output).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if args.json:
        print(json.dumps(results))
    else:
        print("| figure | value |\n|---|---|")
        for name, value in results.items():
            print(f"| {name} | {value} |")


class Benchmark:
    """The parts of a run: each method returns figures."""

    def __init__(self, model, tokenizer: PreTrainedTokenizerBase, utterances: list[str], repeats: int):
        self.model, self.tokenizer, self.repeats = model, tokenizer, repeats
        self.one, self.many = utterances[:1], utterances
        programs = self.model.generate(**self.inputs(self.many), num_return_sequences=NUM_RETURN_SEQUENCES, seed=0)
        lengths = (programs != model.config.pad_token_id).sum(-1).view(-1, NUM_RETURN_SEQUENCES)
        self.output_length = max(2, round(float(lengths.amax(-1).float().mean())) + 1)  # and its end

    @functools.cached_property
    def t5(self):
        """A T5 with our number of parameters."""
        return same_size_t5(self.model, self.tokenizer).to(self.model.device, self.model.dtype).eval()

    def inputs(self, utterances: list[str]) -> dict:
        return self.tokenizer(utterances, return_tensors="pt", padding=True).to(self.model.device)

    def ours(self, utterances: list[str], **settings) -> list[str]:
        """From text to text."""
        sequences = self.model.generate(
            **self.inputs(utterances), num_return_sequences=NUM_RETURN_SEQUENCES, seed=0, **settings
        )
        return self.tokenizer.batch_decode(sequences, skip_special_tokens=True)

    @torch.no_grad()
    def theirs(self, utterances: list[str]) -> list[str]:
        """T5's beam search, held to the mean length of our longest programs: random weights would not end."""
        inputs = self.inputs(utterances)
        sequences = self.t5.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            num_beams=5,
            num_return_sequences=NUM_RETURN_SEQUENCES,
            min_new_tokens=self.output_length,
            max_new_tokens=self.output_length,
        )
        return self.tokenizer.batch_decode(sequences, skip_special_tokens=True)

    def memory(self) -> dict:
        """What a process needs that does nothing but this: measured before there is anything else."""
        self.ours(self.one)
        single = peak_memory_mb(self.model)
        self.ours(self.many)
        return {"peak_memory_mb": single, "peak_memory_mb_batch64": peak_memory_mb(self.model)}

    def single(self) -> dict:
        times = medians(
            {
                "latency_ms": lambda: self.ours(self.one),
                "t5_beam5_ms": lambda: self.theirs(self.one),
                "first_draft_ms": lambda: self.ours(self.one, num_inference_steps=1, num_revisions=0),
            },
            self.repeats,
        )
        return times | {"t5_parameters": count_parameters(self.t5), "output_tokens": self.output_length}

    def batched(self) -> dict:
        return medians(
            {
                "batch64_ms": lambda: self.ours(self.many),
                "t5_beam5_batch64_ms": lambda: self.theirs(self.many),
            },
            max(2, self.repeats // 5),
            warm_up=1,
        )

    def paper_sampler(self, steps: int) -> dict:
        """Five samples, no ranking by more, every step of the chain, and nothing cached between steps."""
        model, denoise = self.model, self.model.denoise

        def uncached(sample, timesteps, memory, previous=None, *_):
            memory.denoiser_key_values = model.denoiser.stack.key_values(memory.hidden_states)
            return denoise(sample, timesteps, memory, previous, model.embedding_table())

        model.denoise = uncached
        try:
            seconds = clock(
                lambda: self.ours(
                    self.one,
                    num_inference_steps=steps,
                    num_revisions=0,
                    num_candidates=NUM_RETURN_SEQUENCES,
                    sampler="ddpm",
                    variance_type="fixed_large",
                    canvas_buckets=[],
                    block_size=0,
                )
            )
        finally:
            model.denoise = denoise
        return {
            "paper_sampler_ms": round(1000 * seconds * model.config.num_diffusion_steps / steps, 1),
            "paper_sampler_steps_run": steps,
        }

    def floor(self) -> dict:
        """The share of the denoising loop's time that its matrix products alone would need."""
        figures = {}
        for name, utterances in (("fraction_of_floor", self.one), ("fraction_of_floor_batch64", self.many)):
            loop, share = self.denoising_loop(utterances)
            with Recorder(self.model) as recorder, torch.no_grad():
                loop()
            replay = recorder.replay()
            times = medians({"loop": loop, "floor": replay}, self.repeats if len(utterances) == 1 else 3)
            figures[name] = round(times["floor"] / times["loop"], 3)
            figures[name.replace("fraction_of_floor", "denoising_loop_ms")] = round(times["loop"] / share, 2)
        return figures

    def denoising_loop(self, utterances: list[str]) -> tuple[Callable, float]:
        """The denoiser's calls of one `generate`, on what it saw there, and which share of them is kept."""
        model, denoise, calls, number = self.model, self.model.denoise, [], itertools.count()
        every = CALLS_WITH_CACHE if model.config.block_size else 1

        def as_it_is(argument):  # a cache goes on growing
            if not isinstance(argument, CodeFusionCache):
                return argument
            cache = copy.copy(argument)
            cache.key_values = dict(cache.key_values)
            return cache

        def record(*arguments):
            if next(number) % every == 0:
                calls.append([as_it_is(argument) for argument in arguments])
            return denoise(*arguments)

        model.denoise = record
        try:
            self.ours(utterances)
        finally:
            model.denoise = denoise

        @torch.no_grad()
        def loop():
            for arguments in calls:
                denoise(*map(as_it_is, arguments))

        return loop, len(calls) / next(number)

    def variants(self) -> dict:
        """One request in other number formats, and compiled."""
        model, times = self.model, {}

        def request(variant) -> Callable:
            return lambda: variant.generate(**self.inputs(self.one), num_return_sequences=NUM_RETURN_SEQUENCES, seed=0)

        functions = {name: request(copy.deepcopy(model).to(getattr(torch, name))) for name in ("bfloat16", "float32")}
        if model.device.type == "cpu":
            functions["int8"] = request(quantized(model))
        compiled = copy.deepcopy(model)
        compiled.denoiser.compile(dynamic=True)
        compiled.decoder.compile(dynamic=True)
        try:
            seconds = clock(request(compiled))
            functions["compiled"] = request(compiled)
            times["compilation_s"] = round(seconds, 1)
        except (OSError, RuntimeError) as error:  # no C++ compiler
            print(f"torch.compile: {str(error).splitlines()[0]}", file=sys.stderr)
        return times | {"ms_by_variant": medians(functions, self.repeats)}

    def canvases(self) -> dict:
        """One step's time by canvas length (random weights in this model's sizes), and the slope of its logarithm."""
        config = CodeFusionConfig.from_dict({**self.model.config.to_dict(), "max_target_length": 128})
        model = CodeFusionForConditionalGeneration(config).to(self.model.device, self.model.dtype).eval()
        with torch.no_grad():
            memory = model.encode(**{k: v for k, v in self.inputs(self.one).items() if k != "token_type_ids"})
        table = model.embedding_table().float()

        def step(length: int) -> Callable:
            sample = torch.randn(10, length, config.embedding_dim, device=model.device)
            timesteps = torch.full((10,), 600, device=model.device)
            return torch.no_grad()(lambda: model.denoise(sample, timesteps, memory, None, table))

        lengths = (16, 32, 64, 128)
        times = medians({str(length): step(length) for length in lengths}, self.repeats)
        x, y = [math.log(n) for n in lengths], [math.log(times[str(n)]) for n in lengths]
        mean_x, mean_y = statistics.mean(x), statistics.mean(y)
        slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / sum((a - mean_x) ** 2 for a in x)
        return {"step_ms_by_canvas": times, "canvas_growth_exponent": round(slope, 2)}

    def batches(self) -> dict:
        sizes = [size for size in (1, 4, 16, 64) if size <= len(self.many)]
        times = medians({str(n): lambda n=n: self.ours(self.many[:n]) for n in sizes}, max(2, self.repeats // 5))
        return {"ms_per_utterance_by_batch": {n: round(ms / int(n), 1) for n, ms in times.items()}}


class Recorder(TorchDispatchMode):
    """Notes the matrix products of what runs under it, attention's included."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        self.products = []

    def note(self, *tensors: torch.Tensor) -> None:
        # Of weights themselves, of all else the layout: a large batch has gigabytes of it.
        self.products.append(
            [
                tensor.detach() if tensor.untyped_storage().data_ptr() in self.weights else _layout(tensor)
                for tensor in tensors
            ]
        )

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().split(".")[0]
        tensors = [a for a in args if isinstance(a, torch.Tensor)]
        if name in PRODUCTS:
            self.note(*tensors[-2:])
        elif ATTENTION in name:
            query, key, value = tensors[:3]
            weights = torch.empty(*query.shape[:3], key.shape[2], dtype=query.dtype, device=query.device)
            self.note(query, key.transpose(2, 3))
            self.note(weights, value)
        return func(*args, **(kwargs or {}))

    def replay(self) -> Callable:
        """A function that computes the products and nothing else."""
        made = {}
        products = []
        for operands in self.products:
            for i, operand in enumerate(operands):  # the two of a product are never the same
                if isinstance(operand, tuple) and (i, operand) not in made:
                    shape, stride, dtype, device = operand
                    size = 1 + sum((length - 1) * step for length, step in zip(shape, stride))
                    made[i, operand] = torch.randn(size, dtype=dtype, device=device).as_strided(shape, stride)
            products.append([made[i, x] if isinstance(x, tuple) else x for i, x in enumerate(operands)])

        @torch.no_grad()
        def run():
            for pair in products:
                torch.matmul(*pair)

        return run


def _layout(tensor: torch.Tensor) -> tuple:
    return tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device


def quantized(model):
    """Its linear layers with int8 weights, and inputs quantised on the fly: for CPUs without bfloat16."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao announces its move to torchao
        return torch.ao.quantization.quantize_dynamic(copy.deepcopy(model).float(), {torch.nn.Linear}, torch.qint8)


def medians(functions: dict[str, Callable], repeats: int, warm_up: int = 3) -> dict[str, float]:
    """Median milliseconds of each function, interleaved so that all of them see the same machine."""
    for function in functions.values():
        for _ in range(warm_up):
            function()
    times = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            times[name].append(1000 * clock(function))
    return {name: round(statistics.median(values), 2) for name, values in times.items()}


def clock(function: Callable) -> float:
    """Seconds of one call, on a GPU until it is done."""
    started = time.perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def same_size_t5(model, tokenizer: PreTrainedTokenizerBase) -> T5ForConditionalGeneration:
    """
    A T5 with random weights: our depth, and as wide as brings its number of parameters to ours. (Our encoder may be
    wider than the denoiser, which a T5's cannot be.)
    """
    values = model.config.to_dict()
    values["encoder_config"] = {"model_type": "t5", "num_layers": model.config.encoder_config.num_hidden_layers}
    with torch.device("meta"):
        config = from_scratch(CodeFusionConfig.from_dict(values), tokenizer, attn_implementation="eager")[0].config
    target, shape = count_parameters(model), config.to_dict()

    def widened(d_model: int, d_ff: int) -> T5ForConditionalGeneration:
        sizes = {"d_model": d_model, "d_kv": d_model // config.num_heads, "d_ff": d_ff}
        return T5ForConditionalGeneration(T5Config(**{**shape, **sizes}))

    with torch.device("meta"):
        ratio = (target / count_parameters(T5ForConditionalGeneration(config))) ** 0.5
        d_model = 32 * round(ratio * config.d_model / 32)
        d_ff = min(
            range(32, 4 * config.d_ff, 32), key=lambda size: abs(count_parameters(widened(d_model, size)) - target)
        )
    t5 = widened(d_model, d_ff)
    if t5._supports_sdpa:  # newer transformers: the faster one for T5
        t5.set_attn_implementation("sdpa")
    return t5


def random_model(preset: str):
    """A preset with random weights, read by the shipped model's tokenizer."""
    model = CodeFusionForConditionalGeneration(load_preset(preset, Path(__file__).parent / "configs"))
    model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    return model, AutoTokenizer.from_pretrained(codefusion_hf.checkpoint_path("cf"))


def read_utterances(path: str | None, tokenizer, model) -> list[str]:
    """64 prompts that the model can read, the first one without a table; fewer if `path` has fewer."""
    first, name = UTTERANCES.get(model.config.language, UTTERANCES["cf"])
    prompts = [source_text(row["nl"], row.get("table")) for row in read_benchmark(path or FIXTURES / name)]
    prompts = [prompt for prompt in prompts if len(tokenizer(prompt)["input_ids"]) <= model.config.max_source_length]
    if path is None:
        prompts *= -(-63 // len(prompts))
    return [first, *prompts][:64]


def size_on_disk_mb(model, name_or_path: str | None) -> float:
    """Of a checkpoint's weights; without one, of these."""
    if name_or_path is None:
        return round(sum(p.numel() * p.element_size() for p in model.parameters()) / 1e6, 1)
    folder = Path(name_or_path)
    folder = folder if folder.is_dir() else Path(codefusion_hf.checkpoint_path(name_or_path))
    return round(sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e6, 1)


def peak_memory_mb(model) -> int:
    """Peak memory of this process, or of the GPU."""
    if model.device.type == "cuda":
        return round(torch.cuda.max_memory_allocated() / 2**20)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 2**20))


def commands(model: str) -> dict:
    """Seconds of whole processes."""
    command = Path(sys.executable).with_name("codefusion")
    processes = {
        "import_torch_transformers_s": [sys.executable, "-c", "import torch, transformers"],
        "codefusion_generate_s": [command, "generate", "--model", model, UTTERANCES.get(model, UTTERANCES["cf"])[0]],
        "codefusion_env_s": [command, "env"],
        "codefusion_help_s": [command, "--help"],
    }
    runs = {
        name: lambda a=arguments: subprocess.run(a, check=True, capture_output=True)
        for name, arguments in processes.items()
    }
    return {name: round(ms / 1000, 2) for name, ms in medians(runs, 5, warm_up=0).items()}


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"run_benchmark.py: error: {error}")
