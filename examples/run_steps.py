"""
Measures score and time by sampler and number of denoising steps, and compares the model's own settings with the
paper's sampler on the same rows and seeds:

    python examples/run_steps.py --model cf --data cf_val.jsonl --steps 1 2 3 5 10 20 50 200 --output_dir steps
    python examples/run_steps.py --model cf --data cf_val.jsonl --steps 1200 --samplers ddpm --output_dir steps

The row `default` is what users get. All others are the paper's sampler with another sampler and number of steps: five
candidates in the order they were drawn, equal ones kept, no revisions, the full canvas. With all the steps that the
model was trained with, `ddpm` is the paper's sampler itself, with its larger variance (`fixed_large`, as in GENIE); a
shortened chain would be noisier with it than its timesteps say, so the other rows take `fixed_small`.

Written to the folder after each row of the table and seed: the predictions, `results.json`, `table.md` and `plot.png`.
Run it again after an interruption, or with more steps, samplers or seeds: what the folder has is not done again. Times
are the processor's, which other work on the machine does not change much; on a GPU, the clock's.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from ablations.report import import_pyplot
from tqdm.auto import tqdm

from codefusion_hf import evaluation, scoring
from codefusion_hf.data.benchmarks import read_benchmark
from codefusion_hf.data.leakage import sha256
from codefusion_hf.data.prompts import source_text
from codefusion_hf.predictions import write_atomically
from codefusion_hf.scheduling_codefusion import SAMPLERS


NUM_CANDIDATES = 5
AS_DRAWN = {
    "num_return_sequences": NUM_CANDIDATES,
    "num_candidates": NUM_CANDIDATES,
    "candidate_order": "seed",
    "dedupe": False,
    "num_revisions": 0,
    "canvas_buckets": None,
    "stability_threshold": None,
    "timestep_spacing": "uniform",
    "eta": 0.0,
    "guidance_scale": 1.0,
    "diversity_penalty": 0.0,
}
# Of the model's own settings, as far as they are not the package's defaults.
SHOWN = ("sampler", "num_inference_steps", "num_revisions", "num_candidates", "canvas_buckets", "stability_threshold")
SHOWN += ("block_size", "num_beams")
DEFAULT, PAPER = "default", "paper"
METRICS = {"cf": "cf_exec_match", "bash": "bash_template_match", "python": "chrf"}
RESAMPLES = 10_000
# Okabe and Ito's palette: told apart with any colour vision.
COLORS = dict(zip(SAMPLERS, ("#0072B2", "#E69F00", "#009E73")))


def main() -> None:
    args = parse_arguments()
    import_pyplot()  # now, not after an hour
    model, tokenizer = evaluation.load(args.model)
    model = model.to(getattr(torch, args.dtype))
    if model.config.language not in METRICS:
        raise ValueError(f"the model must be one for {', '.join(METRICS)}; its language is {model.config.language}")
    rows = scoring.pool_golds(read_benchmark(args.data))[: args.rows]
    evaluation.check_examples(model, tokenizer, rows)
    experiment = Experiment(model, tokenizer, rows, Path(args.output_dir), args.batch_size)
    experiment.open(args)
    experiment.carry_out(args.steps, args.samplers, args.seeds)
    print(experiment.report())


def parse_arguments() -> argparse.Namespace:
    """The arguments, after the checks that need no model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cf", help="A shipped model or a folder.")
    parser.add_argument("--data", required=True, help="JSON lines, or the release's JSON.")
    parser.add_argument("--output_dir", required=True, help="New, or that of earlier calls with the same settings.")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 3, 5, 10, 20, 50], help="Numbers of steps.")
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS), choices=SAMPLERS, metavar="SAMPLER")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", type=int, help="The first rows of the file only, for a quick check.")
    parser.add_argument("--batch_size", type=int, default=16, help="Utterances in a batch; changes speed alone.")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    args = parser.parse_args()
    for name in ("rows", "batch_size"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(args, name)}")
    return args


