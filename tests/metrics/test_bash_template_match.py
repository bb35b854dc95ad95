"""Template match of Bash: agreement with NL2Bash's annotators, empty and unparsable text, coverage, speed."""

import doctest
import gzip
import json
import os
import time
from pathlib import Path

import pytest

from codefusion_hf.metrics import load_metric
from codefusion_hf.metrics.bash_template_match.bash_template_match import bash_template_match


DATA = Path(os.environ.get("CODEFUSION_DATA", Path(__file__).parents[3] / "shared" / "data"))
FIXTURES = Path(__file__).parents[1] / "fixtures"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the data pack: set CODEFUSION_DATA")


def agreement(lines, mode):
    """(right and accepted, wrong and accepted, right and refused, wrong and refused), the annotators decide."""
    rows = [json.loads(line) for line in lines]
    result = bash_template_match(
        [row["prediction"] for row in rows], [row["refs"] for row in rows], k=[1], mode=mode, per_item=True
    )
    pairs = [(row["correct_template"], bool(scores[0])) for row, scores in zip(rows, result["per_item"])]
    return tuple(pairs.count(pair) for pair in (("y", True), ("n", True), ("y", False), ("n", False)))


@pytest.mark.parametrize(("mode", "expected"), [("ordered", (10, 0, 17, 33)), ("unordered", (11, 0, 16, 33))])
def test_agreement_with_people_on_the_committed_sample(mode, expected):
    lines = (FIXTURES / "bash_judgements.jsonl").read_text(encoding="utf-8").splitlines()
    assert agreement(lines, mode) == expected


@needs_data
@pytest.mark.parametrize(("mode", "precision", "recall"), [("ordered", 0.96, 0.33), ("unordered", 0.96, 0.35)])
def test_agreement_with_people(mode, precision, recall):
    with gzip.open(DATA / "prepared" / "bash_human_judgements.jsonl.gz", "rt", encoding="utf-8") as lines:
        tp, fp, fn, tn = agreement(lines, mode)
    assert tp + fp + fn + tn == 4299
    assert tp / (tp + fp) >= precision
    assert tp / (tp + fn) >= recall


def test_ranks_references_and_coverage():
    result = bash_template_match(
        [["ls", "wc -l x", "tar xf a"], ["ls 'x"], []], [["tar -xf b", "du"], ["ls  'x"], ["ls"]], k=[1, 2, 3, 9]
    )
    assert result == {
        "top_1": pytest.approx(1 / 3),
        "top_2": pytest.approx(1 / 3),
        "top_3": pytest.approx(2 / 3),
        "top_9": pytest.approx(2 / 3),
        "coverage": 6 / 8,
        "prediction_coverage": 3 / 4,
        "reference_coverage": 3 / 4,
    }


def test_mode_and_outcomes_of_each_candidate():
    task = {"predictions": [["rm -fr a", "rm -rf a"]], "references": [["rm -r -f b"]], "k": [1]}
    assert bash_template_match(**task, per_item=True)["per_item"] == [[0.0, 1.0]]
    assert bash_template_match(**task, mode="unordered")["top_1"] == 1.0
    with pytest.raises(ValueError, match="`mode` must be one of ordered, unordered, got 'nl2bash'"):
        bash_template_match(**task, mode="nl2bash")


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\x1f"])
@pytest.mark.parametrize("gold", ["ls", "ls 'unclosed", "# comment", ""])
def test_blank_never_matches(blank, gold):
    result = bash_template_match([[blank]], [[gold, blank]], k=[1])
    assert result["top_1"] == 0.0 and result["prediction_coverage"] == 0.0


def test_no_candidates_at_all():
    result = bash_template_match([[], []], ["ls", "wc"])
    assert result["top_5"] == result["prediction_coverage"] == 0.0 and result["reference_coverage"] == 1.0


@pytest.mark.parametrize("mode", ["ordered", "unordered"])
def test_golds_match_themselves(mode):
    paths = [FIXTURES / "bash_pairs.jsonl", DATA / "prepared" / "bash_val.jsonl"]
    lines = [line for path in paths if path.exists() for line in path.read_text(encoding="utf-8").splitlines()]
    golds = [json.loads(line)["code"] for line in lines]
    result = bash_template_match(golds, golds, k=[1], mode=mode)
    assert result["top_1"] == 1.0 and result["coverage"] >= 0.985


@pytest.mark.parametrize(
    "code",
    [
        "\x00",
        "ls\x00",
        "ls \ud800",
        "(" * 100_000,
        "$(" * 50_000,
        "a " * 50_000,
        "a|" * 2000 + "a",
        "find . " + "\\( " * 1300,
        "xargs " * 600,
        "find . " + "-exec " * 600,
        'bash -c "' * 400,
        "`" * 4000,
        "<<A\n" * 1000,
        "if a; then " * 350,
        "\\",
        "'",
        "-",
        "find",
        "xargs -I",
        "find . -exec",
        "tar -",
        "sudo",
    ],
)
def test_hostile_candidates(code):
    start = time.process_time()
    result = bash_template_match([[code, "ls"]], [["ls"]], k=[1, 2])
    assert time.process_time() - start < 2
    assert result["top_1"] == 0.0 and result["top_2"] == 1.0


def test_speed():
    rows = [json.loads(line) for line in (FIXTURES / "bash_pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    golds = [f"{rows[i % 40]['code']} {i}" for i in range(1000)]  # all different: nothing comes from the cache
    predictions = [[f"{rows[(i * 7 + j) % 40]['code']} {i} {j}" for j in range(5)] for i in range(1000)]
    start = time.process_time()
    bash_template_match(predictions, golds)
    assert time.process_time() - start < 15


def test_evaluate_module():
    metric = load_metric("bash_template_match")
    predictions, references = [["ls", "ls -l x"], ["wc -l"]], [["ls -l y"], ["wc -c"]]
    options = {"k": [1, 2], "mode": "unordered", "per_item": True}
    expected = bash_template_match(predictions, references, **options)
    assert metric.compute(predictions=predictions, references=references, **options) == expected
    assert metric.compute(predictions=["ls -l x"], references=["ls -l y"], k=[1])["top_1"] == 1.0
    metric.add_batch(predictions=predictions, references=references)
    assert metric.compute(k=[2])["top_2"] == 0.5


def test_readme_example():
    readme = Path(bash_template_match.__code__.co_filename).with_name("README.md").read_text(encoding="utf-8")
    examples = doctest.DocTestParser().get_examples(readme.partition("```python")[2].partition("```")[0])
    names = {}
    for example in examples[:-1]:
        exec(example.source, names)
    assert len(examples) == 5 and repr(eval(examples[-1].source, names)) == examples[-1].want.strip()
