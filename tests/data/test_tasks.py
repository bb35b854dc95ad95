"""Training examples: pairs, masked code, batches that can be resumed."""

from pathlib import Path

import pytest

from codefusion_hf.data.benchmarks import read_jsonl, read_pairs, read_training_pairs
from codefusion_hf.data.cache import PackedRows
from codefusion_hf.data.encoding import encode_programs
from codefusion_hf.data.tasks import CPD_MASK_TOKENS, CodeDataset, PairDataset, PretrainingTask
from codefusion_hf.data.tokenization import train_tokenizer
from codefusion_hf.languages import get_language


FIXTURES = Path(__file__).parents[1] / "fixtures"
CF = get_language("cf")
CODES = [
    "AND(GreaterThan(c[1], 5), LessThan(c[1], 9))",
    "OR(TextEquals(c[0], open), TextEquals(c[2], open), NOT(Blanks(c[0])))",
    "Top(10)",
]


def dataset(tokenizer, codes=CODES, lengths=(128, 32), **options) -> CodeDataset:
    programs = PackedRows.from_lists(encode_programs(codes, tokenizer, CF.spans))
    return CodeDataset(programs, PretrainingTask(tokenizer, **options), *lengths)


def test_masked_names_do_not_reach_the_encoder(tokenizer):
    programs = dataset(tokenizer, tasks="cpd", mask_ratio=1.0)
    for index, code in enumerate(CODES):
        example = programs[index]
        text = tokenizer.decode(example["source"])
        assert "<extra_id_0>" in text and not example["unconditional"] and example["noised"] is None
        assert not any(f"{name}(" in text for name in CF.SIGNATURES) and "c[" not in text
        assert tokenizer.decode(example["target"], skip_special_tokens=True) == code
        assert example["source"][-1] == tokenizer.eos_token_id
        assert [text.count(literal) for literal in CF.literals(code)] == [code.count(x) for x in CF.literals(code)]


def test_pretraining_tasks(tokenizer):
    both = dataset(tokenizer)
    drawn = []
    for both.epoch in range(40):
        drawn += [both[index]["unconditional"] for index in range(3)]
    assert 30 < sum(drawn) < 90, "the two tasks are drawn evenly"
    assert all(dataset(tokenizer, tasks="codegen")[i]["unconditional"] for i in range(3))
    assert not any(dataset(tokenizer, tasks="cpd")[i]["unconditional"] for i in range(3))


def test_masks_follow_seed_epoch_and_index_alone(tokenizer):
    one, two = (dataset(tokenizer, CODES * 20, tasks="cpd") for _ in range(2))
    assert [one[i] for i in range(60)] == [two[i] for i in reversed(range(60))][::-1]
    assert len({tuple(one[i]["source"]) for i in range(0, 60, 3)}) > 3, "copies are masked differently"
    two.epoch = 1
    assert [one[i] for i in range(60)] != [two[i] for i in range(60)]


def test_noise_on_the_masked_tokens_only(tokenizer):
    programs = dataset(tokenizer, tasks="cpd", cpd_noise="masked_only")
    for programs.epoch in range(10):
        for index in range(3):
            example = programs[index]
            hidden = [token for token, noised in zip(example["target"], example["noised"]) if noised]
            kept = [token for token, noised in zip(example["target"], example["noised"]) if not noised]
            assert hidden and kept == [token for token in example["source"] if token not in programs.task.sentinels]
    both = dataset(tokenizer, cpd_noise="masked_only")
    assert all((both[i]["noised"] is None) == both[i]["unconditional"] for i in range(3))


def test_one_span_as_in_genie(tokenizer):
    programs = dataset(tokenizer, tasks="cpd", cpd_target="span")
    sentinel, eos = programs.task.sentinels[0], tokenizer.eos_token_id
    for programs.epoch in range(20):
        for index, (source_length, target_length) in enumerate(programs.lengths()):
            whole, example = programs.programs.row(index, "tokens")[0], programs[index]
            assert (len(example["source"]), len(example["target"])) == (source_length, target_length)
            place = example["source"].index(sentinel)
            cut = example["target"][:-1]
            assert example["source"][:place] + cut + example["source"][place + 1 :] == whole
            assert len(cut) == max(1, round(0.3 * (len(whole) - 1))) and example["target"][-1] == eos
    # A span of a long program fits a canvas that the program does not; unless the program may be asked for, too.
    long = ["AND(" + ", ".join(f"Top({n})" for n in range(1, 15)) + ")"]
    assert len(dataset(tokenizer, long, tasks="cpd", cpd_target="span")) == 1
    assert dataset(tokenizer, long, cpd_target="span").num_too_long == 1


def test_one_mask_token_for_all_names(tokenizer):
    indexed, single = (dataset(tokenizer, tasks="cpd", mask_ratio=1.0, cpd_mask_token=m) for m in CPD_MASK_TOKENS)
    first, *others = indexed.task.sentinels
    for index in range(2):
        assert set(indexed[index]["source"]) & set(others)
        assert first in single[index]["source"] and not set(single[index]["source"]) & set(others)


def test_programs_without_names(tokenizer):
    programs = PackedRows.from_lists(encode_programs(CODES, tokenizer))
    assert CodeDataset(programs, PretrainingTask(tokenizer), 128, 32)[0]["unconditional"]
    cpd = CodeDataset(programs, PretrainingTask(tokenizer, "cpd"), 128, 32)
    assert (len(cpd), cpd.num_without_names, cpd.num_too_long) == (0, 3, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": "mlm"}, "both, codegen, cpd, got 'mlm'"),
        ({"mask_ratio": 0}, r"in \(0, 1\]"),
        ({"cpd_noise": "some"}, "all, masked_only"),
        ({"cpd_target": "half"}, "full, span"),
        ({"cpd_mask_token": "none"}, "indexed, single"),
        ({"cpd_noise": "masked_only", "cpd_target": "span"}, "needs `cpd_target='full'`"),
    ],
)
def test_wrong_settings_of_the_task(tokenizer, options, message):
    with pytest.raises(ValueError, match=message):
        PretrainingTask(tokenizer, **options)


def test_sentinels_are_needed():
    plain = train_tokenizer(CODES, 300, num_sentinels=0)
    with pytest.raises(ValueError, match="<extra_id_0>"):
        PretrainingTask(plain)


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
