"""examples/run_steps.py and examples/run_concurrency.py, run as users run them, on the tiny checkpoint."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from codefusion_hf import evaluation, scoring


ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PAIRS = ROOT / "tests" / "fixtures" / "cf_pairs.jsonl"
WHOLE = 4  # steps of the schedule of `model`


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """The tiny checkpoint with a schedule of four steps, for the paper's sampler to be quick; its own are two."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    shutil.copytree(ROOT / "tests" / "fixtures" / "tiny-cf", folder)
    for file, name, value in (
        ("config.json", "num_diffusion_steps", WHOLE),
        ("generation_config.json", "num_inference_steps", 2),
    ):
        values = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps({**values, name: value}))
    return folder


def run(script: str, *arguments: object) -> None:
    """In this process, like `python examples/SCRIPT ARGUMENTS`: importing torch takes longer than all else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        patch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")


def functions() -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        return runpy.run_path(str(EXAMPLES / "run_steps.py"))


def steps(model: Path, output: Path, *options: object) -> None:
    run("run_steps.py", "--model", model, "--data", PAIRS, "--output_dir", output, "--rows", 6, *options)


def test_a_table_goes_on_where_it_stopped(model, tmp_path, capsys):
    folder, cells = tmp_path / "steps", ("--samplers", "ddpm", "ddim", "--steps", 1)
    steps(model, folder, *cells, "--seeds", 0)
    first = json.loads((folder / "results.json").read_text())
    assert list(first["cells"]) == ["default", "ddpm.1", "ddim.1"]
    assert first["default_minus_paper"] is None and "has not run yet" in capsys.readouterr().out
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.jsonl")}
    assert sorted(kept) == ["ddim.1.seed0.jsonl", "ddpm.1.seed0.jsonl", "default.seed0.jsonl"]

    # As if killed in the second cell; and with one more seed, and the whole chain.
    del first["cells"]["ddim.1"]
    (folder / "results.json").write_text(json.dumps(first))
    steps(model, folder, *cells, WHOLE, "--seeds", 0, 1)
    printed = capsys.readouterr().out
    assert printed.strip() == (folder / "table.md").read_text().strip()
    results = json.loads((folder / "results.json").read_text())
    runs = {name: list(cell["runs"]) for name, cell in results["cells"].items()}
    assert runs == dict.fromkeys(["default", "ddpm.1", "ddim.1", "paper", "ddim.4"], ["0", "1"])
    again = {path.name for path in folder.glob("*.jsonl") if path.stat().st_mtime_ns == kept.get(path.name)}
    assert again == {"ddpm.1.seed0.jsonl", "default.seed0.jsonl"}
    lines = [line.split(" | ")[:2] for line in printed.splitlines() if " ± " in line and line.startswith("|")]
    assert lines == [
        ["| **default**", "2"],
        *(["| ddim", "1"], ["| ddim", "4"]),
        *(["| ddpm", "1"], ["| ddpm, the paper's", "4"]),
    ]
    assert "paired over the same rows and 2 seeds): top-1 " in printed
    assert (folder / "plot.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"

    steps(model, folder, *cells, WHOLE, "--seeds", 0, 1)  # nothing is left to do
    assert capsys.readouterr().out == printed


def test_scores_are_those_of_the_saved_predictions(model, tmp_path):
    steps(model, tmp_path, "--samplers", "dpmpp_2m", "ddpm", "--steps", 1, WHOLE, "--seeds", 3)
    results = json.loads((tmp_path / "results.json").read_text())
    references = tmp_path / "references.jsonl"
    references.write_text("".join(PAIRS.read_text(encoding="utf-8").splitlines(keepends=True)[:6]))
    for name, cell in results["cells"].items():
        path = tmp_path / f"{name}.seed3.jsonl"
        scores = scoring.score_files(path, references, "cf")["scores"]["cf_exec_match"]
        for k in (1, 3, 5):
            assert cell[f"top_{k}"] == {"mean": pytest.approx(100 * scores[f"top_{k}"], abs=1e-3), "sd": 0}, (name, k)
        drawn = [row["candidates"] for row in map(json.loads, path.read_text().splitlines())]
        codes = [[candidate["code"] for candidate in ranked] for ranked in drawn]
        if name == "default":
            assert all(len(set(ranked)) == len(ranked) for ranked in codes)
        else:
            assert all(len(ranked) == 5 for ranked in codes), "equal samples stay"
            assert cell["settings"]["num_revisions"] == 0
    settings = {name: cell["settings"].get("variance_type") for name, cell in results["cells"].items()}
    assert settings.pop("default") is None and settings.pop("paper") == "fixed_large"
    assert set(settings.values()) == {"fixed_small"} and len(settings) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--steps", 5), "--steps must be from 1 to 4, got 5"),
        (("--steps", 1, "--seeds", -1), "--seeds must be from 0"),
        (("--batch_size", 0), "--batch_size must be at least 1, got 0"),
        (("--dtype", "float32", "--steps", 1), "was made with other dtype: go on with the same"),
    ],
)
def test_bad_arguments_are_refused(model, tmp_path, options, message):
    if "--dtype" in options:
        steps(model, tmp_path, "--samplers", "ddim", "--steps", 1, "--seeds", 0)
    with pytest.raises(SystemExit, match=message):
        steps(model, tmp_path, *options)


def test_changed_default_settings_run_again(model, tmp_path, capsys):
    cells = ("--samplers", "ddim", "--steps", 1, "--seeds", 0)
    other = tmp_path / "other"
    shutil.copytree(model, other)
    steps(other, tmp_path / "steps", *cells)
    values = json.loads((other / "generation_config.json").read_text())
    (other / "generation_config.json").write_text(json.dumps({**values, "num_inference_steps": 1}))
    drawn = (tmp_path / "steps" / "ddim.1.seed0.jsonl").stat().st_mtime_ns
    steps(other, tmp_path / "steps", *cells)
    printed = capsys.readouterr().out
    assert "default: the settings have changed since it ran" in printed and "| **default** | 1 |" in printed
    assert (tmp_path / "steps" / "ddim.1.seed0.jsonl").stat().st_mtime_ns == drawn


def test_bootstrap():
    bootstrap = functions()["bootstrap"]
    assert bootstrap([2.0] * 30) == (2.0, 2.0, 2.0)
    # The mean of 400 draws of a fair coin is normal with standard deviation 1/40.
    mean, low, high = bootstrap(np.tile([0.0, 1.0], 200))
    assert mean == 0.5
    assert low == pytest.approx(0.5 - 1.96 / 40, abs=0.003) and high == pytest.approx(0.5 + 1.96 / 40, abs=0.003)
    assert bootstrap([0.0, 1.0, 5.0]) == bootstrap([0.0, 1.0, 5.0]), "the same seed, the same interval"
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap([])


def test_the_comparison_is_paired():
    """Ours is right at rows 0 and 1 with both seeds, the paper's at row 0 and, with one seed, at row 2."""
    compare = functions()["compare"]

    def runs(**places: list[int]) -> dict:  # of each row's first right candidate, 0 without one
        return {
            seed[1:]: {"scores": [[float(0 < place <= k) for k in (1, 3, 5)] for place in row]}
            for seed, row in places.items()
        }

    ours, theirs = runs(_0=[1, 3, 0, 0], _1=[1, 1, 0, 0], _7=[1, 1, 1, 1]), runs(_0=[1, 0, 0, 0], _1=[1, 0, 5, 0])
    cells = {
        "default": {"runs": ours, "seconds_per_row": 0.1},
        "paper": {"runs": theirs, "seconds_per_row": 25.0},
    }
    found = compare(cells)
    assert found["seeds"] == ["0", "1"] and found["faster"] == 250
    # Differences of the rows in points: top-1 (0, 50, 0, 0), top-3 (0, 100, 0, 0), top-5 (0, 100, -50, 0).
    assert [found[f"top_{k}"]["difference"] for k in (1, 3, 5)] == [12.5, 25.0, 12.5]
    assert found["top_1"]["interval"] == [0.0, 37.5] and found["top_5"]["interval"][0] < 0
    assert compare({"default": cells["default"]}) is None