class Experiment:
    """
    The cells of a table, each a sampler with a number of steps or the model's own settings, and their runs, one for
    each seed.

    Args:
        model, tokenizer: As `evaluation.load` returns them.
        rows (`list[dict]`): As `scoring.pool_golds` returns them.
        output (`Path`): Folder of the results.
        batch_size (`int`): Utterances in a batch.
    """

    def __init__(self, model, tokenizer, rows: list[dict], output: Path, batch_size: int):
        self.model, self.tokenizer, self.rows = model, tokenizer, rows
        self.output, self.batch_size = output, batch_size
        self.language, self.whole_chain = model.config.language, model.config.num_diffusion_steps
        self.results: dict = {}

    def open(self, args: argparse.Namespace) -> None:
        """Takes up what the folder has; raises `ValueError` if it was made with something else."""
        self.results = {
            "settings": {
                "weights": sha256(Path(self.model.name_or_path) / "model.safetensors"),
                "data": sha256(args.data),
                "rows": len(self.rows),
                "dtype": args.dtype,
                "batch_size": args.batch_size,
                "device": self.model.device.type,
                "threads": torch.get_num_threads(),
            },
            "model": Path(args.model).name,
            "file": Path(args.data).name,
            "language": self.language,
            "machine": f"{platform.machine()}, torch {torch.__version__}",
            "cells": {},
        }
        path = self.output / "results.json"
        if path.exists():
            try:
                earlier = json.loads(path.read_text(encoding="utf-8"))
                before, now = earlier["settings"], self.results["settings"]
                changed = [name for name in now if before.get(name) != now[name]]
                self.results["cells"] = earlier["cells"]
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path} is damaged ({error}): choose another --output_dir") from None
            if changed:
                raise ValueError(
                    f"{self.output} was made with other {', '.join(changed)}: go on with the same, or choose another "
                    "--output_dir"
                )
        self.output.mkdir(parents=True, exist_ok=True)

    def cell(self, sampler: str, steps: int) -> tuple[str, dict]:
        """A cell's name, and its settings of `generate`."""
        is_paper = sampler == "ddpm" and steps == self.whole_chain
        variance = "fixed_large" if is_paper else "fixed_small"
        settings = {**AS_DRAWN, "sampler": sampler, "num_inference_steps": steps, "variance_type": variance}
        if self.model.config.block_size:
            settings["block_size"] = 0  # the whole canvas at once, as in the paper
        return PAPER if is_paper else f"{sampler}.{steps}", settings

    def carry_out(self, steps: Sequence[int], samplers: Sequence[str], seeds: Sequence[int]) -> None:
        """
        Runs what is missing, the cheapest first.

        Raises:
            ValueError: for a number of steps or a seed out of range, before anything is run.
        """
        if wrong := [number for number in steps if not 1 <= number <= self.whole_chain]:
            raise ValueError(f"--steps must be from 1 to {self.whole_chain}, got {wrong[0]}")
        if wrong := [seed for seed in seeds if not 0 <= seed < 2**32]:
            raise ValueError(f"--seeds must be from 0 to 2**32 - 1, got {wrong[0]}")
        own = {key: value for key, value in self.model.generation_config.to_dict().items() if value is not None}
        own.pop("transformers_version", None)
        cells = {DEFAULT: own}
        cells |= dict(self.cell(sampler, number) for number in sorted(set(steps)) for sampler in samplers)
        todo = []
        for name, settings in cells.items():
            entry = self.results["cells"].setdefault(name, {"settings": settings, "runs": {}})
            if entry["settings"] != settings:  # most of all the model's own
                print(f"{name}: the settings have changed since it ran, it runs again")
                entry.update(settings=settings, runs={})
            todo += [(name, seed) for seed in dict.fromkeys(seeds) if str(seed) not in entry["runs"]]
        if not todo:
            return

        work = {name: len(self.rows) * settings.get("num_inference_steps", 20) for name, settings in cells.items()}
        self.generate_default(self.rows[:1], seed=0)  # warm-up
        # The delay keeps the bar away from an error of the first batch.
        with tqdm(total=sum(work[name] for name, _ in todo), unit="step", desc="steps x rows", delay=1e-3) as bar:
            for name, seed in todo:
                bar.set_postfix_str(f"{name}, seed {seed}")
                runs, candidates, started = self.results["cells"][name]["runs"], {}, self.clock()
                for number, found in self.generate(name, cells[name], seed):
                    candidates |= found
                    bar.update(number)
                seconds = (self.clock() - started) / len(self.rows)
                candidates = [candidates[index] for index in range(len(self.rows))]
                self.save(f"{name}.seed{seed}.jsonl", candidates)
                runs[str(seed)] = {"seconds_per_row": round(seconds, 5), "scores": self.scores(candidates)}
                self.report()

    def generate(self, name: str, settings: dict, seed: int) -> Iterator[tuple[int, dict[int, list[dict]]]]:
        """Batch after batch, rows of similar length together: the work done, and the candidates by the row's index."""
        order = sorted(range(len(self.rows)), key=lambda index: len(self.rows[index]["nl"]))
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            rows = [self.rows[index] for index in batch]
            found = self.generate_default(rows, seed) if name == DEFAULT else self.draw(rows, seed, settings)
            yield len(batch) * settings.get("num_inference_steps", 20), dict(zip(batch, found))

    def generate_default(self, rows: list[dict], seed: int) -> list[list[dict]]:
        """What `codefusion predict` gives."""
        return evaluation.generate_candidates(
            self.model, self.tokenizer, rows, NUM_CANDIDATES, seed=seed, batch_size=self.batch_size
        )

    def draw(self, rows: list[dict], seed: int, settings: dict) -> list[list[dict]]:
        """The samples as they were drawn; `generate_candidates` puts those that do not parse last."""
        prompts = [source_text(row["nl"], row.get("table")) for row in rows]
        inputs = self.tokenizer(prompts, return_tensors="pt", padding=True).to(self.model.device)
        sequences = self.model.generate(**inputs, seed=[seed] * len(rows), **settings)
        codes = self.tokenizer.batch_decode(sequences, skip_special_tokens=True)
        each = range(0, len(codes), NUM_CANDIDATES)
        return [[{"code": code.strip()} for code in codes[start : start + NUM_CANDIDATES]] for start in each]

    def clock(self) -> float:
        if self.model.device.type == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def scores(self, candidates: list[list[dict]]) -> list[list[float]]:
        """For each row the best score, 0 to 1, among its first k candidates, for each k."""
        metric, found = METRICS[self.language], []
        for ranked, row in zip(candidates, self.rows):
            scores = scoring.score([[candidate["code"] for candidate in ranked]], [row], self.language)[metric]
            found.append([round(float(scores[f"top_{k}"]), 4) for k in scoring.K])
        return found

    def save(self, name: str, candidates: list[list[dict]]) -> None:
        """Predictions that `codefusion score` reads."""
        lines = [
            json.dumps({"id": row["id"], "nl": row["nl"], "candidates": ranked}, ensure_ascii=False) + "\n"
            for row, ranked in zip(self.rows, candidates)
        ]
        write_atomically(self.output / name, "".join(lines))

    def report(self) -> str:
        """Writes `results.json`, `table.md` and `plot.png`; returns the table."""
        for *_, entry in in_order(self.results["cells"]):
            entry |= summarize(list(entry["runs"].values()))
        self.results["default_minus_paper"] = compare(self.results["cells"])
        text = render(self.results)
        write_atomically(self.output / "results.json", json.dumps(self.results, indent=1) + "\n")
        write_atomically(self.output / "table.md", text)
        draw_plot(self.results, self.output / "plot.png")
        return text


