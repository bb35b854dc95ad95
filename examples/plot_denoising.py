"""
Pictures of denoising, after the figures of the paper (Singh et al., 2023), from saved runs:

    python examples/plot_denoising.py states --model cf --data cf_val.jsonl --output runs/cf_states.jsonl
    python examples/plot_denoising.py figure2 --states runs/cf_states.jsonl --output docs/images/figure2.png
    python examples/plot_denoising.py states --model cf --nl "highlight duplicates" --output runs/example.jsonl
    python examples/plot_denoising.py stages --states runs/example.jsonl --output docs/images/stages.png
    python examples/plot_denoising.py scores --model cf --data cf_val.jsonl --output runs/cf_steps.json
    python examples/plot_denoising.py figure6 --scores runs/cf_steps.json --output docs/images/figure6.png

`states` and `scores` run a model; the others only draw, and put the numbers or the text beside the picture.
"""

import argparse
import difflib
import html
import json
import re
import statistics
import sys
import textwrap
from pathlib import Path

from tqdm.auto import tqdm

from codefusion_hf.data.benchmarks import read_jsonl, read_pairs
from codefusion_hf.data.prompts import source_text
from codefusion_hf.evaluation import check_examples, generate_candidates, load
from codefusion_hf.ranking_codefusion import cut
from codefusion_hf.sampling_codefusion import nearest_scores
from codefusion_hf.scoring import match_scores


# Okabe and Ito's palette: told apart with any colour vision. Lines differ in their markers, too.
STYLES = {"cf": ("#0072B2", "o"), "bash": ("#D55E00", "s"), "python": ("#009E73", "^")}
LANGUAGE_NAMES = {"cf": "CF", "bash": "Bash", "python": "Python"}
# What is shown of a step: key in the file -> line, filling of its markers (its own colour by default), name.
READINGS = {
    "latents": ("-", None, "noisy program $x_t$, rounded"),
    "denoised": ("--", "white", r"estimate $\hat{x}_0$, rounded"),
    "states": (":", None, r"estimate $\hat{x}_0$, decoded"),
}
NUM_STAGES = 6  # before the final program, as in the paper
MEASURES = {"cf": "execution match", "bash": "template match", "python": "AST match"}
CHANGED = "#FFD966"  # background of changed tokens
LINE_CHARACTERS = 84  # of a program in a picture of stages
TOKENS = re.compile(r"\w+|[^\w\s]|\s+")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    states = commands.add_parser("states", help="Generate, and save what the program looks like after every step.")
    states.add_argument("--model", required=True, help="A shipped model or a folder.")
    rows = states.add_mutually_exclusive_group(required=True)
    rows.add_argument("--data", help="JSON lines, or the release's JSON.")
    rows.add_argument("--nl", help="One utterance.")
    states.add_argument("--columns", help="Of the utterance's table, separated by commas.")
    states.add_argument("--num_inference_steps", type=int, default=50)
    states.add_argument("--sampler", default="ddpm", help="The paper's; dpmpp_2m and ddim draw no noise on the way.")
    states.add_argument("--seed", type=int, default=0, help="Of the first row; each following one has the next.")
    states.add_argument("--batch_size", type=int, default=16)
    states.set_defaults(run=save_states)

    figure2 = commands.add_parser("figure2", help="Edit distance to the final program by timestep.")
    figure2.add_argument("--states", required=True, nargs="+", help="Files written by `states`.")
    figure2.add_argument("--read", nargs="+", default=list(READINGS), choices=READINGS, help="The lines.")
    figure2.set_defaults(run=draw_figure2)

    stages = commands.add_parser("stages", help="How one program takes shape: picture, HTML and text.")
    stages.add_argument("--states", required=True, help="A file written by `states`.")
    stages.add_argument("--id", help="Of the program; the first one by default.")
    stages.add_argument("--read", default="latents", choices=READINGS, help="What is shown of a timestep.")
    stages.add_argument("--timesteps", type=int, nargs="+", help="To show; by default six, evenly spaced.")
    stages.set_defaults(run=draw_stages)

    scores = commands.add_parser("scores", help="Score a model with several numbers of steps.")
    scores.add_argument("--model", required=True, help="A shipped model or a folder.")
    scores.add_argument("--data", required=True, help="JSON lines, or the release's JSON.")
    scores.add_argument("--steps", type=int, nargs="+", default=[1, 2, 3, 5, 10, 20, 50, 200])
    scores.add_argument("--max_rows", type=int, help="Score the first rows only.")
    scores.add_argument("--sampler", help="The model's own by default.")
    scores.add_argument("--num_revisions", type=int, default=0)
    scores.add_argument("--seed", type=int, default=0)
    scores.add_argument("--batch_size", type=int, default=16)
    scores.set_defaults(run=save_scores)

    figure6 = commands.add_parser("figure6", help="Score by number of steps.")
    figure6.add_argument(
        "--scores", required=True, nargs="+", help='JSON: [{"num_inference_steps", "language", "top_1", "top_5"}, ...]'
    )
    figure6.set_defaults(run=draw_figure6)

    for command in (states, scores):
        command.add_argument("--output", required=True, help="File to write.")
    for command in (figure2, stages, figure6):
        command.add_argument("--output", required=True, help="Picture to write, a .png.")
    args = parser.parse_args()
    if args.run not in (save_states, save_scores) and Path(args.output).suffix != ".png":
        parser.error(f"--output: a picture must end in .png, got {args.output}")
    for name in ("batch_size", "max_rows"):
        if (value := getattr(args, name, None)) is not None and value < 1:
            parser.error(f"--{name} must be at least 1")
    if not Path(args.output).parent.is_dir():
        parser.error(f"--output: there is no folder {Path(args.output).parent}")
    args.run(args)


