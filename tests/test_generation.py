"""`generate` on the committed tiny checkpoint: batching, seeds, ranking, outputs, and the errors."""

import pytest
import torch
import torch.nn.functional as F
from conftest import trimmed
from transformers import AutoModel, GenerationConfig, TextDiffusionStreamer

from codefusion_hf import CodeFusionGenerationConfig, CodeFusionScheduler
from codefusion_hf.ranking_codefusion import cut
from codefusion_hf.sampling_codefusion import CandidateNoise


UTTERANCES = [
    "Style values which are In Progress",
    "highlight B column for first 30 rows where values is > 100",
    "Color cells that are either p or ul",
    'Apply yellow color to "Price Per UOM" where price between 5 to 10',
    "Change color scale from range B8:F12",
    "Highlight Bottom 3 from column-Wholly Australian owned, cell from B8 to B24",
    "Color cells that have value less than 2696",
    'For Organization make Green color if value id "FNS"',
]


@pytest.fixture(scope="module")
def inputs(tokenizer):
    return tokenizer(UTTERANCES, return_tensors="pt", padding=True)


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "ddim", "ddpm"])
def test_a_batch_equals_its_rows(model, tokenizer, inputs, sampler):
    settings = {"num_return_sequences": 3, "seed": 3, "sampler": sampler, "num_inference_steps": 6}
    together = trimmed(model.generate(**inputs, **settings))
    for row, utterance in enumerate(UTTERANCES):
        alone = model.generate(**tokenizer([utterance], return_tensors="pt"), **settings)
        assert trimmed(alone) == together[3 * row : 3 * row + 3]


def test_padding_changes_nothing(model, inputs):
    padded = {
        "input_ids": F.pad(inputs["input_ids"], (0, 11)),
        "attention_mask": F.pad(inputs["attention_mask"], (0, 11)),
    }
    assert trimmed(model.generate(**padded, seed=0)) == trimmed(model.generate(**inputs, seed=0))


def test_seeds(model, inputs):
    settings = {"num_return_sequences": 2, "num_candidates": 2, "candidate_order": "seed", "dedupe": False}
    settings |= {"num_inference_steps": 1, "decode_with": "nearest"}
    one = model.generate(**inputs, seed=0, **settings)
    assert torch.equal(one, model.generate(**inputs, seed=0, **settings))
    assert not torch.equal(one[:, :8], model.generate(**inputs, seed=1, **settings)[:, :8])
    state = torch.get_rng_state()
    drawn = [model.generate(**inputs, generator=torch.Generator().manual_seed(7), **settings) for _ in range(2)]
    assert torch.equal(*drawn)
    model.generate(**inputs, **settings)
    assert torch.equal(state, torch.get_rng_state()), "the global generator was used"
    rows = model.generate(**inputs, seed=list(range(8)), **settings)
    assert trimmed(rows[:2]) == trimmed(one[:2]), "a list gives each utterance its own seed"


def test_the_first_candidates_do_not_depend_on_how_many_are_drawn(model, inputs):
    settings = {"candidate_order": "seed", "dedupe": False, "seed": 0, "num_inference_steps": 2}
    few = trimmed(model.generate(**inputs, num_return_sequences=2, **settings))
    many = trimmed(model.generate(**inputs, num_return_sequences=5, **settings))
    assert [many[5 * i + j] for i in range(8) for j in range(2)] == few


def test_candidates_are_distinct_and_ranked(model, inputs):
    out = model.generate(**inputs, num_return_sequences=5, seed=0, return_dict_in_generate=True)
    assert out.sequences.shape[0] == 40 and out.sequences_scores.shape == (40,)
    for scores, rows in zip(out.sequences_scores.view(8, 5).tolist(), out.sequences.view(8, 5, -1).tolist()):
        assert scores == sorted(scores, reverse=True)
        assert len({tuple(row) for row in rows}) == 5
    assert (out.sequences_scores <= 0).all()


def test_more_can_be_asked_for_than_sampled(model, inputs):
    out = model.generate(
        **inputs,
        num_candidates=2,
        num_return_sequences=20,
        seed=0,
        return_dict_in_generate=True,
        num_inference_steps=3,
    )
    sampled = trimmed(
        model.generate(**inputs, num_candidates=2, num_return_sequences=1, seed=0, num_inference_steps=3)
    )
    for row, (scores, rows) in enumerate(zip(out.sequences_scores.view(8, 20), out.sequences.view(8, 20, -1))):
        assert scores.tolist() == sorted(scores.tolist(), reverse=True)
        assert len({tuple(tokens) for tokens in rows.tolist()}) == 20
        assert sampled[row] in trimmed(rows)


