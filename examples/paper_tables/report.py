"""The tables of `run_tables.py` as Markdown, from what it wrote to the folder of results."""

import json
import statistics
from pathlib import Path

from ablations.report import MAIN, NAMES, cell

from codefusion_hf.scoring import MAIN_SCORE


PAPER = json.loads((Path(__file__).parents[1] / "paper_results.json").read_text(encoding="utf-8"))
TITLES = {"python": "Python", "bash": "Bash", "cf": "CF"}
K = (1, 3, 5)
# What stands in the row "other definitions" of table 1.
OTHER = {"python": ("chrf", "top_{}"), "bash": None, "cf": ("cf_exec_match", "strict_top_{}")}
DEFINITIONS = {
    "python": "character n-gram F-score (chrF) in place of CodeBERTScore, exact match of the syntax tree",
    "bash": "exact match of the template, validity with known commands only",
    "cf": "strict execution match (on probe tables, too), exact match of the normal form",
}
NOTE = r"""
n-grams: distinct n-grams of the five programs over their tokens (the paper's definition) / over their n-grams; tokens
are `\w+|[^\w\s]`. Short programs bound the first: five programs of four tokens have at most five 4-grams in twenty
tokens, .25. Edit distance: Levenshtein over the longer program. *As sampled*: five samples in the order of their
noise, equal ones kept, as the paper has them (`python` and `bash` at temperature 0.7); *default*: the model's own
settings, ranked, without equal ones; *penalty*: `diversity_penalty`. The paper's similarity of CodeBERT embeddings
needs weights that we do not have.
""".strip()
BLOCKS = ("accuracy", "diversity", "ablations", "latency", "benchmarks", "summary")
NOT_TRAINED = "not trained yet"


