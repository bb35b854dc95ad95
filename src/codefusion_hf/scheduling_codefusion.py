"""The sqrt noise schedule of CodeFusion and the samplers that walk it backwards (DDPM, DDIM, DPM-Solver++)."""

from __future__ import annotations

import copy
import math

import torch


NOISE_SCHEDULES = ("sqrt",)
SAMPLERS = ("dpmpp_2m", "ddim", "ddpm")
TIMESTEP_SPACINGS = ("uniform", "logsnr")
VARIANCE_TYPES = ("fixed_small", "fixed_large")

# Between these two values of kappa = signal_power * snr a token goes from unreadable to certain.
LOGSNR_KAPPA_RANGE = (0.05, 36.0)


class CodeFusionScheduler:
    r"""
    Gaussian diffusion with the sqrt schedule of Diffusion-LM, for a denoiser that predicts x0.

    Notation: `x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) eps` for timestep indices `t = 0 .. T-1`. With
    `f(u) = 1 - sqrt(u + s)`,

        betas[t]          = min(1 - f((t+1)/T) / f(t/T), 0.999)
        alphas_cumprod[t] = (1 - sqrt((t+1)/T + s)) / (1 - sqrt(s))        for t < T-1

    Two points differ from the formula usually printed: the product of the alphas telescopes to a fraction, so `abar`
    is divided by `f(0)`; and index 0 is already noisy (`abar_0 = 0.979` for T = 1200). `f(1) < 0`, so exactly the
    last beta is clipped. Source: `improved_diffusion/gaussian_diffusion.py`, lines 41-45 and 95-112, of
    XiangLi1999/Diffusion-LM, shared by GENIE; equal to the `DDPMScheduler` of diffusers with these `trained_betas`
    and `prediction_type="sample"`.

    The coefficients are plain float64 tensors on the CPU, not module buffers: a non-persistent buffer of a model that
    is built on the meta device comes back as zeros. Use one instance per sampling run, since [`~set_timesteps`] and
    the multistep solver keep their state here.

    Args:
        num_train_timesteps (`int`, defaults to 1200): T, the number of noise levels.
        noise_schedule (`str`, defaults to `"sqrt"`): the only schedule.
        schedule_offset (`float`, defaults to 1e-4): s, in `[0, 1/T)`; a larger one would clip more than the last beta.

    Raises:
        `ValueError`: for a value outside of the ranges above.
    """

    def __init__(self, num_train_timesteps: int = 1200, noise_schedule: str = "sqrt", schedule_offset: float = 1e-4):
        _check_choice("noise_schedule", noise_schedule, NOISE_SCHEDULES)
        if not isinstance(num_train_timesteps, int) or num_train_timesteps < 1:
            raise ValueError(f"`num_train_timesteps` must be an integer of at least 1, got {num_train_timesteps!r}.")
        if not 0 <= schedule_offset < 1 / num_train_timesteps:
            raise ValueError(
                f"`schedule_offset` must be in [0, 1/num_train_timesteps = {1 / num_train_timesteps:.2e}), "
                f"got {schedule_offset!r}."
            )
        self.num_train_timesteps = num_train_timesteps
        self.noise_schedule = noise_schedule
        self.schedule_offset = schedule_offset

        # Device and dtype are explicit: `from_pretrained` constructs models under other defaults (meta, bfloat16).
        grid = torch.arange(num_train_timesteps + 1, dtype=torch.float64, device="cpu") / num_train_timesteps
        f = 1 - (grid + schedule_offset).sqrt()
        self.betas = (1 - f[1:] / f[:-1]).clamp(max=0.999)
        self.alphas_cumprod = (1 - self.betas).cumprod(0)
        self.timesteps: torch.LongTensor | None = None

    @classmethod
    def from_config(cls, config) -> CodeFusionScheduler:
        """Build the scheduler that a [`CodeFusionConfig`] describes."""
        return cls(config.num_diffusion_steps, config.noise_schedule, config.schedule_offset)

    def snr(self, timesteps: int | torch.Tensor) -> torch.FloatTensor:
        """Signal-to-noise ratio `abar / (1 - abar)` at unit signal power, fp32, in the shape of `timesteps`."""
        return self._gather(self.alphas_cumprod / (1 - self.alphas_cumprod), timesteps)

    def add_noise(
        self, original_samples: torch.Tensor, noise: torch.Tensor, timesteps: int | torch.Tensor
    ) -> torch.Tensor:
        """
        Draw from `q(x_t | x0)` (equation 2 of the paper, applied t+1 times).

        Args:
            original_samples (`torch.Tensor` of shape `(batch_size, ...)`): x0.
            noise (`torch.Tensor` of the same shape): standard normal.
            timesteps (`int` or `torch.LongTensor`): indices in `[0, T)`, whose shape is a prefix of the sample's:
                one for all, `(batch_size,)`, or `(batch_size, length)` for one noise level per token.

        Returns:
            `torch.Tensor`: x_t, in the dtype of `original_samples`.
        """
        _check_same_shape("noise", noise, original_samples)
        alpha, sigma = self._alpha_sigma(timesteps, original_samples)
        return (alpha * original_samples.float() + sigma * noise.float()).to(original_samples.dtype)

    def predict_noise(self, x0: torch.Tensor, timesteps: int | torch.Tensor, sample: torch.Tensor) -> torch.Tensor:
        """The noise that, with this `x0`, explains `sample`: `(x_t - sqrt(abar) x0) / sqrt(1 - abar)`."""
        _check_same_shape("x0", x0, sample)
        alpha, sigma = self._alpha_sigma(timesteps, sample)
        return ((sample.float() - alpha * x0.float()) / sigma).to(sample.dtype)

    def set_timesteps(
        self,
        num_inference_steps: int,
        sampler: str = "dpmpp_2m",
        timestep_spacing: str = "uniform",
        eta: float = 0.0,
        variance_type: str = "fixed_small",
        signal_power: float = 1.0,
        strength: float = 1.0,
    ) -> None:
        """
        Choose the sampler and the grid of noise levels; forgets the state of a previous run.

        `self.timesteps` becomes the `torch.LongTensor` (CPU) of `num_inference_steps` distinct indices, descending.
        The step from the last of them goes to x0 exactly (`abar = 1`). With `num_inference_steps == T` every index is
        used.

        Args:
            num_inference_steps (`int`): from 1 to T; one denoiser call each.
            sampler (`str`): `"dpmpp_2m"`, `"ddim"` or `"ddpm"`, see [`~step`].
            timestep_spacing (`str`): `"uniform"` in t from T-1 down (`"trailing"` in diffusers), or `"logsnr"`,
                uniform in the logarithm of kappa = `signal_power * snr` from 0.05 to 36, where tokens are decided.
            eta (`float`): in `[0, 1]`, the noise of `"ddim"`: 0 is deterministic, 1 is `"ddpm"` with `"fixed_small"`.
                The other samplers do not use it.
            variance_type (`str`): `"fixed_small"` (posterior variance) or `"fixed_large"` (beta), for `"ddpm"` only.
            signal_power (`float`): squared norm of a clean token vector, for `"logsnr"` only.
            strength (`float`): in `[0, 1]`, the part of the schedule to walk, its end: an edit of a draft starts at
                `round(strength * T) - 1`. Fewer steps are taken where that part holds fewer indices; 0 has none.

        Raises:
            `ValueError`: for a value that is not allowed.
        """
        _check_choice("sampler", sampler, SAMPLERS)
        _check_choice("timestep_spacing", timestep_spacing, TIMESTEP_SPACINGS)
        _check_choice("variance_type", variance_type, VARIANCE_TYPES)
        if not isinstance(num_inference_steps, int) or not 1 <= num_inference_steps <= self.num_train_timesteps:
            raise ValueError(
                f"`num_inference_steps` must be an integer from 1 to {self.num_train_timesteps}, the number of "
                f"training timesteps, got {num_inference_steps!r}."
            )
        if not 0 <= eta <= 1:
            raise ValueError(f"`eta` must be in [0, 1], got {eta!r}.")
        if not 0 <= strength <= 1:
            raise ValueError(f"`strength` must be in [0, 1], got {strength!r}.")
        if not signal_power > 0:
            raise ValueError(f"`signal_power` must be positive, got {signal_power!r}.")

        self._sampler, self._eta, self._variance_type = sampler, eta, variance_type
        self._previous: tuple[int, torch.Tensor] | None = None  # (grid position, x0), for the multistep solver
        walked = round(strength * self.num_train_timesteps)
        if timestep_spacing == "uniform":
            num_inference_steps = min(num_inference_steps, walked)
            position = torch.arange(num_inference_steps, 0, -1, dtype=torch.float64, device="cpu")
            self.timesteps = (position * walked / max(1, num_inference_steps)).round().long() - 1
        else:
            self.timesteps = self._logsnr_timesteps(num_inference_steps, signal_power)
            self.timesteps = self.timesteps[self.timesteps < walked]
        self._position = {t: i for i, t in enumerate(self.timesteps.tolist())}
        self._alphas_cumprod = [*self.alphas_cumprod[self.timesteps].tolist(), 1.0]

    def timestep_at(self, strength: float) -> int:
        """The index from which the part `strength` of the schedule is left to walk."""
        return max(0, round(strength * self.num_train_timesteps) - 1)

    @property
    def is_stochastic(self) -> bool:
        """Whether [`~step`] needs `noise`."""
        self._check_ready()
        return self._sampler == "ddpm" or (self._sampler == "ddim" and self._eta > 0)

    def select(self, rows: torch.Tensor, length: int | None = None) -> CodeFusionScheduler:
        """A copy whose solver goes on with some rows (a boolean mask), on a canvas of `length` tokens."""
        selected = copy.copy(self)
        if self._previous is not None:
            position, x0 = self._previous
            selected._previous = (position, x0[rows] if length is None else x0[rows, :length])
        return selected

    def step(
        self,
        model_output: torch.Tensor,
        timestep: int | torch.Tensor,
        sample: torch.Tensor,
        noise: torch.Tensor | None = None,
    ) -> torch.Tensor:
        r"""
        One step from `timestep` t to the next grid point s, with `a = abar_t / abar_s`, `alpha = sqrt(abar)`,
        `sigma = sqrt(1 - abar)` and `lambda = log(alpha / sigma)`:

        - `"ddpm"`: posterior mean `sqrt(a) (1-abar_s) / (1-abar_t) x_t + sqrt(abar_s) (1-a) / (1-abar_t) x0`, variance
          `(1-a) (1-abar_s) / (1-abar_t)` or `1-a`. Respaced as in `gaussian_diffusion.py`, lines 826-899, of
          microsoft/ProphetNet AR-diffusion; the classic posterior (Ho et al., 2020) on consecutive indices.
        - `"ddim"`: `alpha_s x0 + sqrt(sigma_s^2 - tau^2) eps + tau noise` (Song et al., 2021, equation 12).
        - `"dpmpp_2m"`: `sigma_s / sigma_t x_t - alpha_s (exp(lambda_t - lambda_s) - 1) D` with D extrapolated from
          this x0 and the previous one (DPM-Solver++, Lu et al., 2022, algorithm 2). The first and the last step are
          first order, so the leap in lambda from index T-1 (lambda = -7.4) needs no special grid. Call it once per
          grid point in order; a step that skips a point starts a new first-order run.

        Args:
            model_output (`torch.Tensor`): predicted x0, after any guidance or clamping.
            timestep (`int` or `torch.Tensor` with one element): a value of `self.timesteps`.
            sample (`torch.Tensor` of the shape of `model_output`): x_t.
            noise (`torch.Tensor` of the same shape, *optional*): standard normal, drawn by the caller so that it can
                be seeded per row; required when [`~is_stochastic`], otherwise unused, as it is on the step to x0.

        Returns:
            `torch.Tensor`: x_s, computed in fp32, in the dtype of `sample`.

        Raises:
            `ValueError`: before [`~set_timesteps`], for a timestep off the grid, missing noise, or unequal shapes.
        """
        self._check_ready()
        if isinstance(timestep, torch.Tensor) and timestep.numel() == 1:
            timestep = timestep.item()
        position = self._position.get(timestep)
        if position is None:
            raise ValueError(f"`timestep` must be one value of `scheduler.timesteps`, got {timestep!r}.")
        _check_same_shape("model_output", model_output, sample)
        if self.is_stochastic:
            if noise is None:
                raise ValueError(f"sampler={self._sampler!r} with eta={self._eta} is stochastic and needs `noise`.")
            _check_same_shape("noise", noise, sample)

        x0, x_t = model_output.float(), sample.float()
        abar_t, abar_s = self._alphas_cumprod[position : position + 2]
        if self._sampler == "ddpm":
            x_s = self._ddpm_step(x0, x_t, abar_t, abar_s, noise)
        elif self._sampler == "ddim":
            x_s = self._ddim_step(x0, x_t, abar_t, abar_s, noise)
        else:
            x_s = self._dpmpp_2m_step(x0, x_t, abar_t, abar_s, position)
        return x_s.to(sample.dtype)

    def _ddpm_step(self, x0, x_t, abar_t, abar_s, noise):
        a = abar_t / abar_s
        mean = math.sqrt(a) * (1 - abar_s) / (1 - abar_t) * x_t + math.sqrt(abar_s) * (1 - a) / (1 - abar_t) * x0
        if abar_s == 1:  # fixed_large would add noise to the result
            return mean
        variance = 1 - a
        if self._variance_type == "fixed_small":
            variance *= (1 - abar_s) / (1 - abar_t)
        return mean + math.sqrt(variance) * noise.float()

    def _ddim_step(self, x0, x_t, abar_t, abar_s, noise):
        tau = self._eta * math.sqrt((1 - abar_s) / (1 - abar_t) * (1 - abar_t / abar_s))
        eps = (x_t - math.sqrt(abar_t) * x0) / math.sqrt(1 - abar_t)
        x_s = math.sqrt(abar_s) * x0 + math.sqrt(1 - abar_s - tau**2) * eps
        return x_s + tau * noise.float() if tau > 0 else x_s

    def _dpmpp_2m_step(self, x0, x_t, abar_t, abar_s, position):
        previous, self._previous = self._previous, (position, x0)
        if abar_s < 1 and previous is not None and previous[0] == position - 1:
            h_previous = _log_alpha_over_sigma(abar_t) - _log_alpha_over_sigma(self._alphas_cumprod[position - 1])
            h = _log_alpha_over_sigma(abar_s) - _log_alpha_over_sigma(abar_t)
            x0 = x0 + h / (2 * h_previous) * (x0 - previous[1])
        # alpha_s (exp(-h) - 1), written without lambda_s, which is infinite at x0
        sigma_ratio = math.sqrt((1 - abar_s) / (1 - abar_t))
        return sigma_ratio * x_t - (math.sqrt(abar_t) * sigma_ratio - math.sqrt(abar_s)) * x0

    def _logsnr_timesteps(self, num_inference_steps: int, signal_power: float) -> torch.LongTensor:
        low, high = (math.log(kappa) for kappa in LOGSNR_KAPPA_RANGE)
        target = torch.linspace(low, high, num_inference_steps, dtype=torch.float64, device="cpu")
        log_kappa = torch.log(signal_power * self.alphas_cumprod / (1 - self.alphas_cumprod))
        nearest = (target[:, None] - log_kappa).abs().argmin(1)
        # Long grids hit an index twice where t is sparse in log-SNR: move such points down, never below the last ones.
        index = torch.arange(num_inference_steps, device="cpu")
        return torch.maximum((nearest + index).cummin(0).values - index, index.flip(0))

    def _alpha_sigma(self, timesteps: int | torch.Tensor, sample: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        alpha = self._gather(self.alphas_cumprod.sqrt(), timesteps, sample.device)
        sigma = self._gather((1 - self.alphas_cumprod).sqrt(), timesteps, sample.device)
        shape = alpha.shape + (1,) * (sample.ndim - alpha.ndim)
        return alpha.reshape(shape), sigma.reshape(shape)

    def _gather(
        self, table: torch.Tensor, timesteps: int | torch.Tensor, device: torch.device | None = None
    ) -> torch.Tensor:
        if not isinstance(timesteps, torch.Tensor):
            timesteps = torch.tensor(timesteps, device="cpu")
        if timesteps.is_floating_point() or timesteps.dtype == torch.bool:
            raise TypeError(f"`timesteps` must be integers, got {timesteps.dtype}.")
        # On an accelerator the check would wait for the device, in a compiled graph it would break it.
        if timesteps.device.type == "cpu" and not torch.compiler.is_compiling():
            if ((timesteps < 0) | (timesteps >= self.num_train_timesteps)).any():
                raise ValueError(f"`timesteps` must be in [0, {self.num_train_timesteps}), got {timesteps.tolist()}.")
        device = device or timesteps.device
        return table.float().to(device)[timesteps.to(device)]

    def _check_ready(self) -> None:
        if self.timesteps is None:
            raise ValueError("Call `set_timesteps` before sampling.")


def _log_alpha_over_sigma(alpha_cumprod: float) -> float:
    return 0.5 * math.log(alpha_cumprod / (1 - alpha_cumprod))


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, allowed))}, got {value!r}.")


def _check_same_shape(name: str, tensor: torch.Tensor, sample: torch.Tensor) -> None:
    if tensor.shape != sample.shape:
        raise ValueError(f"`{name}` has shape {tuple(tensor.shape)}, the sample {tuple(sample.shape)}.")
