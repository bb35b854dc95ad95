"""GENIE and Diffusion-LM as presets of our classes, and the draws of a training step row by row."""

import argparse
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from codefusion_hf import CodeFusionConfig, CodeFusionForConditionalGeneration
from codefusion_hf.training import add_arguments, build_model, load_preset


CONFIGS = Path(__file__).parents[1] / "examples" / "configs"
SMALL = {
    "encoder_config": {"model_type": "t5", "num_layers": 1},
    "vocab_size": 64,
    "d_model": 32,
    "d_ff": 64,
    "num_heads": 2,
    "num_denoiser_layers": 2,
    "max_source_length": 24,
    "max_target_length": 12,
    "latent_dim": 16,
    "dropout": 0.0,
}


def small(preset: str, **overrides) -> CodeFusionForConditionalGeneration:
    values = load_preset(preset, CONFIGS).to_dict()
    torch.manual_seed(0)
    return CodeFusionForConditionalGeneration(CodeFusionConfig(**{**values, **SMALL, **overrides}))


def batch(rows: int = 4, source: int = 10, target: int = 9) -> dict:
    generator = torch.Generator().manual_seed(1)
    return {
        "input_ids": torch.randint(3, 64, (rows, source), generator=generator),
        "labels": torch.randint(3, 64, (rows, target), generator=generator),
        "unconditional": torch.arange(rows) == 1,
    }


def generators(rows: int = 4) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(row) for row in range(rows)]


def test_the_presets_have_the_sizes_of_their_papers_parts():
    sizes = {}
    for name in ("genie", "diffusion-lm"):
        config = load_preset(name, CONFIGS)
        assert (config.num_diffusion_steps, config.embedding_dim, config.max_target_length) == (1200, 256, 128)  # B.3
        with torch.device("meta"):
            sizes[name] = sum(p.numel() for p in CodeFusionForConditionalGeneration(config).parameters())
    assert sizes == {"genie": 69_595_749, "diffusion-lm": 46_930_789}


@pytest.mark.parametrize("preset", ["genie", "diffusion-lm"])
def test_every_parameter_learns_from_their_loss(preset):
    """No decoder, no cross-entropy through it: denoiser, rounding likelihood and prior train it all."""
    model = small(preset).train()
    out = model(**batch(), generator=generators())
    out.loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert out.cross_entropy_loss is None and out.decoder_mse_loss is None
    total = out.denoising_loss + out.embedding_nll_loss + out.prior_loss
    torch.testing.assert_close(out.loss, total)
    assert model.generation_config.decode_with == "nearest"


@pytest.mark.parametrize("preset", ["genie", "diffusion-lm"])
def test_they_round_at_every_step_unless_told_otherwise(preset, tiny_cf, tmp_path):
    """As their papers do; whoever trains or loads one need not know."""
    values = {**json.loads((CONFIGS / f"{preset}.json").read_text()), **SMALL, "language": "cf"}
    parser = argparse.ArgumentParser()
    add_arguments(parser)

    def build(values):
        (tmp_path / "small.json").write_text(json.dumps(values))
        options = ["--config_name", tmp_path / "small.json", "--tokenizer_name", tiny_cf, "--train_file", "none"]
        return build_model(parser.parse_args(list(map(str, [*options, "--output_dir", "none"]))), CONFIGS)[0]

    build(values).save_pretrained(tmp_path / "saved")
    loaded = CodeFusionForConditionalGeneration.from_pretrained(tmp_path / "saved")
    assert (loaded.generation_config.clamping, loaded.generation_config.decode_with) == (True, "nearest")
    assert not hasattr(loaded.config, "generation_config")
    with pytest.raises(ValueError, match="unknown settings of generation: clamp"):
        build({**values, "generation_config": {"clamp": True}})


def test_x_start_is_noised_but_not_at_the_last_step():
    """Diffusion-LM: x_start = L(y) + sigma_0 e is what is diffused and aimed at, except at t = 0."""
    model = small("genie").eval()
    inputs = batch()
    zeros = torch.zeros(4, 9, 16)
    seen = {}

    def record(sample, timesteps, *args, **kwargs):
        seen["sample"] = sample
        return zeros

    model.denoise = record
    losses = {}
    for t in (0, 600):
        timesteps = torch.full((4,), t)
        out = model(**inputs, noise=zeros, timesteps=timesteps, generator=generators())
        losses[t] = out.denoising_loss.item()
    clean = model.embedding_table()[inputs["labels"]].detach()
    alphas = model.scheduler.alphas_cumprod
    spread = (seen["sample"] / float(alphas[600]) ** 0.5 - clean).std().item()
    assert spread == pytest.approx(float(1 - alphas[0]) ** 0.5, rel=0.1)
    power = (clean.square().sum(-1) / model.config.signal_power).mean().item()
    assert losses[0] == pytest.approx(power, rel=1e-4)
    assert losses[600] != pytest.approx(power, rel=1e-3)


