"""Prepared corpora: the same rows from disk as from memory, found again, renewed when they must be, resumed."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, config
from transformers import AutoTokenizer

from codefusion_hf.data.cache import PackedRows, cached_codes, cached_pairs, default_cache_dir
from codefusion_hf.data.encoding import CodeEncoder, encode_pairs, text_hash
from codefusion_hf.data.leakage import normalized_golds
from codefusion_hf.data.tasks import CodeDataset, PairDataset, PretrainingTask, select_programs
from codefusion_hf.languages import get_language


PAIRS = Path(__file__).parents[1] / "fixtures" / "cf_pairs.jsonl"
ROWS = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
CODES = [row["code"] for row in ROWS]


def write(path: Path, codes: list[str]) -> Path:
    path.write_text("".join(json.dumps({"code": code}) + "\n" for code in codes), encoding="utf-8")
    return path


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/shard-*.arrow"))


def as_lists(rows: PackedRows) -> list:
    columns = list(rows.shards[0]) if rows.shards else []
    return [rows.row(index, *columns) for index in range(len(rows))]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_rows_from_disk_are_those_in_memory(tmp_path, tokenizer, num_workers):
    file = write(tmp_path / "codes.jsonl", [*CODES[:20], "no rule(", *CODES[20:]])
    found = cached_codes([file], tokenizer, "cf", tmp_path / "cache", num_workers, rows_per_shard=7)
    expected = CodeEncoder(tokenizer, "cf")(CODES)
    assert as_lists(found) == as_lists(PackedRows.from_lists(expected)) and len(found) == 40
    assert len(shards(tmp_path / "cache")) == 6
    assert found.lengths("tokens").tolist() == list(map(len, expected["tokens"]))
    assert found.numbers("code_hash").tolist() == [h for (h,) in expected["code_hash"]]
    # A copy for another process is views of the same files.
    copy = pickle.dumps(found)
    assert len(copy) < 2_000 and as_lists(pickle.loads(copy)) == as_lists(found)
    # Any tool that knows `datasets` can read it.
    assert Dataset.from_file(str(shards(tmp_path / "cache")[0]))["tokens"][0] == expected["tokens"][0]


def test_pairs_from_disk_make_the_same_examples(tmp_path, tokenizer):
    cached = PairDataset(cached_pairs([PAIRS], tokenizer, tmp_path), tokenizer, 128, 32, cond_dropout=0.5, seed=3)
    memory = PairDataset(ROWS, tokenizer, 128, 32, cond_dropout=0.5, seed=3)
    assert [cached[i] for i in range(len(cached))] == [memory[i] for i in range(len(memory))]
    assert cached.lengths() == memory.lengths() and len(cached) == len(memory) > 30
    some = PairDataset(ROWS, tokenizer, 128, 32, indices=[4, 2])
    assert some[1]["target"] == encode_pairs(ROWS[2:3], tokenizer)["target"][0]


def test_a_second_run_prepares_nothing(tmp_path, tokenizer):
    cached_codes([PAIRS], tokenizer, "cf", tmp_path)
    times = [path.stat().st_mtime_ns for path in shards(tmp_path)]
    cached_codes([PAIRS], tokenizer, "cf", tmp_path)
    assert [path.stat().st_mtime_ns for path in shards(tmp_path)] == times and len(times) == 1
    # By content, not by name: a copy elsewhere is the same corpus.
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(PAIRS.read_bytes())
    cached_codes([copy], tokenizer, "cf", tmp_path)
    assert len(shards(tmp_path)) == 1


def test_what_changes_tokens_changes_the_place(tmp_path, tokenizer, tiny_cf):
    file = write(tmp_path / "codes.jsonl", CODES)
    cached_codes([file], tokenizer, "cf", tmp_path)
    tokenizer(CODES[:2], padding=True, truncation=True, max_length=4)  # leaves traces in the backend
    cached_codes([file], tokenizer, "cf", tmp_path)
    assert len(shards(tmp_path)) == 1
    other = AutoTokenizer.from_pretrained(tiny_cf)
    other.add_tokens(["Progress"])
    cached_codes([file], other, "cf", tmp_path)
    assert len(shards(tmp_path)) == 2
    cached_codes([write(file, CODES[1:])], tokenizer, "cf", tmp_path)
    assert len(shards(tmp_path)) == 3
    cached_codes([file], tokenizer, "bash", tmp_path)
    assert len(shards(tmp_path)) == 4


def test_a_damaged_row_stops_and_keeps_what_is_done(tmp_path, tokenizer):
    file = write(tmp_path / "codes.jsonl", CODES)
    with open(file, "a", encoding="utf-8") as handle:
        handle.write('{"nl": "no code"}\n')
    for num_workers in (1, 2):
        with pytest.raises(ValueError, match="row 41: `code` must be text"):
            cached_codes([file], tokenizer, "cf", tmp_path / "cache", num_workers, rows_per_shard=10)
    assert not list((tmp_path / "cache").glob("*/done.json"))
    with pytest.raises(ValueError, match="`num_workers` must be at least 1, got 0"):
        cached_codes([PAIRS], tokenizer, "cf", tmp_path, 0)


PREPARE = """
import sys
from transformers import AutoTokenizer
from codefusion_hf.data.cache import cached_codes
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
cached_codes([sys.argv[2]], tokenizer, "cf", sys.argv[3], rows_per_shard=100)
"""


def test_a_killed_preparation_goes_on_at_the_shard(tmp_path, tokenizer, tiny_cf):
    file, cache = write(tmp_path / "codes.jsonl", CODES * 100), tmp_path / "cache"
    command = [sys.executable, "-c", PREPARE, str(tiny_cf), str(file), str(cache)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.time() + 120
    while len(shards(cache)) < 3 and time.time() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in shards(cache)}
    assert 3 <= len(before) < 40 and not list(cache.glob("*/done.json"))
    rows = cached_codes([file], tokenizer, "cf", cache, rows_per_shard=100)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "finished shards are left alone"
    assert len(rows) == 4_000 and len(shards(cache)) == 40
    assert rows.row(3_999, "tokens")[0] == tokenizer(CODES[-1])["input_ids"]


def test_of_several_processes_one_prepares(tmp_path, tokenizer):
    file = write(tmp_path / "codes.jsonl", CODES * 20)
    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(cached_codes, [file], tokenizer, "cf", tmp_path / "cache") for _ in range(3)]
        sizes = [len(job.result()) for job in jobs]
    assert sizes == [800] * 3 and len(shards(tmp_path / "cache")) == 1


def test_copies_and_golds_are_left_out(tmp_path, tokenizer):
    normalize = get_language("cf").normalize
    file = write(tmp_path / "codes.jsonl", [*CODES, CODES[0].replace("(", " ( "), *CODES])
    held_out = tmp_path / "held_out.jsonl"
    held_out.write_text(json.dumps({"nl": "x", "code": CODES[3], "refs": [CODES[5].replace("(", " ( ")]}) + "\n")
    programs = cached_codes([file], tokenizer, "cf", tmp_path, rows_per_shard=9)
    kept, count = select_programs(programs, normalized_golds([held_out], "cf"))
    unique = list(dict.fromkeys(CODES))
    golds = {normalize(CODES[3]), normalize(CODES[5])}
    assert count == len(unique) and len(golds) == 2
    expected = [tokenizer(code)["input_ids"] for code in unique if normalize(code) not in golds]
    assert [programs.row(int(i), "tokens")[0] for i in kept] == expected
    dataset = CodeDataset(programs, PretrainingTask(tokenizer), 128, 32, indices=kept[:5])
    assert [dataset[i]["target"] for i in range(5)] == expected[:5]
    assert len(select_programs(programs)[0]) == count


def test_empty_corpora_and_shards(tmp_path, tokenizer):
    file = write(tmp_path / "codes.jsonl", ["no rule("] * 3 + CODES[:1])
    rows = cached_codes([file], tokenizer, "cf", tmp_path, rows_per_shard=2)  # one shard holds nothing
    assert len(rows) == 1 and rows.row(0, "tokens")[0] == tokenizer(CODES[0])["input_ids"]
    empty = cached_codes([write(file, [])], tokenizer, "cf", tmp_path)
    assert len(empty) == 0 and len(select_programs(empty)[0]) == 0
    assert len(CodeDataset(empty, PretrainingTask(tokenizer), 128, 32)) == 0
    assert len(PairDataset([], tokenizer, 128, 32)) == 0


def test_hashes_tell_texts_apart():
    hashes = {text_hash(str(number)) for number in range(1000)}
    assert len(hashes) == 1000 and -(2**63) <= min(hashes) < 0 < max(hashes) < 2**63
    assert np.array(list(hashes)).dtype == np.int64 and text_hash("\ud800") == text_hash("\ud800")


def test_the_default_place_is_that_of_datasets():
    assert default_cache_dir() == Path(config.HF_DATASETS_CACHE) / "codefusion"


def test_items_come_fast_enough(tmp_path, tokenizer):
    """The floor is a tenth of what one core of a laptop does, so that a busy machine passes."""
    dataset = CodeDataset(cached_codes([PAIRS], tokenizer, "cf", tmp_path), PretrainingTask(tokenizer, "cpd"), 128, 32)
    started = time.process_time()
    for dataset.epoch in range(50):
        for index in range(len(dataset)):
            dataset[index]
    assert 50 * len(dataset) / (time.process_time() - started) > 5_000
    assert os.path.exists(dataset.programs.paths[0])
