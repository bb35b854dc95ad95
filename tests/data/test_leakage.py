"""What evaluation files share with training files."""

import gzip
import json

import pytest

from codefusion_hf.data.benchmarks import read_benchmark
from codefusion_hf.data.leakage import (
    find_leaked,
    find_leaks,
    format_report,
    leakage_report,
    normalize_utterance,
    normalized_golds,
    sha256,
)


EVAL = [
    {"id": "both", "nl": "Cells above 10", "code": "GreaterThan(10)"},
    {"id": "spelling", "nl": "the best\n 3", "code": "top( 3 )"},
    {"id": "second gold", "nl": "five percent", "code": "TopPercent(5)", "refs": ["TopPercent(5)", "TopPercent(6)"]},
    {"id": 7, "nl": "Nothing of this", "code": "LessThan(7777)"},
    {"id": "unparsable", "nl": "formula", "code": "LEN(c[0]) = 3"},
]
TRAIN = [
    {"code": "GreaterThan(11)", "nl": "cells above 11"},
    {"code": "GreaterThan(10)", "nl": "Cells above 10"},
    {"code": "Top(3)", "nl": None},
    {"code": "GreaterThan(10)"},
    {"nl": "THE BEST 3"},
]
MORE = [{"code": "TopPercent(6)", "nl": ""}, {"code": " ", "nl": "x"}, {"code": "LEN(c[0]) = 3", "nl": "y"}]


def write(path, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.fixture
def files(tmp_path):
    return (
        write(tmp_path / "val.jsonl", EVAL),
        write(tmp_path / "train.jsonl", TRAIN),
        write(tmp_path / "more.jsonl.gz", MORE),
    )


def test_utterances_differ_by_more_than_case_and_spaces():
    assert normalize_utterance(" Cells\tABOVE  10\n") == "cells above 10" != normalize_utterance("cells above 10.")


def test_each_row_by_kind_with_its_place(files):
    rows = read_benchmark(files[0])
    assert find_leaks(rows, files[1], "cf") == [
        {"code_verbatim": 2, "code_normalized": 2, "utterance_verbatim": 2, "utterance_normalized": 2},
        {"code_normalized": 3, "utterance_normalized": 5},
        {},
        {},
        {},
    ]
    # The second of two golds counts; blank code means nothing; what does not parse is compared as text.
    assert [sorted(places) for places in find_leaks(rows, files[2], "cf")] == [
        [],
        [],
        ["code_normalized", "code_verbatim"],
        [],
        ["code_normalized", "code_verbatim"],
    ]
    assert find_leaked(rows, files[1:], "cf") == [True, True, True, False, True]
    assert find_leaked(rows, [], "cf") == [False] * 5


def test_report_counts_each_file_and_all_together(files):
    report = leakage_report(files[1:], files[0], "cf")
    assert report["eval"] == {"file": "val.jsonl", "sha256": sha256(files[0]), "rows": 5}
    counts = lambda overlap: [overlap[kind]["rows"] for kind in overlap]  # noqa: E731
    assert counts(report["train"][0]["overlap"]) == [1, 2, 1, 2, 2]
    assert counts(report["train"][1]["overlap"]) == [2, 2, 0, 0, 2]
    assert counts(report["overlap"]) == [3, 4, 1, 2, 4]
    assert report["overlap"]["leaked"]["share"] == 0.8
    assert [row["id"] for row in report["found"]] == ["both", "spelling", "second gold", "unparsable"]
    assert report["found"][1] == {
        "id": "spelling",
        "code_normalized": ["train.jsonl", 3],
        "utterance_normalized": ["train.jsonl", 5],
    }
    assert json.loads(json.dumps(report)) == report
    lines = format_report(report).splitlines()
    assert lines[0].startswith("val.jsonl: 5 rows")
    assert lines[-2].split() == ["together", *"3 (60.0) 4 (80.0) 1 (20.0) 2 (40.0) 4 (80.0)".split()]


def test_golds_to_keep_out_of_pretraining(files):
    golds = normalized_golds([files[0]], "cf")
    assert len(golds) == 6 and normalized_golds([], "cf") == set()


def test_the_release_is_read_too(files, tmp_path):
    release = tmp_path / "release.json"
    release.write_text(json.dumps({"train": [{"ID": 1, "NL Utterance": "Nothing of this", "Code": "Top(9)"}]}))
    assert find_leaks(read_benchmark(files[0]), release, "cf")[3] == {
        "utterance_verbatim": 1,
        "utterance_normalized": 1,
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no rows"),
        (b"\n \n", "holds no rows"),
        (b'{"id": 1}\n', "row 1: a training row has `code`, `nl` or both"),
        (b'{"code": 1, "nl": "x"}\n', "row 1: a training row"),
        (b'{"code": "x"}\n[1]\n', "line 2: expected a JSON object, got list"),
        (b'{"code": "x"}\n{"code', "line 2: no valid JSON"),
        (b"[" * 100_000, "line 1: no valid JSON"),
        (b"\xff\xfe\n", "line 1: no valid JSON"),
    ],
)
def test_damaged_training_files(files, tmp_path, content, message):
    path = tmp_path / "damaged.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        leakage_report([path], files[0], "cf")
    assert str(path) in str(error.value)


def test_truncated_gzip(files, tmp_path):
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(files[2].read_bytes()[:-12])
    with pytest.raises(ValueError, match="cut.jsonl.gz is damaged"):
        leakage_report([path], files[0], "cf")
    path.write_bytes(b"no gzip at all")
    with pytest.raises(OSError, match="[Nn]ot a gzipped file"):
        leakage_report([path], files[0], "cf")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": 1, "nl": "x"}, "row 1: a pair needs `nl` and `code`, its keys are id, nl"),
        ({"id": [1], "nl": "x", "code": "y"}, "the id must be a whole number or text"),
        ({"id": 1, "nl": "x", "code": "y", "refs": "z"}, "`refs` must be a list"),
        ({"id": 1, "nl": "x", "code": "y", "data": {"a": 1}}, "`data` must be a list of rows"),
    ],
)
def test_damaged_evaluation_files(tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        read_benchmark(write(tmp_path / "val.jsonl", [row]))


def test_language_must_exist(files):
    with pytest.raises(ValueError, match="unknown language 'klingon'"):
        leakage_report(files[1:], files[0], "klingon")
