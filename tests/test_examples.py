"""The example scripts, run as users run them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from transformers import AutoTokenizer


ROOT = Path(__file__).parents[1]
PAIRS = ROOT / "tests" / "fixtures" / "cf_pairs.jsonl"
TINY = ROOT / "tests" / "fixtures" / "tiny-cf"


def script(name: str, *arguments: object) -> str:
    command = [sys.executable, str(ROOT / "examples" / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_corpus_and_tokenizer(tmp_path):
    corpora = []
    for name in ("a.jsonl", "b.jsonl"):
        corpora.append(tmp_path / name)
        script(
            *("build_pairs.py", "--train_file", PAIRS, "--pretrain_file", PAIRS, "--output", corpora[-1]),
            *("--num_synthetic", 300, "--real_copies", 3),
        )
    assert corpora[0].read_bytes() == corpora[1].read_bytes(), "the same seed must give the same corpus"
    rows = [json.loads(line) for line in corpora[0].read_text().splitlines()]
    assert len(rows) == 3 * 40 + 300
    assert {row["source"] for row in rows} == {"benchmark", "synthesis"}
    assert sum(row["table"] is not None for row in rows) > 150
    first, second = rows[:40], rows[40:80]
    assert any(a["code"] != b["code"] for a, b in zip(first, second)), "copies have other literals"
    script("train_tokenizer.py", "--train_file", corpora[0], "--vocab_size", 700, "--output_dir", tmp_path / "tok")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tok")
    assert len(tokenizer) == 700
    for row in rows:
        decoded = tokenizer.decode(tokenizer(row["code"])["input_ids"], skip_special_tokens=True)
        same = decoded.lower().replace(" ", "") == row["code"].lower().replace(" ", "")
        assert same or any(mark in row["code"] for mark in ".!?…"), row["code"]


def evaluate(output: Path, *options: object, processes: int = 1) -> str:
    """Runs `run_evaluate.py` on the tiny checkpoint: 40 rows in 4 steps."""
    options = ("--data", PAIRS, "--num_inference_steps", 4, "--seeds", 0, 1, "--batch_size", 8, *options)
    command = [sys.executable]
    if processes > 1:
        # On CPU `accelerate launch --cpu` starts one process, whatever --num_processes says.
        command += ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", processes]
        command += ["--num_machines", 1, "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", 0]
    command += [ROOT / "examples" / "run_evaluate.py", "--model", TINY, "--output_dir", output, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def predictions(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.jsonl"))}


def test_evaluation_and_card(tmp_path):
    folder = tmp_path / "evaluated"
    printed = evaluate(folder, "--train_file", PAIRS)
    report = (folder / "results.md").read_text(encoding="utf-8")
    assert printed.strip() == report.strip()
    assert "## cf_pairs.jsonl: 40 rows" in report and "### Clean: 0 of 40 rows" in report
    assert "| CodeFusion | 75M | paper (its test split) | 72.8 | 76.7 | 78.5 |" in report
    assert "| CodeFusion | 75M | paper (its test split) | 63.4 | 67.6 | 69.1 |" in report
    assert "| CodeFusion | 75M | paper (its test split) | 94.5 |" in report
    results = json.loads((folder / "results.json").read_text())
    scores = results["data"]["cf_pairs"]
    assert scores["mean"]["code_exact_match_normalized"]["top_1"] >= 0.95
    assert scores["mean"]["wrong_literals"]["top_1"] <= 0.05
    assert scores["same_first_candidate"]["lower_case"] == scores["same_first_candidate"]["final_punctuation"] == 1
    assert scores["sd"]["code_exact_match"]["top_1"] >= 0 and [run["seed"] for run in scores["runs"]] == [0, 1]
    assert all(run["seconds_per_row"] > 0 for run in scores["runs"])
    assert scores["clean"]["tasks"] == 0 and scores["clean"]["mean"] is None
    assert results["settings"]["seeds"] == [0, 1] and results["versions"]["torch"] and results["weights"]
    execution = scores["mean"]["cf_exec_match"]["top_1"]
    assert f"| **this model**, cf_exec_match | | cf_pairs.jsonl | {100 * execution:.1f} |" in report
    written = (folder / "cf_pairs.seed0.jsonl").read_text().splitlines()
    assert len(written) == 40 and len(json.loads(written[0])["candidates"]) == 5

    commands = tmp_path / "commands.txt"
    commands.write_text("python train.py\n")
    script(
        *(
            "render_card.py",
            "--template",
            ROOT / "model_cards" / "cf.template.md",
            "--results",
            folder / "results.json",
        ),
        *("--model", "cf", "--commands", commands, "--training_pairs", "40", "--hours", "1"),
        *("--output", tmp_path / "card.md"),
    )
    card = (tmp_path / "card.md").read_text()
    assert f"| execution match, top-1 | {100 * execution:.1f} ± " in card
    assert "python train.py" in card and "{" not in card.split("---")[2]


def test_two_processes_evaluate_like_one_and_go_on_where_one_stopped(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    evaluate(one)
    evaluate(two, processes=2)
    assert predictions(one) == predictions(two) and len(predictions(one)) == 2 + 4
    results = {folder: json.loads((folder / "results.json").read_text())["data"] for folder in (one, two)}
    for data in results.values():
        for run in data["cf_pairs"]["runs"]:
            assert run.pop("seconds_per_row") > 0
    assert results[one] == results[two]

    # As if killed at seed 1: a line and a half of it, and nothing of what comes behind.
    whole = predictions(two)
    for path in two.glob("cf_pairs.[!s]*"):
        path.unlink()
    lines = whole["cf_pairs.seed1.jsonl"].splitlines(keepends=True)
    (two / "cf_pairs.seed1.jsonl").write_bytes(b"".join(lines[:8]) + lines[8][:40])
    seed0 = (two / "cf_pairs.seed0.jsonl").stat().st_mtime_ns
    evaluate(two)
    assert predictions(two) == whole
    assert (two / "cf_pairs.seed0.jsonl").stat().st_mtime_ns == seed0
    runs = json.loads((two / "results.json").read_text())["data"]["cf_pairs"]["runs"]
    assert [run["seconds_per_row"] for run in runs] == [None, None]


def test_pretraining_leaves_golds_out(tmp_path):
    corpus, held_out = tmp_path / "corpus.jsonl", tmp_path / "held_out.jsonl"
    codes = [json.loads(line)["code"] for line in PAIRS.read_text().splitlines()]
    unique = list(dict.fromkeys(codes))
    corpus.write_text("".join(json.dumps({"code": code}) + "\n" for code in codes))
    held_out.write_text(json.dumps({"nl": "x", "code": unique[0], "refs": [unique[1].upper()]}) + "\n")
    command = ["run_pretrain.py", "--model_name_or_path", TINY, "--train_file", corpus, "--max_train_steps", 1]
    command += ["--per_device_train_batch_size", 2]
    for options, left_out in (
        (["--decontaminate", held_out], 2),
        (["--validation_file", held_out], 2),
        (["--validation_file", held_out, "--decontaminate"], 0),
    ):
        printed = script(*command, *options, "--output_dir", tmp_path / str(len(list(tmp_path.iterdir()))))
        assert ("are golds of evaluation files" in printed) == bool(left_out), printed
        assert f"{left_out} of {len(unique)} programs are golds" in printed or not left_out, printed
