"""The model: sizes, gradients, masks, the switches of the config, and transformers' common contracts."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoModelForSeq2SeqLM, T5Config, T5EncoderModel

import codefusion_hf
from codefusion_hf import CodeFusionConfig, CodeFusionForConditionalGeneration
from codefusion_hf.layers_codefusion import CodeFusionRMSNorm, eager_attention_forward


CONFIGS = Path(__file__).parents[1] / "examples" / "configs"


def tiny_config(**overrides) -> CodeFusionConfig:
    return CodeFusionConfig(**{**json.loads((CONFIGS / "tiny.json").read_text()), **overrides})


def tiny_model(**overrides) -> CodeFusionForConditionalGeneration:
    torch.manual_seed(0)
    return CodeFusionForConditionalGeneration(tiny_config(**overrides)).eval()


def batch(rows: int = 3, source: int = 9, target: int = 12, vocab_size: int = 512) -> dict:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(5, vocab_size, (rows, target), generator=generator)
    labels[:, -2] = 2
    labels[:, -1] = 0
    return {
        "input_ids": torch.randint(5, vocab_size, (rows, source), generator=generator),
        "labels": labels,
        "timesteps": torch.tensor([10, 600, 1190][:rows]),
        "noise": torch.randn(rows, target, 32, generator=generator),
        "generator": torch.Generator().manual_seed(2),
    }


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.json")), ids=lambda path: path.stem)
def test_every_preset_builds(path):
    with torch.device("meta"):
        model = CodeFusionForConditionalGeneration(CodeFusionConfig(**json.loads(path.read_text())))
    assert model.config.max_target_length >= 32


def test_the_paper_preset_has_the_papers_size():
    with torch.device("meta"):
        model = CodeFusionForConditionalGeneration(
            CodeFusionConfig(**json.loads((CONFIGS / "paper.json").read_text()))
        )
    sizes = {name: sum(p.numel() for p in module.parameters()) for name, module in model.named_children()}
    assert sum(p.numel() for p in model.parameters()) == 136_010_340
    assert sizes["encoder"] == 35_316_480
    assert sizes["code_embeddings"] == 16_435_200
    assert sizes["head"] == 16_467_300
    assert model.config.num_train_timesteps == 1200 and model.config.hidden_size == 512


def test_every_parameter_gets_a_gradient():
    zero_at_first = {"denoiser.self_cond_proj.weight", "decoder.stack.relative_attention_bias.weight"}
    # With self-conditioning and without it: DistributedDataParallel wants every parameter each time.
    for seed in range(4):
        model = tiny_model().train()
        model(**{**batch(), "generator": torch.Generator().manual_seed(seed)}).loss.backward()
        missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
        assert missing == []
        dead = {name for name, p in model.named_parameters() if not p.grad.any()}
        assert dead <= zero_at_first


def test_loss_terms_add_up_with_their_weights():
    model = tiny_model(denoising_weight=0.5, decoder_mse_weight=2.0, embedding_nll_weight=0.25, tT_weight=3.0)
    out = model(**batch())
    expected = (
        0.5 * out.denoising_loss
        + 2 * out.decoder_mse_loss
        + out.cross_entropy_loss
        + 0.25 * out.embedding_nll_loss
        + 3 * out.prior_loss
    )
    torch.testing.assert_close(out.loss, expected)


@pytest.mark.parametrize(
    "settings", [{}, {"tie_head_to_embedding": False, "latent_dim": None}, {"copy_attention": False}]
)
@pytest.mark.parametrize("block_size", [0, 2])
def test_without_logits_loss_and_gradients_are_the_same(settings, block_size, monkeypatch):
    monkeypatch.setattr("codefusion_hf.networks_codefusion._LabelLogProbs.chunk", 5)  # 36 tokens: a last, smaller one
    results = []
    for output_logits in (True, False):
        model = tiny_model(**settings)
        inputs = batch() | {"noise": torch.zeros(3, 12, model.config.embedding_dim)}
        out = model(**inputs, block_size=block_size, output_logits=output_logits)
        out.loss.backward()
        results.append((out, {name: p.grad for name, p in model.named_parameters()}))
    (full, gradients), (short, same) = results
    assert full.logits.shape == (3, 12, 512) and short.logits is None
    torch.testing.assert_close(short.loss, full.loss)
    torch.testing.assert_close(same, gradients, rtol=1e-3, atol=1e-6)


def test_without_logits_under_autocast_the_loss_is_the_same():
    model = tiny_model()
    with torch.autocast("cpu", torch.bfloat16):
        full, short = (model(**batch(), output_logits=output_logits) for output_logits in (True, False))
    torch.testing.assert_close(short.cross_entropy_loss, full.cross_entropy_loss, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_norm_of_training_is_torchs(dtype):
    """Value and gradients, within what bf16 can tell."""
    norm = CodeFusionRMSNorm(48)
    torch.nn.init.normal_(norm.weight)
    inputs = torch.randn(3, 7, 48, dtype=dtype).requires_grad_()
    pull = torch.randn(3, 7, 48)
    results = []
    for training in (False, True):
        with torch.autocast("cpu", torch.bfloat16):
            out = norm.train(training)(inputs)
        assert out.dtype == (torch.bfloat16 if training else dtype)
        gradients = torch.autograd.grad((out.float() * pull).sum(), [inputs, norm.weight])
        results.append([out.float(), *(g.float() for g in gradients)])
    for expected, got in zip(*results):
        assert (got - expected).norm() < 0.01 * expected.norm()


def test_attention_dropout_leaves_out_keys_and_keeps_the_mean():
    model = tiny_model(dropout=0.5).train()
    attention = model.denoiser.stack.layers[0].self_attn
    ones = torch.ones(400, 2, 6, 8)
    output, weights = eager_attention_forward(attention, ones, ones, ones, None, scaling=1.0, dropout=0.5)
    assert ((weights == 0).all(2) | (weights > 0).all(2)).all()  # a key is there for all queries of a head or none
    assert 0.4 < (weights == 0).float().mean() < 0.6
    assert output.mean().item() == pytest.approx(1, abs=0.05)


def test_padding_weight_scales_only_padding():
    inputs = batch()
    light, heavy = (tiny_model(pad_loss_weight=weight)(**inputs).cross_entropy_loss for weight in (0.0, 1.0))
    assert light != heavy
    inputs["labels"] = inputs["labels"].masked_fill(inputs["labels"] == 0, 7)  # no padding left: no difference left
    light, heavy = (
        tiny_model(pad_loss_weight=weight)(
            **{**inputs, "generator": torch.Generator().manual_seed(2)}
        ).cross_entropy_loss
        for weight in (0.0, 1.0)
    )
    torch.testing.assert_close(light, heavy)


def test_ignored_labels_are_padding():
    inputs = batch()
    ignored = {**inputs, "labels": inputs["labels"].masked_fill(inputs["labels"] == 0, -100)}
    model = tiny_model()
    torch.testing.assert_close(model(**inputs).loss, model(**ignored).loss)


def test_self_conditioning_changes_nothing_at_initialisation():
    model = tiny_model()
    memory = model.encode(batch()["input_ids"])
    sample, timesteps = torch.randn(3, 12, 32), torch.tensor([5, 500, 1100])
    without = model.denoise(sample, timesteps, memory)
    torch.testing.assert_close(model.denoise(sample, timesteps, memory, previous=torch.randn(3, 12, 32)), without)
    torch.nn.init.normal_(model.denoiser.self_cond_proj.weight)
    assert not torch.allclose(model.denoise(sample, timesteps, memory, previous=torch.randn(3, 12, 32)), without)


def test_a_residual_decoder_changes_nothing_at_initialisation():
    """So the head's loss reaches the denoiser at once, as without a decoder."""
    model = tiny_model(residual_decoder=True)
    memory = model.encode(batch()["input_ids"])
    denoised = torch.randn(3, 12, 32)
    decoded, _ = model.decode(denoised, memory)
    torch.testing.assert_close(decoded, denoised)
    torch.nn.init.normal_(model.decoder.out_proj.weight)
    assert not torch.allclose(model.decode(denoised, memory)[0], denoised)
    plain, _ = tiny_model().decode(denoised, memory)
    assert not torch.allclose(plain, denoised)


