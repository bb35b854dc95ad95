"""
Fills a model card's template from a results file, so that no figure is typed by hand:

    python examples/render_card.py --template model_cards/cf.template.md --results model_cards/cf.results.json \
        --model cf --commands model_cards/cf.commands.txt --training_pairs 338,460 --hours 1.5 \
        --output model_cards/cf.md src/codefusion_hf/checkpoints/cf/README.md
"""

import argparse
import json
import math
import sys
from pathlib import Path

from safetensors import safe_open

import codefusion_hf


ROWS = {
    "execution match, top-1": ("cf_exec_match", "top_1"),
    "execution match, top-3": ("cf_exec_match", "top_3"),
    "execution match, top-5": ("cf_exec_match", "top_5"),
    "strict match, top-1": ("cf_exec_match", "strict_top_1"),
    "strict match, top-5": ("cf_exec_match", "strict_top_5"),
    "exact match, top-1": ("code_exact_match_normalized", "top_1"),
    "first rule valid": ("code_validity", "validity_top_1"),
    "all candidates valid": ("code_validity", "validity"),
    "wrong literals": ("wrong_literals", "top_1"),
}
SAME = {
    "same rule in lower case": "lower_case",
    "same rule without final punctuation": "no_final_punctuation",
    "same rule with final punctuation": "final_punctuation",
    "same rule with typographic quotes": "typographic_quotes",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--template", required=True)
    parser.add_argument("--results", required=True, help="Written by run_evaluate.py.")
    parser.add_argument("--model", required=True, help="A shipped model.")
    parser.add_argument("--commands", required=True, help="Text file with the training commands.")
    parser.add_argument("--training_pairs", required=True)
    parser.add_argument("--hours", required=True)
    parser.add_argument("--output", required=True, nargs="+", help="The card, and its copies.")
    args = parser.parse_args()

    results = json.loads(Path(args.results).read_text(encoding="utf-8"))
    folder = Path(codefusion_hf.checkpoint_path(args.model))
    with safe_open(folder / "model.safetensors", "pt") as weights:
        parameters = sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())
    columns = list(results["data"].values())
    lines = []
    for label, (metric, name) in ROWS.items():
        cells = [f"{100 * c['mean'][metric][name]:.1f} ± {100 * c['sd'][metric][name]:.1f}" for c in columns]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    for label, name in SAME.items():
        cells = [f"{100 * column['same_first_candidate'][name]:.1f}" for column in columns]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    settings = results["settings"]
    config = json.loads((folder / "generation_config.json").read_text())
    text = Path(args.template).read_text(encoding="utf-8")
    without_leaks = columns[0]["clean"]
    clean = (without_leaks["mean"] or {}).get("cf_exec_match")  # every row may be leaked
    values = {
        "clean_tasks": without_leaks["tasks"],
        "clean": " / ".join(f"{100 * clean[f'top_{k}']:.1f}" for k in (1, 3, 5)) if clean else "not known",
        "parameters": f"{parameters / 1e6:.1f} M",
        "megabytes": f"{sum(file.stat().st_size for file in folder.iterdir()) / 1e6:.0f}",
        "seeds": ", ".join(map(str, settings["seeds"])),
        "steps": settings["num_inference_steps"] or config.get("num_inference_steps") or 20,
        "revisions": config.get("num_revisions") or 0,
        "dtype": settings["dtype"],
        "machine": results["versions"]["machine"],
        "command": f"python examples/run_evaluate.py --model {args.model} --data cf_val.jsonl cf_challenge.jsonl",
        "table": "\n".join(lines),
        "training_pairs": args.training_pairs,
        "hours": args.hours,
        "training_commands": Path(args.commands).read_text(encoding="utf-8").strip(),
    }
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    for path in args.output:
        Path(path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except (KeyError, OSError, ValueError) as error:
        sys.exit(f"render_card.py: error: {type(error).__name__}: {error}")
