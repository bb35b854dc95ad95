"""examples/run_tables.py, run as users run it, on the tiny checkpoint; and the committed tables."""

import contextlib
import gzip
import importlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import codefusion_hf
from codefusion_hf import evaluation, scoring


ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "examples" / "run_tables.py"
FIXTURES = ROOT / "tests" / "fixtures"
RESULTS = ROOT / "docs" / "results"
COMMAND = "python examples/run_tables.py --data_dir data/prepared --write_docs docs/reproducing.md README.md"


def run(*options: object) -> str:
    """What the script prints, run in this process: it starts others for what takes long."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(sys, "argv", ["run_tables.py", *map(str, options)])
        example("run_tables").main()
    return printed.getvalue()


def example(module: str):
    """A module of the examples' folder."""
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(str(SCRIPT.parent))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A folder where all tables were made, of 6 and 3 rows."""
    folder = tmp_path_factory.mktemp("tables")
    rows = [json.loads(line) for line in (FIXTURES / "cf_pairs.jsonl").read_text("utf-8").splitlines()[:12]]
    rows = [{**row, "row": number, "id": number} for number, row in enumerate(rows)]
    # Rows 5 to 8 are in the training file, too, as those of an alternative split are.
    for name, part in {"cf_val": rows[:6], "cf_challenge": rows[6:9], "cf_train": rows[5:]}.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    scores = {"top-1": {"mean": 45.5, "sd_training": None, "sd_sampling": 6.9, "values": [[45.5]]}}
    rows = [{"name": "grounding", "status": "done", "paper": 63.2, "parameters": 16_300_000, "examples": 15_616}]
    ablations = {
        "language": "cf",
        "seeds": [0],
        "budget": "Budget: little.",
        "data": {"file": "cf_val.jsonl", "rows": 71},
    }
    (folder / "ablations.json").write_text(json.dumps({**ablations, "runs": [{**rows[0], "scores": scores}]}))
    figures = {"latency_ms": 61.2, "paper_sampler_ms": 9000.4, "t5_beam5_ms": 120.0, "peak_memory_mb": 512}
    about = {"model": str(FIXTURES / "tiny-cf"), "parameters": 1_500_000, "machine": "x86_64", "dtype": "float32"}
    (folder / "benchmark.json").write_text(json.dumps({**about, **figures}))
    (folder / "page.md").write_text("a\n<!-- tables: accuracy -->\nold\n<!-- end of tables -->\nb\n")
    return folder, run(*options(folder), "--write_docs", folder / "page.md")


def options(folder: Path) -> list:
    return [
        *("--data_dir", folder, "--model", f"cf={FIXTURES / 'tiny-cf'}", "--seeds", 0, 1, "--batch_size", 6),
        *("--ablations", folder / "ablations.json", "--benchmarks", folder / "benchmark.json"),
        *("--output_dir", folder / "work", "--results_dir", folder / "results"),
    ]


def cells(text: str, start: str) -> list[list[str]]:
    """The cells of the lines of tables that begin so."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {start}")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_all_tables_in_one_command(measured):
    folder, text = measured
    results = json.loads((folder / "results" / "cf.json").read_text())
    val = results["data"]["cf_val"]
    assert val["rows"] == 6 and [each["seed"] for each in val["runs"]] == [0, 1]
    # The training rows that are evaluation rows have been left out.
    assert len((folder / "work" / "cf" / "cf_train.jsonl").read_text().splitlines()) == 3
    execution = val["mean"]["cf_exec_match"]
    [line] = [line for line in cells(text, "**ours**: `cf` ") if line[1] == "cf_val.jsonl, 6"]
    assert [cell.split(" ± ")[0] for cell in line[2:5]] == [f"{100 * execution[f'top_{k}']:.1f}" for k in (1, 3, 5)]
    assert execution["top_1"] > 0.5, "the tiny model knows these rows"
    [challenge] = [line for line in cells(text, "**ours**: `cf` ") if line[1] == "cf_challenge.jsonl, 3"]
    assert len(challenge) == 2 + 3 + 3 + 1 and all(" ± " in cell for cell in challenge[2:])
    [paper] = [line for line in cells(text, "paper: GENIE") if line[2] == "62.9"]
    assert paper == ["paper: GENIE, 93M", "its test split", *"62.9 66.8 68.7 49.5 52.4 54.6 78.6".split()]
    retrieved = [
        row for row in cells(text, "baseline, ours: nearest neighbour (tfidf) |") if row[1] == "cf_val.jsonl, 6"
    ]
    assert len(retrieved) == 1 and "±" not in "".join(retrieved[0])
    assert [row[0] for row in cells(text, "grounding")[-1:]] == ["grounding"]
    assert "45.5 ± – / 6.9" in text and "Budget: little." in text
    [disk] = cells(text, "on disk")
    assert disk[1] == "544 MB" and disk[2:4] == ["not trained yet"] * 2 and disk[4].endswith(" MB")
    [time] = cells(text, "one utterance")
    assert time[1:] == ["2318 ms", "not trained yet", "not trained yet", "61 ms"]
    for name in ("bash", "python"):  # by the absence of a model
        assert len(cells(text, f"**ours**: `{name}`")) == 2
        assert all(row[1] == "not trained yet" for row in cells(text, f"**ours**: `{name}`"))
    page = (folder / "page.md").read_text()
    assert page.startswith("a\n<!-- tables: accuracy -->\n\n### Python") and page.endswith(
        "<!-- end of tables -->\nb\n"
    )
    assert "old" not in page and "Table 2" not in page