def test_embedding_rows_have_the_configured_norm():
    model = tiny_model(embedding_scale=3.0)
    torch.testing.assert_close(model.embedding_table().norm(dim=-1), torch.full((512,), 3.0))
    free = tiny_model(embedding_norm="none", embedding_scale=1.0)
    assert free.embedding_table() is free.code_embeddings.weight
    assert free.config.signal_power == pytest.approx(32.0) and model.config.signal_power == pytest.approx(9.0)


def test_source_padding_changes_nothing():
    model, inputs = tiny_model(), batch()
    mask = torch.ones_like(inputs["input_ids"])
    plain = model(**inputs, attention_mask=mask)
    padded_ids = torch.nn.functional.pad(inputs["input_ids"], (0, 7))
    padded = model(**{**inputs, "input_ids": padded_ids}, attention_mask=torch.nn.functional.pad(mask, (0, 7)))
    torch.testing.assert_close(plain.logits, padded.logits, atol=1e-4, rtol=1e-4)


def test_candidates_share_the_memory_of_their_utterance():
    model = tiny_model()
    memory = model.encode(batch(2)["input_ids"])
    sample, timesteps = torch.randn(6, 12, 32), torch.full((6,), 300)
    together = model.denoise(sample, timesteps, memory)
    for row in range(2):
        alone = model.encode(batch(2)["input_ids"][row : row + 1])
        rows = slice(3 * row, 3 * row + 3)
        torch.testing.assert_close(
            together[rows], model.denoise(sample[rows], timesteps[:3], alone), atol=1e-4, rtol=1e-4
        )
        logits = model.decode(together, memory)[1][rows]
        torch.testing.assert_close(logits, model.decode(together[rows], alone)[1], atol=1e-4, rtol=1e-4)


