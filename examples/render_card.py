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
    "cf": {
        "execution match, top-1": ("cf_exec_match", "top_1"),
        "execution match, top-3": ("cf_exec_match", "top_3"),
        "execution match, top-5": ("cf_exec_match", "top_5"),
        "strict match, top-1": ("cf_exec_match", "strict_top_1"),
        "strict match, top-5": ("cf_exec_match", "strict_top_5"),
        "exact match, top-1": ("code_exact_match_normalized", "top_1"),
        "first rule valid": ("code_validity", "validity_top_1"),
        "all candidates valid": ("code_validity", "validity"),
        "wrong literals": ("wrong_literals", "top_1"),
    },
    "bash": {
        "template match, top-1": ("bash_template_match", "top_1"),
        "template match, top-3": ("bash_template_match", "top_3"),
        "template match, top-5": ("bash_template_match", "top_5"),
        "exact match, top-1": ("code_exact_match_normalized", "top_1"),
        "exact match, top-5": ("code_exact_match_normalized", "top_5"),
        "first command valid": ("code_validity", "validity_top_1"),
        "all candidates valid": ("code_validity", "validity"),
        "all candidates valid, of known commands": ("code_validity_strict", "validity"),
    },
    "python": {
        "chrF, best of 1": ("chrf", "top_1"),
        "chrF, best of 3": ("chrf", "top_3"),
        "chrF, best of 5": ("chrf", "top_5"),
        "exact match, top-1": ("code_exact_match_normalized", "top_1"),
        "exact match, top-5": ("code_exact_match_normalized", "top_5"),
        "first program valid": ("code_validity", "validity_top_1"),
        "all candidates valid": ("code_validity", "validity"),
    },
}
SAME = {
    "in lower case": "lower_case",
    "without final punctuation": "no_final_punctuation",
    "with final punctuation": "final_punctuation",
    "with typographic quotes": "typographic_quotes",
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
    language, columns = results["language"], list(results["data"].values())
    lines = []
    for label, (metric, name) in ROWS[language].items():
        cells = [f"{100 * c['mean'][metric][name]:.1f} ± {100 * c['sd'][metric][name]:.1f}" for c in columns]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    for label, name in SAME.items():
        if name not in columns[0]["same_first_candidate"]:  # `--variants` without it
            continue
        cells = [f"{100 * column['same_first_candidate'][name]:.1f}" for column in columns]
        lines.append(f"| same first candidate {label} | {' | '.join(cells)} |")
    settings = results["settings"]
    config = json.loads((folder / "generation_config.json").read_text())
    files = " ".join(column["file"] for column in columns)
    text = Path(args.template).read_text(encoding="utf-8")
    without_leaks = columns[0]["clean"]
    main_score = next(iter(ROWS[language].values()))[0]
    clean = (without_leaks["mean"] or {}).get(main_score)  # every row may be leaked
    values = {
        "second_rows": f"{columns[1]['rows']:,}" if len(columns) > 1 else "",
        "clean_tasks": without_leaks["tasks"],
        "clean": " / ".join(f"{100 * clean[f'top_{k}']:.1f}" for k in (1, 3, 5)) if clean else "not known",
        "parameters": f"{parameters / 1e6:.1f} M",
        "megabytes": f"{sum(file.stat().st_size for file in folder.iterdir()) / 1e6:.0f}",
        "seeds": ", ".join(map(str, settings["seeds"])),
        "steps": settings["num_inference_steps"] or config.get("num_inference_steps") or 20,
        "revisions": config.get("num_revisions") or 0,
        "dtype": settings["dtype"],
        "machine": results["versions"]["machine"],
        "command": f"python examples/run_evaluate.py --model {args.model} --data {files}",
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
