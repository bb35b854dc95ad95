"""The schedule against its closed form, the samplers against diffusers and against what they must do by definition."""

import math
from types import SimpleNamespace

import diffusers
import pytest
import torch

from codefusion_hf.scheduling_codefusion import LOGSNR_KAPPA_RANGE, SAMPLERS, CodeFusionScheduler


T = 1200
SHAPE = (2, 5, 8)
# Every sampler with every option that changes its update.
VARIANTS = [
    {"sampler": "ddpm", "variance_type": "fixed_small"},
    {"sampler": "ddpm", "variance_type": "fixed_large"},
    {"sampler": "ddim", "eta": 0.0},
    {"sampler": "ddim", "eta": 1.0},
    {"sampler": "dpmpp_2m"},
]


def randn(seed, shape=SHAPE):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def denoiser(sample, timestep):
    """A fixed nonlinear "model": a sampler that mixes up the order or the time of its calls gets another result."""
    return torch.tanh(sample + 0.3 * math.sin(int(timestep) / 50))


def sample_ours(scheduler, model=denoiser, seed=0):
    sample, generator = randn(seed), torch.Generator().manual_seed(seed + 1)
    trajectory = []
    for i, timestep in enumerate(scheduler.timesteps):
        needs_noise = scheduler.is_stochastic and i < len(scheduler.timesteps) - 1
        # where noise is unused, NaN shows it
        noise = torch.randn(SHAPE, generator=generator) if needs_noise else torch.full(SHAPE, math.nan)
        sample = scheduler.step(model(sample, timestep), timestep, sample, noise=noise)
        trajectory.append(sample)
    return torch.stack(trajectory)


def sample_diffusers(scheduler, seed=0):
    sample, generator = randn(seed), torch.Generator().manual_seed(seed + 1)
    trajectory = []
    for timestep in scheduler.timesteps:
        kwargs = {} if isinstance(scheduler, diffusers.DPMSolverMultistepScheduler) else {"generator": generator}
        if isinstance(scheduler, diffusers.DDIMScheduler):
            kwargs["eta"] = scheduler.eta
        sample = scheduler.step(denoiser(sample, timestep), timestep, sample, **kwargs).prev_sample
        trajectory.append(sample)
    return torch.stack(trajectory)


# The schedule


def test_alphas_cumprod_has_the_closed_form_of_the_sqrt_schedule():
    scheduler = CodeFusionScheduler()
    steps = torch.arange(T - 1, dtype=torch.float64)
    expected = (1 - ((steps + 1) / T + 1e-4).sqrt()) / 0.99
    torch.testing.assert_close(scheduler.alphas_cumprod[:-1], expected, rtol=0, atol=1e-9)
    assert (scheduler.alphas_cumprod.diff() < 0).all()
    assert ((scheduler.betas > 0) & (scheduler.betas <= 0.999)).all()