def test_threads_get_what_a_sequence_of_calls_gets(model, capsys):
    arguments = ("--model", model, "--threads", 3, "--calls", 4, "--memory_calls", 10)
    with pytest.raises(SystemExit) as done:
        run("run_concurrency.py", *arguments, "--json")
    results = json.loads(capsys.readouterr().out)
    assert done.value.code == 0 and results["differing_results"] == 0 and results["concurrent_calls"] == 12
    for name, marks in (("", ["2", "4", "6", "8", "10"]), ("_threads", ["2", "4", "6", "8", "10", "12"])):
        resident = results[f"resident_mb{name}"]
        assert sorted(resident, key=int) == marks and all(50 < each < 20_000 for each in resident.values())
        assert results[f"growth_mb{name}"] == round(resident[marks[-1]] - resident[marks[0]], 1)
    with pytest.raises(SystemExit, match="--memory_calls must be a multiple of 5, got 7"):
        run("run_concurrency.py", *arguments[:-1], 7)


def test_generating_changes_no_setting_of_the_tokenizer(model, tmp_path):
    """A backend whose padding is switched on or off while another thread reads it raises "Already borrowed"."""
    folder = shutil.copytree(model, tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer(["highlight", "highlight duplicates"], padding=True, truncation=True, max_length=9)
    tokenizer.save_pretrained(folder)
    network, tokenizer = evaluation.load(str(folder))
    backend = tokenizer.backend_tokenizer
    assert backend.padding is None and backend.truncation is None
    rows = [{"nl": "cells above 10"}, {"nl": "cells that are not between 1 and 20"}]
    assert len(evaluation.generate_candidates(network, tokenizer, rows)) == 2
    assert backend.padding is None and backend.truncation is None


def test_the_script_runs_as_a_command(model, tmp_path):
    command = [sys.executable, EXAMPLES / "run_steps.py", "--model", model, "--data", tmp_path / "none.jsonl"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*map(str, command), "--output_dir", tmp_path], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("run_steps.py: error: ") and "none.jsonl" in done.stderr
