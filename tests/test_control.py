"""What an autoregressive model cannot do: editing, infilling, guidance, early stop, canvases, constraints, ranking."""

import threading

import pytest
import torch
import torch.nn.functional as F
from conftest import trimmed
from transformers import LogitsProcessor, LogitsProcessorList, SuppressTokensLogitsProcessor

from codefusion_hf.ranking_codefusion import similarity


UTTERANCES = [
    "Style values which are In Progress",
    "highlight B column for first 30 rows where values is > 100",
    "Color cells that are either p or ul",
    "Change color scale from range B8:F12",
    "Color cells that have value less than 2696",
]


@pytest.fixture(scope="module")
def inputs(tokenizer):
    return tokenizer(UTTERANCES, return_tensors="pt", padding=True)


def encoded(tokenizer, programs: list[str]) -> torch.Tensor:
    return tokenizer(programs, return_tensors="pt", padding=True)["input_ids"]


DRAFTS = ["TextEquals(p)", "GreaterThan(1)", "Top(3)", "LessThan(2696)", "AND(GreaterThan(5), LessThan(10))"]


def test_strength_zero_returns_the_draft_and_one_ignores_it(model, tokenizer, inputs):
    drafts = encoded(tokenizer, DRAFTS)
    settings = {"seed": 0, "num_inference_steps": 3, "num_revisions": 1}
    kept = model.generate(**inputs, init_ids=drafts, strength=0.0, **settings)
    assert tokenizer.batch_decode(kept, skip_special_tokens=True) == tokenizer.batch_decode(
        drafts, skip_special_tokens=True
    )
    ignored = model.generate(**inputs, init_ids=drafts, strength=1.0, **settings)
    assert torch.equal(ignored, model.generate(**inputs, **settings))


def test_an_edit_starts_at_its_strength(model, tokenizer, inputs):
    drafts, steps = encoded(tokenizer, DRAFTS), []
    model.generate(
        **inputs,
        init_ids=drafts,
        strength=0.5,
        num_inference_steps=3,
        num_revisions=1,
        revision_strength=0.8,
        num_candidates=1,
        seed=0,
        callback_on_step_end=lambda m, step, t, tensors: steps.append(t),
    )
    assert steps == [599, 399, 199, 599], "a revision goes no further back than the edit"


def test_an_edit_starts_from_the_noised_draft(model, tokenizer, inputs, monkeypatch):
    drafts, seen, denoise = encoded(tokenizer, DRAFTS), [], model.denoise

    def record(sample, *args):
        seen.append(sample)
        return denoise(sample, *args)

    monkeypatch.setattr(model, "denoise", record)
    settings = {"num_inference_steps": 1, "num_candidates": 1, "draft_threshold": 1.0, "seed": 0}
    model.generate(**inputs, **settings)  # from x_T, which is nearly all noise
    model.generate(**inputs, init_ids=drafts, strength=0.25, **settings)
    clean = F.embedding(F.pad(drafts, (0, 32 - drafts.shape[1])), model.embedding_table())
    expected = model.scheduler.add_noise(clean, seen[0], 299)
    torch.testing.assert_close(seen[1], expected)


def test_an_edit_holds_the_tokens_that_the_model_believes(model, tokenizer, inputs, monkeypatch):
    drafts, seen, decode = encoded(tokenizer, DRAFTS), [], model.decode

    def record(denoised, *args):
        decoded, scores = decode(denoised, *args)
        seen.append(scores.softmax(-1).unflatten(0, (5, 4)).mean(1))
        return decoded, scores

    monkeypatch.setattr(model, "decode", record)
    settings = {"strength": 0.4, "num_inference_steps": 2, "num_candidates": 4, "num_return_sequences": 4}
    edited = model.generate(**inputs, init_ids=drafts, draft_threshold=0.01, seed=0, **settings)
    believed = seen[0].gather(-1, F.pad(drafts, (0, 32 - drafts.shape[1]))[..., None])[:, : drafts.shape[1], 0]
    held, content = (believed > 0.01) & (drafts > 2), drafts > 2
    assert held.any() and (content & ~held).any()
    edited = F.pad(edited, (0, 32 - edited.shape[1]))[:, : drafts.shape[1]].unflatten(0, (5, 4))
    for row in range(5):
        assert (edited[row, :, held[row]] == drafts[row, held[row]]).all()