@pytest.mark.parametrize(
    ("name", "index", "expected", "tolerance"),
    [
        ("betas", 0, 0.020758, 1e-6),
        ("betas", T - 3, 0.3474, 1e-4),
        ("betas", T - 2, 0.5320, 1e-4),
        ("betas", T - 1, 0.999, 1e-12),
        ("alphas_cumprod", 0, 0.979242, 1e-6),
        ("alphas_cumprod", T // 10, 0.689, 1e-3),
        ("alphas_cumprod", T // 2, 0.295, 1e-3),
        ("alphas_cumprod", T - 3, 7.9156e-4, 1e-8),
        ("alphas_cumprod", T - 2, 3.7044e-4, 1e-8),
        ("alphas_cumprod", T - 1, 3.7044e-7, 1e-11),
    ],
)
def test_published_schedule_values(name, index, expected, tolerance):
    assert getattr(CodeFusionScheduler(), name)[index].item() == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("num_train_timesteps", [1, 2, 10, 200, 2000])
def test_only_the_last_beta_is_clipped(num_train_timesteps):
    betas = CodeFusionScheduler(num_train_timesteps).betas
    assert (betas == 0.999).nonzero().flatten().tolist() == [num_train_timesteps - 1]


def test_construction_does_not_depend_on_torch_defaults():
    expected = CodeFusionScheduler(50).alphas_cumprod
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            scheduler = CodeFusionScheduler(50)
            scheduler.set_timesteps(7, timestep_spacing="logsnr")
            assert scheduler.snr(3).device.type == "cpu"
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(scheduler.alphas_cumprod, expected)
    assert scheduler.timesteps.device.type == "cpu"


def test_from_config_reads_the_schedule_fields():
    config = SimpleNamespace(num_diffusion_steps=40, noise_schedule="sqrt", schedule_offset=1e-3)
    scheduler = CodeFusionScheduler.from_config(config)
    assert torch.equal(scheduler.alphas_cumprod, CodeFusionScheduler(40, "sqrt", 1e-3).alphas_cumprod)
    assert not torch.equal(scheduler.alphas_cumprod, CodeFusionScheduler(40).alphas_cumprod)


# Noising


def test_add_noise_agrees_with_diffusers_and_broadcasts_timesteps():
    scheduler = CodeFusionScheduler()
    reference = diffusers.DDPMScheduler(T, trained_betas=scheduler.betas.tolist())
    x0, noise, timesteps = randn(0), randn(1), torch.tensor([3, 1100])
    noisy = scheduler.add_noise(x0, noise, timesteps)
    torch.testing.assert_close(noisy, reference.add_noise(x0, noise, timesteps))
    # one level for all rows as an int, and one level per token
    assert torch.equal(scheduler.add_noise(x0, noise, 3)[0], noisy[0])
    assert torch.equal(scheduler.add_noise(x0, noise, timesteps[:, None].expand(2, 5)), noisy)
    assert scheduler.add_noise(x0.bfloat16(), noise, 3).dtype == torch.bfloat16


def test_add_noise_compiles_to_one_graph():
    scheduler = CodeFusionScheduler()
    compiled = torch.compile(scheduler.add_noise, fullgraph=True, backend="eager")
    timesteps = torch.tensor([3, 1100])
    assert torch.equal(compiled(randn(0), randn(1), timesteps), scheduler.add_noise(randn(0), randn(1), timesteps))


def test_predict_noise_inverts_add_noise():
    scheduler = CodeFusionScheduler()
    x0, noise, timesteps = randn(0), randn(1), torch.tensor([100, 1199])
    recovered = scheduler.predict_noise(x0, timesteps, scheduler.add_noise(x0, noise, timesteps))
    torch.testing.assert_close(recovered, noise)


def test_snr_values():
    scheduler = CodeFusionScheduler()
    snr = scheduler.snr(torch.tensor([0, 200, 1188]))
    assert snr.dtype == torch.float32
    # 47 at the first step, 0.0046 at 0.99 T; the closed form in between
    abar = (1 - math.sqrt(201 / T + 1e-4)) / 0.99
    assert snr.tolist() == pytest.approx([47.17, abar / (1 - abar), 0.0046], rel=0.02)
    assert scheduler.snr(200).item() == snr[1].item()


# Grids


@pytest.mark.parametrize("spacing", ["uniform", "logsnr"])
@pytest.mark.parametrize("num_inference_steps", [1, 2, 7, 20, 500, 1000, T])
@pytest.mark.parametrize("signal_power", [0.01, 1.0, 16.0, 512.0])
def test_grids_are_strictly_descending_training_indices(spacing, num_inference_steps, signal_power):
    scheduler = CodeFusionScheduler()
    scheduler.set_timesteps(num_inference_steps, timestep_spacing=spacing, signal_power=signal_power)
    timesteps = scheduler.timesteps
    assert timesteps.dtype == torch.long and timesteps.shape == (num_inference_steps,)
    assert (timesteps.diff() < 0).all()
    assert 0 <= timesteps[-1] and timesteps[0] < T
    if num_inference_steps == T:
        assert timesteps.tolist() == list(range(T - 1, -1, -1))


def test_uniform_grid_values():
    scheduler = CodeFusionScheduler()
    scheduler.set_timesteps(5)
    assert scheduler.timesteps.tolist() == [1199, 959, 719, 479, 239]
    scheduler.set_timesteps(7)
    assert scheduler.timesteps.tolist() == [1199, 1028, 856, 685, 513, 342, 170]


def test_logsnr_grid_is_uniform_in_log_kappa():
    scheduler = CodeFusionScheduler()
    scheduler.set_timesteps(12, timestep_spacing="logsnr", signal_power=16.0)
    log_kappa = (16.0 * scheduler.snr(scheduler.timesteps)).log()
    low, high = map(math.log, LOGSNR_KAPPA_RANGE)
    # at the noisy end one index is already a large step in log-SNR, hence the tolerance
    torch.testing.assert_close(log_kappa, torch.linspace(low, high, 12), rtol=0, atol=0.1)


def test_strength_is_the_part_of_the_schedule_that_is_walked():
    scheduler = CodeFusionScheduler()
    for num_inference_steps, strength, expected in [
        (5, 0.5, [599, 479, 359, 239, 119]),
        (5, 2 / T, [1, 0]),  # no more steps than indices
        (5, 0.0, []),
        (5, 1.0, [1199, 959, 719, 479, 239]),
    ]:
        scheduler.set_timesteps(num_inference_steps, strength=strength)
        assert scheduler.timesteps.tolist() == expected
    scheduler.set_timesteps(12, timestep_spacing="logsnr")
    whole = scheduler.timesteps
    scheduler.set_timesteps(12, timestep_spacing="logsnr", strength=0.5)
    assert torch.equal(scheduler.timesteps, whole[whole < T // 2]) and 0 < len(scheduler.timesteps) < 12


# Samplers against diffusers, on full trajectories


def diffusers_kwargs(scheduler):
    return {
        "num_train_timesteps": scheduler.num_train_timesteps,
        "trained_betas": scheduler.betas.tolist(),
        "prediction_type": "sample",
        "timestep_spacing": "trailing",
    }


@pytest.mark.parametrize("variance_type", ["fixed_small", "fixed_large"])
@pytest.mark.parametrize("num_inference_steps", [20, T])
def test_ddpm_agrees_with_diffusers(variance_type, num_inference_steps):
    scheduler = CodeFusionScheduler()
    scheduler.set_timesteps(num_inference_steps, sampler="ddpm", variance_type=variance_type)
    reference = diffusers.DDPMScheduler(**diffusers_kwargs(scheduler), clip_sample=False, variance_type=variance_type)
    reference.set_timesteps(num_inference_steps)
    assert torch.equal(reference.timesteps, scheduler.timesteps)
    ours, theirs = sample_ours(scheduler), sample_diffusers(reference)
    torch.testing.assert_close(ours[:-1], theirs[:-1], rtol=1e-3, atol=1e-4)
    if variance_type == "fixed_small" or num_inference_steps == T:
        torch.testing.assert_close(ours[-1], theirs[-1], rtol=1e-3, atol=1e-4)
    else:  # diffusers adds the noise of beta to the result unless the last index is 0; our last step is x0
        torch.testing.assert_close(ours[-1], denoiser(ours[-2], scheduler.timesteps[-1]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("num_inference_steps", [20, T])
def test_ddim_agrees_with_diffusers(eta, num_inference_steps):
    scheduler = CodeFusionScheduler()
    scheduler.set_timesteps(num_inference_steps, sampler="ddim", eta=eta)
    reference = diffusers.DDIMScheduler(**diffusers_kwargs(scheduler), clip_sample=False)
    reference.eta = eta
    reference.set_timesteps(num_inference_steps)
    assert torch.equal(reference.timesteps, scheduler.timesteps)
    torch.testing.assert_close(sample_ours(scheduler), sample_diffusers(reference), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("spacing", ["uniform", "logsnr"])
@pytest.mark.parametrize("num_inference_steps", [1, 2, 3, 20, 100])
def test_dpmpp_2m_agrees_with_diffusers(spacing, num_inference_steps):
    scheduler = CodeFusionScheduler()
    scheduler.set_timesteps(num_inference_steps, timestep_spacing=spacing, signal_power=16.0)
    reference = diffusers.DPMSolverMultistepScheduler(
        **diffusers_kwargs(scheduler), algorithm_type="dpmsolver++", solver_order=2
    )
    reference.set_timesteps(timesteps=scheduler.timesteps.tolist())
    torch.testing.assert_close(sample_ours(scheduler), sample_diffusers(reference), rtol=1e-3, atol=1e-4)


# Samplers by definition


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("num_inference_steps", [1, 2, 20])
def test_every_sampler_ends_in_x0_when_the_model_is_an_oracle(variant, num_inference_steps):
    scheduler, x0 = CodeFusionScheduler(), randn(7)
    scheduler.set_timesteps(num_inference_steps, **variant)
    trajectory = sample_ours(scheduler, model=lambda sample, timestep: x0)
    torch.testing.assert_close(trajectory[-1], x0, rtol=0, atol=1e-5)
    if num_inference_steps > 1:
        assert not torch.allclose(trajectory[-2], x0, atol=1e-2)


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v.get("variance_type") != "fixed_large"])
def test_the_marginals_along_the_way_are_those_of_training(variant):
    # With an x0 oracle every state is sqrt(abar_s) x0 + sqrt(1 - abar_s) eps; fixed_large overshoots by definition.
    scheduler, shape = CodeFusionScheduler(), (200_000,)
    x0 = torch.full(shape, 2.0)
    scheduler.set_timesteps(4, **variant)
    sample = scheduler.add_noise(x0, randn(0, shape), scheduler.timesteps[0])
    for i in range(3):
        sample = scheduler.step(x0, scheduler.timesteps[i], sample, noise=randn(i + 1, shape))
        abar = scheduler.alphas_cumprod[scheduler.timesteps[i + 1]].item()
        assert sample.mean().item() == pytest.approx(2 * math.sqrt(abar), abs=0.01)
        assert sample.var().item() == pytest.approx(1 - abar, abs=0.01)


def test_ddpm_on_all_indices_is_the_classic_posterior():
    scheduler = CodeFusionScheduler()
    scheduler.set_timesteps(T, sampler="ddpm")
    x0, x_t, noise = randn(0), randn(1), randn(2)
    for t in (1, 300, T - 1):
        beta, abar, abar_previous = scheduler.betas[t], scheduler.alphas_cumprod[t], scheduler.alphas_cumprod[t - 1]
        mean = abar_previous.sqrt() * beta / (1 - abar) * x0
        mean = mean + (1 - beta).sqrt() * (1 - abar_previous) / (1 - abar) * x_t
        expected = mean + (beta * (1 - abar_previous) / (1 - abar)).sqrt() * noise
        torch.testing.assert_close(scheduler.step(x0, t, x_t, noise=noise), expected, check_dtype=False)


@pytest.mark.parametrize("num_inference_steps", [20, T])
def test_ddim_with_eta_1_is_ddpm_fixed_small(num_inference_steps):
    ddim, ddpm = CodeFusionScheduler(), CodeFusionScheduler()
    ddim.set_timesteps(num_inference_steps, sampler="ddim", eta=1.0)
    ddpm.set_timesteps(num_inference_steps, sampler="ddpm", variance_type="fixed_small")
    torch.testing.assert_close(sample_ours(ddim), sample_ours(ddpm), rtol=1e-4, atol=1e-5)


def test_dpmpp_2m_starts_as_ddim_and_then_differs():
    solver, ddim = CodeFusionScheduler(), CodeFusionScheduler()
    solver.set_timesteps(5)
    ddim.set_timesteps(5, sampler="ddim")
    ours, first_order = sample_ours(solver), sample_ours(ddim)
    torch.testing.assert_close(ours[0], first_order[0], rtol=1e-5, atol=1e-6)
    assert (ours[1] - first_order[1]).abs().max() > 1e-3


@pytest.mark.parametrize(("sampler", "order"), [("ddim", 1), ("dpmpp_2m", 2)])
def test_order_of_the_solvers(sampler, order):
    # For data N(0, v) the best denoiser is linear and the probability flow scales x by the marginal standard
    # deviation: the exact solution between two indices is known, and halving the step divides the error by 2^order.
    variance, start, stop = 4.0, 959, 479

    def error(num_inference_steps):
        scheduler = CodeFusionScheduler()
        scheduler.set_timesteps(num_inference_steps, sampler=sampler)
        abar = scheduler.alphas_cumprod
        std = (abar * variance + 1 - abar).sqrt()
        sample = torch.ones(1, dtype=torch.float32)
        for t in scheduler.timesteps.tolist():
            if start >= t > stop:
                sample = scheduler.step((abar[t].sqrt() * variance / std[t] ** 2 * sample).float(), t, sample)
        return abs(sample.item() - (std[stop] / std[start]).item())

    assert error(20) / error(40) == pytest.approx(2**order, rel=0.25)


def test_set_timesteps_and_skipped_points_forget_the_previous_x0():
    scheduler = CodeFusionScheduler()
    scheduler.set_timesteps(5)
    fresh = sample_ours(scheduler)
    scheduler.set_timesteps(5)
    assert torch.equal(sample_ours(scheduler), fresh)

    # runs that start in the middle, as for a noised draft, after an unfinished one
    ddim = CodeFusionScheduler()
    ddim.set_timesteps(5, sampler="ddim")
    scheduler.set_timesteps(5)
    scheduler.step(randn(0), 1199, randn(1))
    torch.testing.assert_close(scheduler.step(randn(2), 719, randn(3)), ddim.step(randn(2), 719, randn(3)))
    scheduler.set_timesteps(5)
    torch.testing.assert_close(scheduler.step(randn(4), 479, randn(5)), ddim.step(randn(4), 479, randn(5)))


@pytest.mark.parametrize("length", [None, 3])
def test_a_solver_goes_on_with_some_rows(length):
    scheduler, rows = CodeFusionScheduler(), torch.tensor([False, True])
    scheduler.set_timesteps(5)
    scheduler.step(randn(0), 1199, randn(1))
    selected = scheduler.select(rows, length)
    x0, x_t = randn(2), randn(3)
    found = selected.step(x0[rows, :length], 959, x_t[rows, :length])
    assert torch.equal(found, scheduler.step(x0, 959, x_t)[rows, :length])  # which the copy has not disturbed


@pytest.mark.parametrize("variant", VARIANTS)
def test_steps_compute_in_fp32_and_keep_the_dtype_of_the_sample(variant):
    scheduler = CodeFusionScheduler()
    scheduler.set_timesteps(5, **variant)
    x0, x_t, noise = randn(0).bfloat16(), randn(1), randn(2)
    mixed = scheduler.step(x0, 1199, x_t, noise=noise)
    assert mixed.dtype == torch.float32
    scheduler.set_timesteps(5, **variant)
    assert torch.equal(scheduler.step(x0.float(), 1199, x_t, noise=noise), mixed)
    assert scheduler.step(x0, 1199, x_t.bfloat16(), noise=noise).dtype == torch.bfloat16


def test_is_stochastic():
    scheduler, found = CodeFusionScheduler(), {}
    for variant in VARIANTS:
        scheduler.set_timesteps(5, **variant)
        found[variant["sampler"], variant.get("eta", 0.0)] = scheduler.is_stochastic
    assert found == {("ddpm", 0.0): True, ("ddim", 0.0): False, ("ddim", 1.0): True, ("dpmpp_2m", 0.0): False}


# Errors


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"noise_schedule": "cosine"}, "`noise_schedule` must be one of 'sqrt', got 'cosine'"),
        ({"num_train_timesteps": 0}, "`num_train_timesteps` must be an integer of at least 1, got 0"),
        ({"num_train_timesteps": 10.5}, "at least 1, got 10.5"),
        ({"schedule_offset": -1e-4}, r"`schedule_offset` must be in \[0, 1/num_train_timesteps"),
        ({"num_train_timesteps": 10, "schedule_offset": 0.1}, "`schedule_offset` must be in"),
    ],
)
def test_bad_schedules_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        CodeFusionScheduler(**kwargs)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_inference_steps": 0}, "`num_inference_steps` must be an integer from 1 to 1200.*got 0"),
        ({"num_inference_steps": T + 1}, "from 1 to 1200.*got 1201"),
        ({"num_inference_steps": 2.0}, "got 2.0"),
        ({"sampler": "euler"}, "`sampler` must be one of " + ", ".join(map(repr, SAMPLERS)) + ", got 'euler'"),
        ({"timestep_spacing": "leading"}, "`timestep_spacing` must be one of 'uniform', 'logsnr'"),
        ({"variance_type": "learned"}, "`variance_type` must be one of 'fixed_small', 'fixed_large'"),
        ({"eta": 1.5}, r"`eta` must be in \[0, 1\], got 1.5"),
        ({"signal_power": 0.0}, "`signal_power` must be positive, got 0.0"),
        ({"strength": 1.5}, r"`strength` must be in \[0, 1\], got 1.5"),
    ],
)
def test_bad_sampling_settings_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        CodeFusionScheduler().set_timesteps(**{"num_inference_steps": 20, **kwargs})


