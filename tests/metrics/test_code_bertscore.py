"""code_bertscore against the package code-bert-score, and on text that breaks that package."""

import shutil
from pathlib import Path

import code_bert_score
import evaluate
import pytest
import torch

import codefusion_hf
from codefusion_hf.metrics import load_metric
from codefusion_hf.metrics.code_bertscore import code_bertscore as module
from codefusion_hf.metrics.code_bertscore.code_bertscore import (
    code_bertscore,
    idf_weights,
    is_punctuation,
    load_encoder,
    pair_scores,
    random_pairing,
    window_spans,
)


SNIPPETS = [
    "import os\nos.remove(path)",
    "x = [i + 1 for i in range(10)]",
    "def f(a, b):\n    return a * b",
    "df.groupby('key')['v'].sum()",
    "os.unlink(path)  # delete a file",
    "sorted(words, key=len)",
]
CANDIDATES = [SNIPPETS[0], f" {SNIPPETS[1]}\n", SNIPPETS[3], "x.y(z) \\ é", SNIPPETS[2] * 9, "a"]
REFERENCES = [SNIPPETS[4], SNIPPETS[2], SNIPPETS[3], "a+b == c", SNIPPETS[1] * 14, SNIPPETS[5]]
SOURCES = ["delete a file .", "  make a list, please", "sum of v by key", "what's this?", "long\n\none", "sort"]
LAYERS = 2


def package(path: str, candidates: list[str], references: list, **kwargs) -> list[tuple[float, ...]]:
    """(P, R, F1, F3) of each pair, by code-bert-score."""
    scores = code_bert_score.score(
        candidates, references, model_type=path, num_layers=LAYERS, device="cpu", batch_size=1, nthreads=1, **kwargs
    )
    return list(zip(*(values.tolist() for values in scores)))


def ours(path: str, candidates: list[str], references: list[str], sources=None, idf=False) -> list[tuple[float, ...]]:
    """(P, R, F1, F3) of each pair, by the plain functions."""
    encoder = load_encoder(model_name_or_path=path, num_layers=LAYERS, device="cpu")
    weights = idf_weights(encoder, references) if idf else None
    sources = sources or [None] * len(candidates)
    embedded = [encoder.embed(texts, sources, weights) for texts in (candidates, references)]
    return [pair_scores(candidate, reference) for candidate, reference in zip(*embedded)]


@pytest.mark.parametrize("options", [{}, {"idf": True}, {"sources": SOURCES}], ids=["plain", "idf", "sources"])
def test_equals_code_bert_score(tiny_encoder, options):
    expected = package(tiny_encoder, CANDIDATES, REFERENCES, **options)
    assert ours(tiny_encoder, CANDIDATES, REFERENCES, **options) == [pytest.approx(row, abs=1e-5) for row in expected]
    result = code_bertscore(
        CANDIDATES,
        REFERENCES,
        model_name_or_path=tiny_encoder,
        num_layers=LAYERS,
        per_item=True,
        device="cpu",
        **options,
    )
    assert [f1 for (f1,) in result["per_item"]] == pytest.approx([row[2] for row in expected], abs=1e-5)
    means = [sum(column) / len(expected) for column in zip(*expected)]
    names = ("precision_top_1", "recall_top_1", "top_1", "f3_top_1")
    assert [result[name] for name in names] == pytest.approx(means, abs=1e-5)
    assert max(row[2] for row in expected) > min(row[2] for row in expected) + 0.2, "the pairs must differ"


def test_several_references_count_as_the_best(tiny_encoder):
    references = [REFERENCES, SNIPPETS, [*SNIPPETS, SNIPPETS[1]]]
    expected = package(tiny_encoder, CANDIDATES[:3], references)
    result = code_bertscore(
        [[text] for text in CANDIDATES[:3]], references, model_name_or_path=tiny_encoder, num_layers=LAYERS
    )
    names = ("precision_top_1", "recall_top_1", "top_1", "f3_top_1")
    assert [result[name] for name in names] == pytest.approx([sum(c) / 3 for c in zip(*expected)], abs=1e-5)


def test_a_source_is_dropped_whole(tiny_encoder):
    encoder = load_encoder(model_name_or_path=tiny_encoder, num_layers=LAYERS)
    sources = [None, "", " \n", "cafe au lait", "café au lait", "変数 (x) \x00", "x = 1"]
    embedded = encoder.embed(["x = 1"] * len(sources), sources)
    assert len({len(text.vectors) for text in embedded}) == 1, "only the program is left"
    assert not torch.allclose(embedded[0].vectors, embedded[3].vectors, atol=0.1), "but the encoder read the source"
    # The package stops dropping a source at a character of several tokens and scores the rest of it as code.
    pair = (["x = 1"], ["y.sort()"])
    ascii_only, accented = (ours(tiny_encoder, *pair, sources=[source])[0] for source in sources[3:5])
    assert package(tiny_encoder, *pair, sources=sources[3:4])[0] == pytest.approx(ascii_only, abs=1e-5)
    assert package(tiny_encoder, *pair, sources=sources[4:5])[0][2] > accented[2] + 0.03


