"""
Evaluates a model on files of (utterance, program) pairs, over several seeds: predicts, then scores.

    python examples/run_evaluate.py --model cf --data cf_val.jsonl --output_dir evaluated
    ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no \
        --dynamo_backend no examples/run_evaluate.py ...    # the same in two processes on CPU

Written to the folder: predictions of each file and seed, `results.json` (scores as fractions: mean, standard deviation
and each seed; settings, versions, data hashes) and `results.md`, tables in per cent with the paper's numbers beside
ours. Besides the language's scores: how often the first candidate stays the same when the utterance is written in
lower case, without its final punctuation, or with typographic quotes (first seed only). Run the same command again
after an interruption, with any number of processes, and it goes on where it stopped.
"""

import argparse
import json
import operator
import platform
import sys
import time
from pathlib import Path

import torch
from accelerate import Accelerator

from codefusion_hf import evaluation, scoring
from codefusion_hf.data.benchmarks import read_benchmark
from codefusion_hf.languages import get_language
from codefusion_hf.predictions import write_atomically
from codefusion_hf.training import check_world_size


PAPER = json.loads((Path(__file__).parent / "paper_results.json").read_text(encoding="utf-8"))
VARIANTS = {
    "lower_case": str.lower,
    "no_final_punctuation": lambda nl: nl.rstrip().rstrip(".!?"),
    "final_punctuation": lambda nl: nl.rstrip().rstrip(".!?") + ".",
    "typographic_quotes": lambda nl: nl.replace("'", "’").replace(' "', " “").replace('"', "”"),
}


def main():
    args = parse_arguments()
    accelerator = Accelerator()
    check_world_size(accelerator)
    files = {Path(path).stem: Path(path) for path in args.data}
    output = Path(args.output_dir)
    output.mkdir(parents=True, exist_ok=True)

    model, tokenizer = evaluation.load(args.model)
    model = model.to(accelerator.device, getattr(torch, args.dtype))
    language = model.config.language
    if language is None:
        raise ValueError(f"the model {args.model} names no language in its config.json")
    settings = {
        "num_return_sequences": args.num_return_sequences,
        "num_inference_steps": args.num_inference_steps,
        "sampler": args.sampler,
        "num_revisions": args.num_revisions,
        "decode_with": args.decode_with,
        "clamping": args.clamping or None,  # None: as the model has it
        "batch_size": args.batch_size,
    }
    data = {name: read_benchmark(path) for name, path in files.items()}
    tasks = list_tasks(args, data)
    for (name, variant, _), rows in tasks.items():  # before the first is predicted: that may take hours
        try:
            evaluation.check_examples(model, tokenizer, rows)
        except ValueError as error:
            raise ValueError(f"{files[name]}, {variant and variant + ', '}{error}") from None

    predictions, seconds = {}, {}
    for key, rows in tasks.items():
        path = output / f"{'.'.join(filter(None, key[:2]))}.seed{key[2]}.jsonl"
        started = time.perf_counter()
        new = evaluation.predict_rows(model, tokenizer, rows, path, seed=key[2], accelerator=accelerator, **settings)
        # Not known for rows that an interrupted run left.
        seconds[key] = round((time.perf_counter() - started) / len(rows), 4) if new == len(rows) else None
        accelerator.wait_for_everyone()
        predictions[key] = scoring.join(scoring.read_predictions(path), rows)
    accelerator.end_training()  # a process that leaves its group to its exit may abort there
    if not accelerator.is_main_process:
        return

    results = {
        "model": args.model,
        "language": language,
        "weights": evaluation.weights_digest(model),
        "settings": {**settings, "seeds": args.seeds, "dtype": args.dtype},
        "versions": {
            **scoring.versions(),
            "torch": torch.__version__,
            "machine": f"{platform.machine()}, {accelerator.num_processes} x {torch.get_num_threads()} threads",
        },
        "data": {},
    }
    for name, rows in data.items():
        scored = scoring.score_runs(
            *([predictions[name, "", seed] for seed in args.seeds], rows, language),
            *(args.train_file, args.encoder, args.num_layers),
        )
        runs = [
            {"seed": seed, "seconds_per_row": seconds[name, "", seed], **scores}
            for seed, scores in zip(args.seeds, scored)
        ]
        of_variant = {variant: predictions[name, variant, args.seeds[0]] for variant in ("", *args.variants)}
        same = same_first_candidate(of_variant, language)
        results["data"][name] = scoring.results_of_runs(files[name], rows, runs, same)
    report = render(results)
    write_atomically(output / "results.json", json.dumps(results, indent=2) + "\n")
    write_atomically(output / "results.md", report)
    print(report)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="A shipped model or a folder.")
    parser.add_argument("--data", required=True, nargs="+", help="JSON lines, or the release's JSON.")
    parser.add_argument("--output_dir", required=True, help="New, or that of an interrupted run.")
    parser.add_argument("--train_file", nargs="+", default=[], help="Its training data: adds clean scores.")
    parser.add_argument("--encoder", help="Folder or Hub id of an encoder: adds CodeBERTScore.")
    parser.add_argument("--num_layers", type=int, help="Of that encoder.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--num_return_sequences", type=int, default=5)
    parser.add_argument("--num_inference_steps", type=int)
    parser.add_argument("--sampler")
    parser.add_argument("--num_revisions", type=int)
    parser.add_argument(
        "--decode_with", choices=("head", "nearest"), help="nearest: the paper's grounding ablation, without D and H."
    )
    parser.add_argument("--clamping", action="store_true", help="Round to tokens at every step, the paper's ablation.")
    parser.add_argument(
        "--variants", nargs="*", default=list(VARIANTS), choices=VARIANTS, help="Spellings to compare; all by default."
    )
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    args = parser.parse_args()

    names = {Path(path).stem for path in args.data}
    if len(names) < len(args.data) or len(set(args.seeds)) < len(args.seeds):
        raise ValueError("the files of --data need different names, and --seeds different numbers")
    return args