def test_bad_steps_are_refused():
    scheduler, x = CodeFusionScheduler(), randn(0)
    with pytest.raises(ValueError, match="Call `set_timesteps`"):
        scheduler.step(x, 1199, x)
    with pytest.raises(ValueError, match="Call `set_timesteps`"):
        _ = scheduler.is_stochastic
    scheduler.set_timesteps(5, sampler="ddpm")
    with pytest.raises(ValueError, match="sampler='ddpm'.* needs `noise`"):
        scheduler.step(x, 1199, x)
    with pytest.raises(ValueError, match="`noise` has shape"):
        scheduler.step(x, 1199, x, noise=x[:1])
    with pytest.raises(ValueError, match="`model_output` has shape"):
        scheduler.step(x[:1], 1199, x, noise=x)
    for off_grid in (1198, -1, 1199.5, torch.tensor([1199, 1199])):
        with pytest.raises(ValueError, match="`timestep` must be one value of `scheduler.timesteps`"):
            scheduler.step(x, off_grid, x, noise=x)


def test_bad_timesteps_are_refused():
    scheduler, x = CodeFusionScheduler(), randn(0)
    for timesteps in (-1, T, torch.tensor([0, T])):
        with pytest.raises(ValueError, match=r"`timesteps` must be in \[0, 1200\)"):
            scheduler.add_noise(x, x, timesteps)
    for timesteps in (0.5, torch.tensor([1.0, 2.0])):
        with pytest.raises(TypeError, match="`timesteps` must be integers, got torch.float32"):
            scheduler.snr(timesteps)
    with pytest.raises(ValueError, match="`noise` has shape"):
        scheduler.add_noise(x, x[0], 3)
    with pytest.raises(ValueError, match="`x0` has shape"):
        scheduler.predict_noise(x[0], 3, x)