def test_diversity_is_that_of_all_samples(measured):
    folder, text = measured
    results = json.loads((folder / "results" / "diversity-cf.json").read_text())
    points = {point["name"]: point["runs"] for point in results["points"]}
    assert set(points) == set(example("run_tables").CURVE)
    # The tiny model is sure of itself: five samples are one program, and distinct ones differ.
    sampled, ranked = points["as-sampled"][0]["diversity"]["tokens"], points["default"][0]["diversity"]["tokens"]
    assert sampled["distinct_programs"] < ranked["distinct_programs"] == 1 and sampled["num_excluded"] == 0
    assert sampled["ngram_1"] < ranked["ngram_1"] and sampled["edit_distance_mean"] < ranked["edit_distance_mean"]
    packed = folder / "results" / "predictions" / "cf" / "cf_val.as-sampled.seed0.jsonl.gz"
    rows = [json.loads(line) for line in gzip.open(packed, "rt", encoding="utf-8")]
    assert all(len(row["candidates"]) == 5 for row in rows)
    [line] = [line for line in cells(text, "**ours**: `cf`") if line[1] == "as sampled"]
    mean = sum(each["diversity"]["tokens"]["ngram_1"] for each in points["as-sampled"]) / 2
    assert line[2].startswith(f"{mean:.2f} / ")
    [paper] = cells(text, "paper: CodeFusion | all three languages")
    assert paper[2:9] == "0.53 0.65 0.74 0.81 0.21 0.83 0.57".split()


def test_published_predictions_give_the_same_scores(measured):
    folder, _ = measured
    results = json.loads((folder / "results" / "cf.json").read_text())
    for file in ("cf_val", "cf_challenge"):
        for each in results["data"][file]["runs"]:
            packed = folder / "results" / "predictions" / "cf" / f"{file}.seed{each['seed']}.jsonl.gz"
            assert all(set(json.loads(line)) == {"id", "candidates"} for line in gzip.open(packed))
            assert scoring.score_files(packed, folder / f"{file}.jsonl", "cf")["scores"] == each["scores"]
    assert not list((folder / "results" / "predictions").glob("baseline*")), (
        "retrieval copies the benchmark's programs"
    )


def test_what_is_done_is_not_done_again(measured, monkeypatch):
    folder, text = measured
    made = {path: path.stat().st_mtime_ns for path in (folder / "work").glob("**/*.seed*.jsonl")}
    packed = {path: path.read_bytes() for path in (folder / "results").glob("**/*") if path.is_file()}
    monkeypatch.setattr(subprocess, "run", None)  # no script is started
    assert run(*options(folder)) == text
    assert made == {path: path.stat().st_mtime_ns for path in (folder / "work").glob("**/*.seed*.jsonl")}
    assert packed == {path: path.read_bytes() for path in packed}
    # One table by itself, from the results alone; and a baseline's folder beside them.
    [baseline] = (folder / "work" / "cf").glob("evaluate-*")
    shown = options(folder)[2:4]
    one = run("--render", "--tables", 3, *shown, "--results_dir", folder / "results")
    assert "Table 1" not in one and "valid (Table 3) top-1" in one and "Table 2" not in one
    run(*options(folder), "--tables", 1, "--baselines", baseline)
    [name] = [path for path in (folder / "results").glob("baseline-cf-*") if "retrieval" not in path.name]
    assert list((folder / "results" / "predictions" / name.stem).glob("cf_val.seed0.jsonl.gz"))