def save_states(args: argparse.Namespace) -> None:
    """
    Writes JSON lines `{"id", "nl", "language", "code", "timesteps", "states", "denoised", "latents", ...settings}`.
    For the step at timestep t, `states` has the program that the decoder reads off the estimate x̂0, `denoised` the
    tokens whose embeddings are nearest to that estimate, and `latents` those nearest to the x that the step leads to,
    which belongs to the following timestep (0 after the last).
    """
    model, tokenizer = load(args.model)
    language = model.config.language
    if args.data:
        rows = read_pairs(args.data, language)
    else:
        columns = [name.strip() for name in (args.columns or "").split(",") if name.strip()]
        rows = [{"id": "0", "nl": args.nl, "table": {"columns": columns, "rows": []} if columns else None}]
    check_examples(model, tokenizer, rows)
    settings = {
        "num_inference_steps": args.num_inference_steps,
        "sampler": args.sampler,
        "num_revisions": 0,  # the pictures are of one way from noise to program
    }
    lines, table = [], model.embedding_table().float()
    for start in tqdm(range(0, len(rows), args.batch_size), desc="states", unit="batch"):
        batch = rows[start : start + args.batch_size]
        # Programs that start from the same noise would make the mean over them a picture of that noise.
        seeds = [args.seed + start + index for index in range(len(batch))]
        prompts = [source_text(row["nl"], row.get("table")) for row in batch]
        nearest = {"denoised": [], "latents": []}

        def round_off(model, step, timestep, tensors, nearest=nearest):
            for name, steps in nearest.items():
                tokens = nearest_scores(tensors[name], table).argmax(-1)
                steps.append(cut(tokens, tokenizer.pad_token_id, tokenizer.eos_token_id))

        output = model.generate(
            **tokenizer(prompts, return_tensors="pt", padding=True).to(model.device),
            seed=seeds,
            num_candidates=1,
            callback_on_step_end=round_off,
            output_denoising_states=True,
            denoising_state_interval=1,
            return_dict_in_generate=True,
            **settings,
        )
        timesteps = output.denoising_timesteps.tolist()
        programs = tokenizer.batch_decode(output.sequences, skip_special_tokens=True)
        for index, (row, program) in enumerate(zip(batch, programs)):
            saved = {"id": row["id"], "nl": row["nl"], "language": language, "code": program, "timesteps": timesteps}
            saved["states"] = tokenizer.batch_decode(output.denoising_states[:, index], skip_special_tokens=True)
            for name, steps in nearest.items():
                saved[name] = tokenizer.batch_decode([tokens[index] for tokens in steps], skip_special_tokens=True)
            saved |= {"seed": seeds[index], **settings}
            lines.append(json.dumps(saved, ensure_ascii=False) + "\n")
    Path(args.output).write_text("".join(lines), encoding="utf-8")


def read_states(paths: list[str]) -> list[dict]:
    """
    Rows that `states` wrote.

    Raises:
        ValueError: for a file without rows, and a row without the keys or with more timesteps than states.
    """
    rows = []
    for path in paths:
        for number, row in enumerate(read_jsonl(path), start=1):
            missing = [key for key in ("id", "nl", "language", "code", "timesteps", *READINGS) if key not in row]
            if missing:
                raise ValueError(f"{path}, row {number}: no {', '.join(missing)}; such files are written by `states`")
            if not row["timesteps"] or any(len(row[key]) != len(row["timesteps"]) for key in READINGS):
                raise ValueError(f"{path}, row {number}: it must have one text for each timestep, and at least one")
            rows.append(row)
    if not rows:
        raise ValueError(f"{', '.join(paths)}: no rows")
    return rows


