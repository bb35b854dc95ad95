"""The loss terms against numbers computed by hand, their gradients and the relation between the two spaces."""

import math

import pytest
import torch

from codefusion_hf.loss_codefusion import (
    codefusion_loss,
    decoder_mse_loss,
    denoising_loss,
    prior_loss,
    token_cross_entropy,
)
from codefusion_hf.scheduling_codefusion import CodeFusionScheduler


# Two programs of two tokens with two dimensions; the second token of the second one is padding.
X0 = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 0.0]]])
X0_PRED = torch.tensor([[[1.0, 2.0], [0.0, 1.0]], [[0.0, 0.0], [3.0, 1.0]]])
WEIGHTS = torch.tensor([[1.0, 1.0], [1.0, 0.25]])
# squared errors per token: [[4, 0], [4, 10]]; per program: 2 and (4 + 2.5) / 1.25 = 5.2


def random_inputs(requires_grad=False):
    generator = torch.Generator().manual_seed(0)

    def randn(*shape):
        return torch.randn(shape, generator=generator, requires_grad=requires_grad)

    return {
        "x0": randn(3, 4, 5),
        "x0_pred": randn(3, 4, 5),
        "decoder_hidden": randn(3, 4, 5),
        "logits": randn(3, 4, 7),
        "embedding_logits": randn(3, 4, 7),
        "labels": torch.randint(7, (3, 4), generator=generator),
        "weights": torch.tensor([[1.0, 1.0, 1.0, 0.15], [1.0, 0.15, 0.15, 0.15], [1.0, 1.0, 1.0, 1.0]]),
        "signal_power": 5.0,
        "alpha_cumprod_T": 0.25,
    }


def test_denoising_loss_by_hand():
    loss = denoising_loss(X0_PRED, X0, weights=WEIGHTS, signal_power=2.0)
    assert loss.item() == pytest.approx((2 + 5.2) / 2 / 2.0)


def test_epsilon_space_by_hand():
    snr = torch.tensor([3.0, 0.5])
    kwargs = {"weights": WEIGHTS, "signal_power": 2.0, "snr": snr, "space": "epsilon"}
    assert denoising_loss(X0_PRED, X0, **kwargs).item() == pytest.approx((3 * 2 + 0.5 * 5.2) / 2 / 2.0)
    clamped = denoising_loss(X0_PRED, X0, **kwargs, min_snr_gamma=1.0)
    assert clamped.item() == pytest.approx((1 * 2 + 0.5 * 5.2) / 2 / 2.0)


def test_epsilon_space_is_the_mean_squared_error_of_the_noise():
    scheduler, generator = CodeFusionScheduler(), torch.Generator().manual_seed(0)
    x0, noise, x0_pred = (torch.randn(4, 6, 8, generator=generator) for _ in range(3))
    timesteps = torch.tensor([0, 200, 600, 1100])
    x_t = scheduler.add_noise(x0, noise, timesteps)
    noise_pred = scheduler.predict_noise(x0_pred, timesteps, x_t)
    loss = denoising_loss(
        x0_pred, x0, weights=torch.ones(4, 6), signal_power=8, snr=scheduler.snr(timesteps), space="epsilon"
    )
    torch.testing.assert_close(loss, torch.nn.functional.mse_loss(noise_pred, noise), rtol=1e-4, atol=1e-5)


def test_predicting_zero_costs_one_whatever_the_scale_and_width():
    for dim, norm in [(4, 1.0), (128, 4.0)]:
        x0 = norm * torch.nn.functional.normalize(torch.ones(2, 3, dim), dim=-1)
        for loss in (
            denoising_loss(torch.zeros_like(x0), x0, weights=torch.ones(2, 3), signal_power=norm**2),
            decoder_mse_loss(torch.zeros_like(x0), x0, torch.ones(2, 3), norm**2),
        ):
            assert loss.item() == pytest.approx(1.0)


def test_decoder_mse_by_hand():
    assert decoder_mse_loss(X0_PRED, X0, WEIGHTS, 4.0).item() == pytest.approx((2 + 5.2) / 2 / 4.0)


