"""Noise that rises from left to right: `CodeFusionConfig.skew_window`."""

import pytest
import torch
import torch.nn.functional as F
from test_modeling import batch, tiny_config, tiny_model

from codefusion_hf.scheduling_codefusion import SKEW_MARGIN, CodeFusionScheduler


T, WINDOW, CANVAS = 1200, 4, 12


def indices(timestep: int, length: int = CANVAS):
    scheduler = CodeFusionScheduler(T)
    values, visible = scheduler.skewed(torch.tensor([timestep]), torch.tensor([length]), WINDOW, CANVAS)
    return values[0], visible[0]


def test_noise_rises_over_the_window():
    assert indices(T - 1)[0].eq(T - 1).all(), "a program begins as pure noise"
    values, visible = indices(T // 2 - 1)  # the front has gone half of the way from -4 to 12
    assert values.tolist() == [0] * 5 + [round((d / WINDOW) ** 0.5 * T) - 1 for d in (1, 2, 3, 4)] + [T - 1] * 3
    assert visible.sum() == 4 + WINDOW + SKEW_MARGIN and visible[: visible.sum()].all()
    assert indices(0)[0][:-1].eq(0).all() and indices(0)[1].all()
    # A shorter program is finished earlier in its positions, not in t.
    values, visible = indices(T // 2 - 1, length=4)
    assert values.tolist() == [0] + [round((d / WINDOW) ** 0.5 * T) - 1 for d in (1, 2, 3, 4)] + [T - 1] * 7


def test_one_noise_level_for_all_tokens_is_the_same_as_one_for_each():
    model, inputs = tiny_model(), batch()
    memory = model.encode(inputs["input_ids"])
    sample, timesteps = torch.randn(3, 12, 32), torch.tensor([5, 600, 1100])
    together = model.denoise(sample, timesteps, memory)
    torch.testing.assert_close(model.denoise(sample, timesteps[:, None].expand(-1, 12), memory), together)
    timesteps = torch.stack([torch.arange(12) * 100] * 3)
    assert not torch.allclose(model.denoise(sample, timesteps, memory), together, atol=1e-3)


def test_what_is_hidden_changes_nothing():
    model, inputs = tiny_model(), batch()
    memory = model.encode(inputs["input_ids"])
    sample, timesteps = torch.randn(3, 12, 32), torch.full((3, 12), 300)
    visible = (torch.arange(12) < 7).expand(3, -1)
    other = torch.where(visible[..., None], sample, torch.randn(3, 12, 32))
    first, second = (model.denoise(x, timesteps, memory, visible=visible)[:, :7] for x in (sample, other))
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(first, model.denoise(sample[:, :7], timesteps[:, :7], memory))
    decoded = [model.decode(x, memory, visible=visible)[1][:, :7] for x in (sample, other)]
    torch.testing.assert_close(*decoded)
    torch.testing.assert_close(decoded[0], model.decode(sample[:, :7], memory)[1])


def test_training_noises_each_token_at_its_own_level(monkeypatch):
    model, inputs, calls = tiny_model(skew_window=WINDOW), batch(), []
    denoise = model.denoise

    def spy(sample, timesteps, memory, previous=None, table=None, visible=None):
        calls.append((sample, timesteps, visible))
        return denoise(sample, timesteps, memory, previous, table, visible)

    monkeypatch.setattr(model, "denoise", spy)
    for seed in range(20):
        inputs["generator"] = torch.Generator().manual_seed(seed)
        output = model(**inputs, self_condition=False)
        assert output.loss.isfinite()
        sample, timesteps, visible = calls[-1]
        if timesteps.ndim == 1:
            assert visible is None and torch.equal(timesteps, inputs["timesteps"])
            continue
        lengths = (inputs["labels"] != 0).sum(-1)
        expected, seen = model.scheduler.skewed(inputs["timesteps"], lengths, WINDOW, 12)
        assert torch.equal(timesteps, expected[:, : timesteps.shape[1]]) and timesteps.shape[1] == seen.sum(-1).max()
        clean = F.embedding(inputs["labels"], model.embedding_table())[:, : timesteps.shape[1]]
        noisy = model.scheduler.add_noise(clean, inputs["noise"][:, : timesteps.shape[1]], timesteps)
        torch.testing.assert_close(sample, noisy)
    assert {timesteps.ndim for _, timesteps, _ in calls} == {1, 2}, "some batches keep one noise level"


@pytest.mark.parametrize("settings", [{"sampler": "ddim"}, {"sampler": "ddim", "eta": 0.5}, {"sampler": "ddpm"}])
@pytest.mark.parametrize("steps", [3, 16, 40])
def test_an_oracle_is_sampled_exactly(settings, steps):
    scheduler = CodeFusionScheduler(T)
    scheduler.set_timesteps(steps, skew_window=WINDOW, **settings)
    generator = torch.Generator().manual_seed(0)
    clean, sample = torch.randn(2, CANVAS, 8, generator=generator), torch.randn(2, CANVAS, 8, generator=generator)
    for timestep in scheduler.timesteps.tolist():
        before, noise = sample, torch.randn(2, CANVAS, 8, generator=generator)
        levels, seen, decided = scheduler.reach(timestep, CANVAS)
        sample = scheduler.step(clean, timestep, sample, noise)
        assert decided <= seen <= CANVAS
        # What the step does not look at, it does not move.
        torch.testing.assert_close(sample[:, seen:], before[:, seen:])
    torch.testing.assert_close(sample, clean)


def test_the_marginals_along_the_way_are_those_of_training():
    scheduler = CodeFusionScheduler(T)
    scheduler.set_timesteps(16, sampler="ddpm", skew_window=WINDOW)
    generator = torch.Generator().manual_seed(0)
    clean, sample = torch.ones(4000, CANVAS, 1), torch.randn(4000, CANVAS, 1, generator=generator)
    grid = scheduler.timesteps.tolist()
    for timestep, following in zip(grid[:10], grid[1:]):
        sample = scheduler.step(clean, timestep, sample, torch.randn(sample.shape, generator=generator))
        abar = scheduler.alphas_cumprod[scheduler.reach(following, CANVAS)[0]].float()
        torch.testing.assert_close(sample.mean(0)[:, 0], abar.sqrt(), atol=0.08, rtol=0)
        torch.testing.assert_close(sample.std(0)[:, 0], (1 - abar).sqrt(), atol=0.05, rtol=0)


def skewed_model(tmp_path_factory=None):
    model = tiny_model(skew_window=WINDOW)
    model.generation_config.update(sampler="ddim", num_inference_steps=12, num_revisions=0)
    return model


def test_programs_are_generated_and_batches_equal_singles():
    model = skewed_model()
    ids = torch.randint(5, 512, (3, 9), generator=torch.Generator().manual_seed(1))
    together = model.generate(ids, seed=3, num_return_sequences=2)
    for row in range(3):
        alone = model.generate(ids[row : row + 1], seed=3, num_return_sequences=2)
        expected = together[2 * row : 2 * row + 2]
        assert torch.equal(F.pad(alone, (0, expected.shape[1] - alone.shape[1])), expected)


def test_rows_leave_when_their_end_is_decided(monkeypatch):
    model, seen = skewed_model(), []
    table, denoise = model.embedding_table(), model.denoise
    # The first utterance's program ends after 2 tokens, the second's after 9.
    programs = torch.tensor([[7, 8, 2] + [0] * 29, [5] * 9 + [2] + [0] * 22])

    def oracle(sample, timesteps, memory, previous=None, table_=None, visible=None):
        seen.append(tuple(sample.shape[:2]))
        which = (memory.input_ids[:, 0] == 11).long().repeat_interleave(len(sample) // len(memory.input_ids))
        return F.embedding(programs[which], table)[:, : sample.shape[1]]

    monkeypatch.setattr(model, "denoise", oracle)
    ids = torch.tensor([[10, 10], [11, 11]])
    tokens = model.generate(ids, seed=0, num_candidates=2, num_inference_steps=18, decode_with="nearest", dedupe=False)
    assert tokens.tolist() == [[7, 8] + [0] * (tokens.shape[1] - 2), [5] * 9 + [0] * (tokens.shape[1] - 9)]
    rows, lengths = zip(*seen)
    assert rows[0] == 4 and rows[-1] == 2, "the first utterance left alone"
    assert len(seen) < 18 and lengths[0] < 8 and max(lengths) < 32 and list(lengths) == sorted(lengths)
    assert denoise is not model.denoise


def test_tokens_that_leave_the_window_become_rows_of_the_embedding_table(monkeypatch):
    model, left = skewed_model(), []
    table = model.embedding_table()
    blend = 0.6 * table[7] + 0.4 * table[9]

    def blends(sample, timesteps, memory, previous=None, table_=None, visible=None):
        left.append(sample[:, : int((timesteps[0] == 0).sum())])
        return blend.expand_as(sample)

    monkeypatch.setattr(model, "denoise", blends)
    settings = {"seed": 0, "num_candidates": 2, "num_inference_steps": 24, "decode_with": "nearest"}
    for sampler in ("ddim", "ddpm"):
        left.clear()
        tokens = model.generate(torch.tensor([[10, 11]]), sampler=sampler, **settings)
        assert tokens.eq(7).all() and len({each.shape[1] for each in left}) > 12
        for each in left:
            torch.testing.assert_close(each, table[7].expand_as(each))


def test_edits_infilling_and_revisions_have_one_noise_level(monkeypatch):
    model, calls = skewed_model(), []
    denoise = model.denoise

    def spy(sample, timesteps, *arguments, **kwargs):
        calls.append(timesteps.shape[1])
        return denoise(sample, timesteps, *arguments, **kwargs)

    monkeypatch.setattr(model, "denoise", spy)
    ids, draft = torch.tensor([[10, 11]]), torch.tensor([[7, 8, 9, 2]])
    settings = {"seed": 0, "num_candidates": 2, "num_inference_steps": 3}
    model.generate(ids, init_ids=draft, strength=0.5, **settings)
    mask = torch.tensor([[False, True, True, False]])
    filled = model.generate(ids, infill_ids=draft, infill_mask=mask, **settings)
    assert filled[0, 0] == 7 and set(calls) == {1}
    calls.clear()
    model.generate(ids, num_revisions=2, **settings)
    assert calls[-2:] == [1, 1] and max(calls) > 1


def test_the_solver_and_the_config_refuse_what_does_not_go_together():
    ids = torch.tensor([[10, 11]])
    with pytest.raises(ValueError, match="'ddim' or 'ddpm'"):
        skewed_model().generate(ids, sampler="dpmpp_2m")
    with pytest.raises(ValueError, match="`skew_window` must be at least 1 or None, got 0"):
        tiny_config(skew_window=0)
    with pytest.raises(ValueError, match="denoising_loss='sample'"):
        tiny_config(skew_window=4, denoising_loss="epsilon")