def test_scores_are_mean_log_probabilities_up_to_the_end(model, inputs):
    out = model.generate(
        **inputs, seed=0, num_candidates=1, return_dict_in_generate=True, num_inference_steps=3, dedupe=False
    )
    kept = {}
    model.generate(
        **inputs, seed=0, num_candidates=1, dedupe=False, num_inference_steps=3,
        callback_on_step_end=lambda m, step, t, tensors: kept.update(tensors),
    )  # fmt: skip
    log_probs = F.log_softmax(model.decode(kept["latents"], model.encode(**inputs))[1], dim=-1)
    for row, sequence in enumerate(trimmed(out.sequences)):
        ends = log_probs[row].argmax(-1)[: len(sequence) + 1]  # the token that ends the program counts
        assert ends[: len(sequence)].tolist() == sequence
        expected = log_probs[row, torch.arange(len(ends)), ends].mean().detach()
        assert out.sequences_scores[row] == pytest.approx(float(expected), abs=1e-4)


def test_programs_end_at_the_first_end_token(model, inputs):
    sequences = model.generate(**inputs, seed=0, num_return_sequences=5)
    for row in sequences.tolist():
        assert 2 not in row
        length = row.index(0) if 0 in row else len(row)
        assert not any(row[length:])


def test_denoising_states(model, inputs):
    settings = {"seed": 0, "num_inference_steps": 8, "return_dict_in_generate": True, "num_return_sequences": 2}
    out = model.generate(**inputs, output_denoising_states=True, denoising_state_interval=3, **settings)
    assert out.denoising_states.shape[:2] == (3, 16)
    assert out.denoising_timesteps.tolist() == [1199, 749, 299]
    last = model.generate(**inputs, output_denoising_states=True, **settings)
    assert trimmed(last.denoising_states[-1])[0] == trimmed(last.sequences)[0]
    assert model.generate(**inputs, **settings).denoising_states is None


def test_clamping_and_nearest_decoding(model, inputs):
    table, seen = model.embedding_table(), []

    def keep(m, step, timestep, tensors):
        seen.append(
            torch.cdist(tensors["denoised"], table[None].expand(len(tensors["denoised"]), -1, -1)).amin(-1).max()
        )

    model.generate(**inputs, seed=0, num_inference_steps=3, clamping=True, callback_on_step_end=keep)
    assert max(seen) < 1e-2
    seen.clear()
    model.generate(**inputs, seed=0, num_inference_steps=3, callback_on_step_end=keep)
    assert max(seen) > 0.05
    latents = {}
    sequences = model.generate(
        **inputs, seed=0, num_inference_steps=3, decode_with="nearest", num_candidates=1, dedupe=False,
        callback_on_step_end=lambda m, step, t, tensors: latents.update(tensors),
    )  # fmt: skip
    nearest = torch.cdist(latents["latents"], table[None].expand(8, -1, -1)).argmin(-1).tolist()
    for row, expected in zip(trimmed(sequences), nearest):
        assert expected[: len(row)] == row


def test_revisions_start_from_whole_programs(model, inputs):
    settings = {"seed": 0, "num_inference_steps": 3, "num_candidates": 2, "num_return_sequences": 2, "dedupe": False}
    settings |= {"candidate_order": "seed", "return_dict_in_generate": True}
    seen = []

    def keep(m, step, timestep, tensors):
        seen.append((step, timestep, tensors["latents"].clone(), tensors["denoised"].clone()))

    draft = model.generate(**inputs, output_denoising_states=True, **settings)
    revised = model.generate(
        **inputs,
        num_revisions=2,
        revision_strength=0.5,
        output_denoising_states=True,
        callback_on_step_end=keep,
        **settings,
    )
    assert (
        [timestep for _, timestep, _, _ in seen] == revised.denoising_timesteps.tolist() == [1199, 799, 399, 599, 599]
    )
    assert revised.denoising_states[:3].equal(draft.denoising_states)
    # What a revision denoises is a program's tokens, noised with the candidate's own noise.
    with torch.no_grad():
        memory = model.encode(inputs["input_ids"], inputs["attention_mask"])
        tokens = model.decode(seen[2][2], memory)[1].argmax(-1)
        tokens = cut(tokens, model.config.pad_token_id, model.config.eos_token_id, keep_eos=True)
        noise = CandidateNoise([0] * 8, 2, seen[2][2].shape[1:], "cpu")
        noise.draw()  # x_T
        noisy = model.scheduler.add_noise(
            F.embedding(tokens, model.embedding_table()), noise.draw(), torch.full((16,), 599)
        )
        expected = model.denoise(noisy, torch.full((16,), 599), memory)
    torch.testing.assert_close(seen[3][2], expected, atol=1e-4, rtol=1e-4)


