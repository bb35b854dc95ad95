"""The example scripts, run as users run them."""

import json
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
            *("build_corpus.py", "--train_file", PAIRS, "--pretrain_file", PAIRS, "--output", corpora[-1]),
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


def test_evaluation_and_card(tmp_path):
    output = tmp_path / "results.json"
    printed = script(
        *("run_evaluate.py", "--model", TINY, "--data", PAIRS, "--seeds", 0, 1, "--num_inference_steps", 4),
        *("--output", output),
    )
    assert "40 rows, 2 seeds" in printed
    results = json.loads(output.read_text())
    scores = results["data"]["cf_pairs"]
    assert scores["mean"]["exact_1"] >= 95 and scores["mean"]["wrong_literals"] <= 5
    assert scores["mean"]["same_lower_case"] == scores["mean"]["same_final_punctuation"] == 100
    assert scores["sd"]["exact_1"] >= 0 and len(scores["runs"]) == 2
    assert results["settings"]["seeds"] == [0, 1] and results["versions"]["torch"]
    predictions = (tmp_path / "results.cf_pairs.seed0.jsonl").read_text().splitlines()
    assert len(predictions) == 40 and len(json.loads(predictions[0])["candidates"]) == 5

    commands = tmp_path / "commands.txt"
    commands.write_text("python train.py\n")
    script(
        *("render_card.py", "--template", ROOT / "model_cards" / "cf.template.md", "--results", output),
        *("--model", "cf", "--commands", commands, "--training_pairs", "40", "--hours", "1"),
        *("--output", tmp_path / "card.md"),
    )
    card = (tmp_path / "card.md").read_text()
    assert (
        f"{scores['mean']['exact_1']:.1f} ± " in card and "python train.py" in card and "{" not in card.split("---")[2]
    )
