"""The table and the plot of `run_ablations.py`, from the results of its jobs."""

import json
import statistics
from pathlib import Path

from codefusion_hf.scoring import MAIN_SCORE


PAPER = json.loads((Path(__file__).parents[1] / "paper_results.json").read_text(encoding="utf-8"))
# The paper scores Python by CodeBERTScore, which needs an encoder's weights; chrF is always there.
MAIN = {**MAIN_SCORE, "python": "chrf"}
NAMES = {
    "cf_exec_match": "execution match",
    "bash_template_match": "template match",
    "code_bertscore": "CodeBERTScore",
    "chrf": "chrF",
}
# Okabe and Ito's palette: told apart with any colour vision.
COLORS = {"full model": "#0072B2", "ablation": "#56B4E9", "baseline": "#E69F00"}


def columns(language: str) -> dict[str, tuple[str, str]]:
    """The table's scores: title, metric and its key."""
    main = MAIN[language]
    strict = {"strict top-1": (main, "strict_top_1")} if language == "cf" else {}
    return {
        **{f"top-{k}": (main, f"top_{k}") for k in (1, 3, 5)},
        **strict,
        "exact": ("code_exact_match_normalized", "top_1"),
        **({"exact top-5": ("code_exact_match_normalized", "top_5")} if language == "python" else {}),
        "valid": ("code_validity", "validity_top_1"),
    }


def find_paper_score(name: str | None, language: str, where: str = "") -> float | None:
    """
    The paper's top-1 of an ablation (Table 4) or a system (Table 1), by the name in paper_results.json.

    Raises:
        ValueError: if there is no such row.
    """
    if name is None:
        return None
    ablations = {key: row for key, row in PAPER["ablations"].items() if key != "table"}
    if name in ablations:
        return ablations[name][language]
    if name in PAPER["systems"]:
        return PAPER["main_score"][language][PAPER["systems"].index(name)][0]
    raise ValueError(f"{where}: the paper has no row {name!r}: it has {', '.join([*ablations, *PAPER['systems']])}")


def summarize(results: list[dict], language: str) -> dict[str, dict]:
    """
    Scores in per cent of the results of each training seed, as run_evaluate.py writes them.

    Returns:
        `dict`: For each column `mean`, `values` (a list for each training seed, with a value for each sampling seed),
        `sd_training` (sample standard deviation of the training seeds' means) and `sd_sampling` (root mean square of
        the sample standard deviations over sampling seeds), both `None` with a single seed.
    """
    summary = {}
    for title, (metric, key) in columns(language).items():
        values = []
        for result in results:
            [data] = result["data"].values()
            values.append([100 * run["scores"][metric][key] for run in data["runs"] if metric in run["scores"]])
        if not all(values):
            continue
        means = [statistics.mean(each) for each in values]
        spreads = [statistics.variance(each) for each in values if len(each) > 1]
        summary[title] = {
            "mean": round(statistics.mean(means), 3),
            "sd_training": round(statistics.stdev(means), 3) if len(means) > 1 else None,
            "sd_sampling": round(statistics.mean(spreads) ** 0.5, 3) if spreads else None,
            "values": [[round(value, 3) for value in each] for each in values],
        }
    return summary


def render(results: dict) -> str:
    """The table as Markdown, with what it stands for and the commands."""
    language, rows = results["language"], results["runs"]
    titles = [title for title in columns(language) if any(title in row["scores"] for row in rows)]
    best = {
        title: max((row["scores"][title]["mean"] for row in rows if title in row["scores"]), default=None)
        for title in titles
    }
    sampled = results["evaluation"].get("seeds", [0, 1, 2])
    text = [
        f"# {results['config']}",
        "",
        f"Per cent of {results['data']['rows']} rows of {results['data']['file']}; top-k is "
        f"{NAMES[MAIN[language]]}; best of each column in bold. Mean over training seeds "
        f"({', '.join(map(str, results['seeds']))}) and sampling seeds ({', '.join(map(str, sampled))}) "
        "± standard deviation over training seeds / over sampling seeds (sample standard deviations; – with one seed)."
        f" {results['budget']}",
        "",
        f"Sampling of every diffusion run: {describe(results['evaluation'])}.",
        "",
        f"| run | paper | {' | '.join(titles)} | seeds | parameters | steps | minutes | examples |",
        f"|---|---|{'---|' * (len(titles) + 5)}",
    ]
    for row in rows:
        cells = [cell(row["scores"].get(title), best[title]) for title in titles]
        paper = "" if row["paper"] is None else f"{row['paper']:.1f}"
        if row["status"] != "done":
            cells = [row["status"], *[""] * (len(titles) - 1)]
        cost = [
            str(len(row["training_seeds"]) or "–"),
            f"{row['parameters'] / 1e6:.1f} M" if row["parameters"] else "–",
            " + ".join(f"{stage['steps']:,}" for stage in row["training"]) or "–",
            " + ".join(f"{stage['minutes']:.1f}" for stage in row["training"]) or "–",
            f"{row['examples']:,}" if row["examples"] else "–",
        ]
        text.append(f"| {row['name']} | {paper} | {' | '.join(cells)} | {' | '.join(cost)} |")
    if lost := losses(rows):
        text += ["", *lost]
    text += [
        "",
        f"The paper's figures are its own ({PAPER['ablations']['table']}; {PAPER['main_score']['table']}), on its "
        "test split with its models: they show the direction, not a target. Steps and minutes are those of one "
        "training seed, pre-training + fine-tuning; minutes are of the steps alone, and a stage that several runs "
        "share counts in each of them.",
    ]
    notes = [f"- {row['name']}: {row['note']}" for row in rows if row["note"]]
    text += ["", *notes] if notes else []
    text += ["", "## Commands", "", "Of the first training seed; `$out` is the folder of the results.", ""]
    for row in rows:
        if row["commands"]:
            text += [f"{row['name']}:", "", "```bash", *row["commands"], "```", ""]
    return "\n".join(text).rstrip() + "\n"