def test_revised_batches_equal_singles(model, inputs):
    settings = {"seed": 3, "num_inference_steps": 2, "num_revisions": 2, "num_return_sequences": 3}
    together = trimmed(model.generate(**inputs, **settings))
    for row in range(len(inputs["input_ids"])):
        single = {name: values[row : row + 1] for name, values in inputs.items()}
        assert trimmed(model.generate(**single, **settings)) == together[3 * row : 3 * row + 3]


def test_callback_sees_every_step_and_may_replace_the_latents(model, inputs):
    steps = []

    def zero(m, step, timestep, tensors):
        steps.append((step, timestep, tensors["latents"].shape))
        return {"latents": torch.zeros_like(tensors["latents"])}

    model.generate(**inputs, seed=0, num_inference_steps=4, num_candidates=2, callback_on_step_end=zero)
    assert [step[0] for step in steps] == [0, 1, 2, 3] and steps[0][1:] == (1199, (16, 32, 32))
    with pytest.raises(ValueError, match="may return latents and denoised"):
        model.generate(**inputs, seed=0, callback_on_step_end=lambda *args: {"samples": 1})


def test_streaming_shows_a_draft_for_each_step(model, tokenizer, capsys):
    encoded = tokenizer(UTTERANCES[:1], return_tensors="pt")

    class Recorder(TextDiffusionStreamer):
        drafts = 0

        def put_draft(self, value, **kwargs):
            self.drafts += 1
            super().put_draft(value, **kwargs)

    streamer = Recorder(tokenizer, skip_prompt=True)
    model.generate(**encoded, seed=0, num_inference_steps=5, streamer=streamer)
    assert streamer.drafts == 5
    assert "TextEquals(in progress)" in capsys.readouterr().out
    with pytest.raises(ValueError, match="one utterance"):
        model.generate(**tokenizer(UTTERANCES[:2], return_tensors="pt", padding=True), streamer=streamer)


def test_the_first_candidate_does_not_depend_on_how_many_are_asked_for(model, inputs):
    one = model.generate(**inputs, seed=0, num_inference_steps=2)
    five = model.generate(**inputs, seed=0, num_inference_steps=2, num_return_sequences=5)
    assert trimmed(one) == trimmed(five[::5])


def test_padding_is_recognised_without_a_mask(model, inputs):
    alone = model.generate(input_ids=inputs["input_ids"], seed=0)
    assert trimmed(alone) == trimmed(model.generate(**inputs, seed=0))


def test_final_punctuation_and_quotes_do_not_reach_the_model(tokenizer):
    texts = ['status is "Open"', 'status is "Open".', "status is “Open”!"]
    assert len({tuple(tokenizer(text)["input_ids"]) for text in texts}) == 1


def test_unconditional_generation(model, inputs):
    sequences = model.generate(num_return_sequences=3, seed=0)
    assert sequences.shape[0] == 3
    assert torch.equal(sequences, model.generate(num_return_sequences=3, seed=0))
    flags = torch.tensor([True] + [False] * 7)
    mixed, plain = (model.generate(**inputs, seed=0, unconditional=f) for f in (flags, None))
    assert trimmed(mixed)[1:] == trimmed(plain)[1:] and trimmed(mixed)[0] != trimmed(plain)[0]


def test_bf16_generates_the_same_programs(model, tiny_cf, inputs):
    half = AutoModel.from_pretrained(tiny_cf, dtype=torch.bfloat16).eval()
    equal = [
        a == b for a, b in zip(trimmed(half.generate(**inputs, seed=0)), trimmed(model.generate(**inputs, seed=0)))
    ]
    assert sum(equal) >= 7


