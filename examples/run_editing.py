"""
Measures what only a diffusion model can do, on a benchmark file, over several seeds:

- `edit`: one token of each gold program is replaced by a random one; how many programs does an edit repair, how many
  correct ones does the same edit break, and how many does generating anew get right?
- `infill`: a span of each gold program is hidden; how often does the first candidate restore it exactly, against the
  most frequent span of that length in the other programs?
- `early_stop`: the exact match with and without stopping finished candidates, and the denoiser's work.

    python examples/run_editing.py --model cf --data cf_val.jsonl --num_programs 100 --output editing.json
"""

import argparse
import json
import random
import statistics
import sys
from collections import Counter
from pathlib import Path

import torch
from tqdm.auto import tqdm

from codefusion_hf.data.benchmarks import golds, read_pairs, table_of
from codefusion_hf.data.prompts import source_text
from codefusion_hf.evaluation import load
from codefusion_hf.languages import get_language


TASKS = ("edit", "infill", "early_stop")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cf", help="A shipped model or a folder.")
    parser.add_argument("--data", required=True, help="JSON lines with `nl` and `code`.")
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--num_programs", type=int, default=100, help="Drawn from the file, again if it has fewer.")
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.2, 0.4, 0.6, 0.8])
    parser.add_argument("--span_share", type=float, default=0.3, help="Of a program's tokens, hidden by `infill`.")
    parser.add_argument("--early_stop_steps", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batch_size", type=int, default=25)
    parser.add_argument("--output", help="Write the figures here as JSON.")
    args = parser.parse_args()
    if not 0 < args.span_share <= 1:
        parser.error(f"--span_share must be above 0 and at most 1, got {args.span_share}")
    if args.num_programs < 1 or args.batch_size < 1:
        parser.error("--num_programs and --batch_size must be at least 1")

    model, tokenizer = load(args.model)
    # Canonical programs: drafts and holes in the spelling that the model writes.
    experiment = Experiment(model, tokenizer, read_pairs(args.data, model.config.language), args)
    results = {"model": args.model, "data": Path(args.data).name, "programs": args.num_programs, "seeds": args.seeds}
    for task in args.tasks:
        runs = [getattr(experiment, task)(seed) for seed in tqdm(args.seeds, desc=task, unit="seed", disable=None)]
        results[task] = {
            name: {
                "mean": round(statistics.mean(run[name] for run in runs), 2),
                "sd": round(statistics.stdev(run[name] for run in runs), 2) if len(runs) > 1 else 0.0,
            }
            for name in runs[0]
        }
        print(f"\n| {task}, percent of {args.num_programs} | mean | sd over {len(runs)} seeds |\n|---|---|---|")
        for name, value in results[task].items():
            print(f"| {name} | {value['mean']} | {value['sd']} |")
    if args.output:
        Path(args.output).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


class Experiment:
    """The tasks on one model and one file; each takes a seed and returns percentages."""

    def __init__(self, model, tokenizer, rows: list[dict], args: argparse.Namespace):
        self.model, self.tokenizer, self.args = model, tokenizer, args
        self.normalize = get_language(model.config.language).normalize
        self.rows = []
        for row in rows:
            prompt = source_text(row["nl"], table_of(row))
            ids = tokenizer(row["code"])["input_ids"]
            fits = len(ids) <= model.config.max_target_length
            if fits and len(ids) > 2 and len(tokenizer(prompt)["input_ids"]) <= model.config.max_source_length:
                self.rows.append({"prompt": prompt, "ids": ids, "golds": {self.normalize(g) for g in golds(row)}})
        if not self.rows:
            raise ValueError(f"{args.data} has no program that the model can read")

    def sample(self, seed: int) -> tuple[list[dict], random.Random]:
        rng = random.Random(f"editing {seed}")
        rows = self.rows * -(-self.args.num_programs // len(self.rows))
        return rng.sample(rows, self.args.num_programs), rng

    def generate(self, rows: list[dict], seed: int, **tensors_and_settings) -> list[list[int]]:
        """The first candidate of each row, as token ids. Lists of ids among the settings are padded to tensors."""
        pad, found = self.model.config.pad_token_id, []
        for start in range(0, len(rows), self.args.batch_size):
            part = slice(start, start + self.args.batch_size)
            inputs = self.tokenizer([row["prompt"] for row in rows[part]], return_tensors="pt", padding=True)
            settings = {
                name: pad_rows(value[part], False if name == "infill_mask" else pad)
                if isinstance(value, list)
                else value
                for name, value in tensors_and_settings.items()
            }
            sequences = self.model.generate(**inputs.to(self.model.device), seed=seed, **settings)
            found += [[token for token in tokens if token != pad] for tokens in sequences.tolist()]
        return found

    def share_right(self, rows: list[dict], programs: list[list[int]]) -> float:
        texts = self.tokenizer.batch_decode(programs, skip_special_tokens=True)
        return 100 * sum(self.normalize(text) in row["golds"] for row, text in zip(rows, texts)) / len(rows)

    def edit(self, seed: int) -> dict[str, float]:
        """One wrong token in each program."""
        rows, rng = self.sample(seed)
        tokens = sorted({token for row in self.rows for token in row["ids"][:-1]})
        corrupted = []
        for row in rows:
            ids, position = list(row["ids"]), rng.randrange(len(row["ids"]) - 1)
            ids[position] = rng.choice([token for token in tokens if token != ids[position]])
            corrupted.append(ids)
        figures = {
            "corrupted, still right": self.share_right(rows, corrupted),
            "generated anew, right": self.share_right(rows, self.generate(rows, seed)),
        }
        for strength in self.args.strengths:
            repaired = self.generate(rows, seed, init_ids=corrupted, strength=strength)
            kept = self.generate(rows, seed, init_ids=[row["ids"] for row in rows], strength=strength)
            figures[f"strength {strength:g}, repaired"] = self.share_right(rows, repaired)
            figures[f"strength {strength:g}, broken"] = 100 - self.share_right(rows, kept)
        return figures

    def infill(self, seed: int) -> dict[str, float]:
        """One hidden span in each program."""
        rows, rng = self.sample(seed)
        masks, spans = [], []
        for row in rows:
            length = len(row["ids"]) - 1
            size = max(1, round(self.args.span_share * length))
            start = rng.randrange(length - size + 1)
            masks.append([start <= i < start + size for i in range(len(row["ids"]))])
            spans.append((start, size))
        filled = self.generate(rows, seed, infill_ids=[row["ids"] for row in rows], infill_mask=masks)
        restored = guessed = changed = 0
        for row, tokens, (start, size) in zip(rows, filled, spans):
            gold = row["ids"][:-1]
            restored += tokens[start : start + size] == gold[start : start + size]
            changed += [*tokens[:start], *tokens[start + size :]] != [*gold[:start], *gold[start + size :]]
            others = Counter(
                tuple(other["ids"][i : i + size])
                for other in self.rows
                if other["ids"] != row["ids"]
                for i in range(len(other["ids"]) - size)
            )
            guessed += list(max(others, key=others.get, default=())) == gold[start : start + size]
        return {
            "restored exactly": 100 * restored / len(rows),
            "most frequent span": 100 * guessed / len(rows),
            "fixed tokens changed": 100 * changed / len(rows),
        }

    def early_stop(self, seed: int) -> dict[str, float]:
        """All rows of the file, with and without stopping finished candidates."""
        denoise, figures = self.model.denoise, {}
        for name, settings in (("all steps", {}), ("early stop", {"stability_threshold": 1})):
            work = 0

            def count(sample, *arguments):
                nonlocal work
                work += sample.shape[0]
                return denoise(sample, *arguments)

            self.model.denoise = count
            try:
                found = self.generate(self.rows, seed, num_inference_steps=self.args.early_stop_steps, **settings)
            finally:
                self.model.denoise = denoise
            figures[f"{name}, right"] = self.share_right(self.rows, found)
            figures[f"{name}, rows denoised"] = work
        return figures


def pad_rows(rows: list[list], value: int | bool) -> torch.Tensor:
    """Lists of different lengths as one tensor."""
    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"run_editing.py: error: {error}")