def read_results(folder: Path) -> dict[str, dict]:
    """The JSON files of the folder by their names."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def render(results: dict[str, dict], trained: dict[str, bool], tables: set[str]) -> dict[str, str]:
    """
    Markdown of each block that the tables need.

    Args:
        results (`dict[str, dict]`): See [`read_results`].
        trained (`dict[str, bool]`): For each language whether it has a checkpoint.
        tables (`set[str]`): Some of 1, 2, 3, 4, 6, latency.

    Returns:
        `dict[str, str]`: By name, of `BLOCKS`.
    """
    blocks = {}
    if columns := tables & {"1", "3", "6"}:
        blocks["accuracy"] = "\n\n".join(accuracy(results, trained, name, columns) for name in TITLES)
        if len(columns) == 3:
            blocks["summary"] = summary(results, trained)
    if "2" in tables:
        blocks["diversity"] = diversity(results, trained)
    if "4" in tables:
        blocks["ablations"] = "\n\n".join(ablations(results, name) for name in TITLES)
    if "latency" in tables:
        blocks["latency"] = latency(results, trained)
        blocks["benchmarks"] = benchmarks(results)
    return blocks


# Tables 1, 3 and 6


def accuracy(results: dict, trained: dict, language: str, tables: set[str]) -> str:
    """Template, execution or CodeBERTScore match, exact match and validity of one language."""
    score = NAMES[MAIN_SCORE[language]]
    heads = {"1": f"{score} (Table 1)", "6": "exact match (Table 6)", "3": "valid (Table 3)"}
    columns = {name: (1,) if name == "3" else K for name in ("1", "6", "3") if name in tables}
    titles = [f"{heads[name]} top-{k}" if k == 1 else f"top-{k}" for name, ks in columns.items() for k in ks]
    lines = [["system", "data, rows", *titles]]
    sources = {"1": PAPER["main_score"], "6": PAPER["exact_match"], "3": PAPER["valid"]}
    for index, (system, size) in enumerate(zip(PAPER["systems"], PAPER["parameters"])):
        values = {name: sources[name][language][index] or [None] * len(ks) for name, ks in columns.items()}
        cells = ["" if value is None else f"{value:.1f}" for name in columns for value in values[name]]
        if any(cells):
            lines.append([f"paper: {system}, {size}", "its test split", *cells])
    ours = results.get(language)
    if ours is None or not trained[language]:
        lines.append([f"**ours**: `{language}`", "not measured" if trained[language] else NOT_TRAINED])
    else:
        lines += rows_of(ours, language, f"**ours**: `{language}`", columns)
    for name, baseline in results.items():
        if name.startswith(f"baseline-{language}-"):
            lines += rows_of(baseline, language, f"baseline, ours: {baseline['model']}", columns)
    text = [f"### {TITLES[language]}: tables {', '.join(sorted(columns))}", "", *markdown(lines)]
    text += ["", f"Per cent. *Other definitions*: {DEFINITIONS[language]}. {note(ours) if trained[language] else ''}"]
    return "\n".join(text).rstrip()


def rows_of(results: dict, language: str, label: str, columns: dict[str, tuple]) -> list[list[str]]:
    """The lines of a `results.json`: for each file the scores, other definitions of them, and those of clean rows."""
    lines = []
    seeds = len(results["settings"]["seeds"])
    main = {"1": (MAIN_SCORE[language], "top_{}"), "6": ("code_exact_match", "top_{}")}
    main["3"] = ("code_validity", "validity_top_{}")
    other = {"1": OTHER[language], "6": ("code_exact_match_normalized", "top_{}")}
    other["3"] = ("code_validity_strict", "validity_top_{}") if language == "bash" else None
    for entry in results["data"].values():
        parts = [("", entry, entry["rows"], main), (", other definitions", entry, entry["rows"], other)]
        if (clean := entry.get("clean")) and clean["mean"]:
            parts += [(", clean", clean, clean["tasks"], main)]
            parts += [(", clean, other definitions", clean, clean["tasks"], other)]
        for suffix, scores, rows, chosen in parts:
            cells = [top_k(scores, chosen[name], k, seeds) for name, ks in columns.items() for k in ks]
            if any(cells):
                lines.append([f"{label}{suffix}", f"{entry['file']}, {rows}", *cells])
    return lines


def top_k(entry: dict, chosen: tuple[str, str] | None, k: int, seeds: int) -> str:
    """Mean in per cent and, of several seeds, the standard deviation; empty where it was not scored."""
    if chosen is None or chosen[0] not in entry["mean"]:
        return ""
    metric, key = chosen[0], chosen[1].format(k)
    spread = f" ± {100 * entry['sd'][metric][key]:.1f}" if seeds > 1 else ""
    return f"{100 * entry['mean'][metric][key]:.1f}{spread}"


def note(results: dict | None) -> str:
    """What the figures of a `results.json` were made with."""
    if results is None:
        return ""
    seeds = ", ".join(map(str, results["settings"]["seeds"]))
    trained_on = {
        part["file"] for entry in results["data"].values() for part in entry.get("clean", {"train": []})["train"]
    }
    clean = f"*Clean*: without rows that occur in {', '.join(sorted(trained_on))}. " if trained_on else ""
    return (
        f"{clean}Ours: mean ± standard deviation over the sampling seeds {seeds}, weights {results['weights']}, "
        f"{results['settings']['dtype']}, torch {results['versions']['torch']}."
    )


def summary(results: dict, trained: dict) -> str:
    """One line for each language: the first file's main scores beside retrieval and the paper's CodeFusion."""
    heads = ["", "data, rows", "top-1", "top-3", "top-5", "exact match top-1", "top-5", "valid"]
    lines = [[*heads, "nearest neighbour: top-1 / 3 / 5", "paper: top-1 / 3 / 5"]]
    for language, title in TITLES.items():
        paper = " / ".join(f"{value:.1f}" for value in PAPER["main_score"][language][-1])
        name = f"{title}, {NAMES[MAIN_SCORE[language]]}"
        if language not in results or not trained[language]:
            state = "not measured" if trained[language] else NOT_TRAINED
            lines.append([name, state, *[""] * 7, f"*{paper}*"])
            continue
        ours = results[language]
        entry, seeds = next(iter(ours["data"].values())), len(ours["settings"]["seeds"])
        score = MAIN_SCORE[language]
        if score not in entry["mean"]:  # no encoder's weights
            score, name = MAIN[language], f"{title}, {NAMES[MAIN[language]]} (the paper: {NAMES[score]})"
        cells = [top_k(entry, (score, "top_{}"), k, seeds) for k in K]
        cells += [top_k(entry, ("code_exact_match_normalized", "top_{}"), k, seeds) for k in (1, 5)]
        cells += [top_k(entry, ("code_validity", "validity_top_{}"), 1, seeds)]
        retrieved = ""
        baseline = results.get(f"baseline-{language}-retrieval", {"data": {}})
        if nearest := baseline["data"].get(next(iter(ours["data"]))):
            retrieved = " / ".join(top_k(nearest, (score, "top_{}"), k, seeds=1) for k in K)
        lines.append([name, f"{entry['file']}, {entry['rows']}", *cells, retrieved, f"*{paper}*"])
    about = "Per cent; exact match of the normal form; *the paper's figures are on its own test split*."
    return "\n".join([*markdown(lines), "", about])


# Table 2


def diversity(results: dict, trained: dict) -> str:
    """Diversity of five candidates beside their accuracy, for several settings of generation."""
    paper = PAPER["diversity"]
    shown = [name for name in paper["columns"] if not name.startswith("embedding")]
    grams, edits = shown[:4], shown[4:]
    heads = [
        name.replace("ngram_", "").replace("edit_distance_", "edit ") + ("-gram" if name in grams else "")
        for name in shown
    ]
    lines = [["system", "settings", *heads, "top-1", "top-3", "top-5"]]
    for system, values in paper.items():
        if system in PAPER["systems"]:
            known = dict(zip(paper["columns"], values))
            lines.append([f"paper: {system}", "all three languages", *(f"{known[name]:.2f}" for name in shown)])
    notes = []
    for language in TITLES:
        ours = results.get(f"diversity-{language}")
        if ours is None or not trained[language]:
            lines.append([f"**ours**: `{language}`", "not measured" if trained[language] else NOT_TRAINED])
            continue
        spread, score = 0.0, MAIN_SCORE[language]
        if score not in ours["points"][0]["runs"][0]["scores"]:  # CodeBERTScore needs weights
            score = MAIN[language]
        for point in ours["points"]:
            runs, cells = point["runs"], []
            for name in grams:
                means = {}
                for kind in ("tokens", "ngrams"):
                    values = [run["diversity"][kind][name] for run in runs]
                    if known_values := [value for value in values if value is not None]:
                        means[kind] = statistics.mean(known_values)
                        spread = max(spread, statistics.pstdev(known_values))
                cells.append(" / ".join(f"{value:.2f}" for value in means.values()))
            for name in edits:
                values = [run["diversity"]["tokens"][name] for run in runs]
                cells.append(f"{statistics.mean(values):.2f}")
                spread = max(spread, statistics.pstdev(values))
            for k in K:
                found = [run["scores"].get(score, {}).get(f"top_{k}") for run in runs]
                values = [100 * value for value in found if value is not None]
                cells.append(f"{statistics.mean(values):.1f} ± {statistics.pstdev(values):.1f}" if values else "")
            lines.append([f"**ours**: `{language}`", point["name"].replace("-", " "), *cells])
        notes.append(
            f"`{language}`: {ours['rows']} rows of {ours['file']}, mean over the seeds "
            f"{', '.join(map(str, ours['seeds']))} (standard deviations of the fractions at most {spread:.2f}), "
            f"weights {ours['weights']}; top-k is {NAMES[score]} in per cent."
        )
    text = [
        "### Table 2: diversity of five candidates",
        "",
        *markdown(lines),
        "",
        NOTE,
    ]
    return "\n".join([*text, *(f"\n{line}" for line in notes)])


# Table 4


def ablations(results: dict, language: str) -> str:
    """Ours from one budget, beside the paper's top-1; without ours the paper's rows."""
    text = [f"### Table 4: ablations, {TITLES[language]}", ""]
    ours = results.get(f"ablations-{language}")
    if ours is None:
        rows = {name: row for name, row in PAPER["ablations"].items() if name != "table"}
        lines = [
            ["run", "paper: top-1", "ours"],
            *([name, f"{row[language]:.1f}", "not run yet"] for name, row in rows.items()),
        ]
        lines.append(["CodeFusion", f"{PAPER['main_score'][language][-1][0]:.1f}", "not run yet"])
        return "\n".join([*text, *markdown(lines)])
    titles = [name for name in ours["runs"][0]["scores"]]
    lines = [["run", "paper: top-1", *titles, "parameters", "examples"]]
    for row in ours["runs"]:
        paper = "" if row["paper"] is None else f"{row['paper']:.1f}"
        cells = [cell(row["scores"].get(title), None) for title in titles] if row["scores"] else [row["status"]]
        cells += [""] * (len(titles) - len(cells))
        size = f"{row['parameters'] / 1e6:.1f} M" if row["parameters"] else "–"
        lines.append([row["name"], paper, *cells, size, f"{row['examples']:,}" if row["examples"] else "–"])
    data, seeds = ours["data"], ", ".join(map(str, ours["seeds"]))
    about = (
        f"Per cent of {data['rows']} rows of {data['file']}, mean over the training seeds {seeds} ± standard "
        f"deviation over training seeds / sampling seeds; top-k is {NAMES[MAIN[language]]}. {ours['budget']}"
    )
    return "\n".join([*text, *markdown(lines), "", about])


# Appendix C.4


def latency(results: dict, trained: dict) -> str:
    """Size, time and memory of one utterance."""
    paper = PAPER["efficiency"]
    lines = [["", "paper", *(f"**ours**: `{language}`" for language in TITLES)]]
    memory = paper["gpu_memory_mb"]
    rows = {
        "parameters": (f"{paper['parameters'] / 1e6:.0f} M", lambda found: f"{found['parameters'] / 1e6:.1f} M"),
        "on disk": (f"{paper['disk_mb']} MB", lambda found: f"{found['disk_mb']} MB"),
        "one utterance, five programs": (f"{paper['latency_ms']} ms", lambda found: f"{found['latency_ms']:.0f} ms"),
        "the same with the paper's 1200 steps": ("", lambda found: f"{found['paper_sampler_ms']:.0f} ms"),
        "T5 of the same size, beam 5": ("", lambda found: f"{found['t5_beam5_ms']:.0f} ms"),
        "memory": (
            f"{memory['mean']} MB, at most {memory['max']} MB (GPU)",
            lambda found: f"at most {found['peak_memory_mb']} MB (process)",
        ),
        "machine": ("not named", lambda found: f"{found['machine']}, {found['dtype']}"),
    }
    for name, (theirs, show) in rows.items():
        cells = []
        for language in TITLES:
            found = results.get(f"benchmark-{language}")
            if not trained[language]:
                cells.append(NOT_TRAINED)
            else:
                cells.append(show(found) if found else "not measured")
        lines.append([name, theirs, *cells])
    return "\n".join(["### Latency and memory (appendix C.4)", "", *markdown(lines)])


def benchmarks(results: dict) -> str:
    """What `run_benchmark.py` measured of each model, for the page on performance; `--quick` measures less."""
    parts = []
    for language in reversed(TITLES):
        if (figures := results.get(f"benchmark-{language}")) is None:
            continue
        theirs = "T5 of that size with random weights, beam 5, five sequences of the same length"
        compared = {
            "ours, as shipped: five candidates": ("latency_ms", "batch64_ms", "{:.1f} ms"),
            theirs: ("t5_beam5_ms", "t5_beam5_batch64_ms", "{:.1f} ms"),
            "T5's time by ours": ("vs_t5_beam5", "vs_t5_beam5_batch64", "**{:.2f}**"),
            "the denoising loop alone": ("denoising_loop_ms", "denoising_loop_ms_batch64", "{:.1f} ms"),
            "share of it that its matrix products alone would take": (
                *("fraction_of_floor", "fraction_of_floor_batch64"),
                "{:.3f}",
            ),
            "peak memory of the process": ("peak_memory_mb", "peak_memory_mb_batch64", "{} MB"),
            "the paper's sampler, nothing cached": ("paper_sampler_ms", None, "{:.1f} ms"),
            "its time by ours": ("vs_paper_sampler", None, "**{}**"),
        }
        lines = [
            [label, *(shown.format(figures[key]) for key in keys if key in figures)]
            for label, (*keys, shown) in compared.items()
            if keys[0] in figures
        ]
        series = {
            "one request in {}": ("ms_by_variant", "ms"),
            "one denoising step of ten rows on a canvas of {}": ("step_ms_by_canvas", "ms"),
            "an utterance in batches of {}": ("ms_per_utterance_by_batch", "ms"),
        }
        for label, (key, unit) in series.items():
            if found := figures.get(key):
                lines.append([label.format(" / ".join(found)), f"{' / '.join(map(str, found.values()))} {unit}"])
        if exponent := figures.get("canvas_growth_exponent"):
            lines.append(["exponent of a step's growth with the canvas (1 is linear)", str(exponent)])
        starts = {
            "`import torch, transformers`": "import_torch_transformers_s",
            "`codefusion generate`": "codefusion_generate_s",
            "`codefusion env`": "codefusion_env_s",
            "`codefusion --help`": "codefusion_help_s",
        }
        if found := {name: figures[key] for name, key in starts.items() if key in figures}:
            lines.append([" / ".join(found), f"{' / '.join(map(str, found.values()))} s"])
        settings = figures.get("settings", {})
        settings = [f"{name} {value}" for name, value in settings.items() if value is not None]
        about = [f"{figures['parameters'] / 1e6:.1f} million parameters", *settings]
        about += [f"T5 in {figures['output_tokens']} steps"] if "output_tokens" in figures else []
        about += [figures["dtype"], figures["machine"]]
        title = f"**`{language}`**: {', '.join(about)}."
        parts += [title, "", *markdown([["", "one request", "batch of 64"], *lines]), ""]
    return "\n".join(parts).strip()


def markdown(lines: list[list[str]]) -> list[str]:
    """A table; short lines are filled up."""
    width = len(lines[0])
    rows = [f"| {' | '.join([*line, *[''] * (width - len(line))])} |" for line in lines]
    return [rows[0], "|" + "---|" * width, *rows[1:]]