def test_the_published_baseline_of_another_language_stays(measured, tmp_path, monkeypatch):
    """What is published of Python may be of more files than are there; measuring CF does not replace it."""
    folder, _ = measured
    for name in ("python_val.jsonl", "python_train.jsonl"):
        (tmp_path / name).write_text((FIXTURES / "cf_pairs.jsonl").read_text("utf-8"))
    published = folder / "results" / "baseline-python-retrieval.json"
    published.write_bytes((RESULTS / published.name).read_bytes())
    monkeypatch.setattr(subprocess, "run", None)  # no script is started
    run(*options(folder), "--data_dir", folder, tmp_path, "--tables", 1)
    assert published.read_bytes() == (RESULTS / published.name).read_bytes()
    published.unlink()


def test_bad_input_ends_with_one_line(measured, tmp_path):
    folder, _ = measured
    tiny = FIXTURES / "tiny-cf"
    for arguments, message in (
        (["--data_dir", tmp_path, "--model", f"cf={tiny}"], "cf_val.jsonl is in none of"),
        (["--data_dir", folder, "--model", f"bash={tiny}"], "is one for cf, not for bash"),
        (["--data_dir", folder, "--model", "ruby=x"], "--model takes LANGUAGE=FOLDER with one of bash, cf, python"),
        (["--render", "--baselines", tmp_path], "--render measures nothing: without --baselines"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            run(*arguments, "--results_dir", tmp_path / "results", "--output_dir", tmp_path / "work")
    done = subprocess.run([sys.executable, SCRIPT, "--render", "--model", "ruby=x"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("run_tables.py: error: --model takes"), done.stderr
    assert len(done.stderr.splitlines()) == 1
    insert = example("run_tables").insert
    with pytest.raises(ValueError, match="unknown marker 'speed': the blocks are accuracy"):
        insert("<!-- tables: speed -->\n<!-- end of tables -->", {})
    with pytest.raises(ValueError, match="has no <!-- end"):
        insert("<!-- tables: latency -->\n", {"latency": "x"})


def test_the_papers_averages_follow_from_its_rows():
    """Two sentences of section 5 about tables 3 and 4, from the rows in paper_results.json."""
    paper = example("paper_tables.report").PAPER
    languages = ("python", "bash", "cf")
    by_system = {
        name: [paper["valid"][each][-index][0] for each in languages]
        for index, name in ((3, "lm"), (2, "genie"), (1, "ours"))
    }
    gain = {name: sum(by_system["ours"]) / 3 - sum(by_system[name]) / 3 for name in ("lm", "genie")}
    assert round(gain["lm"], 1) == 33.8 and round(gain["genie"], 1) == 26.2
    full = [paper["main_score"][each][-1][0] for each in languages]
    drops = {name: sum(full) / 3 - sum(paper["ablations"][name].values()) / 3 for name in ("-CodeGen", "-CPD")}
    assert [round(drop, 1) for drop in drops.values()] == [10.9, 4.7]  # the paper has 4.6


# The committed tables


def test_committed_tables_are_those_of_the_committed_results():
    report, insert = example("paper_tables.report"), example("run_tables").insert
    trained = {name: name in codefusion_hf.available_checkpoints() for name in report.TITLES}
    blocks = report.render(report.read_results(RESULTS), trained, set(example("run_tables").TABLES))
    page = (ROOT / "docs" / "reproducing.md").read_text(encoding="utf-8")
    assert re.findall("<!-- tables: (.*) -->", page) == ["accuracy", "diversity", "ablations", "latency"]
    for name in ("docs/reproducing.md", "README.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert insert(text, blocks) == text, f"run: {COMMAND}"


def test_committed_results_are_those_of_the_shipped_models():
    for name in codefusion_hf.available_checkpoints():
        assert (RESULTS / f"{name}.json").exists(), f"run: {COMMAND}"
        weights = evaluation.folder_digest(codefusion_hf.checkpoint_path(name))
        for path in (RESULTS / f"{kind}{name}.json" for kind in ("", "diversity-", "benchmark-")):
            if path.exists():
                assert json.loads(path.read_text())["weights"] == weights, f"{path.name} is old, run: {COMMAND}"


def test_committed_predictions_give_the_committed_scores():
    """Of the file that is in this repository."""
    each = json.loads((RESULTS / "cf.json").read_text())["data"]["cf_challenge"]["runs"][0]
    packed = RESULTS / "predictions" / "cf" / f"cf_challenge.seed{each['seed']}.jsonl.gz"
    assert scoring.score_files(packed, FIXTURES / "cf_challenge.jsonl", "cf")["scores"] == each["scores"]
    assert sum(path.stat().st_size for path in RESULTS.glob("predictions/**/*.gz")) < 1_500_000