def list_tasks(args: argparse.Namespace, data: dict[str, list[dict]]) -> dict[tuple[str, str, int], list[dict]]:
    """What to predict: the file's name, the variant of the utterances (`""`: as they are) and the seed, with rows."""
    tasks = {(name, "", seed): rows for name, rows in data.items() for seed in args.seeds}
    for name, rows in data.items():
        for variant in args.variants:
            changed = [{**row, "nl": VARIANTS[variant](row["nl"]) or row["nl"]} for row in rows]
            tasks[name, variant, args.seeds[0]] = changed
    return tasks


def same_first_candidate(predictions: dict[str, list[list[str]]], language: str) -> dict[str, float]:
    """For each variant of the utterances, the share of rows whose first program is that of the utterance as it is."""
    normalize = get_language(language).normalize
    first = {
        variant: [normalize(codes[0]) if codes else None for codes in ranked]
        for variant, ranked in predictions.items()
    }
    plain = first.pop("")
    return {variant: sum(map(operator.eq, codes, plain)) / len(plain) for variant, codes in first.items()}


def render(results: dict) -> str:
    """The results as Markdown."""
    language, seeds = results["language"], results["settings"]["seeds"]
    steps = results["settings"]["num_inference_steps"] or "the model's own number of"
    # Folders from before these switches lack them.
    changed = {name: results["settings"].get(name) for name in ("decode_with", "clamping")}
    ablation = "".join(f", {name}={value}" for name, value in changed.items() if value is not None)
    text = [
        f"# {results['model']} ({language})",
        "",
        f"Per cent, mean ± standard deviation over the seeds {', '.join(map(str, seeds))}; {steps} steps{ablation}, "
        f"{results['settings']['num_return_sequences']} candidates, {results['settings']['dtype']}, "
        f"{results['versions']['machine']}; weights {results['weights']}.",
    ]
    for entry in results["data"].values():
        text += ["", f"## {entry['file']}: {entry['rows']} rows", ""]
        text += score_table(entry)
        if entry["same_first_candidate"]:
            text += ["", "| same first candidate (first seed) | |", "|---|---|"]
        text += [f"| {name.replace('_', ' ')} | {100 * v:.1f} |" for name, v in entry["same_first_candidate"].items()]
        if "clean" in entry:
            clean = entry["clean"]
            files = ", ".join(file["file"] for file in clean["train"])
            text += [
                "",
                f"### Clean: {clean['tasks']} of {entry['rows']} rows",
                "",
                f"{clean['definition'].capitalize()}",
            ]
            text[-1] += f" ({files})."
            text += ["", *score_table(clean)] if clean["mean"] else []
        text += paper_tables(entry, language)
    return "\n".join(text) + "\n"


def score_table(entry: dict) -> list[str]:
    """Ours: one line for each score of the first k candidates, then the other figures."""
    ks, lines, other = [], [], []
    for metric, values in entry["mean"].items():
        ranked, rest = scoring.split_top_k(values)
        for label, by_k in ranked.items():
            ks += [k for k in by_k if k not in ks]
            prefix = f"{label}_" if label else ""
            cells = {k: plus_minus(entry, metric, f"{prefix}top_{k}") for k in by_k}
            lines.append((scoring.row_label(metric, label), cells))
        other += [f"| {metric} {name} | {plus_minus(entry, metric, name)} |" for name in rest]
    table = [f"|  | {' | '.join(f'top-{k}' for k in ks)} |", f"|---|{'---|' * len(ks)}"]
    table += [f"| {label} | {' | '.join(cells.get(k, '') for k in ks)} |" for label, cells in lines]
    return [*table, "", "| | |", "|---|---|", *other] if other else table


def plus_minus(entry: dict, metric: str, name: str) -> str:
    """Mean and standard deviation of a score in per cent; a count as it is."""
    mean, sd = entry["mean"][metric][name], entry["sd"][metric][name]
    if isinstance(mean, int) or mean > 1:  # no fraction
        return f"{mean:g}"
    return f"{100 * mean:.1f} ± {100 * sd:.1f}"


def paper_tables(entry: dict, language: str) -> list[str]:
    """The paper's systems, on its test split, with ours below."""
    ours = {
        "main_score": (scoring.MAIN_SCORE[language], "top_{}", (1, 3, 5)),
        "exact_match": ("code_exact_match", "top_{}", (1, 3, 5)),
        "valid": ("code_validity", "validity_top_{}", (1,)),
    }
    text = []
    for key, (metric, name, ks) in ours.items():
        text += ["", f"### Beside the paper's {PAPER[key]['table']}", ""]
        text += [
            f"| system | parameters | split |{''.join(f' top-{k} |' for k in ks)}",
            "|---|---|---|" + "---|" * len(ks),
        ]
        for system, size, values in zip(PAPER["systems"], PAPER["parameters"], PAPER[key][language]):
            if values is not None:
                text.append(f"| {system} | {size} | paper (its test split) | {' | '.join(map(str, values))} |")
        scores = entry["mean"].get(metric, {})
        cells = [f"{100 * scores[name.format(k)]:.1f}" if name.format(k) in scores else "not scored" for k in ks]
        text.append(f"| **this model**, {metric} | | {entry['file']} | {' | '.join(cells)} |")
    return text


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("run_evaluate.py: interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        sys.exit(f"run_evaluate.py: error: {error}")