def test_an_edit_repairs_a_wrong_token_and_keeps_right_ones(model, inputs):
    right = model.generate(**inputs, seed=1)  # what the model believes
    wrong = right.clone()
    wrong[:, 0] = right[:, 1]
    for draft in (right, wrong):
        assert trimmed(model.generate(**inputs, init_ids=draft, strength=0.4, seed=0)) == trimmed(right)


def test_an_edit_continues_a_draft_that_ends_too_early(model, tokenizer, inputs):
    right = model.generate(**inputs, seed=1)
    short = F.pad(right[:, :2], (0, 1), value=tokenizer.eos_token_id)
    assert trimmed(model.generate(**inputs, init_ids=short, strength=0.8, seed=0)) == trimmed(right)


def test_edited_batches_equal_singles(model, tokenizer, inputs):
    drafts = encoded(tokenizer, DRAFTS)
    together = trimmed(model.generate(**inputs, init_ids=drafts, strength=0.6, seed=0))
    for row in range(5):
        single = {name: value[row : row + 1] for name, value in inputs.items()}
        alone = model.generate(**single, init_ids=drafts[row : row + 1], strength=0.6, seed=0)
        assert trimmed(alone) == together[row : row + 1]


def test_infilling_never_changes_a_fixed_token(model, tokenizer, inputs):
    programs = encoded(tokenizer, DRAFTS)
    generator = torch.Generator().manual_seed(0)
    for share in (0.2, 0.8):
        mask = torch.rand(programs.shape, generator=generator) < share
        filled = model.generate(
            **inputs, infill_ids=programs, infill_mask=mask, num_return_sequences=4, num_revisions=1, seed=1
        )
        filled = F.pad(filled, (0, max(0, programs.shape[1] - filled.shape[1])))[:, : programs.shape[1]]
        content = (programs > 2) & ~mask
        for row, program in enumerate(programs):
            for candidate in filled[4 * row : 4 * row + 4]:
                assert torch.equal(candidate[content[row]], program[content[row]])
    nothing = model.generate(**inputs, infill_ids=programs, infill_mask=torch.zeros_like(programs, dtype=torch.bool))
    assert tokenizer.batch_decode(nothing, skip_special_tokens=True) == tokenizer.batch_decode(
        programs, skip_special_tokens=True
    )


def test_infilled_batches_equal_singles(model, tokenizer, inputs):
    programs = encoded(tokenizer, DRAFTS)
    mask = torch.zeros_like(programs, dtype=torch.bool)
    mask[:, 1:3] = True
    together = trimmed(model.generate(**inputs, infill_ids=programs, infill_mask=mask, seed=0))
    for row in range(5):
        single = {name: value[row : row + 1] for name, value in inputs.items()}
        alone = model.generate(**single, infill_ids=programs[row : row + 1], infill_mask=mask[row : row + 1], seed=0)
        assert trimmed(alone) == together[row : row + 1]


def test_guidance_extrapolates_from_the_unconditional_estimate(model, inputs):
    seen = {}
    for scale in (1.0, 2.0):
        model.generate(
            **inputs,
            guidance_scale=scale,
            num_inference_steps=1,
            num_candidates=1,
            seed=0,
            callback_on_step_end=lambda m, step, t, tensors, scale=scale: seen.update({scale: tensors["denoised"]}),
        )
    everything = torch.ones(5, dtype=torch.bool)
    unconditional = {}
    model.generate(
        **inputs,
        unconditional=everything,
        num_inference_steps=1,
        num_candidates=1,
        seed=0,
        callback_on_step_end=lambda m, step, t, tensors: unconditional.update(tensors),
    )
    expected = 2 * seen[1.0] - unconditional["denoised"]
    torch.testing.assert_close(seen[2.0], expected, atol=1e-4, rtol=1e-4)


def test_unreachable_thresholds_change_nothing(model, inputs):
    settings = {"seed": 0, "num_inference_steps": 12, "num_return_sequences": 3, "num_revisions": 1}
    plain = model.generate(**inputs, **settings)
    for thresholds in ({"stability_threshold": 12}, {"stability_threshold": 1, "confidence_threshold": 1.0}):
        assert torch.equal(plain, model.generate(**inputs, **thresholds, **settings))


