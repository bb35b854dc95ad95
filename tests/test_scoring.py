"""Scores of saved predictions, without the model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codefusion_hf import scoring
from codefusion_hf.data.benchmarks import read_benchmark


ROOT = Path(__file__).parents[1]
TABLE = {"columns": ["Name", "Grade"], "rows": [["Ann", 7], ["Bob", 12], ["Cid", 15]]}
ROWS = {
    "cf": [
        {"id": 1, "nl": "grades above 10", "code": "GreaterThan(c[1], 10)", "table": TABLE},
        {"id": "two", "nl": "duplicates", "code": "Duplicates()"},
        {"id": 3, "nl": "the three best", "code": "Top(3)", "refs": ["Top(3)", "GreaterThanEqual(3)"]},
        {"id": 4, "nl": "too hard", "code": "Blanks()"},
    ],
    "bash": [
        {"id": 1, "nl": "list all", "code": "ls -a\n"},
        {"id": 2, "nl": "text files", "code": "find . -name '*.txt'", "refs": ["find . -type f -name '*.txt'"]},
        {"id": 3, "nl": "print", "code": "echo 1"},
        {"id": 4, "nl": "count lines", "code": "wc -l file"},
    ],
    "python": [
        {"id": 1, "nl": "sort `x`", "code": "x.sort()"},
        {"id": 1, "nl": "sort list `x`", "code": "sorted(x)"},
        {"id": 2, "nl": "print", "code": "print('a')"},
        {"id": 3, "nl": "length", "code": "len(x)"},
    ],
}
CODES = {
    "cf": [["GreaterThan( c[1],10 )"], ["Unique()", "Duplicate()"], ["Top(2)", "Top(4)", "GreaterThanEqual(3)"], []],
    "bash": [["ls -a"], ["ls", "find /tmp -name '*.py'"], ["echo (", "", "echo 1"], []],
    "python": [["x.sort( )"], ["x.sort()", "sorted(x)"], ["print ", "print(", 'print("a")'], []],
}
MAIN = {"cf": "cf_exec_match", "bash": "bash_template_match", "python": "code_exact_match_normalized"}


def predictions(language):
    return [
        {
            "id": row["id"],
            "nl": row["nl"],
            "candidates": [{"code": code, "score": -1.0, "valid": True} for code in codes],
        }
        for row, codes in zip(ROWS[language], CODES[language])
    ]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("language", ROWS)
def test_first_second_third_and_no_candidate(language, tmp_path):
    references = write(tmp_path / "ref.jsonl", ROWS[language])
    given = write(
        tmp_path / "out.jsonl", reversed(predictions(language)) if language != "python" else predictions("python")
    )
    result = scoring.score_files(given, references, language)
    main = result["scores"][MAIN[language]]
    assert [main[f"top_{k}"] for k in (1, 3, 5)] == [0.25, 0.75, 0.75]
    assert (result["language"], result["tasks"], result["candidates"]) == (language, 4, 6)
    assert result["references"] == {"file": "ref.jsonl", "sha256": scoring.sha256(references)}
    assert result["versions"]["codefusion_hf"] and result["versions"]["python"]
    assert "clean" not in result
    for values in result["scores"].values():
        for ranked in scoring.split_top_k(values)[0].values():
            assert all(0 <= value <= 1 for value in ranked.values())
    assert json.loads(json.dumps(result)) == result
    text = scoring.format_scores(result)
    assert text.startswith(f"out.jsonl against ref.jsonl ({language}): 4 tasks, 6 candidates; per cent")
    assert any(line.split() == [MAIN[language], "25.0", "75.0", "75.0"] for line in text.splitlines())


def test_each_language_has_its_metrics():
    common = {"code_exact_match", "code_exact_match_normalized", "code_validity", "code_diversity"}
    own = {
        "cf": {"cf_exec_match", "wrong_literals"},
        "bash": {"bash_template_match", "code_validity_strict"},
        "python": {"chrf"},
    }
    for language, extra in own.items():
        assert set(scoring.score(CODES[language], ROWS[language], language)) == common | extra


def test_an_encoder_adds_code_bertscore(tmp_path, tiny_cf):
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    tokenizer = AutoTokenizer.from_pretrained(tiny_cf, pad_token="<pad>", cls_token="<s>", sep_token="</s>")
    tokenizer.save_pretrained(tmp_path)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(tmp_path)
    scores = scoring.score(CODES["python"], ROWS["python"], "python", str(tmp_path), num_layers=1)
    top = [scores["code_bertscore"][f"top_{k}"] for k in (1, 3, 5)]
    assert 0 < top[0] < top[1] == top[2] <= 0.75  # the last task has no candidate
    with pytest.raises(ValueError, match="num_layers"):
        scoring.score(CODES["python"], ROWS["python"], "python", str(tmp_path))


@pytest.mark.parametrize("language", ROWS)
def test_gold_scores_all_and_blank_nothing(language):
    gold = scoring.score([[row["code"]] for row in ROWS[language]], ROWS[language], language)
    blank = scoring.score([["", " \n"] for _ in ROWS[language]], ROWS[language], language)
    for metric in (MAIN[language], "code_exact_match"):
        assert gold[metric]["top_1"] == 1 and blank[metric]["top_1"] == 0
    assert gold["code_validity"]["validity"] == 1 and blank["code_validity"]["validity_top_1"] == 0


def test_clean_scores_leave_leaked_tasks_out(tmp_path):
    references = write(tmp_path / "ref.jsonl", ROWS["cf"])
    given = write(tmp_path / "out.jsonl", predictions("cf"))
    train = write(tmp_path / "train.jsonl", [{"code": "greaterThan(c[1], 10)"}, {"nl": "TOO  hard"}])
    result = scoring.score_files(given, references, "cf", [train])
    clean = result["clean"]
    assert clean["tasks"] == 2 and clean["train"] == [{"file": "train.jsonl", "sha256": scoring.sha256(train)}]
    assert "normalised" in clean["definition"]
    assert [clean["scores"]["cf_exec_match"][f"top_{k}"] for k in (1, 3)] == [0, 1]
    assert result["scores"]["cf_exec_match"]["top_1"] == 0.25
    assert ["cf_exec_match", *"25.0 75.0 75.0 0.0 100.0 100.0".split()] in [
        line.split() for line in scoring.format_scores(result).splitlines()
    ]
    everything = scoring.score_files(given, references, "cf", [references])
    assert (everything["clean"]["tasks"], everything["clean"]["scores"]) == (0, None)
    assert "0 of 4 tasks" in scoring.format_scores(everything)


def test_golds_of_equal_tasks_are_pooled():
    rows = [
        {"nl": "a", "code": "1", "table": None},
        {"nl": "a", "code": "2", "refs": ["2", "3"], "table": None},
        {"nl": "a", "code": "4", "table": TABLE},
        {"nl": "b", "code": "5", "table": None},
    ]
    assert [row["refs"] for row in scoring.pool_golds(rows)] == [["1", "2", "3"], ["2", "3", "1"], ["4"], ["5"]]


# --- joining


def answers(*identifiers, nl=None):
    return [{"id": identifier, "nl": nl, "codes": [f"{i}"]} for i, identifier in enumerate(identifiers)]


def asked(*pairs):
    return [{"id": identifier, "nl": nl} for identifier, nl in pairs]


def test_join_by_id_in_any_order():
    assert scoring.join(answers(3, "x", 1), asked((1, "a"), ("x", "b"), (3, "c"))) == [["2"], ["1"], ["0"]]


def test_join_ids_that_occur_several_times():
    # As in CoNaLa, where the id is that of a question.
    given = [{"id": 1, "nl": "b", "codes": ["B"]}, {"id": 1, "nl": "a", "codes": ["A"]}]
    assert scoring.join(given, asked((1, "a"), (1, "b"))) == [["A"], ["B"]]
    assert scoring.join(answers(1, 1), asked((1, "a"), (1, "b"))) == [["0"], ["1"]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (answers(1), "there are no predictions for the id 'x'"),
        (answers("x", 1, 5, 6), "there are no references for the ids 5, 6"),
        (answers("x", "1"), "there are no predictions for the id 1"),
        (answers("x", *range(1, 20)), "for the ids 2, 3, 4, 5, 6 and 13 more"),
        (answers("x", 1, 1), "answer the id 1 2 times, but the references have it 1 times"),
        (answers("x", 1, nl="other"), "the prediction for the id 1 has another utterance than 'a'"),
    ],
)
def test_files_that_do_not_answer_each_other(given, message):
    with pytest.raises(ValueError, match=message) as error:
        scoring.join(given, asked((1, "a"), ("x", "b")))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "holds no rows"),
        ('{"id": 1}', 'row 1: "candidates" must be a list'),
        ('{"id": 1, "candidates": ["a"]}', 'row 1: "candidates" must be a list'),
        ('{"id": 1, "candidates": [{"code": null}]}', 'row 1: "candidates" must be a list'),
        ('{"candidates": []}', "row 1: the id must be a whole number or text, got None"),
        ('{"id": {}, "candidates": []}', "row 1: the id must be"),
        ("[" * 100_000, "line 1: no valid JSON"),
    ],
)
def test_damaged_predictions(tmp_path, line, message):
    path = tmp_path / "out.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match=message):
        scoring.read_predictions(path)


# --- literals


def test_wrong_literals():
    rows = [
        {"nl": "above 10", "code": "GreaterThan(10)"},  # wrong
        {"nl": "above 1,000", "code": "GreaterThan(1000)"},  # right
        {"nl": "cells A1:A10", "code": "GreaterThan(1)"},  # 1 does not stand in the utterance as a word
        {"nl": "below 5", "code": "LessThan(5)"},  # a rule without literals is wrong in another way
        {"nl": "below 6", "code": "LessThan(6)"},  # no candidate
    ]
    codes = [["GreaterThan(100)"], ["LessThan(1000)"], ["LessThan(7)"], ["Blanks()"], []]
    assert scoring.wrong_literals(codes, rows, "cf") == {"top_1": 0.25, "tasks": 4}


# --- the table


def test_table_of_figures():
    assert scoring.split_top_k({"top_1": 0.5, "strict_top_3": 1.0, "valid": 0.25, "n": 3, "hashcode": "x"}) == (
        {"": {1: 0.5}, "strict": {3: 1.0}},
        {"valid": 0.25, "n": 3},
    )


def test_the_challenge_file_scores_itself(tmp_path):
    rows = read_benchmark(ROOT / "tests" / "fixtures" / "cf_challenge.jsonl")
    scores = scoring.score([[row["refs"][-1]] for row in rows], rows, "cf")
    assert scores["cf_exec_match"]["top_1"] == scores["cf_exec_match"]["strict_top_1"] == 1
    assert scores["code_exact_match_normalized"]["top_5"] == scores["code_validity"]["validity"] == 1


def test_scoring_loads_no_model():
    code = "import sys; sys.argv[0] = 'codefusion'; from codefusion_hf import scoring; "
    code += "print([name for name in sys.modules if 'torch' in name or 'modeling' in name])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