def test_the_head_can_point_at_utterance_tokens():
    model = tiny_model()
    torch.nn.init.constant_(model.head.copy.gate.bias, 50.0)  # always copy
    ids = batch()["input_ids"]
    memory = model.encode(ids)
    probabilities = model.decode(torch.randn(3, 12, 32), memory)[1].exp()
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(3, 12), atol=1e-4, rtol=1e-4)
    for row in range(3):
        others = [token for token in range(512) if token not in ids[row].tolist()]
        assert probabilities[row][:, others].max() < 1e-6


def test_the_pointer_can_follow_its_left_neighbour():
    """A literal of several tokens is copied in one piece: each position points one token behind its neighbour's."""
    copy = tiny_model().denoiser.copy
    torch.nn.init.constant_(copy.follow.bias, 50.0)
    memory = tiny_model().encode(batch()["input_ids"])
    _, weights, context = copy(torch.randn(3, 6, 64), memory)
    for step in range(1, 6):
        moved = torch.nn.functional.pad(weights[:, step - 1, :-1], (1, 0))
        assert (weights[:, step] >= moved - 1e-6).all()  # what falls off the end goes where it would have pointed
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 6))
    torch.testing.assert_close(context, weights @ memory.hidden_states, atol=1e-5, rtol=1e-5)
    torch.nn.init.constant_(copy.follow.bias, -50.0)
    _, alone, _ = copy(torch.randn(3, 6, 64), memory)
    torch.testing.assert_close(alone.sum(-1), torch.ones(3, 6))
    assert not torch.allclose(alone[:, 1], alone[:, 0].roll(1, dims=-1))