def test_finished_rows_stop_early_and_alone(model, inputs):
    settings = {"seed": 0, "num_inference_steps": 20, "num_return_sequences": 3, "num_candidates": 3}
    settings |= {"stability_threshold": 1, "confidence_threshold": 0.2}
    denoised, denoise = [], model.denoise

    def count(sample, *args, **kwargs):
        denoised.append(len(sample))
        return denoise(sample, *args, **kwargs)

    model.denoise = count
    try:
        together = trimmed(model.generate(**inputs, **settings))
        work = sum(denoised)
        assert work < 20 * 15, "something stopped before the end"
        denoised.clear()
        alone = []
        for row in range(5):
            single = {name: value[row : row + 1] for name, value in inputs.items()}
            alone += trimmed(model.generate(**single, **settings))
        assert sum(denoised) == work, "an utterance costs as much in a batch as alone"
    finally:
        model.denoise = denoise
    assert alone == together


def test_canvas_buckets_do_less_work_and_batches_equal_singles(model, inputs):
    settings = {"seed": 0, "num_inference_steps": 3, "num_return_sequences": 3, "num_revisions": 1}
    settings |= {"canvas_buckets": [8, 12, 16, 24]}
    lengths, denoise = [], model.denoise

    def record(sample, *args, **kwargs):
        lengths.append(sample.shape[1])
        return denoise(sample, *args, **kwargs)

    model.denoise = record
    try:
        together = trimmed(model.generate(**inputs, **settings))
    finally:
        model.denoise = denoise
    assert lengths[0] == 8 and sorted(set(lengths)) == list(dict.fromkeys(lengths)), "from the smallest up"
    assert len(set(lengths)) > 1 and max(lengths) < 32, "they end on several canvases, and none needs the full one"
    for row in range(5):
        single = {name: value[row : row + 1] for name, value in inputs.items()}
        assert trimmed(model.generate(**single, **settings)) == together[3 * row : 3 * row + 3]


def test_a_large_batch_is_read_off_in_pieces(model, inputs, monkeypatch):
    settings = {"seed": 0, "num_inference_steps": 2, "num_return_sequences": 3, "num_revisions": 2}
    together, decoded, decode = model.generate(**inputs, **settings), [], model.decode

    def record(denoised, *args):
        decoded.append(len(denoised))
        return decode(denoised, *args)

    monkeypatch.setattr(model, "decode", record)
    monkeypatch.setattr("codefusion_hf.generation_codefusion.MAX_SCORES", 2 * 10 * 32 * model.config.vocab_size)
    assert torch.equal(model.generate(**inputs, **settings), together)
    assert decoded == [20] * 6 + [10] * 3, "two utterances of ten candidates at a time"


@pytest.mark.parametrize(
    ("outgrows", "expected"),
    [(0, [8, 21, 22, 22]), (1, [8, 8, 21, 22, 22])],
    ids=["from the first estimate on", "after all"],
)
def test_a_program_that_outgrows_its_canvas_gets_the_next_one(model, inputs, monkeypatch, outgrows, expected):
    """Canvases of 8, 21 and 22 for a program of 20 tokens: its end needs one position, and one is to be spare."""
    long = F.embedding(torch.tensor([[5] * 20 + [2] + [0] * 11]), model.embedding_table())
    short = F.embedding(torch.zeros(1, 32, dtype=torch.long), model.embedding_table())
    calls = []

    def estimate(sample, timesteps, *args):
        calls.append(sample.shape[1])
        program = short if len(calls) <= outgrows else long
        return program[:, : sample.shape[1]].expand(len(sample), -1, -1)

    monkeypatch.setattr(model, "denoise", estimate)
    single = {name: value[:1] for name, value in inputs.items()}
    settings = {"num_inference_steps": 2, "decode_with": "nearest", "seed": 0}
    out = model.generate(**single, canvas_buckets=[8, 21, 22], **settings)
    assert calls == expected
    assert trimmed(out) == [[5] * 20]


class OnlyDigitsAtTheEnd(LogitsProcessor):
    """Forbids a token at the second position."""

    def __init__(self, length: int, token: int):
        self.length, self.token = length, token

    def __call__(self, input_ids, scores):
        assert input_ids.shape == (len(scores), self.length)
        scores = scores.clone()
        scores.view(-1, self.length, scores.shape[-1])[:, 1, self.token] = float("-inf")
        return scores