def describe(settings: dict) -> str:
    """Sampling settings in words."""
    kept = {key: value for key, value in settings.items() if key not in ("data", "seeds", "variants", "batch_size")}
    return ", ".join(f"{key}={value}" for key, value in kept.items()) or "the models' own settings"


def cell(score: dict | None, best: float | None) -> str:
    if score is None:
        return ""
    spread = [f"{score[key]:.1f}" if score[key] is not None else "–" for key in ("sd_training", "sd_sampling")]
    mean = f"**{score['mean']:.1f}**" if score["mean"] == best else f"{score['mean']:.1f}"
    return f"{mean} ± {' / '.join(spread)}"


def losses(rows: list[dict]) -> list[str]:
    """Says where the first run, the full model, is not the best one."""
    full = rows[0]
    if not full["scores"]:
        return []
    lines = []
    for title, score in full["scores"].items():
        above = [
            f"{row['name']} ({row['scores'][title]['mean']:.1f})"
            for row in rows[1:]
            if title in row["scores"] and row["scores"][title]["mean"] > score["mean"]
        ]
        if above:
            lines.append(f"- {title}: {full['name']} ({score['mean']:.1f}) is below {', '.join(above)}.")
    return ["Where the full model loses:", "", *lines] if lines else ["The full model is not below any other run."]


def draw(results: dict, path: Path) -> None:
    """Bars of top-1 with the standard deviation over training seeds, lighter ones of top-5, and the paper's top-1."""
    pyplot = import_pyplot()
    rows = [row for row in results["runs"] if row["scores"]][::-1]
    figure, axes = pyplot.subplots(figsize=(7.5, 1.3 + 0.42 * len(rows)), layout="constrained")
    for place, row in enumerate(rows):
        kind = (
            "baseline"
            if row["baseline"]
            else "full model"
            if row["name"] == results["runs"][0]["name"]
            else "ablation"
        )
        top1, top5 = row["scores"]["top-1"], row["scores"]["top-5"]
        axes.barh(place, top5["mean"], height=0.62, color=COLORS[kind], alpha=0.3)
        axes.barh(place, top1["mean"], height=0.62, color=COLORS[kind])
        if top1["sd_training"] is not None:
            axes.errorbar(top1["mean"], place + 0.1, xerr=top1["sd_training"], color="black", capsize=4, linewidth=1.2)
        if row["paper"] is not None and MAIN[results["language"]] == MAIN_SCORE[results["language"]]:
            axes.plot(row["paper"], place - 0.18, "D", color="black", markerfacecolor="none", markersize=7)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 100)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
    data = results["data"]
    axes.set_xlabel(f"{NAMES[MAIN[results['language']]]}, % of {data['rows']} rows of {data['file']}")
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=color, label=f"{kind}, top-1") for kind, color in COLORS.items()]
    handles.append(pyplot.Rectangle((0, 0), 1, 1, color="#555555", alpha=0.3, label="top-5"))
    bars = axes.errorbar([], [], xerr=[], color="black", capsize=4, linewidth=1.2, label="± 1 sd, training seeds")
    [marker] = axes.plot([], [], "D", color="black", markerfacecolor="none", markersize=7, label="paper, top-1")
    figure.legend(handles=[*handles, bars, marker], loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=150, metadata={"Software": None}, pil_kwargs={"optimize": True})
    pyplot.close(figure)


def import_pyplot():
    """
    Matplotlib without a window system.

    Raises:
        ImportError: if it is not installed; names the extra.
    """
    try:
        import matplotlib
    except ImportError:
        raise ImportError("the plot needs matplotlib: pip install 'codefusion-hf[plots]'") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    return pyplot