def test_the_generation_config_survives_saving(model, tmp_path, inputs):
    again = AutoModel.from_pretrained(model.name_or_path, dtype=torch.float32)
    again.generation_config.num_inference_steps = 3
    again.generation_config.sampler = "ddim"
    again.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    assert type(loaded.generation_config) is CodeFusionGenerationConfig
    assert (loaded.generation_config.num_inference_steps, loaded.generation_config.sampler) == (3, "ddim")
    assert GenerationConfig.from_pretrained(tmp_path).num_inference_steps == 3  # readable by the base class
    explicit = model.generate(**inputs, seed=0, num_inference_steps=3, sampler="ddim")
    assert torch.equal(loaded.eval().generate(**inputs, seed=0), explicit)
    # Precedence: call, given config, model's config, defaults.
    given = CodeFusionGenerationConfig(num_inference_steps=2)
    used = loaded._prepare_generation_config(given)
    assert (used.num_inference_steps, used.sampler, used.decode_with) == (2, "ddim", "head")
    assert loaded._prepare_generation_config(given, num_inference_steps=9).num_inference_steps == 9


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_return_sequences": 0}, "at least 1"),
        ({"num_return_sequences": 5000}, "at most 1024"),
        ({"num_inference_steps": 0}, "at least 1"),
        ({"num_inference_steps": 1201}, "1 to 1200"),
        ({"num_inference_steps": 2.5}, "integer"),
        ({"sampler": "euler"}, "dpmpp_2m, ddim, ddpm"),
        ({"timestep_spacing": "karras"}, "uniform, logsnr"),
        ({"variance_type": "learned"}, "fixed_small, fixed_large"),
        ({"decode_with": "beam"}, "head, nearest"),
        ({"candidate_order": "random"}, "logprob, mbr, seed"),
        ({"eta": 2.0}, "between 0 and 1"),
        ({"num_candidates": 2, "num_return_sequences": 3, "dedupe": False}, "at least `num_return_sequences`"),
        ({"max_length": 64}, "at most 32"),
        ({"num_revisions": -1}, "at least 0"),
        ({"revision_strength": 0.0}, "above 0 and at most 1"),
        ({"denoising_state_interval": 0}, "at least 1"),
        ({"top_k": 7}, "no effect on diffusion"),
        ({"temperature": 0.7}, "`temperature` needs a `block_size`"),
        ({"guidance_scale": 30.0}, "between 0 and 20"),
        ({"do_sample": False}, "always samples"),
        ({"num_beams": 4}, "`num_beams` needs a `block_size`"),
        ({"seed": -1}, "0 to"),
        ({"seed": [1, 2]}, "one for each of the 8"),
        ({"seed": 0, "generator": torch.Generator()}, "not both"),
    ],
)
def test_bad_arguments_are_refused(model, inputs, wrong, message):
    with pytest.raises(ValueError, match=message):
        model.generate(**inputs, **wrong)


def test_unknown_arguments_are_refused(model, inputs):
    with pytest.raises(TypeError, match="num_inference_step"):
        model.generate(**inputs, num_inference_step=3)
    with pytest.raises(ValueError, match="shape"):
        model.generate(torch.zeros(0, 4, dtype=torch.long))


def test_an_oracle_denoiser_is_sampled_exactly(model, tokenizer, inputs, monkeypatch):
    """With a denoiser that knows x0, every sampler ends in the program."""
    target = tokenizer(["GreaterThan(100)"], return_tensors="pt", padding="max_length", max_length=32)["input_ids"]
    clean = F.embedding(target, model.embedding_table())
    monkeypatch.setattr(model, "denoise", lambda sample, *args: clean.expand(len(sample), -1, -1))
    for sampler in ("dpmpp_2m", "ddim", "ddpm"):
        out = model.generate(**inputs, seed=0, sampler=sampler, num_inference_steps=7, decode_with="nearest")
        assert tokenizer.batch_decode(out, skip_special_tokens=True) == ["GreaterThan(100)"] * 8


def test_the_scheduler_of_a_call_is_its_own(model):
    assert isinstance(model.scheduler, CodeFusionScheduler) and model.scheduler.timesteps is None
