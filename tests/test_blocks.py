"""Programs in blocks from left to right: `CodeFusionConfig.block_size`."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from test_modeling import batch, tiny_config, tiny_model

from codefusion_hf.layers_codefusion import CodeFusionBlocks, CodeFusionCache


CANVAS = 32
IDS = torch.tensor([[10, 11, 12]])


def block_model(size: int = 4, **overrides):
    model = tiny_model(block_size=size, **overrides)
    model.generation_config.update(num_inference_steps=2)
    return model


def test_what_a_token_sees():
    index = torch.arange(5)
    seen = CodeFusionBlocks(2).visible(index)
    assert seen.int().tolist() == [[1, 1, 0, 0, 0]] * 2 + [[1, 1, 1, 1, 0]] * 2 + [[1, 1, 1, 1, 1]]
    index = torch.arange(3).repeat(2)
    seen = CodeFusionBlocks(2, with_clean=True).visible(index)
    assert seen[:3].int().tolist() == [[1, 1, 0, 0, 0, 0]] * 2 + [[1, 1, 1, 0, 0, 0]], "no clean token sees noise"
    assert seen[3:].int().tolist() == [[0, 0, 0, 1, 1, 0]] * 2 + [[1, 1, 0, 0, 0, 1]]


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16])
def test_one_pass_of_training_is_all_steps_of_sampling(size):
    """What the noisy blocks give beside the clean program is what each gives behind its clean beginning."""
    model, inputs, length = tiny_model(), batch(), 12
    with torch.no_grad():
        for module in (model.denoiser, model.head):  # pointers that follow their left neighbour, also across blocks
            for name in ("gate", "follow"):
                getattr(module.copy, name).weight.normal_(generator=torch.Generator().manual_seed(3))
    memory, table = model.encode(inputs["input_ids"]), model.embedding_table()
    clean, noisy = F.embedding(inputs["labels"], table), inputs["noise"]
    previous = torch.randn(3, 2 * length, 32, generator=torch.Generator().manual_seed(4))
    levels = torch.arange(-(-length // size)).repeat_interleave(size)[:length].expand(3, -1) * 90
    blocks = CodeFusionBlocks(size, with_clean=True)
    all_levels = torch.cat([torch.zeros_like(levels), levels], 1)
    denoised = model.denoise(torch.cat([clean, noisy], 1), all_levels, memory, previous, table, blocks)[:, length:]
    decoded, scores = model.decode(torch.cat([clean, denoised], 1), memory, table, blocks, length)
    assert scores.shape == (3, length, 512)
    for first in range(0, length, size):
        last = min(first + size, length)
        seen = torch.cat([previous[:, :first], previous[:, length + first : length + last]], 1)
        sample = torch.cat([clean[:, :first], noisy[:, first:last]], 1)
        one_level = torch.cat([torch.zeros_like(levels[:, :first]), levels[:, first:last]], 1)
        alone = model.denoise(sample, one_level, memory, seen, table, CodeFusionBlocks(size))[:, first:]
        torch.testing.assert_close(alone, denoised[:, first:last])
        behind = torch.cat([clean[:, :first], alone], 1)
        d, s = model.decode(behind, memory, table, CodeFusionBlocks(size), last - first)
        torch.testing.assert_close(d, decoded[:, first:last])
        torch.testing.assert_close(s, scores[:, first:last], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [1, 3, 4])
def test_the_cache_changes_nothing(size, monkeypatch):
    """Behind cached tokens a network gives what it gives behind the tokens themselves, also for some of the rows."""
    monkeypatch.setattr(CodeFusionCache, "min_capacity", 1)  # it grows on the way
    model, inputs, length = tiny_model(), batch(), 12
    with torch.no_grad():
        for module in (model.denoiser, model.head):
            module.copy.follow.weight.normal_(generator=torch.Generator().manual_seed(3))
    memory, table = model.encode(inputs["input_ids"]), model.embedding_table()
    clean, noisy, blocks = F.embedding(inputs["labels"], table), inputs["noise"], CodeFusionBlocks(size)
    caches = CodeFusionCache(), CodeFusionCache()
    for first in range(0, length, size):
        if first == 2 * size:  # the second utterance leaves
            left = torch.tensor([True, False, True])
            memory, clean, noisy = memory.select(left), clean[left], noisy[left]
            caches = tuple(cache.select(left) for cache in caches)
        last = min(first + size, length)
        sample = torch.cat([clean[:, :first], noisy[:, first:last]], 1)
        levels = torch.cat([torch.zeros(first), torch.full((last - first,), 700)]).long().expand(len(sample), -1)
        whole = model.denoise(sample, levels, memory, None, table, blocks)
        for _ in range(2):  # a second step finds all clean tokens in the cache
            known = caches[0].length
            part = model.denoise(sample[:, known:], levels[:, known:], memory, None, table, blocks, caches[0])
            torch.testing.assert_close(part[:, first - known :], whole[:, first:])
        assert known == first
        scores = model.decode(sample, memory, table, blocks, last - first)[1]
        known = caches[1].length
        part = model.decode(sample[:, known:], memory, table, blocks, last - first, caches[1])[1]
        torch.testing.assert_close(part, scores, atol=1e-4, rtol=1e-4)


def test_rows_of_a_cache_go_on_from_others():
    cache = CodeFusionCache()
    cache.advance(3, 1)
    states = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 2, 3, 4)
    cache.extend(0, states, -states)
    cache.pointer = torch.arange(3.0)[:, None].repeat(1, 5)
    cache.replace(torch.tensor([0, 1]), torch.tensor([1, 0]))  # at once: they change places
    key, value = cache.key_values[0]
    assert key[:, 0, 0, 0].tolist() == [1, 0, 2] and value[:, 1, 2, 3].tolist() == [-1, 0, -2]
    assert cache.pointer[:, 0].tolist() == [1, 0, 2]
    assert states[:, 0, 0, 0].tolist() == [0, 1, 2]  # what it was given is not its own


@pytest.mark.parametrize("returns", [True, False])
def test_what_a_callback_holds_is_not_written_to(returns):
    """Blocks are written in place, but neither into what was shown nor into what came back."""
    model, inputs, shown, returned = tiny_model(block_size=2), batch(), [], []

    def callback(model, step, timestep, tensors):
        shown.append((tensors["latents"], tensors["latents"].clone()))
        latents = tensors["latents"] + 0.5
        returned.append((latents, latents.clone()))
        return {"latents": latents} if returns else None

    settings = {"block_size": 2, "num_inference_steps": 1, "num_candidates": 5, "max_length": 8}
    model.generate(inputs["input_ids"], callback_on_step_end=callback, seed=0, **settings)
    assert len(shown) > 1
    for tensor, copy in shown + returned:
        torch.testing.assert_close(tensor, copy)


def test_one_block_is_the_whole_canvas():
    model, inputs = tiny_model(), batch()
    memory = model.encode(inputs["input_ids"])
    whole = model.denoise(inputs["noise"], inputs["timesteps"], memory)
    torch.testing.assert_close(
        model.denoise(inputs["noise"], inputs["timesteps"], memory, blocks=CodeFusionBlocks(12)), whole
    )
    assert not torch.allclose(
        model.denoise(inputs["noise"], inputs["timesteps"], memory, blocks=CodeFusionBlocks(4)), whole, atol=1e-3
    )


def test_training_draws_a_noise_level_for_each_block(monkeypatch):
    model, inputs, calls = block_model(), batch(), []
    denoise, timesteps = model.denoise, inputs.pop("timesteps")
    clean = F.embedding(inputs["labels"], model.embedding_table())

    def spy(sample, timesteps, memory, previous=None, table=None, blocks=None, cache=None):
        calls.append((sample, timesteps, blocks))
        return denoise(sample, timesteps, memory, previous, table, blocks, cache)

    monkeypatch.setattr(model, "denoise", spy)
    sizes, pure = set(), []
    for seed in range(60):
        inputs["generator"] = torch.Generator().manual_seed(seed)
        calls.clear()
        output = model(**inputs, self_condition=True)
        assert len(calls) == (2 if calls[-1][2] is None else 1), "blocks learn without self-conditioning"
        assert output.loss.isfinite() and output.logits.shape[:2] == (3, 12)
        sample, levels, blocks = calls[-1]
        sizes.add(blocks and blocks.size)
        if blocks is None:
            assert levels.shape == (3,) and sample.shape[1] == 12
            continue
        assert blocks.with_clean and levels[:, :12].eq(0).all()
        levels = levels[:, 12:]
        firsts = levels[:, :: blocks.size]
        pure += firsts.flatten().eq(1199).tolist()
        assert torch.equal(levels, firsts.repeat_interleave(blocks.size, 1)[:, :12])
        assert len(firsts.unique()) > 1
        torch.testing.assert_close(sample[:, :12], clean)
        torch.testing.assert_close(sample[:, 12:], model.scheduler.add_noise(clean, inputs["noise"], levels))
    assert sizes == {None, 1, 2, 4}, "blocks of all sizes, and whole canvases"
    # Half of them by choice; of the others those that are drawn within the last of 1200 steps, one in 35.
    assert sum(pure) / len(pure) == pytest.approx(0.51, abs=0.06)
    model(**inputs, timesteps=timesteps)
    assert calls[-1][2] is None and torch.equal(calls[-1][1], timesteps)


def test_every_parameter_gets_a_gradient():
    model, inputs = block_model().train(), batch()
    del inputs["timesteps"]
    for seed in range(8):
        inputs["generator"] = torch.Generator().manual_seed(seed)
        model(**inputs, self_condition=True).loss.backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "ddpm"])
@pytest.mark.parametrize("size", [1, 3, 4])
def test_programs_are_generated_and_batches_equal_singles(sampler, size):
    model = block_model()
    ids = torch.randint(5, 512, (3, 9), generator=torch.Generator().manual_seed(1))
    settings = {"seed": 3, "num_return_sequences": 2, "block_size": size, "sampler": sampler}
    together = model.generate(ids, **settings)
    assert len({tuple(row) for row in together.tolist()}) == 6
    for row in range(3):
        alone = model.generate(ids[row : row + 1], **settings)
        expected = together[2 * row : 2 * row + 2]
        longest = max(alone.shape[1], expected.shape[1])
        alone, expected = (F.pad(x, (0, longest - x.shape[1])) for x in (alone, expected))
        assert torch.equal(alone, expected)


@pytest.mark.parametrize("size", [1, 3])
def test_beams_are_batched_and_have_the_scores_of_their_programs(size):
    """Rows are moved about with all that belongs to them: one pass over the clean programs gives the same scores."""
    model, ids = block_model(), torch.randint(5, 512, (3, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for module in (model.denoiser, model.head):
            module.copy.follow.weight.normal_(generator=torch.Generator().manual_seed(3))
    settings = {"num_beams": 4, "num_return_sequences": 4, "num_inference_steps": 1, "block_size": size}
    settings |= {"return_dict_in_generate": True, "max_length": 12}
    together = model.generate(ids, seed=5, **settings)
    table, blocks, pad = model.embedding_table(), CodeFusionBlocks(size, with_clean=True), model.config.pad_token_id
    for row in range(3):
        alone = model.generate(ids[row : row + 1], seed=5, **settings)
        part = slice(4 * row, 4 * row + 4)
        sequences = F.pad(alone.sequences, (0, 12 - alone.sequences.shape[1]), value=pad)
        assert torch.equal(F.pad(together.sequences[part], (0, 12 - together.sequences.shape[1])), sequences)
        assert len({tuple(program) for program in sequences.tolist()}) == 4
        length = (sequences != pad).sum(-1)
        target = sequences.clone()
        for program, end in zip(target, length.tolist()):
            program[end : end + 1] = model.config.eos_token_id
        memory, clean = model.encode(ids[row : row + 1]), F.embedding(target, table)
        # All beams start from the noise of the first candidate.
        noise = torch.randn(32, 32, generator=torch.Generator().manual_seed(5 * 1_000_003))[:12].expand(4, -1, -1)
        levels = torch.cat([torch.zeros(12), torch.full((12,), 1199.0)]).long().expand(4, -1)
        denoised = model.denoise(torch.cat([clean, noise], 1), levels, memory, None, table, blocks)[:, 12:]
        scores = model.decode(torch.cat([clean, denoised], 1), memory, table, blocks, 12)[1].log_softmax(-1)
        counted = torch.arange(12) < (length + 1)[:, None]
        expected = (scores.gather(-1, target[..., None])[..., 0] * counted).sum(-1) / counted.sum(-1)
        torch.testing.assert_close(alone.sequences_scores, expected, atol=1e-4, rtol=1e-4)
        assert expected[1:].tolist() == sorted(expected[1:].tolist(), reverse=True)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_beams_find_the_most_probable_programs(monkeypatch, size):
    model = block_model(3)
    probabilities = torch.full((512,), 1e-9)
    probabilities[[7, 8, 2]] = torch.tensor([0.5, 0.3, 0.2])  # 2 ends a program

    def decode(denoised, memory, table=None, blocks=None, scored=None, cache=None):
        return denoised, probabilities.log().expand(len(denoised), scored, -1)

    monkeypatch.setattr(model, "decode", decode)
    settings = {
        "seed": 0,
        "num_beams": 15,
        "num_return_sequences": 8,
        "max_length": 3,
        "return_dict_in_generate": True,
    }
    output = model.generate(IDS, num_inference_steps=1, block_size=size, **settings)
    # Every program of up to three tokens, by its mean log-probability, its end included if it has one.
    programs = [p for n in range(4) for p in itertools.product((7, 8), repeat=n)]
    ranked = {p: probabilities.log()[list(p + (2,) * (len(p) < 3))].mean().item() for p in programs}
    assert output.sequences[0].tolist() == [7, 7, 7]
    found = [tuple(token for token in row if token) for row in output.sequences.tolist()]
    torch.testing.assert_close(output.sequences_scores, torch.tensor([ranked[p] for p in found]))
    assert sorted(output.sequences_scores.tolist()) == pytest.approx(sorted(ranked.values())[-8:])
    more = model.generate(
        IDS, num_inference_steps=1, block_size=size, **{**settings, "num_beams": 2}, num_candidates=15
    )
    assert torch.equal(more.sequences, output.sequences), "as many beams as candidates are asked for"
    few = model.generate(IDS, num_inference_steps=1, block_size=size, **{**settings, "num_beams": 2})
    assert few.sequences[0].tolist() == [7, 7, 7] and len({tuple(row) for row in few.sequences.tolist()}) == 8


def test_each_block_is_denoised_behind_the_tokens_chosen_so_far(monkeypatch):
    model, calls = block_model(), []
    table = model.embedding_table()

    def fake(sample, timesteps, memory, previous=None, table_=None, blocks=None, cache=None):
        cache.advance(sample.shape[1], blocks.size)
        calls.append((sample, timesteps, previous, blocks))
        return (0.6 * table[7] + 0.4 * table[9]).expand_as(sample)  # a blend, nearest to 7

    monkeypatch.setattr(model, "denoise", fake)
    settings = {"seed": 0, "num_candidates": 2, "max_length": 12, "decode_with": "nearest", "temperature": 0.0}
    tokens = model.generate(IDS, **settings)
    assert tokens.tolist() == [[7] * 12]
    assert [sample.shape[1] for sample, *_ in calls] == [4, 4, 8, 4, 8, 4], "clean tokens are looked at once"
    for number, (sample, levels, previous, blocks) in enumerate(calls):
        first = sample.shape[1] - 4
        assert blocks == CodeFusionBlocks(4)
        assert levels[0].tolist() == [0] * first + [[1199, 599][number % 2]] * 4
        torch.testing.assert_close(sample[:, :first], table[7].expand(2, first, -1))
        assert previous is None, "blocks learn without self-conditioning"


def test_rows_stop_at_the_end_of_their_program(monkeypatch):
    model, seen = block_model(), []
    table = model.embedding_table()
    # The first utterance's program ends after 2 tokens, the second's after 9.
    programs = torch.tensor([[7, 8, 2] + [0] * 29, [5] * 9 + [2] + [6] * 22])

    def oracle(sample, timesteps, memory, previous=None, table_=None, blocks=None, cache=None):
        cache.advance(sample.shape[1], blocks.size)
        seen.append(tuple(sample.shape[:2]))
        which = (memory.input_ids[:, 0] == 11).long().repeat_interleave(len(sample) // len(memory.input_ids))
        return 10 * F.embedding(programs[which], table)[:, cache.start :][:, : sample.shape[1]]

    monkeypatch.setattr(model, "denoise", oracle)
    ids = torch.tensor([[10, 10], [11, 11]])
    tokens = model.generate(ids, seed=0, num_candidates=2, num_inference_steps=1, decode_with="nearest", dedupe=False)
    assert tokens.tolist() == [[7, 8] + [0] * (tokens.shape[1] - 2), [5] * 9 + [0] * (tokens.shape[1] - 9)]
    assert seen == [(4, 4), (2, 8), (2, 8)], "the first utterance left alone, and so did the second"


def test_the_first_candidate_takes_the_best_and_the_others_draw(monkeypatch):
    model = block_model(1)
    probabilities = torch.full((512,), 1e-9)
    probabilities[[7, 8, 9]] = torch.tensor([0.5, 0.3, 0.2])

    def decode(denoised, memory, table=None, blocks=None, scored=None, cache=None):
        return denoised, probabilities.log().expand(len(denoised), scored, -1)

    monkeypatch.setattr(model, "decode", decode)
    settings = {"seed": 0, "num_candidates": 200, "num_return_sequences": 200, "dedupe": False, "max_length": 8}
    output = model.generate(IDS, candidate_order="seed", return_dict_in_generate=True, **settings)
    assert output.sequences[0].tolist() == [7] * 8
    shares = torch.bincount(output.sequences[1:].flatten(), minlength=512) / output.sequences[1:].numel()
    torch.testing.assert_close(shares[[7, 8, 9]], probabilities[[7, 8, 9]], atol=0.05, rtol=0)
    expected = probabilities.log()[output.sequences].mean(-1)
    torch.testing.assert_close(output.sequences_scores, expected, atol=1e-4, rtol=0)
    cold = model.generate(IDS, temperature=0.1, **settings)
    assert torch.bincount(cold.flatten())[7] / cold.numel() > 0.98


def test_edits_infilling_and_revisions_take_the_whole_canvas(monkeypatch):
    model, calls = block_model(), []
    denoise = model.denoise

    def spy(sample, timesteps, memory, previous=None, table=None, blocks=None, cache=None):
        calls.append(blocks)
        return denoise(sample, timesteps, memory, previous, table, blocks, cache)

    monkeypatch.setattr(model, "denoise", spy)
    draft = torch.tensor([[7, 8, 9, 2]])
    settings = {"seed": 0, "num_candidates": 2, "num_inference_steps": 3}
    model.generate(IDS, init_ids=draft, strength=0.5, **settings)
    mask = torch.tensor([[False, True, True, False]])
    filled = model.generate(IDS, infill_ids=draft, infill_mask=mask, **settings)
    model.generate(IDS, block_size=0, **settings)
    assert filled[0, 0] == 7 and set(calls) == {None}
    calls.clear()
    model.generate(IDS, num_revisions=2, **settings)
    assert calls[-2:] == [None, None] and calls[0] == CodeFusionBlocks(4)


def test_drafts_and_states_show_the_program_as_it_grows():
    model = block_model()
    output = model.generate(
        IDS, seed=0, num_candidates=2, max_length=12, output_denoising_states=True, return_dict_in_generate=True
    )
    assert 2 <= len(output.denoising_states) <= 6 and output.denoising_states.shape[2] == 12
    assert output.denoising_timesteps[:2].tolist() == [1199, 599]


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match="`block_size` must be at most 4, `config.block_size` of the model, got 8"):
        block_model().generate(IDS, block_size=8)
    with pytest.raises(ValueError, match="`block_size` must be at most 0"):
        tiny_model().generate(IDS, block_size=1)
    with pytest.raises(ValueError, match="`block_size` must be an integer of at least 0, got -1"):
        block_model().generate(IDS, block_size=-1)
    with pytest.raises(ValueError, match="`temperature` needs a `block_size`"):
        tiny_model().generate(IDS, temperature=0.5)
    with pytest.raises(ValueError, match="`num_beams` needs a `block_size`"):
        tiny_model().generate(IDS, num_beams=2)
    with pytest.raises(ValueError, match="`num_beams` needs a `block_size`"):
        block_model().generate(IDS, num_beams=2, block_size=0)
    with pytest.raises(ValueError, match="`num_beams` must be an integer of at least 1, got 0"):
        block_model().generate(IDS, num_beams=0)
    with pytest.raises(ValueError, match="`temperature` must be between 0 and 10, got -1"):
        block_model().generate(IDS, temperature=-1)
    with pytest.raises(ValueError, match=r"from 1 to `max_target_length` \(32\), got 0"):
        tiny_config(block_size=0)
    with pytest.raises(ValueError, match="`denoising_loss='sample'`"):
        tiny_config(block_size=4, denoising_loss="epsilon")