def summarize(runs: list[dict]) -> dict:
    """The score in per cent for each k, mean and standard deviation over runs (seeds); the median time of a row."""
    summary: dict = {"seconds_per_row": round(statistics.median(run["seconds_per_row"] for run in runs), 5)}
    for k in scoring.K:
        shares = [100 * statistics.mean(top_k(run, k)) for run in runs]
        summary[f"top_{k}"] = {"mean": round(statistics.mean(shares), 3), "sd": round(statistics.pstdev(shares), 3)}
    return summary


def top_k(run: dict, k: int) -> list[float]:
    """For each row the best score among the first k candidates."""
    return [scores[scoring.K.index(k)] for scores in run["scores"]]


def compare(cells: dict[str, dict]) -> dict | None:
    """
    The model's own settings against the paper's sampler, paired over rows and seeds.

    Returns:
        `dict` or `None`: `seeds` that both have, `faster` (ratio of times) and, for each k, `difference` and
        `interval` (95 %) in points; `None` before both have run with a seed in common.
    """
    default, paper = (cells.get(name, {"runs": {}}) for name in (DEFAULT, PAPER))
    seeds = [seed for seed in default["runs"] if seed in paper["runs"]]
    if not seeds:
        return None
    result: dict = {"seeds": seeds, "faster": round(paper["seconds_per_row"] / default["seconds_per_row"], 1)}
    for k in scoring.K:
        ours, theirs = (np.array([top_k(cell["runs"][seed], k) for seed in seeds]) for cell in (default, paper))
        mean, low, high = bootstrap(100 * (ours - theirs).mean(0))
        result[f"top_{k}"] = {"difference": round(mean, 2), "interval": [round(low, 2), round(high, 2)]}
    return result


