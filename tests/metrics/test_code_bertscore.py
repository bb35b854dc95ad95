"""code_bertscore against the package code-bert-score, and on text that breaks that package."""

import shutil
from pathlib import Path

import code_bert_score
import evaluate
import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from tokenizers.processors import RobertaProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast, RobertaConfig, RobertaModel

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
WINDOW = 64
LAYERS = 2


@pytest.fixture(scope="session")
def encoder_path(tmp_path_factory) -> str:
    """A tiny random RoBERTa of three layers with windows of 64 tokens."""
    path = tmp_path_factory.mktemp("encoder")
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator(SNIPPETS, vocab_size=320, special_tokens=special, show_progress=False)
    bpe._tokenizer.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = dict(zip(("cls_token", "pad_token", "sep_token", "unk_token", "mask_token"), special))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, model_max_length=WINDOW, **names)
    tokenizer.bos_token, tokenizer.eos_token = "<s>", "</s>"
    tokenizer.save_pretrained(path)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=WINDOW + 2,
        initializer_range=0.2,  # tokens differ: at 0.02 any two cosines are about 1
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        RobertaModel(config).eval().save_pretrained(path)
    # A tokenizer that was not found again would make one unknown token of everything, and all scores equal.
    assert len(set(AutoTokenizer.from_pretrained(path)(SNIPPETS[0])["input_ids"])) > 10
    return str(path)


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
def test_equals_code_bert_score(encoder_path, options):
    expected = package(encoder_path, CANDIDATES, REFERENCES, **options)
    assert ours(encoder_path, CANDIDATES, REFERENCES, **options) == [pytest.approx(row, abs=1e-5) for row in expected]
    result = code_bertscore(
        CANDIDATES,
        REFERENCES,
        model_name_or_path=encoder_path,
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


def test_several_references_count_as_the_best(encoder_path):
    references = [REFERENCES, SNIPPETS, [*SNIPPETS, SNIPPETS[1]]]
    expected = package(encoder_path, CANDIDATES[:3], references)
    result = code_bertscore(
        [[text] for text in CANDIDATES[:3]], references, model_name_or_path=encoder_path, num_layers=LAYERS
    )
    names = ("precision_top_1", "recall_top_1", "top_1", "f3_top_1")
    assert [result[name] for name in names] == pytest.approx([sum(c) / 3 for c in zip(*expected)], abs=1e-5)


def test_a_source_is_dropped_whole(encoder_path):
    encoder = load_encoder(model_name_or_path=encoder_path, num_layers=LAYERS)
    sources = [None, "", " \n", "cafe au lait", "café au lait", "変数 (x) \x00", "x = 1"]
    embedded = encoder.embed(["x = 1"] * len(sources), sources)
    assert len({len(text.vectors) for text in embedded}) == 1, "only the program is left"
    assert not torch.allclose(embedded[0].vectors, embedded[3].vectors, atol=0.1), "but the encoder read the source"
    # The package stops dropping a source at a character of several tokens and scores the rest of it as code.
    pair = (["x = 1"], ["y.sort()"])
    ascii_only, accented = (ours(encoder_path, *pair, sources=[source])[0] for source in sources[3:5])
    assert package(encoder_path, *pair, sources=sources[3:4])[0] == pytest.approx(ascii_only, abs=1e-5)
    assert package(encoder_path, *pair, sources=sources[4:5])[0][2] > accented[2] + 0.03


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
def test_hostile_text(encoder_path, name, sources):
    text = HOSTILE[name]
    result = code_bertscore(
        [[text, "x = 1"], ["x = 1", text]],
        [["x = 1"], [text]],
        model_name_or_path=encoder_path,
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


def test_long_texts_are_long_and_bounded(encoder_path):
    encoder = load_encoder(model_name_or_path=encoder_path, num_layers=LAYERS)
    assert 5_000 < len(encoder.token_ids(HOSTILE["5,000 tokens"])) < module.MAX_TOKENS
    ids = encoder.token_ids("x = 1 " * 10_000)
    assert len(ids) == module.MAX_TOKENS and ids[-1] == encoder.tokenizer.sep_token_id


def test_top_k(encoder_path):
    kwargs = {"model_name_or_path": encoder_path, "num_layers": LAYERS, "k": [1, 2, 9], "per_item": True}
    result = code_bertscore([["a + b", SNIPPETS[1]], [], [SNIPPETS[2]]], SNIPPETS[:1] + SNIPPETS[1:3], **kwargs)
    first = result["per_item"][0]
    assert first[0] != first[1] and result["per_item"][1] == [] and result["per_item"][2] == pytest.approx([1])
    assert result["top_1"] == pytest.approx((first[0] + 0 + 1) / 3)
    assert result["top_2"] == result["top_9"] == pytest.approx((max(first) + 0 + 1) / 3)
    assert result["f3_top_9"] >= result["f3_top_1"] > 0
    assert result["hashcode"].endswith(f"_L{LAYERS}_no-idf")


def test_batches_change_nothing(encoder_path):
    kwargs = {"model_name_or_path": encoder_path, "num_layers": LAYERS, "per_item": True}
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


def test_the_floor_is_below_gold_and_above_nothing(encoder_path):
    kwargs = {"model_name_or_path": encoder_path, "num_layers": LAYERS}
    result = code_bertscore(SNIPPETS, SNIPPETS, **kwargs)
    assert result["top_1"] == pytest.approx(1, abs=1e-5) and 0.3 < result["random_pairing_f1"] < 0.9
    partners = random_pairing([[text] for text in SNIPPETS])
    shuffled = [SNIPPETS[partners[task]] for task in range(6)]
    assert code_bertscore(SNIPPETS, shuffled, **kwargs)["top_1"] == pytest.approx(result["random_pairing_f1"])
    assert code_bertscore(["x"], ["x"], **kwargs)["random_pairing_f1"] is None


def test_an_encoder_is_read_once(encoder_path, tmp_path):
    path = shutil.copytree(encoder_path, tmp_path / "encoder")
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
def test_errors_name_what_is_wrong(encoder_path, tiny_cf, arguments, error, message):
    folders = {"ENCODER": encoder_path, "TINY": str(tiny_cf)}
    name = arguments.get("model_name_or_path")
    if name in folders:
        arguments = {**arguments, "model_name_or_path": folders[name]}
    with pytest.raises(error, match=message) as caught:
        code_bertscore(["a"], ["b"], **arguments)
    assert "\n" not in str(caught.value)


def test_punctuation_tokens():
    assert all(map(is_punctuation, ["(", "Ġ==", "Ċ", "ĊĠĠ", "):", "", "'"]))
    assert not any(map(is_punctuation, ["+", "Ġ-", "|", "~=", "<s>", "a.", "Ġ//", "*"]))


def test_as_an_evaluate_module(encoder_path):
    kwargs = {"model_name_or_path": encoder_path, "num_layers": LAYERS}
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