def test_token_cross_entropy_by_hand():
    logits = torch.log(torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]], [[0.2, 0.2, 0.6], [0.25, 0.25, 0.5]]]))
    labels = torch.tensor([[0, 1], [2, 0]])
    first = (math.log(2) - math.log(0.8)) / 2
    second = (-math.log(0.6) + 0.25 * math.log(4)) / 1.25
    assert token_cross_entropy(logits, labels, WEIGHTS).item() == pytest.approx((first + second) / 2)


def test_prior_loss_by_hand():
    # squared norms [[1, 1], [4, 0]]; per program 1 and 4 / 1.25
    assert prior_loss(X0, WEIGHTS, 2.0, 0.1).item() == pytest.approx(0.1 * (1 + 3.2) / 2 / 2.0)


def test_terms_do_not_depend_on_the_batch():
    inputs = random_inputs()
    together = codefusion_loss(**inputs, embedding_nll_weight=1.0, tT_weight=1.0)
    rows = [
        codefusion_loss(
            **{k: v[i : i + 1] if isinstance(v, torch.Tensor) else v for k, v in inputs.items()},
            embedding_nll_weight=1.0,
            tT_weight=1.0,
        )
        for i in range(3)
    ]
    for name, value in together._asdict().items():
        torch.testing.assert_close(value, torch.stack([getattr(row, name) for row in rows]).mean())


def test_tokens_of_weight_0_do_not_count():
    weights = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    changed = X0_PRED.clone()
    changed[0, 1] = changed[1] = 100.0
    loss = denoising_loss(changed, X0, weights=weights, signal_power=1.0)
    assert loss.item() == pytest.approx(4 / 2)  # the second program has no weight at all: 0, not NaN


def test_total_is_the_weighted_sum_of_the_terms():
    inputs = random_inputs()
    loss = codefusion_loss(
        **inputs,
        denoising_weight=2.0,
        decoder_mse_weight=3.0,
        decoder_ce_weight=5.0,
        embedding_nll_weight=7.0,
        tT_weight=11.0,
    )
    x0, weights = inputs["x0"], inputs["weights"]
    expected = {
        "denoising": denoising_loss(inputs["x0_pred"], x0, weights=weights, signal_power=5.0),
        "decoder_mse": decoder_mse_loss(inputs["decoder_hidden"], x0, weights, 5.0),
        "cross_entropy": token_cross_entropy(inputs["logits"], inputs["labels"], weights),
        "embedding_nll": token_cross_entropy(inputs["embedding_logits"], inputs["labels"], weights),
        "prior": prior_loss(x0, weights, 5.0, 0.25),
    }
    for name, value in expected.items():
        torch.testing.assert_close(getattr(loss, name), value)
    total = sum(weight * value for weight, value in zip((2, 3, 5, 7, 11), expected.values()))
    torch.testing.assert_close(loss.total, total)


def test_the_settings_of_the_denoising_term_reach_it():
    inputs = random_inputs()
    snr = torch.tensor([9.0, 1.0, 0.1])
    loss = codefusion_loss(**inputs, snr=snr, space="epsilon", min_snr_gamma=5.0)
    expected = denoising_loss(
        inputs["x0_pred"],
        inputs["x0"],
        weights=inputs["weights"],
        signal_power=5.0,
        snr=snr,
        space="epsilon",
        min_snr_gamma=5.0,
    )
    torch.testing.assert_close(loss.denoising, expected)


def test_a_term_of_weight_0_is_not_computed():
    inputs = {k: v for k, v in random_inputs().items() if k in ("x0", "x0_pred", "weights", "signal_power")}
    loss = codefusion_loss(**inputs, decoder_mse_weight=0.0, decoder_ce_weight=0.0)
    assert torch.equal(loss.total, loss.denoising)
    assert loss.decoder_mse is loss.cross_entropy is loss.embedding_nll is loss.prior is None