@pytest.mark.parametrize("size", [4, 5, 64, 512])
def test_windows_join_without_gap_or_overlap(size):
    for length in range(1, 4 * size + 3):
        spans = window_spans(length, size)
        used = [(use_start, use_end) for _, _, use_start, use_end in spans]
        assert used[0][0] == 0 and used[-1][1] == length
        assert all(a[1] == b[0] for a, b in zip(used, used[1:]))
        assert all(0 <= start <= a < b <= end <= length and end - start <= size for start, end, a, b in spans)


HOSTILE = {
    "empty": "",
    "blank": " \n\t\u3000",
    "punctuation": "(){};",
    "5,000 tokens": "x = 1 + y ; " * 900,
    "surrogate": "x = '\ud800'",
    "nul": "x\x00y",
    "only nul": "\x00",
    "special tokens": "</s><s><pad><mask></s>",
    "only sep": "</s></s></s>",
    "unseen script": "変数 = 'ß🧬'",
    "one long word": "a" * 6000,
}


@pytest.mark.parametrize("sources", [None, ["say\ud800 \x00 it"] * 2], ids=["", "sources"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text(tiny_encoder, name, sources):
    text = HOSTILE[name]
    result = code_bertscore(
        [[text, "x = 1"], ["x = 1", text]],
        [["x = 1"], [text]],
        model_name_or_path=tiny_encoder,
        num_layers=LAYERS,
        per_item=True,
        sources=sources,
    )
    scores = [score for task in result["per_item"] for score in task]
    assert all(0 <= score <= 1 for score in scores)
    assert result["per_item"][0][1] == pytest.approx(1, abs=1e-5), "a neighbour's score is its own"
    contentless = name in ("empty", "blank", "punctuation", "only sep")
    # A blank prediction scores 0 even where the gold is as blank.
    assert [result["per_item"][0][0] == 0, *(score == 0 for score in result["per_item"][1])] == [contentless] * 3


def test_long_texts_are_long_and_bounded(tiny_encoder):
    encoder = load_encoder(model_name_or_path=tiny_encoder, num_layers=LAYERS)
    assert 5_000 < len(encoder.token_ids(HOSTILE["5,000 tokens"])) < module.MAX_TOKENS
    ids = encoder.token_ids("x = 1 " * 10_000)
    assert len(ids) == module.MAX_TOKENS and ids[-1] == encoder.tokenizer.sep_token_id


def test_top_k(tiny_encoder):
    kwargs = {"model_name_or_path": tiny_encoder, "num_layers": LAYERS, "k": [1, 2, 9], "per_item": True}
    result = code_bertscore([["a + b", SNIPPETS[1]], [], [SNIPPETS[2]]], SNIPPETS[:1] + SNIPPETS[1:3], **kwargs)
    first = result["per_item"][0]
    assert first[0] != first[1] and result["per_item"][1] == [] and result["per_item"][2] == pytest.approx([1])
    assert result["top_1"] == pytest.approx((first[0] + 0 + 1) / 3)
    assert result["top_2"] == result["top_9"] == pytest.approx((max(first) + 0 + 1) / 3)
    assert result["f3_top_9"] >= result["f3_top_1"] > 0
    assert result["hashcode"].endswith(f"_L{LAYERS}_no-idf")


def test_batches_change_nothing(tiny_encoder):
    kwargs = {"model_name_or_path": tiny_encoder, "num_layers": LAYERS, "per_item": True}
    tasks = [SNIPPETS[i:] + CANDIDATES[:i] for i in range(6)] * 4  # more tasks than are held at a time
    one, many, again = (code_bertscore(tasks, REFERENCES * 4, batch_size=b, **kwargs) for b in (1, 32, 32))
    assert many == again
    assert one.keys() == many.keys() and one["per_item"] == [pytest.approx(row, abs=1e-6) for row in many["per_item"]]


def test_random_pairing_is_a_derangement():
    tasks = [[f"gold {number}"] for number in range(50)]
    pairs = random_pairing(tasks)
    assert pairs == random_pairing(tasks) and sorted(pairs) == sorted(pairs.values()) == list(range(50))
    assert all(task != partner for task, partner in pairs.items())
    assert sum(abs(task - partner) == 1 for task, partner in pairs.items()) < 10, "neighbours are no random pairs"
    shared = random_pairing([["a", "b"], ["b "], ["c"]])
    assert shared[0] == shared[1] == 2 and shared[2] in (0, 1)
    assert random_pairing([["a"]]) == random_pairing([["a"], ["a", "b"]]) == {}


def test_the_floor_is_below_gold_and_above_nothing(tiny_encoder):
    kwargs = {"model_name_or_path": tiny_encoder, "num_layers": LAYERS}
    result = code_bertscore(SNIPPETS, SNIPPETS, **kwargs)
    assert result["top_1"] == pytest.approx(1, abs=1e-5) and 0.3 < result["random_pairing_f1"] < 0.9
    partners = random_pairing([[text] for text in SNIPPETS])
    shuffled = [SNIPPETS[partners[task]] for task in range(6)]
    assert code_bertscore(SNIPPETS, shuffled, **kwargs)["top_1"] == pytest.approx(result["random_pairing_f1"])
    assert code_bertscore(["x"], ["x"], **kwargs)["random_pairing_f1"] is None


def test_an_encoder_is_read_once(tiny_encoder, tmp_path):
    path = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    first = code_bertscore(["a"], ["b + a"], model_name_or_path=path, num_layers=1)
    shutil.rmtree(path)
    assert code_bertscore(["a"], ["b + a"], model_name_or_path=path, num_layers=1) == first


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "pass `model_name_or_path`, or one of python, bash, cf, .* got None"),
        ({"language": "pyhton"}, ValueError, "got 'pyhton'"),
        ({"language": "python"}, OSError, "cannot load the encoder neulab/codebert-python: .*could not be downloaded"),
        ({"language": "bash", "revision": "3b0952f"}, OSError, "microsoft/codebert-base-mlm at revision 3b0952f"),
        ({"model_name_or_path": "no/such folder"}, OSError, "cannot load the encoder no/such folder"),
        ({"model_name_or_path": "ENCODER"}, ValueError, "`num_layers` is required for .*: 1 to 3"),
        ({"model_name_or_path": "ENCODER", "num_layers": 4}, ValueError, "must be 1 to 3 for .*, got 4"),
        ({"model_name_or_path": "ENCODER", "num_layers": 0}, ValueError, "must be 1 to 3 for .*, got 0"),
        ({"model_name_or_path": "TINY", "num_layers": 1}, ValueError, "is no encoder like BERT"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be a whole number from 1, got 0"),
        ({"k": [0]}, ValueError, "`k` must be"),
        ({"sources": ["one", "two"]}, ValueError, "`sources` must be a list of 1 texts"),
        ({"sources": "s"}, ValueError, "`sources` must be a list"),
        ({"model_name_or_path": "ENCODER", "num_layers": 1, "idf": True}, ValueError, "two different references"),
    ],
)
def test_errors_name_what_is_wrong(tiny_encoder, tiny_cf, arguments, error, message):
    folders = {"ENCODER": tiny_encoder, "TINY": str(tiny_cf)}
    name = arguments.get("model_name_or_path")
    if name in folders:
        arguments = {**arguments, "model_name_or_path": folders[name]}
    with pytest.raises(error, match=message) as caught:
        code_bertscore(["a"], ["b"], **arguments)
    assert "\n" not in str(caught.value)


