"""Training examples: pairs, masked code, batches that can be resumed."""

import random
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from codefusion_hf.data.benchmarks import read_jsonl, read_pairs, read_training_pairs
from codefusion_hf.data.corruption import mask_code
from codefusion_hf.data.tasks import CodeDataset, Collator, LengthBatchSampler, PairDataset
from codefusion_hf.languages import get_language


FIXTURES = Path(__file__).parents[1] / "fixtures"
CF = get_language("cf")
CODES = [
    "AND(GreaterThan(c[1], 5), LessThan(c[1], 9))",
    "OR(TextEquals(c[0], open), TextEquals(c[2], open), NOT(Blanks(c[0])))",
    "Top(10)",
]


@pytest.fixture(scope="module")
def tokenizer(tiny_cf):
    return AutoTokenizer.from_pretrained(tiny_cf)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("ratio", [0.1, 0.3, 1.0])
def test_masking_is_consistent_and_reversible(code, ratio):
    spans = CF.spans(code)
    names = [code[s.start : s.end] for s in spans]
    for seed in range(20):
        pieces = mask_code(code, spans, random.Random(seed), ratio)
        masked = [piece for piece in pieces if isinstance(piece, int)]
        assert masked and masked[0] == 0 and len(set(masked)) == max(masked) + 1
        # Put the names back in order of appearance: every sentinel must stand for one name, everywhere.
        text, position, meaning = "", 0, {}
        for piece in pieces:
            if isinstance(piece, int):
                span = next(s for s in spans if s.start == position)
                name = code[span.start : span.end]
                assert meaning.setdefault(piece, name) == name
                text += name
                position = span.end
            else:
                assert code[position:].startswith(piece)
                text, position = text + piece, position + len(piece)
        assert text == code
        visible = "".join(piece for piece in pieces if isinstance(piece, str))
        hidden = set(meaning.values())
        assert len(hidden) == len(meaning)
        kept = [code[s.start : s.end] for s in CF.spans(visible)] if CF.is_valid(visible) else []
        assert not hidden & set(kept)
    assert set(names) >= hidden


def test_literals_are_never_masked():
    for seed in range(30):
        pieces = mask_code(CODES[1], CF.spans(CODES[1]), random.Random(seed), 1.0)
        assert sum(piece.count("open") for piece in pieces if isinstance(piece, str)) == 2


def test_mask_ratio_is_checked():
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        mask_code(CODES[0], CF.spans(CODES[0]), random.Random(0), 0.0)


def test_masked_names_do_not_reach_the_encoder(tokenizer):
    dataset = CodeDataset(CODES, tokenizer, 128, 32, CF.spans, tasks="cpd", mask_ratio=1.0)
    for index in range(len(dataset)):
        example = dataset[index]
        text = tokenizer.decode(example["source"])
        assert "<extra_id_0>" in text and not example["unconditional"]
        assert not any(f"{name}(" in text for name in CF.SIGNATURES) and "c[" not in text
        assert tokenizer.decode(example["target"], skip_special_tokens=True) == CODES[index]
        assert example["source"][-1] == tokenizer.eos_token_id


def test_pretraining_tasks(tokenizer):
    both = CodeDataset(CODES, tokenizer, 128, 32, CF.spans)
    drawn = []
    for both.epoch in range(40):
        drawn += [both[index]["unconditional"] for index in range(3)]
    assert 30 < sum(drawn) < 90, "the two tasks are drawn evenly"
    assert all(CodeDataset(CODES, tokenizer, 128, 32, CF.spans, tasks="codegen")[i]["unconditional"] for i in range(3))
    with pytest.raises(ValueError, match="both, codegen, cpd"):
        CodeDataset(CODES, tokenizer, 128, 32, CF.spans, tasks="mlm")


def test_too_long_rows_are_left_out_and_counted(tokenizer):
    rows = [
        {"nl": "a", "code": "Top(1)"},
        {"nl": "b " * 300, "code": "Top(1)"},
        {"nl": "c", "code": "TextEquals(" + "x y " * 40 + ")"},
    ]
    dataset = PairDataset(rows, tokenizer, 128, 32)
    assert (len(dataset), dataset.num_too_long) == (1, 2)