@pytest.mark.parametrize("stop", [True, False])
def test_the_embedding_learns_from_the_first_term_only_where_asked(stop):
    inputs = random_inputs(requires_grad=True)
    codefusion_loss(**inputs, stop_grad_x0_target=stop).denoising.backward()
    assert inputs["x0_pred"].grad.abs().sum() > 0
    assert (inputs["x0"].grad is None) == stop


def test_the_embedding_learns_from_the_second_term():
    inputs = random_inputs(requires_grad=True)
    codefusion_loss(**inputs).decoder_mse.backward()
    torch.testing.assert_close(inputs["x0"].grad, -inputs["decoder_hidden"].grad)


def test_gradient_steps_lower_the_loss_and_point_at_the_target():
    inputs = random_inputs(requires_grad=True)
    before = codefusion_loss(**inputs)
    before.total.backward()
    # descent moves the prediction straight towards x0
    direction = inputs["x0"].detach() - inputs["x0_pred"].detach()
    cosine = torch.cosine_similarity(-inputs["x0_pred"].grad, direction, dim=-1)
    torch.testing.assert_close(cosine, torch.ones(3, 4))
    moved = {
        name: value.detach() - 0.1 * value.grad if getattr(value, "grad", None) is not None else value
        for name, value in inputs.items()
    }
    after = codefusion_loss(**moved)
    for name in ("denoising", "decoder_mse", "cross_entropy"):
        assert getattr(after, name) < getattr(before, name)


def test_half_precision_inputs_are_summed_in_fp32():
    # bfloat16 has no 4097
    x0 = torch.zeros(1, 1, 4097, dtype=torch.bfloat16)
    loss = denoising_loss(x0 + 1, x0, weights=torch.ones(1, 1), signal_power=1.0)
    assert loss.dtype == torch.float32 and loss.item() == 4097
    logits = torch.zeros(1, 1, 3, dtype=torch.bfloat16)
    nll = token_cross_entropy(logits, torch.zeros(1, 1, dtype=torch.long), torch.ones(1, 1))
    assert nll.item() == pytest.approx(math.log(3), abs=1e-6)


def test_compiles_to_one_graph():
    inputs = random_inputs()
    compiled = torch.compile(codefusion_loss, fullgraph=True, backend="eager")
    kwargs = {**inputs, "snr": torch.tensor([9.0, 1.0, 0.1]), "space": "epsilon", "min_snr_gamma": 5.0}
    torch.testing.assert_close(compiled(**kwargs).total, codefusion_loss(**kwargs).total)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"space": "noise"}, "`space` must be one of 'sample', 'epsilon', got 'noise'"),
        ({"space": "epsilon"}, "space='epsilon' needs `snr`"),
        ({"min_snr_gamma": 5.0}, "`min_snr_gamma`.*no meaning for space='sample'"),
        ({"x0_pred": None}, "denoising term has a weight but no `x0_pred`"),
        ({"decoder_hidden": None}, "decoder_mse term has a weight but no `decoder_hidden`"),
        ({"logits": None, "labels": None}, "cross_entropy term has a weight but no `logits` and `labels`"),
        ({"embedding_logits": None, "embedding_nll_weight": 1.0}, "embedding_nll term .* no `embedding_logits`"),
        ({"alpha_cumprod_T": None, "tT_weight": 1.0}, "prior term has a weight but no `alpha_cumprod_T`"),
        ({"denoising_weight": 0, "decoder_mse_weight": 0, "decoder_ce_weight": 0}, "All weights of the loss are 0"),
        ({"x0_pred": torch.zeros(3, 4, 1)}, r"prediction has shape \(3, 4, 1\), its target \(3, 4, 5\)"),
        ({"logits": torch.zeros(3, 3, 7)}, r"`logits` of shape \(3, 3, 7\) do not fit `labels` \(3, 4\)"),
        ({"weights": torch.ones(3, 1)}, r"`weights` must be of the tokens' shape \(3, 4\), got \(3, 1\)"),
    ],
)
def test_bad_inputs_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        codefusion_loss(**{**random_inputs(), **kwargs})