def test_punctuation_tokens():
    assert all(map(is_punctuation, ["(", "Ġ==", "Ċ", "ĊĠĠ", "):", "", "'"]))
    assert not any(map(is_punctuation, ["+", "Ġ-", "|", "~=", "<s>", "a.", "Ġ//", "*"]))


def test_as_an_evaluate_module(tiny_encoder):
    kwargs = {"model_name_or_path": tiny_encoder, "num_layers": LAYERS}
    folder = Path(codefusion_hf.__file__).parent / "metrics" / "code_bertscore"
    predictions, references = [["a = 1", "x.\ud800y"], []], [["x.y", "b"], ["c = 2"]]
    expected = code_bertscore(predictions, references, **kwargs)
    metric = evaluate.load(str(folder))
    assert metric.compute(predictions=predictions, references=references, **kwargs) == expected
    for prediction, golds in zip(predictions, references):
        metric.add(prediction=prediction, reference=golds)
    assert metric.compute(**kwargs) == expected
    flat = load_metric("code_bertscore").compute(predictions=SNIPPETS, references=REFERENCES, **kwargs)
    assert flat == code_bertscore([[text] for text in SNIPPETS], REFERENCES, **kwargs)
    assert {file.name for file in folder.iterdir()} >= {"README.md", "app.py", "requirements.txt"}
