"""Batches: of one canvas, the same for any number of processes, resumable; and their padding."""

import random

import pytest
import torch
from torch.utils.data import IterableDataset

from codefusion_hf.data.batching import Collator, IndexedDataset, LengthBatchSampler, LengthBatchStream


RNG = random.Random(0)
LENGTHS = [(RNG.randint(4, 60), RNG.randint(3, 32)) for _ in range(1003)]


def test_batches_cover_every_example_and_repeat():
    sampler = LengthBatchSampler(LENGTHS, 8, [16, 32], seed=1)
    batches = list(sampler)
    assert len(batches) == len(sampler) == sampler.num_updates == 125 and all(len(batch) == 8 for batch in batches)
    assert len({index for batch in batches for index, _ in batch}) == 1000
    assert batches == list(sampler)
    sampler.set_epoch(1)
    assert batches != list(sampler)
    mixed = sum(len({LENGTHS[i][1] <= 16 for i, _ in batch}) > 1 for batch in batches)
    assert mixed <= 6, "batches should hold programs of one canvas"
    seen = set()
    for epoch in range(40):  # what does not fill a batch is another row each time
        sampler.set_epoch(epoch)
        seen |= {index for batch in sampler for index, _ in batch}
    assert len(seen) == 1003
    with pytest.raises(ValueError, match="3 examples do not fill a batch of 8 examples"):
        LengthBatchSampler(LENGTHS[:3], 8, [32])
    with pytest.raises(ValueError, match="of 24 examples .4 x 2 process.es. x 3 accumulated.: lower"):
        LengthBatchSampler(LENGTHS[:23], 4, [32], accumulation_steps=3, num_processes=2)


@pytest.mark.parametrize(("processes", "accumulated"), [(1, 4), (2, 2), (4, 1)])
def test_a_global_batch_does_not_depend_on_how_it_is_shared_out(processes, accumulated):
    whole = LengthBatchSampler(LENGTHS, 32, [16, 32], seed=1)
    parts = [
        list(LengthBatchSampler(LENGTHS, 8, [16, 32], 1, accumulated, processes, index)) for index in range(processes)
    ]
    assert all(len(batches) == len(whole) * accumulated for batches in parts)
    for number, batch in enumerate(whole):
        mine = slice(number * accumulated, (number + 1) * accumulated)
        shared = [key for batches in parts for micro in batches[mine] for key in micro]
        assert sorted(shared) == sorted(batch)
        assert len({canvas for _, canvas in batch}) == 1


def test_an_epoch_can_begin_at_any_update():
    sampler = LengthBatchSampler(LENGTHS, 8, [16, 32], accumulation_steps=2)
    sampler.set_epoch(3)
    whole = list(sampler)
    sampler.set_epoch(3, first_update=10)
    assert list(sampler) == whole[20:] and len(sampler) == len(whole) - 20


def test_short_programs_see_both_canvases():
    sampler = LengthBatchSampler([(5, 4)] * 400, 4, [8, 16, 32])
    canvases = [batch[0][1] for batch in sampler]
    assert set(canvases) == {8, 32} and 30 < canvases.count(32) < 70
    for share, number in ((0.0, 0), (1.0, 100)):
        canvases = [batch[0][1] for batch in LengthBatchSampler([(5, 4)] * 400, 4, [8, 32], full_canvas_share=share)]
        assert canvases.count(32) == number
    rare = [batch[0][1] for batch in LengthBatchSampler([(5, 4)] * 4000, 4, [8, 32], full_canvas_share=0.1)]
    assert 60 < rare.count(32) < 140


class Stream(IterableDataset):
    """1..n, as a dataset of programs of that many tokens."""

    def __init__(self, size):
        self.size, self.skipped, self.epoch = size, 0, None

    def set_epoch(self, epoch):
        self.epoch = epoch

    def skip(self, number):
        self.skipped = number

    def __iter__(self):
        for index in range(self.skipped, self.size):
            yield {"source": [5], "target": [7] * (1 + index * 7919 % 32), "unconditional": False, "index": index}


def test_a_stream_is_sorted_within_pools_and_resumed():
    stream = LengthBatchStream(Stream(450), 4, [8, 16, 32], seed=1, accumulation_steps=2)
    stream.set_epoch(2)
    whole = list(stream)
    assert stream.dataset.epoch == 2 and len(whole) == 2 * (450 // 8)
    indices = [[example["index"] for example in batch] for batch in whole]
    assert {i for batch in indices[:100] for i in batch} == set(range(400)), "a pool is 50 updates"
    canvases = [max(len(example["target"]) > c for c in (8, 16) for example in batch) for batch in whole]
    assert canvases.count(False) > 10, "batches should hold programs of one canvas"
    assert all(len({example["canvas"] for batch in whole[i : i + 2] for example in batch}) == 1 for i in (0, 40, 110))
    for first in (0, 7, 50, 53):
        stream.set_epoch(2, first_update=first)
        assert [[example["index"] for example in batch] for batch in stream] == indices[2 * first :]
    stream.set_epoch(3)
    assert [[example["index"] for example in batch] for batch in stream] != indices


def test_collator_pads_sources_and_canvases():
    examples = [{"source": [5] * n, "target": [7] * 3 + [2], "unconditional": n == 9} for n in (4, 9)]
    batch = Collator(0, [16, 32], 128)(examples)
    assert set(batch) == {"input_ids", "attention_mask", "labels", "unconditional"}
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


def test_collator_takes_canvas_index_and_noised_positions():
    dataset = IndexedDataset([{"source": [5], "target": [7, 2], "unconditional": False, "noised": None}] * 3)
    examples = [dataset[key] for key in ((2, 8), (0, 8))]
    batch = Collator(0, [4, 8, 32], 16)(examples)
    assert batch["labels"].shape == (2, 8) and batch["index"] == [2, 0] and "noise_mask" not in batch
    examples[1]["noised"] = [True, False]
    mask = Collator(0, [4, 8, 32], 16)(examples)["noise_mask"]
    assert mask.dtype == torch.bool and mask.tolist() == [[True] * 8, [True] + [False] * 7]