def test_unconditional_rows_see_noise_only():
    model, inputs = tiny_model(), batch()
    flags = torch.tensor([True, False, True])
    one = model(**inputs, unconditional=flags).logits
    inputs["generator"].manual_seed(2)
    changed = {**inputs, "input_ids": inputs["input_ids"].flip(-1)}
    two = model(**changed, unconditional=flags).logits
    torch.testing.assert_close(one[flags], two[flags])
    assert not torch.allclose(one[1], two[1])


def test_without_decoder_the_tied_head_is_nearest_embedding():
    model = tiny_model(num_decoder_layers=0)
    assert model.decoder is None
    denoised = torch.randn(2, 12, 32)
    memory = model.encode(batch(2)["input_ids"])
    logits = model.decode(denoised, memory)[1]
    distances = torch.cdist(denoised, model.embedding_table()[None].expand(2, -1, -1))
    assert torch.equal(logits.argmax(-1), distances.argmin(-1))


@pytest.mark.parametrize(
    ("switch", "part"),
    [
        ({"copy_attention": False}, "copy"),
        ({"memory_add_input_embeddings": False}, "memory_embedding_proj"),
        ({"self_conditioning": False}, "self_cond_proj"),
        ({"tie_head_to_embedding": False, "latent_dim": 64}, "logit_scale"),
    ],
)
def test_switches_remove_their_parameters(switch, part):
    on, off = (tiny_model(**switches) for switches in ({}, switch))
    assert any(part in name for name, _ in on.named_parameters())
    assert not any(part in name for name, _ in off.named_parameters())
    inputs = batch()
    inputs.pop("noise")
    assert off(**inputs).loss.isfinite()


def test_scalar_switches_change_what_they_name():
    inputs = batch()
    plain = tiny_model()(**inputs)

    def changed(**switch):
        inputs["generator"].manual_seed(2)
        return tiny_model(**switch)(**inputs)

    assert not torch.allclose(changed(hidden_act="gelu").logits, plain.logits)
    assert not torch.allclose(tiny_model(dropout=0.5).train()(**inputs).logits, tiny_model().train()(**inputs).logits)
    flags = torch.ones(3, dtype=torch.bool)
    quiet = tiny_model(uncond_noise_std=0.0).encode(inputs["input_ids"], unconditional=flags)
    assert not quiet.hidden_states.any()
    for detach, frozen in ((True, True), (False, False)):
        weights = {"decoder_mse_weight": 0.0, "decoder_ce_weight": 0.0, "memory_add_input_embeddings": False}
        model = tiny_model(stop_grad_x0_target=detach, copy_attention=False, **weights).train()
        inputs["generator"].manual_seed(2)
        model(
            **{**inputs, "noise": torch.zeros_like(inputs["noise"]), "timesteps": torch.full((3,), 1199)}
        ).loss.backward()
        assert (model.code_embeddings.weight.grad.abs().max() < 1e-2) == frozen


def test_epsilon_space_weights_by_snr():
    inputs = batch(1)
    sample = tiny_model()(**inputs)
    inputs["generator"].manual_seed(2)
    epsilon = tiny_model(denoising_loss="epsilon")(**inputs)
    abar = CodeFusionForConditionalGeneration(tiny_config()).scheduler.alphas_cumprod[10]
    torch.testing.assert_close(epsilon.denoising_loss, sample.denoising_loss * float(abar / (1 - abar)))


def test_attention_implementations_agree(tiny_cf):
    logits = {}
    for attention in ("eager", "sdpa"):
        # T5's encoder has SDPA only in later versions of transformers.
        implementation = {"": attention, "encoder_config": "eager"}
        model = AutoModel.from_pretrained(tiny_cf, attn_implementation=implementation, dtype=torch.float32).eval()
        assert model.config._attn_implementation == attention
        logits[attention] = model(**batch()).logits
    torch.testing.assert_close(logits["eager"], logits["sdpa"], atol=2e-4, rtol=2e-4)