def bootstrap(values: Sequence[float], resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float, float]:
    """
    The mean and its 95 % interval by the percentile bootstrap (Efron, 1979).

    Args:
        values (`Sequence[float]`): One for each row, the unit that is resampled.
        resamples (`int`), seed (`int`): Of the bootstrap.

    Raises:
        ValueError: without values.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"the bootstrap needs a list of at least one value, got the shape {values.shape}")
    drawn = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(values[drawn].mean(1), (0.025, 0.975))
    return float(values.mean()), float(low), float(high)


def in_order(cells: dict[str, dict]) -> list[tuple[str, str, int, dict]]:
    """Name, sampler, steps and results of the cells that have a run, the default first, then by sampler and steps."""
    rows = []
    for name, entry in cells.items():
        if entry["runs"]:
            settings = entry["settings"]
            rows.append((name, settings.get("sampler", ""), settings.get("num_inference_steps", 0), entry))
    return sorted(rows, key=lambda row: (row[0] != DEFAULT, [*SAMPLERS, ""].index(row[1]), row[2]))


def render(results: dict) -> str:
    """The table as Markdown."""
    cells, settings = results["cells"], results["settings"]
    default = cells[DEFAULT]["seconds_per_row"]
    own = {name: cells[DEFAULT]["settings"].get(name) for name in SHOWN}
    own = ", ".join(f"{name}={value}" for name, value in own.items() if value is not None) or "all of the package"
    clock = "processor" if settings["device"] == "cpu" else "clock"
    ks = " | ".join(f"top-{k}" for k in scoring.K)
    text = [
        f"# {results['model']} on {settings['rows']} rows of {results['file']}",
        "",
        f"Per cent, {METRICS[results['language']]}, mean ± standard deviation over the seeds; {settings['dtype']}, "
        f"batches of {settings['batch_size']}, {settings['threads']} threads, {results['machine']}. `default`: the "
        f"model's own settings ({own}), ranked. All others: {NUM_CANDIDATES} candidates as drawn, no revisions, the "
        "full canvas.",
        "",
        f"| sampler | steps | {ks} | seeds | {clock} s / utterance | x default |",
        f"|---|---|{'---|' * len(scoring.K)}---|---|---|",
    ]
    for name, sampler, steps, entry in in_order(cells):
        first = {DEFAULT: "**default**", PAPER: f"{sampler}, the paper's"}.get(name, sampler)
        scores = [f"{entry[f'top_{k}']['mean']:.1f} ± {entry[f'top_{k}']['sd']:.1f}" for k in scoring.K]
        seconds = entry["seconds_per_row"]
        text.append(
            f"| {first} | {steps or ''} | {' | '.join(scores)} | {len(entry['runs'])} | {seconds:.3f} | "
            f"{seconds / default:.2f} |"
        )
    found = results["default_minus_paper"]
    if found is None:
        return "\n".join([*text, "", "The paper's sampler has not run yet.", ""])
    differences = ", ".join(
        f"top-{k} {found[f'top_{k}']['difference']:+.1f} [{low:+.1f}, {high:+.1f}]"
        for k in scoring.K
        for low, high in [found[f"top_{k}"]["interval"]]
    )
    text += [
        "",
        "Default minus the paper's sampler, in points with 95 % intervals (bootstrap over rows, paired over the same "
        f"rows and {len(found['seeds'])} seeds): {differences}; {found['faster']:g} times as fast.",
        "",
    ]
    return "\n".join(text)


def draw_plot(results: dict, path: Path) -> None:
    """Top-1 against time, a line for each sampler, the number of steps at its points."""
    pyplot = import_pyplot()
    figure, axes = pyplot.subplots(figsize=(7.5, 4.5), layout="constrained")
    for number, sampler in enumerate(SAMPLERS):
        points = [row for row in in_order(results["cells"]) if row[1] == sampler and row[0] != DEFAULT]
        if not points:
            continue
        x = [entry["seconds_per_row"] for *_, entry in points]
        y, spread = ([entry["top_1"][key] for *_, entry in points] for key in ("mean", "sd"))
        axes.errorbar(x, y, yerr=spread, marker="o", color=COLORS[sampler], label=sampler, capsize=3, linewidth=1.2)
        for (name, _, steps, _), *place in zip(points, x, y):
            label = f"{steps}, the paper's" if name == PAPER else str(steps)
            above = (3, 5 + 10 * number)  # the samplers' points are close to each other
            axes.annotate(label, place, xytext=above, textcoords="offset points", color=COLORS[sampler], fontsize=9)
    default = results["cells"][DEFAULT]
    place = (default["seconds_per_row"], default["top_1"]["mean"])
    axes.plot(*place, "*", color="black", markersize=14, label="default", linestyle="none")
    low, high = axes.get_ylim()
    axes.set_ylim(low - 4, high + 4)  # a difference of one row should look like one
    axes.set_xscale("log")
    axes.set_xlabel("seconds per utterance")
    axes.set_ylabel(f"{METRICS[results['language']]}, top-1, %")
    axes.grid(color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150, metadata={"Software": None}, pil_kwargs={"optimize": True})
    pyplot.close(figure)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("run_steps.py: interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        sys.exit(f"run_steps.py: error: {error}")