def timeline(row: dict, read: str) -> list[tuple[int, str]]:
    """`(timestep, text)` of a row, from noise to program."""
    timesteps = row["timesteps"]
    if read == "latents":
        timesteps = [*timesteps[1:], 0]
    return list(zip(timesteps, row[read]))


def convergence(rows: list[dict], readings: list[str]) -> list[dict]:
    """
    For each language and reading the mean over programs of the normalised edit distance to the final program
    (Levenshtein distance of the texts over the longer length), by timestep, and the half width of its 95 % confidence
    interval.

    Raises:
        ValueError: if programs of one language were generated with different timesteps.
    """
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as error:
        raise ValueError("figure2 needs rapidfuzz: pip install 'codefusion-hf[metrics]'") from error
    curves = []
    for language in dict.fromkeys(row["language"] for row in rows):
        chosen = [row for row in rows if row["language"] == language]
        if any(row["timesteps"] != chosen[0]["timesteps"] for row in chosen):
            raise ValueError(f"the {language} programs were generated with different steps: draw them separately")
        for read in readings:
            curve = {"language": language, "read": read, "programs": len(chosen)}
            curve |= {"timesteps": [], "edit_distance": [], "ci95": []}
            for column in zip(*(timeline(row, read) for row in chosen)):
                distances = [Levenshtein.normalized_distance(t, row["code"]) for (_, t), row in zip(column, chosen)]
                spread = statistics.stdev(distances) if len(distances) > 1 else 0.0
                curve["timesteps"].append(column[0][0])
                curve["edit_distance"].append(round(statistics.fmean(distances), 4))
                curve["ci95"].append(round(1.96 * spread / len(distances) ** 0.5, 4))
            curves.append(curve)
    return curves