def test_gradient_checkpointing_gives_the_same_gradients():
    grads = []
    for checkpointing in (False, True):
        model = tiny_model().train()
        if checkpointing:
            model.gradient_checkpointing_enable()
            assert model.is_gradient_checkpointing
        model(**batch()).loss.backward()
        grads.append({name: p.grad for name, p in model.named_parameters()})
    assert len(grads[0]) == len(grads[1]) > 50
    for name, grad in grads[0].items():
        torch.testing.assert_close(grad, grads[1][name])


def test_the_denoiser_compiles_without_graph_breaks():
    model = tiny_model()
    memory = model.encode(batch()["input_ids"])
    sample, timesteps = torch.randn(3, 12, 32), torch.tensor([5, 500, 1100])
    compiled = torch.compile(model.denoise, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(sample, timesteps, memory), model.denoise(sample, timesteps, memory))


def test_save_and_load_is_exact(tmp_path):
    model = tiny_model()
    model.save_pretrained(tmp_path)
    for auto in (AutoModel, AutoModelForSeq2SeqLM, CodeFusionForConditionalGeneration):
        again, info = auto.from_pretrained(tmp_path, output_loading_info=True)
        assert type(again) is CodeFusionForConditionalGeneration
        assert not info["missing_keys"] and not info["unexpected_keys"]
        torch.testing.assert_close(again.eval()(**batch()).logits, model(**batch()).logits, atol=0, rtol=0)


def test_loads_an_encoder_in_codet5s_format(tmp_path):
    """CodeT5 checkpoints are T5 ones: `shared` and `encoder.*` keys, a vocabulary of 32,100."""
    config = T5Config(vocab_size=512, d_model=64, d_ff=128, d_kv=16, num_heads=4, num_layers=2, dropout_rate=0.0)
    source = T5EncoderModel(config).eval()
    source.save_pretrained(tmp_path)
    encoder = T5EncoderModel.from_pretrained(tmp_path)
    model = tiny_model(encoder_config=encoder.config)
    model.encoder.load_state_dict(encoder.state_dict())
    ids = batch()["input_ids"]
    torch.testing.assert_close(model.encoder(input_ids=ids).last_hidden_state, source(input_ids=ids).last_hidden_state)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"embedding_norm": "l1"}, "l2, none"),
        ({"denoising_loss": "v"}, "sample, epsilon"),
        ({"noise_schedule": "cosine"}, "sqrt"),
        ({"d_model": 30}, "divisible"),
        ({"num_denoiser_layers": 0}, "at least 1"),
        ({"num_heads": 0}, "at least 1"),
        ({"latent_dim": 0}, "at least 1"),
        ({"pad_loss_weight": -1.0}, "at least 0"),
        ({"dropout": 2.0}, "dropout"),
        ({"embedding_scale": 0.0}, "positive"),
        ({"pad_token_id": None}, "pad_token_id"),
        ({"tie_head_to_embedding": False}, "untied head"),
        ({"min_snr_gamma": 5.0}, "epsilon"),
        ({"residual_decoder": True, "latent_dim": 64}, "other than `d_model`"),
    ],
)
def test_bad_configs_are_refused(wrong, message):
    with pytest.raises((ValueError, TypeError), match=message):
        tiny_config(**wrong)


def test_bad_inputs_are_refused():
    model, inputs = tiny_model(), batch()
    with pytest.raises(ValueError, match="needs `labels`"):
        model(input_ids=inputs["input_ids"])
    with pytest.raises(ValueError, match="at most 128"):
        model(input_ids=torch.ones(1, 129, dtype=torch.long), labels=inputs["labels"][:1])
    with pytest.raises(ValueError, match="max_target_length"):
        model(input_ids=inputs["input_ids"][:1], labels=torch.ones(1, 40, dtype=torch.long))
    with pytest.raises(ValueError, match="vocabulary"):
        model.resize_token_embeddings(600)


def test_unknown_checkpoint_names_the_shipped_ones():
    with pytest.raises(ValueError, match="shipped models are"):
        codefusion_hf.checkpoint_path("cobol")