def test_infilling_reads_the_utterance_and_nothing_of_its_padding():
    model = small("diffusion-lm").eval()
    ids = batch()["input_ids"]
    noisy, timesteps = torch.randn(8, 12, 16), torch.full((8,), 700)  # two candidates for each utterance
    mask = torch.ones_like(ids)
    with torch.no_grad():
        denoised = model.denoise(noisy, timesteps, model.encode(ids, mask))
        other = model.denoise(noisy, timesteps, model.encode(ids.flip(1), mask))
        padded = model.denoise(noisy, timesteps, model.encode(F.pad(ids, (0, 7)), F.pad(mask, (0, 7))))
        alone = model.denoise(noisy[4:6], timesteps[4:6], model.encode(ids[2:3], mask[2:3]))
    assert denoised.shape == noisy.shape
    assert (denoised - other).abs().max() > 1e-3
    torch.testing.assert_close(padded, denoised, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(alone, denoised[4:6], atol=1e-5, rtol=1e-4)
    programs = model.generate(ids, num_return_sequences=2, num_inference_steps=3, seed=0)
    assert programs.shape[0] == 8


def test_partial_noising_keeps_the_utterance_clean():
    """Diffusion-LM noises the utterance in training as well, DiffuSeq does not: then it counts in no term."""
    inputs, losses = batch(), {}
    for partial in (False, True):
        model = small("diffusion-lm", partial_noising=partial).eval()
        with torch.no_grad():
            changed = {**inputs, "input_ids": inputs["input_ids"].flip(1)}
            losses[partial] = [
                model(**x, timesteps=torch.full((4,), 900), generator=generators()).prior_loss
                for x in (inputs, changed)
            ]
    torch.testing.assert_close(*losses[True])
    assert (losses[False][0] - losses[False][1]).abs() > 1e-9


@pytest.mark.parametrize("preset", ["tiny", "genie", "diffusion-lm"])
def test_a_rows_draws_depend_on_no_other_row(preset):
    """With a generator for each row, a row alone, more padded, gives what it gives in the batch."""
    model = small(preset).train()
    inputs = batch()
    together = model(**inputs, generator=generators(), self_condition=True)
    for row in range(4):
        alone = {name: value[row : row + 1] for name, value in inputs.items()}
        alone["attention_mask"] = F.pad(torch.ones(1, 10), (0, 8))
        alone["input_ids"] = F.pad(alone["input_ids"], (0, 8))
        single = model(**alone, generator=generators()[row : row + 1], self_condition=True)
        torch.testing.assert_close(
            single.denoised_embeddings[0], together.denoised_embeddings[row], atol=1e-5, rtol=1e-4
        )


def test_self_conditioning_can_be_chosen():
    model = small("tiny").train()
    torch.nn.init.normal_(model.denoiser.self_cond_proj.weight)
    outputs = [
        model(**batch(), generator=generators(), self_condition=choice).denoised_embeddings for choice in (True, False)
    ]
    assert not torch.allclose(*outputs)


def test_positions_outside_the_noise_mask_stay_clean_and_do_not_count():
    """The reading of CPD in the paper's section 1: noise only on the masked part."""
    model = small("tiny").eval()
    inputs = batch()
    mask = torch.zeros(4, 9, dtype=torch.bool)
    mask[:, 3:6] = True
    seen = {}
    denoise = model.denoise

    def record(sample, *args, **kwargs):
        seen["sample"] = sample
        return denoise(sample, *args, **kwargs)

    model.denoise = record
    timesteps = torch.full((4,), 900)
    first = model(**inputs, timesteps=timesteps, noise_mask=mask, generator=generators())
    clean = model.embedding_table()[inputs["labels"]]
    torch.testing.assert_close(seen["sample"][~mask], clean[~mask])
    assert not torch.allclose(seen["sample"][mask], clean[mask], atol=0.1)
    everything = model(**inputs, timesteps=timesteps, noise_mask=torch.ones_like(mask), generator=generators())
    default = model(**inputs, timesteps=timesteps, generator=generators())
    torch.testing.assert_close(everything.loss, default.loss)
    assert first.loss.item() != pytest.approx(default.loss.item(), rel=1e-3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"conditioning": "prefix"}, "must be one of cross_attention, infill"),
        ({"conditioning": "infill", "num_decoder_layers": 2}, "no E_s for num_decoder_layers"),
        ({"partial_noising": True}, "belongs to `conditioning='infill'`"),
    ],
)
def test_switches_that_do_not_fit_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        small("genie", **wrong)