def test_logits_processors_constrain_what_is_read_off(model, inputs):
    settings = {"seed": 0, "num_return_sequences": 2, "num_inference_steps": 3}
    plain = model.generate(**inputs, **settings)
    token = int(plain[0, 1])
    suppressed = model.generate(
        **inputs, **settings, logits_processor=LogitsProcessorList([SuppressTokensLogitsProcessor([token])])
    )
    assert token in plain.tolist()[0] and not (suppressed == token).any()
    positional = model.generate(
        **inputs, **settings, logits_processor=LogitsProcessorList([OnlyDigitsAtTheEnd(32, token)])
    )
    assert not (positional[:, 1] == token).any()


def test_minimum_bayes_risk_prefers_what_most_samples_agree_on(model, inputs):
    settings = {"seed": 0, "num_inference_steps": 1, "num_candidates": 12, "decode_with": "nearest"}
    sampled = model.generate(
        **inputs, **settings, num_return_sequences=12, candidate_order="seed", dedupe=False, max_length=16
    )
    best = model.generate(**inputs, **settings, candidate_order="mbr", max_length=16)
    for row, chosen in enumerate(trimmed(best)):
        candidates = [tuple(tokens) for tokens in trimmed(sampled[12 * row : 12 * row + 12])]
        expected = max(sum(similarity(a, b) for b in candidates) for a in candidates)
        assert sum(similarity(tuple(chosen), b) for b in candidates) == pytest.approx(expected)


def test_a_diversity_penalty_spreads_the_candidates(model, inputs):
    def spread(**settings):
        rows = trimmed(model.generate(**inputs, seed=0, num_inference_steps=2, num_candidates=20, **settings))
        groups = [[tuple(tokens) for tokens in rows[5 * i : 5 * i + 5]] for i in range(5)]
        pairs = [similarity(a, b) for group in groups for i, a in enumerate(group) for b in group[:i]]
        return sum(pairs) / len(pairs), [group[0] for group in groups]

    plain, first = spread(num_return_sequences=5)
    diverse, still_first = spread(num_return_sequences=5, diversity_penalty=5.0)
    assert diverse < plain and first == still_first


def test_similarity():
    assert similarity((5, 6, 7), (5, 6, 7)) == 1.0
    assert similarity((5,), (6,)) == 0.0
    # Unigrams 5, 6 and bigrams (^5), (56), (6$) against 5 and (^5), (5$): two of five and three shared.
    assert similarity((5, 6), (5,)) == pytest.approx(2 * 2 / (5 + 3))


def test_threads_share_a_model(model, inputs):
    settings = {"num_inference_steps": 2, "num_return_sequences": 3, "num_revisions": 1}
    expected = [model.generate(**inputs, seed=seed, **settings) for seed in range(8)]
    found = [None] * 8

    def work(seed: int) -> None:
        for _ in range(3):
            found[seed] = model.generate(**inputs, seed=seed, **settings)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(a, b) for a, b in zip(found, expected))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"strength": 1.5}, "between 0 and 1"),
        ({"draft_threshold": -0.1}, "`draft_threshold` must be between 0 and 1"),
        ({"stability_threshold": 0}, "at least 1"),
        ({"confidence_threshold": 2.0}, "between 0 and 1"),
        ({"diversity_penalty": -1.0}, "between 0 and 100"),
        ({"canvas_buckets": [0]}, "at least 1"),
        ({"init_ids": torch.ones(2, 4, dtype=torch.long)}, r"shape \(5, 1 to 32\)"),
        ({"init_ids": torch.full((5, 4), 99999)}, "token ids from 0"),
        ({"infill_ids": torch.ones(5, 4, dtype=torch.long)}, "belong together"),
        (
            {"infill_ids": torch.ones(5, 4, dtype=torch.long), "infill_mask": torch.ones(5, 4, dtype=torch.long)},
            "bool tensor",
        ),
    ],
)
def test_bad_arguments_are_refused(model, inputs, wrong, message):
    with pytest.raises(ValueError, match=message):
        model.generate(**inputs, **wrong)
