"""The data options of the training scripts: cache, streams, tasks of pre-training."""

import importlib.util
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState
from safetensors.torch import load_file

from codefusion_hf.baselines import seq2seq
from codefusion_hf.data.augmentation import PythonLiteralSwapper
from codefusion_hf.data.encoding import encode_pairs
from codefusion_hf.data.streaming import StreamingPairs, open_sources
from codefusion_hf.languages import get_language


ROOT = Path(__file__).parents[1]
PAIRS = ROOT / "tests" / "fixtures" / "cf_pairs.jsonl"
TINY = ROOT / "tests" / "fixtures" / "tiny-cf"
PRETRAIN = ("run_pretrain.py", "--config_name", "tiny", "--tokenizer_name", TINY, "--language", "cf")
PRETRAIN += ("--max_train_steps", 4, "--per_device_train_batch_size", 4, "--logging_steps", 1)


@pytest.fixture
def script(tmp_path, monkeypatch, capfd):
    """Runs the main function of a script in this process, which saves ten seconds of imports; gives what it wrote."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")

    def reset() -> None:
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()

    def run(name: str, *arguments: object) -> str:
        spec = importlib.util.spec_from_file_location(name.removesuffix(".py"), ROOT / "examples" / name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        reset()
        capfd.readouterr()
        module.main()
        return "".join(capfd.readouterr())

    yield run
    reset()


def losses(folder: Path) -> list[float]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def test_pretraining_streams_and_resumes(script, tmp_path):
    files = []
    for part in range(2):
        files.append(tmp_path / f"part{part}.jsonl")
        files[-1].write_text("".join(PAIRS.read_text().splitlines(keepends=True)[part::2]))
    stream = (*PRETRAIN, "--streaming", "--shuffle_buffer_size", 8, "--train_file", f"{tmp_path}/part?.jsonl")
    script(*stream, "--output_dir", tmp_path / "whole", "--max_train_steps", 12)  # into the second epoch
    script(*stream, "--output_dir", tmp_path / "parts", "--max_train_steps", 12, "--stop_after_steps", 5)
    script(*stream, "--output_dir", tmp_path / "parts", "--max_train_steps", 12, "--resume_from_checkpoint", "latest")
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts") and len(losses(tmp_path / "whole")) == 12
    whole, parts = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(weight, parts[name]) for name, weight in whole.items())


def test_finetuning_streams(script, tmp_path):
    finetune = ("run_finetune.py", "--model_name_or_path", TINY, "--train_file", PAIRS, "--max_train_steps", 3)
    finetune += ("--per_device_train_batch_size", 4, "--logging_steps", 1, "--streaming", "--cond_dropout", 0.2)
    script(*finetune, "--output_dir", tmp_path / "out")
    assert len(losses(tmp_path / "out")) == 3


def test_tables_are_read_in_their_released_form(tokenizer, tmp_path):
    """`data`, the header as its first row, says the same as `table`, prepared or streamed."""
    columns, cells, path = ["item", "price"], [["a", "3"], ["b", "5"]], tmp_path / "pairs.jsonl"
    forms = ({}, {"table": {"columns": columns, "rows": cells}}, {"data": [columns, *cells]})
    sources = []
    for form in forms:
        row = {"nl": "mark prices above 3", "code": "GreaterThan(c[1],3)", **form}
        path.write_text(json.dumps(row) + "\n")
        [example] = StreamingPairs(open_sources([str(path)]), tokenizer, 128, 32, cache_dir=tmp_path)
        assert encode_pairs([row], tokenizer)["source"] == [example["source"]]
        assert seq2seq.PairDataset([row], tokenizer, False, 128, 32)[0, 0]["input_ids"] == example["source"]
        sources.append(example["source"])
    assert sources[0] != sources[1] == sources[2]


def test_prepared_data_are_found_again(script, tmp_path):
    options = ("--train_file", PAIRS, "--max_train_samples", 20)
    # As users run it: in a process of its own, and with two more that prepare.
    command = [*PRETRAIN, *options, "--preprocessing_num_workers", 2, "--output_dir", tmp_path / "a"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, str(ROOT / "examples" / command[0]), *map(str, command[1:])]
    first = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert first.returncode == 0, first.stderr[-3000:]
    second = script(*PRETRAIN, *options, "--output_dir", tmp_path / "b")
    assert "preparing cf_pairs.jsonl" in first.stderr and "preparing" not in second
    assert "20 examples" in first.stdout and "20 examples" in second
    assert len(list((tmp_path / "cache" / "codefusion").glob("codes-cf-*/shard-*.arrow"))) == 1
    script(*PRETRAIN, *options, "--cache_dir", tmp_path / "mine", "--output_dir", tmp_path / "c")
    assert losses(tmp_path / "b") == losses(tmp_path / "c") and list((tmp_path / "mine").glob("codes-cf-*"))


@pytest.mark.parametrize(
    "options",
    [
        ("--pretrain_tasks", "codegen"),
        ("--pretrain_tasks", "cpd", "--cpd_noise", "masked_only", "--cpd_mask_token", "single"),
        ("--pretrain_tasks", "cpd", "--cpd_target", "span", "--cpd_mask_ratio", 0.5),
    ],
)
def test_tasks_of_pretraining(script, tmp_path, options):
    for name, more in (("out", options), ("default", ())):
        script(*PRETRAIN, "--train_file", PAIRS, *more, "--output_dir", tmp_path / name)
    assert len(losses(tmp_path / "out")) == 4 and losses(tmp_path / "out") != losses(tmp_path / "default")


def test_no_pretraining_saves_the_weights_that_it_would_start_from(script, tmp_path):
    """Then an experiment without pre-training has the same steps as one with it."""
    for name in ("a", "b"):
        done = script(*PRETRAIN, "--train_file", PAIRS, "--pretrain_tasks", "none", "--output_dir", tmp_path / name)
        assert "nothing to train" in done
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("a", "b"))
    assert a and all(torch.equal(weight, b[name]) for name, weight in a.items())
    finetune = ("run_finetune.py", "--model_name_or_path", tmp_path / "a", "--train_file", PAIRS)
    script(*finetune, "--max_train_steps", 1, "--per_device_train_batch_size", 4, "--output_dir", tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--streaming", "--max_train_samples", 3], "does not go with --streaming"),
        (["--streaming", "--shuffle_buffer_size", 0], "`shuffle_buffer_size` must be at least 1"),
        (["--preprocessing_num_workers", 0], "`num_workers` must be at least 1"),
        (["--train_file", "missing*.jsonl"], "missing*.jsonl"),
        (["--train_file", PAIRS.parent], "no pattern of files"),
        (["--cpd_mask_ratio", 2], "in (0, 1]"),
        (["--cpd_noise", "masked_only", "--cpd_target", "span"], "of a span, all is masked"),
    ],
)
def test_wrong_arguments(script, tmp_path, arguments, message):
    with pytest.raises((ValueError, OSError), match=re.escape(message)):
        script(*PRETRAIN, "--train_file", PAIRS, *arguments, "--output_dir", tmp_path / "out")


PYTHON_PAIRS = [
    ("sort dataframe `df` by column 'name'", "df.sort_values('name')[df.columns]"),
    ('get the first 5 rows of `table` where `x` is "my key"', "table[table['x'] == 'my key'][:5]"),
    ("apply `square` to each item of list 'values'", "list(map(lambda items: square(items), values))"),
    ("open file 'data/in.txt' as `f`", "f = open('data/in.txt')"),
]


@pytest.mark.parametrize(
    ("pair", "found"),
    [
        (PYTHON_PAIRS[0], {"df": "variable", "name": "word"}),
        (PYTHON_PAIRS[1], {"table": "variable", "x": "word", "my key": "text", "5": "number"}),
        (PYTHON_PAIRS[2], {"values": "variable"}),  # `square` is called
        (PYTHON_PAIRS[3], {"f": "variable", "data/in.txt": "path"}),
        (("use `name` as a key", "sorted(a, key=name.key)[name]"), {"name": "variable"}),
        (("set `size` of `a`", "draw(size=size, text=a)"), {"a": "variable"}),  # an argument has its name, too
        (("join `a` with 'a b'", "'a b'.join(a)"), {"a b": "text"}),  # a string holds it
        (("convert `x` with `int`", "int(x, 2) + 2"), {"x": "variable"}),
        (("take a slice of a", "a[1:]"), {}),
        (("it is `x`", "x = = 1"), {}),
        (("add 1", "1" * 5000), {}),
    ],
)
def test_python_literals_that_can_be_replaced(pair, found):
    assert PythonLiteralSwapper([]).find(*pair) == found


def test_python_literals_are_replaced_by_the_syntax_tree():
    swap, language = PythonLiteralSwapper(PYTHON_PAIRS, probability=1.0), get_language("python")
    nl, code = swap.replace(*PYTHON_PAIRS[0], {"df": "frame", "name": "a-b"})
    assert (nl, code) == ("sort dataframe `frame` by column 'a-b'", "frame.sort_values('a-b')[frame.columns]")
    nl, code = swap.replace(*PYTHON_PAIRS[1], {"x": "y", "5": "71"})
    assert (nl, code) == (
        'get the first 71 rows of `table` where `y` is "my key"',
        "table[table['y'] == 'my key'][:71]",
    )
    assert swap.replace("put a 'a' in it", "it + a", {"a": "b"}) == ("put a 'b' in it", "it + b"), "articles stay"
    changed = 0
    for number in range(80):
        pair = PYTHON_PAIRS[number % 4]
        nl, code = swap(*pair, random.Random(number))
        assert (nl, code) == swap(*pair, random.Random(number))
        assert language.canonicalize(code) == code
        assert sorted(swap.find(nl, code).values()) == sorted(swap.find(*pair).values())
        changed += code != pair[1]
    assert changed > 40  # the small stock often offers what stands in the pair already
    assert swap("nothing is shared", "a.b()", random.Random(0)) == ("nothing is shared", "a.b()")


def write_rows(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_kinds_of_pairs_and_what_is_excluded(script, tmp_path):
    train = write_rows(tmp_path / "train.jsonl", *({"nl": nl, "code": code} for nl, code in PYTHON_PAIRS))
    pairs = write_rows(
        tmp_path / "pairs.jsonl",
        {"nl": "is it a tty?", "code": "os.isatty(fd)", "nl_kind": "api_doc"},
        {"nl": "print it", "code": "print(it)", "nl_kind": "comment"},
        {"nl": "a long one", "code": "f(" + "1, " * 20 + ")", "nl_kind": "comment"},
        {"nl": "a function", "code": "def f():\n    pass", "nl_kind": "docstring"},
    )
    held_out = write_rows(tmp_path / "val.jsonl", {"nl": "Open it.", "code": 'f=open( "data/in.txt" )'})
    command = ("build_pairs.py", "--language", "python", "--train_file", train, "--pairs_file", pairs)
    command += ("--output", tmp_path / "corpus.jsonl", "--real_copies", 2)
    options = ("--kind_copies", "api_doc=5", "docstring=0", "--max_chars", 40, "--exclude_code", held_out)
    printed = script(*command, *options)
    assert "benchmark: 3 pairs, 1 excluded" in printed and "pairs: 3 of up to 40 characters" in printed
    rows = [json.loads(line) for line in (tmp_path / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    codes = [row["code"] for row in rows]
    assert len(rows) == 3 * 2 + 5 + 2 and codes.count("os.isatty(fd)") == 5 and codes.count("print(it)") == 2
    # By the utterance alone the same row stays; the other way round as well.
    assert "benchmark: 4 pairs, 0 excluded" in script(*command, "--exclude", held_out)
    held_out.write_text(json.dumps({"nl": "OPEN FILE 'data/in.txt' as `f`.", "code": "1"}), encoding="utf-8")
    assert "benchmark: 3 pairs, 1 excluded" in script(*command, "--exclude", held_out)
    with pytest.raises(ValueError, match=r"--kind_copies api: no such kind .* there are api_doc, comment, docstring"):
        script(*command, "--kind_copies", "api=3")
    with pytest.raises(SystemExit):
        script(*command, "--kind_copies", "api_doc")
