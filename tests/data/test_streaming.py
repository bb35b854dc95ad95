"""Streams: the same examples in any number of processes, in an order that can be repeated and entered anywhere."""

import gzip
import json
import types
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

from codefusion_hf.data.leakage import normalized_golds
from codefusion_hf.data.streaming import StreamingCodes, StreamingPairs, expand_files, open_sources
from codefusion_hf.data.tasks import PretrainingTask
from codefusion_hf.languages import get_language


PAIRS = Path(__file__).parents[1] / "fixtures" / "cf_pairs.jsonl"
LENGTHS = (128, 32)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """600 rows in 6 files, some of them compressed; one row in ten is no rule, one in ten too long."""
    folder, rows = tmp_path_factory.mktemp("corpus"), []
    for number in range(600):
        code = f"GreaterThan({number})"
        if number % 10 == 3:
            code = f"GreaterThan({number}"
        elif number % 10 == 7:
            code = f"TextEquals({number} {'x y ' * 40})"
        rows.append({"nl": f"above {number}", "code": code, "source": "made up"})
    for part in range(6):
        text = "".join(json.dumps(row) + "\n" for row in rows[part::6])
        if part % 2:
            (folder / f"{part}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / f"{part}.jsonl").write_text(text)
    return folder


def codes(corpus, tokenizer, cache_dir, pattern="*.jsonl*", held_out=(), **options):
    task = PretrainingTask(tokenizer, "cpd")
    options = {"shuffle_buffer_size": 100, "cache_dir": cache_dir, **options}
    return StreamingCodes(open_sources([f"{corpus}/{pattern}"]), tokenizer, "cf", task, *LENGTHS, held_out, **options)


def pairs(corpus, tokenizer, cache_dir, **options):
    options = {"shuffle_buffer_size": 100, "cache_dir": cache_dir, **options}
    return StreamingPairs(open_sources([f"{corpus}/*.jsonl*"]), tokenizer, *LENGTHS, cond_dropout=0.5, **options)


def number(tokenizer, example):
    text = tokenizer.decode(example["target"], skip_special_tokens=True)
    return int("".join(filter(str.isdigit, text)))


def test_each_usable_row_comes_once(corpus, tokenizer, tmp_path):
    stream = codes(corpus, tokenizer, tmp_path)
    found = [number(tokenizer, example) for example in stream]
    assert sorted(found) == [n for n in range(600) if n % 10 not in (3, 7)]
    assert found != sorted(found) and (stream.num_too_long, stream.num_left_out) == (60, 60)
    example = next(iter(pairs(corpus, tokenizer, tmp_path)))
    assert set(example) == {"source", "target", "unconditional", "noised", "index"}
    assert len(list(pairs(corpus, tokenizer, tmp_path))) == 540, "pairs are not parsed"


@pytest.mark.parametrize("make", [codes, pairs])
@pytest.mark.parametrize("world_size", [2, 3, 4, 8])  # 6 files in 4 lanes: by lane for 2 and 4, else by row number
def test_any_number_of_processes_shares_the_same_examples(corpus, tokenizer, tmp_path, make, world_size):
    whole = {example["index"]: example for example in make(corpus, tokenizer, tmp_path, rank=0, world_size=1)}
    parts = {}
    for rank in range(world_size):
        part = list(make(corpus, tokenizer, tmp_path, rank=rank, world_size=world_size))
        assert abs(len(part) - len(whole) / world_size) < len(whole) / 4
        assert [example["index"] for example in part] == sorted(example["index"] for example in part)
        assert {example["index"] % world_size for example in part} == {rank}
        parts |= {example["index"]: example for example in part}
    assert parts == whole


def test_order_follows_seed_and_epoch(corpus, tokenizer, tmp_path):
    stream = codes(corpus, tokenizer, tmp_path, seed=1)
    first = list(stream)
    assert list(stream) == first == list(codes(corpus, tokenizer, tmp_path, seed=1))
    stream.set_epoch(1)
    second = list(stream)
    assert sorted(number(tokenizer, e) for e in second) == sorted(number(tokenizer, e) for e in first)
    assert [number(tokenizer, e) for e in second] != [number(tokenizer, e) for e in first]
    assert [number(tokenizer, e) for e in codes(corpus, tokenizer, tmp_path, seed=2)] != [
        number(tokenizer, e) for e in first
    ]
    ordered = codes(corpus, tokenizer, tmp_path, "0.jsonl", shuffle_buffer_size=1)
    found = [number(tokenizer, e) for e in ordered]
    assert found == sorted(found) and [e["index"] for e in ordered] == [n // 6 for n in found]


@pytest.mark.parametrize("make", [codes, pairs])
@pytest.mark.parametrize(("rank", "world_size"), [(0, 1), (1, 2), (2, 3)])
def test_skipping_enters_the_stream_anywhere(corpus, tokenizer, tmp_path, monkeypatch, make, rank, world_size):
    from codefusion_hf.data import streaming

    monkeypatch.setattr(streaming, "BLOCK", 16)
    monkeypatch.setattr(streaming._Notes, "INTERVAL", 30)
    stream = make(corpus, tokenizer, tmp_path, rank=rank, world_size=world_size)
    stream.set_epoch(1)
    whole = list(stream)
    for n in (1, 100, len(whole), len(whole) + 5):
        stream.skip(n)
        assert list(stream) == whole[n:]
    assert list(stream) == whole, "a pass after that begins at the front"
    fresh = make(corpus, tokenizer, tmp_path / "nothing noted", rank=rank, world_size=world_size)
    fresh.set_epoch(1)
    fresh.skip(100)
    assert list(fresh) == whole[100:]


def test_what_was_noted_is_skipped_unseen(corpus, tokenizer, tmp_path, monkeypatch):
    from codefusion_hf.data import streaming

    monkeypatch.setattr(streaming, "BLOCK", 20)
    monkeypatch.setattr(streaming._Notes, "INTERVAL", 40)
    whole = list(codes(corpus, tokenizer, tmp_path))
    again = codes(corpus, tokenizer, tmp_path)
    again.skip(400)
    assert list(again) == whole[400:]
    assert again.num_left_out < 20, "of 600 rows only those behind the last note were looked at"
    # Notes of other settings do not count: with fewer rows held out other rows are examples.
    normalize = get_language("cf").normalize
    other = codes(corpus, tokenizer, tmp_path, held_out={normalize(f"GreaterThan({n})") for n in range(0, 200, 2)})
    expected = list(codes(corpus, tokenizer, tmp_path / "other", held_out=other.held_out))
    other.skip(300)
    assert list(other) == expected[300:] and len(expected) == 380
    # A half-written line, as after a kill, is passed over.
    (note,) = [path for path in (tmp_path / "streams").iterdir() if path.name == again._notes_path(0, 1).name]
    note.write_text(note.read_text() + "[0, 4")
    again.skip(400)
    assert list(again) == whole[400:]


def test_golds_of_evaluation_files_are_left_out(corpus, tokenizer, tmp_path):
    held_out = tmp_path / "held_out.jsonl"
    held_out.write_text(json.dumps({"nl": "x", "code": "GreaterThan(5)", "refs": ["greaterthan( 12 )"]}) + "\n")
    stream = codes(corpus, tokenizer, tmp_path, held_out=normalized_golds([held_out], "cf"))
    found = {number(tokenizer, example) for example in stream}
    assert len(found) == 478 and not found & {5, 12} and stream.num_left_out == 62


def test_loaders_with_a_worker(corpus, tokenizer, tmp_path, monkeypatch):
    stream = codes(corpus, tokenizer, tmp_path)
    whole = list(stream)
    assert list(DataLoader(stream, batch_size=None, num_workers=1)) == whole
    # In this process: torch waits ten seconds for workers that failed, or raises their end in some later test.
    worker = types.SimpleNamespace(id=0, num_workers=2)
    monkeypatch.setattr("codefusion_hf.data.streaming.get_worker_info", lambda: worker)
    with pytest.raises(ValueError, match="one worker at most"):
        next(iter(stream))


def test_processes_are_found_in_the_environment(corpus, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert {example["index"] % 2 for example in codes(corpus, tokenizer, tmp_path)} == {1}


def test_a_folder_is_read_by_datasets(corpus, tokenizer, tmp_path):
    task = PretrainingTask(tokenizer, "cpd")
    sources = open_sources([str(corpus)])
    assert len(sources) == 6
    for world_size in (1, 2):
        found = []
        for rank in range(world_size):
            stream = StreamingCodes(
                sources, tokenizer, "cf", task, *LENGTHS, rank=rank, world_size=world_size, cache_dir=tmp_path
            )
            found += [number(tokenizer, example) for example in stream]
        assert sorted(found) == [n for n in range(600) if n % 10 not in (3, 7)]


def test_wrong_sources(corpus, tokenizer, tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        open_sources([f"{corpus}/missing*.jsonl"])
    for name in ("hf://models/a/b", "hf://datasets/a"):
        with pytest.raises(ValueError, match=r"hf://datasets/OWNER/NAME\[@REVISION\]"):
            open_sources([name])
    with pytest.raises(ValueError, match="no files"):
        StreamingPairs([], tokenizer, *LENGTHS, cache_dir=tmp_path)
    with pytest.raises(ValueError, match="`shuffle_buffer_size` must be at least 1, got 0"):
        codes(corpus, tokenizer, tmp_path, shuffle_buffer_size=0)
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"nl": "a"}\n')
    with pytest.raises(ValueError, match="`code` must be text, got None"):
        list(codes(tmp_path, tokenizer, tmp_path, "bad.jsonl"))
    assert [path.name for path in expand_files([f"{corpus}/*.gz", corpus / "0.jsonl"])] == [
        *("1.jsonl.gz", "3.jsonl.gz", "5.jsonl.gz", "0.jsonl")
    ]