def draw_figure2(args: argparse.Namespace) -> None:
    """Figure 2: lines for each language with their 95 % confidence bands, from noise to program."""
    curves = convergence(read_states(args.states), args.read)
    figure, axes = new_figure()
    for curve in curves:
        color, marker = STYLES.get(curve["language"], ("#555555", "D"))
        line, fill, reading = READINGS[curve["read"]]
        timesteps, means = curve["timesteps"], curve["edit_distance"]
        low, high = zip(*((max(0.0, mean - width), mean + width) for mean, width in zip(means, curve["ci95"])))
        axes.fill_between(timesteps, low, high, color=color, alpha=0.2, linewidth=0)
        label = f"{LANGUAGE_NAMES.get(curve['language'], curve['language'])}: {reading}"
        axes.plot(
            *(timesteps, means, line),
            color=color,
            marker=marker,
            markerfacecolor=fill or color,
            markevery=max(1, len(means) // 12),
            markersize=5,
            label=label,
        )
    first = max(max(curve["timesteps"]) for curve in curves)
    axes.set_xlim(first * 1.02, -first * 0.02)
    axes.set_ylim(-0.02, 1.0)
    axes.set_xlabel("timestep t (from noise to program)")
    axes.set_ylabel("normalised edit distance\nto the final program")
    axes.legend(frameon=False)
    save(figure, args.output)
    save_json(curves, args.output)


def draw_stages(args: argparse.Namespace) -> None:
    """Figures 3 to 5: the program at some timesteps, with the tokens that are new since the one before marked."""
    rows = read_states([args.states])
    row = next((row for row in rows if args.id is None or str(row["id"]) == args.id), None)
    if row is None:
        raise ValueError(f"{args.states} has no program with id {args.id}")
    stages = chosen_stages(row, args.read, args.timesteps)
    marked = mark_changes([text for _, text in stages])
    labels = [f"t = {timestep}" for timestep, _ in stages]
    output = Path(args.output)
    output.with_suffix(".txt").write_text(stages_text(row["nl"], labels, marked), encoding="utf-8")
    output.with_suffix(".html").write_text(stages_html(row["nl"], labels, marked), encoding="utf-8")
    draw_stages_png(row["nl"], labels, marked, args.output)


def chosen_stages(row: dict, read: str, timesteps: list[int] | None) -> list[tuple[int, str]]:
    """`(timestep, text)` nearest to `timesteps`, then the final program, at timestep 0."""
    states = timeline(row, read)
    first = states[0][0]
    wanted = timesteps or [first * (NUM_STAGES - index) // NUM_STAGES for index in range(NUM_STAGES)]
    nearest = [min(states, key=lambda state: abs(state[0] - timestep)) for timestep in wanted]
    return [state for state in sorted(set(nearest), reverse=True) if state[0] > 0] + [(0, row["code"])]


def mark_changes(texts: list[str]) -> list[list[tuple[str, bool]]]:
    """For each text its tokens, blanks included, and whether each is new since the text before (the first: never)."""
    result, before = [], None
    for text in texts:
        tokens = TOKENS.findall(text)
        new = [False] * len(tokens)
        if before is not None:
            for kind, _, _, start, end in difflib.SequenceMatcher(None, before, tokens, autojunk=False).get_opcodes():
                if kind in ("replace", "insert"):
                    new[start:end] = [not token.isspace() for token in tokens[start:end]]
        result.append(list(zip(tokens, new)))
        before = tokens
    return result


def stages_text(nl: str, labels: list[str], marked: list[list[tuple[str, bool]]]) -> str:
    """One line for each stage; `^` under new tokens."""
    width = max(map(len, labels))
    lines = [nl, ""]
    for label, tokens in zip(labels, marked):
        lines.append(f"{label:>{width}}  {one_line(tokens)}".rstrip())
        carets = "".join(("^" if new else " ") * len(token) for token, new in tokens).rstrip()
        if carets:
            lines.append(" " * (width + 2) + carets)
    return "\n".join(lines) + "\n"


def stages_html(nl: str, labels: list[str], marked: list[list[tuple[str, bool]]]) -> str:
    """A page on its own, with new tokens in `<mark>`."""
    rows = []
    for label, tokens in zip(labels, marked):
        cells = [f"<mark>{html.escape(t)}</mark>" if new else html.escape(t) for t, new in tokens]
        rows.append(f'<tr><th scope="row">{label}</th><td><code>{"".join(cells)}</code></td></tr>')
    return textwrap.dedent("""\
        <!doctype html>
        <html lang="en"><meta charset="utf-8"><title>Denoising stages</title>
        <style>
        body {{ font: 16px/1.6 system-ui, sans-serif; margin: 2rem; max-width: 60rem }}
        caption {{ text-align: left; font-weight: 600; padding-bottom: .5rem }}
        th {{ text-align: right; font-weight: 400; color: #555; padding-right: 1rem; white-space: nowrap }}
        th, td {{ vertical-align: top }}
        code {{ white-space: pre-wrap; overflow-wrap: anywhere }}
        mark {{ background: {color}; color: inherit }}
        </style>
        <table><caption>{nl}</caption>
        {rows}
        </table></html>
        """).format(color=CHANGED, nl=html.escape(nl), rows="\n".join(rows))


def draw_stages_png(nl: str, labels: list[str], marked: list[list[tuple[str, bool]]], output: str) -> None:
    """The stages as a picture, in a fixed-width font: a character is a unit of x, a line a unit of y."""
    from matplotlib.patches import Rectangle

    lines = []  # (label or "", [(column, token, new)])
    for label, tokens in zip(labels, marked):
        column, line = 0, []
        lines.append((label, line))
        for token, new in tokens:
            if "\n" in token:
                column, line, token = 0, [], token.rpartition("\n")[2]
                lines.append(("", line))
            token = token.expandtabs(4)
            for piece in textwrap.wrap(token, LINE_CHARACTERS, drop_whitespace=False):
                if column + len(piece) > LINE_CHARACTERS:
                    column, line = 0, []
                    lines.append(("", line))
                line.append((column, piece, new))
                column += len(piece)
    title = textwrap.wrap(f"“{nl}”", LINE_CHARACTERS)
    left = max(map(len, labels)) + 2
    width = left + max([column + len(piece) for _, line in lines for column, piece, _ in line] + [*map(len, title)])
    tops = [len(title)]  # of the lines, with a gap before each stage
    for label, _ in lines:
        tops.append(tops[-1] + (0.35 if label else 0) + (len(tops) > 1))
    height = tops[-1] + 1
    character, row = 0.0903, 0.25  # inches: a character of 10.8 points, and a line
    figure, axes = new_figure(((width + 2) * character, (height + 1.4) * row), layout=None)
    axes.set_position((0, 0, 1, 1))
    axes.axis("off")
    axes.set_xlim(-1, width + 1)
    axes.set_ylim(height + 0.5, -0.9)

    def write(column: int, line: float, text: str, **style) -> None:
        # Character by character: the widths that the renderer rounds to whole pixels would add up.
        for offset, symbol in enumerate(text):
            axes.text(
                *(column + offset + 0.5, line, symbol),
                **{"family": "DejaVu Sans Mono", "fontsize": 10.8, "ha": "center", "va": "center", **style},
                parse_math=False,
            )

    for y, text in enumerate(title):
        write(0, y, text, weight="bold")
    for y, (label, line) in zip(tops[1:], lines):
        write(left - 2 - len(label), y + 0.5, label, color="#555555")
        for column, piece, new in line:
            if new:
                axes.add_patch(Rectangle((left + column, y + 0.06), len(piece), 0.88, color=CHANGED, linewidth=0))
            write(left + column, y + 0.5, piece)
    save(figure, output, dpi=120)


def one_line(tokens: list[tuple[str, bool]]) -> str:
    """The text of a stage with blanks for line ends and tabs, in as many characters."""
    return "".join(" " * len(token) if token.isspace() else token for token, _ in tokens)


def save_scores(args: argparse.Namespace) -> None:
    """Writes `[{"num_inference_steps", "language", "top_1", "top_5", ...}]`, in percent."""
    model, tokenizer = load(args.model)
    language = model.config.language
    rows = read_pairs(args.data, language)[: args.max_rows]
    results = []
    for steps in args.steps:
        candidates = generate_candidates(
            *(model, tokenizer, rows),
            seed=args.seed,
            num_inference_steps=steps,
            sampler=args.sampler,
            num_revisions=args.num_revisions,
            batch_size=args.batch_size,
        )
        scores = match_scores(candidates, rows, language)
        result = {"num_inference_steps": steps, "language": language}
        result |= {f"top_{k}": scores[f"match_{k}"] for k in (1, 3, 5)} | {"rows": len(rows)}
        result |= {name: getattr(args, name) for name in ("seed", "sampler", "num_revisions")}
        results.append(result)
        Path(args.output).write_text(json.dumps(results, indent=1) + "\n")
        print(result)


def read_scores(path: str) -> list[dict]:
    """
    Results that `scores` wrote.

    Raises:
        ValueError: for a file that is no list of results, or is an empty one.
    """
    try:
        results = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: no valid JSON ({error})") from None
    if not isinstance(results, list) or not results or not all(isinstance(result, dict) for result in results):
        raise ValueError(f"{path}: it must be a list of results")
    for result in results:
        missing = [key for key in ("num_inference_steps", "language", "top_1", "top_5") if key not in result]
        if missing:
            raise ValueError(f"{path}: a result has no {', '.join(missing)}")
    return results


def draw_figure6(args: argparse.Namespace) -> None:
    """Figure 6: top-1 and top-5 in percent by number of steps, a colour for each language."""
    results = [result for path in args.scores for result in read_scores(path)]
    results.sort(key=lambda result: result["num_inference_steps"])
    figure, axes = new_figure()
    for language in dict.fromkeys(result["language"] for result in results):
        chosen = [result for result in results if result["language"] == language]
        color, marker = STYLES.get(language, ("#555555", "D"))
        steps = [result["num_inference_steps"] for result in chosen]
        for name, line, fill in (("top_5", "--", "white"), ("top_1", "-", color)):
            label = f"{LANGUAGE_NAMES.get(language, language)}, {name.replace('_', '-')}"
            values = [result[name] for result in chosen]
            axes.plot(steps, values, line, color=color, marker=marker, markerfacecolor=fill, label=label)
    ticks = sorted({result["num_inference_steps"] for result in results})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    measures = {MEASURES.get(result["language"], "match") for result in results}
    low = min(min(result["top_1"], result["top_5"]) for result in results)
    axes.set_ylim(max(0, 10 * (low // 10) - 10), 100)
    axes.set_xlabel("denoising steps (logarithmic)")
    axes.set_ylabel(f"{measures.pop() if len(measures) == 1 else 'match'}, %")
    axes.legend(frameon=False)
    save(figure, args.output)
    save_json(results, args.output)


def new_figure(size: tuple[float, float] = (7, 4), layout: str | None = "constrained"):
    """A figure, in inches, and its axes, without a window system."""
    try:
        import matplotlib
    except ImportError as error:
        raise ValueError("pictures need matplotlib: pip install 'codefusion-hf[plots]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = pyplot.subplots(figsize=size, layout=layout)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def save(figure, output: str, dpi: int = 150) -> None:
    """Saves a picture without a version, so that the same numbers give the same file."""
    figure.savefig(output, dpi=dpi, metadata={"Software": None}, pil_kwargs={"optimize": True})


def save_json(numbers: dict | list, output: str) -> None:
    """Saves the numbers of a picture beside it."""
    Path(output).with_suffix(".json").write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"plot_denoising.py: error: {error}")