def test_condition_dropout_follows_seed_and_epoch(tokenizer):
    rows = [{"nl": f"above {n}", "code": f"GreaterThan({n})"} for n in range(200)]
    dataset = PairDataset(rows, tokenizer, 128, 32, cond_dropout=0.25, seed=3)
    first = [dataset[i]["unconditional"] for i in range(200)]
    assert first == [dataset[i]["unconditional"] for i in range(200)] and 25 < sum(first) < 75
    dataset.epoch = 1
    assert first != [dataset[i]["unconditional"] for i in range(200)]


def test_batches_cover_every_example_and_repeat():
    rng = random.Random(0)
    lengths = [(rng.randint(4, 60), rng.randint(3, 32)) for _ in range(1003)]
    sampler = LengthBatchSampler(lengths, 8, [16, 32], seed=1)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 125 and all(len(batch) == 8 for batch in batches)
    assert len({index for batch in batches for index in batch}) == 1000
    assert batches == list(sampler)
    sampler.set_epoch(1)
    assert batches != list(sampler)
    mixed = sum(len({lengths[i][1] <= 16 for i in batch}) > 1 for batch in batches)
    assert mixed <= 6, "batches should hold programs of one canvas"
    seen = set()
    for epoch in range(40):  # what does not fill a batch is another row each time
        sampler.set_epoch(epoch)
        seen |= {index for batch in sampler for index in batch}
    assert len(seen) == 1003
    grouped = LengthBatchSampler(lengths, 8, [16, 32], multiple_of=4)
    assert len(list(grouped)) == len(grouped) == 124
    with pytest.raises(ValueError, match="do not fill"):
        LengthBatchSampler(lengths[:3], 8, [32])


def test_collator_pads_sources_and_canvases():
    examples = [{"source": [5] * n, "target": [7] * 3 + [2], "unconditional": n == 9} for n in (4, 9)]
    batch = Collator(0, [16, 32], 128)(examples)
    assert batch["input_ids"].shape == (2, 16) and batch["attention_mask"].sum(-1).tolist() == [4, 9]
    assert batch["labels"].shape[1] in (16, 32) and (batch["labels"] != 0).sum(-1).tolist() == [4, 4]
    assert batch["unconditional"].tolist() == [False, True]
    widths = set()
    for n in range(1, 20):
        widths.add(Collator(0, [16, 32], 128)([{**examples[0], "source": [n]}])["labels"].shape[1])
    assert widths == {16, 32}
    assert Collator(0, [32], 30)([{**examples[0], "source": [5] * 29}])["input_ids"].shape == (1, 30)
    long = [{**examples[0], "target": [7] * 20}]
    assert torch.equal(Collator(0, [32], 128)(long)["labels"], Collator(0, [16, 32], 128)(long)["labels"])


def test_the_benchmark_sample_is_read():
    rows = read_pairs(FIXTURES / "cf_pairs.jsonl", "cf")
    assert len(rows) == 40
    assert rows[0]["code"] == "TextEquals(In Progress)" and rows[0]["table"]["columns"][:2] == ["Index", "Value"]


def test_the_released_format_is_read(tmp_path):
    release = tmp_path / "release.json"
    release.write_text(
        '{"train": [{"ID": 1, "NL Utterance": "top ten", "Code": "top(10)", "Data": [["Index", "Value"], [0, "5"]],'
        ' "Labels": [0]}, {"ID": 2, "NL Utterance": "broken", "Code": "if(A1", "Data": [], "Labels": [0]}]}'
    )
    assert read_pairs(release, "cf") == [
        {
            "id": 1,
            "nl": "top ten",
            "code": "Top(10)",
            "refs": ["Top(10)"],
            "table": {"columns": ["Index", "Value"], "rows": [[0, "5"]]},
        }
    ]


def test_damaged_files_name_the_line(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"nl": "a", "code": "Top(1)"}\n\n{"nl": \n')
    with pytest.raises(ValueError, match="line 3"):
        list(read_jsonl(file))
    file.write_text('{"nl": "a"}\n')
    with pytest.raises(ValueError, match="needs `nl` and `code`"):
        read_pairs(file, "cf")
    with pytest.raises(ValueError, match="row 1: `code` must be text, got None"):
        list(read_training_pairs(file))
    file.write_text('{"nl": "a", "code": "what"}\n')
    with pytest.raises(ValueError, match="no pair whose program is valid cf"):
        read_pairs(file, "cf")
