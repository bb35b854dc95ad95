r"""
The training objective of CodeFusion (section 3.2 of the paper, unnumbered equation), as pure functions:

    L_t = || eps_hat_t - eps_t ||  +  || D_s - L(y) ||  -  log p(y | D_s)
             [`denoising_loss`]     [`decoder_mse_loss`]   [`token_cross_entropy`]

and the two further terms of Diffusion-LM and GENIE, the rounding likelihood of the embedding ([`token_cross_entropy`]
on other logits) and [`prior_loss`].

Every term is a mean over programs of the weighted mean over tokens, so it does not depend on how programs are grouped
into batches. Squared errors are divided by the signal power R^2 = ||L(w)||^2 of a token vector: 1 is the error of
predicting zero, whatever the width and the scale of the embedding; without this they vanish next to the cross-entropy.
All terms are computed in fp32.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F


DENOISING_SPACES = ("sample", "epsilon")


class CodeFusionLoss(NamedTuple):
    """The weighted `total` and its unweighted terms, fp32 scalars; a term of weight 0 is not computed and `None`."""

    total: torch.FloatTensor
    denoising: torch.FloatTensor | None
    decoder_mse: torch.FloatTensor | None
    cross_entropy: torch.FloatTensor | None
    embedding_nll: torch.FloatTensor | None
    prior: torch.FloatTensor | None


def denoising_loss(
    x0_pred: torch.Tensor,
    x0: torch.Tensor,
    *,
    weights: torch.Tensor,
    signal_power: float,
    snr: torch.Tensor | None = None,
    space: str = "sample",
    min_snr_gamma: float | None = None,
) -> torch.FloatTensor:
    r"""
    First term, the error of the denoiser N.

    The paper writes it in the noise while N predicts x0. The two differ by a weight per example:
    `||eps_hat - eps||^2 = snr ||x0_hat - x0||^2` with `snr = abar_t / (1 - abar_t)`, which is 47 at t = 0 and 0.0046
    at t = 0.99 T: the noise-space loss is nearly all about steps that are already solved.

    Args:
        x0_pred, x0 (`torch.Tensor` of shape `(batch_size, length, latent_dim)`): prediction and target.
        weights (`torch.Tensor` of shape `(batch_size, length)`): token weights, 1 for code, less for padding.
        signal_power (`float`): R^2, see the module; `latent_dim` gives the plain mean squared error.
        snr (`torch.Tensor` of shape `(batch_size,)`, *optional*): needed in the `"epsilon"` space, unused otherwise.
        space (`str`, defaults to `"sample"`): `"sample"` or `"epsilon"`.
        min_snr_gamma (`float`, *optional*): in the `"epsilon"` space, upper bound of the weight (Hang et al., 2023).

    Raises:
        `ValueError`: for another `space`, `"epsilon"` without `snr`, or `"sample"` with `min_snr_gamma`.
    """
    if space not in DENOISING_SPACES:
        raise ValueError(f"`space` must be one of {', '.join(map(repr, DENOISING_SPACES))}, got {space!r}.")
    if space == "epsilon" and snr is None:
        raise ValueError("space='epsilon' needs `snr`.")
    if space == "sample" and min_snr_gamma is not None:
        raise ValueError("`min_snr_gamma` bounds the weight of space='epsilon' and has no meaning for space='sample'.")
    per_example = _weighted_token_mean(_squared_error(x0_pred, x0, signal_power), weights)
    if space == "epsilon":
        snr = snr.float()
        per_example = per_example * (snr if min_snr_gamma is None else snr.clamp(max=min_snr_gamma))
    return per_example.mean()


def decoder_mse_loss(
    hidden: torch.Tensor, x0: torch.Tensor, weights: torch.Tensor, signal_power: float
) -> torch.FloatTensor:
    """
    Second term: the decoder output D_s should be the code embedding L(y).

    Args:
        hidden, x0 (`torch.Tensor` of shape `(batch_size, length, latent_dim)`): D_s and L(y).
        weights, signal_power: as in [`denoising_loss`].
    """
    return _weighted_token_mean(_squared_error(hidden, x0, signal_power), weights).mean()


def token_cross_entropy(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.FloatTensor:
    """
    Third term: `-log p(y | D_s)` in nats per token.

    Args:
        logits (`torch.Tensor` of shape `(batch_size, length, vocab_size)`).
        labels (`torch.LongTensor` of shape `(batch_size, length)`): ids, padding included.
        weights (`torch.Tensor` of shape `(batch_size, length)`): as in [`denoising_loss`].

    Raises:
        `ValueError`: for shapes that do not belong together.
    """
    if logits.shape[:-1] != labels.shape:
        raise ValueError(f"`logits` of shape {tuple(logits.shape)} do not fit `labels` {tuple(labels.shape)}.")
    nll = F.cross_entropy(logits.float().flatten(0, -2), labels.flatten(), reduction="none").view(labels.shape)
    return _weighted_token_mean(nll, weights).mean()


def prior_loss(
    x0: torch.Tensor, weights: torch.Tensor, signal_power: float, alpha_cumprod_T: float
) -> torch.FloatTensor:
    """
    The t = T term of Diffusion-LM and GENIE: what is left of the signal at the last step, `abar_T ||x0||^2 / R^2`.

    Args:
        x0 (`torch.Tensor` of shape `(batch_size, length, latent_dim)`): embedding, noised or not.
        weights, signal_power: as in [`denoising_loss`].
        alpha_cumprod_T (`float`): abar at the last timestep.
    """
    power = x0.float().square().sum(-1) / signal_power
    return alpha_cumprod_T * _weighted_token_mean(power, weights).mean()


def codefusion_loss(
    *,
    x0: torch.Tensor,
    weights: torch.Tensor,
    signal_power: float,
    x_start: torch.Tensor | None = None,
    x0_pred: torch.Tensor | None = None,
    decoder_hidden: torch.Tensor | None = None,
    logits: torch.Tensor | None = None,
    labels: torch.Tensor | None = None,
    label_log_probs: torch.Tensor | None = None,
    embedding_logits: torch.Tensor | None = None,
    alpha_cumprod_T: float | None = None,
    snr: torch.Tensor | None = None,
    space: str = "sample",
    min_snr_gamma: float | None = None,
    stop_grad_x0_target: bool = True,
    denoising_weight: float = 1.0,
    decoder_mse_weight: float = 1.0,
    decoder_ce_weight: float = 1.0,
    embedding_nll_weight: float = 0.0,
    tT_weight: float = 0.0,
) -> CodeFusionLoss:
    """
    The weighted sum of the terms whose weight is not 0.

    Gradient paths: the denoiser learns from the first term and, through `decoder_hidden` and `logits`, from the second
    and third; the embedding L is the target of terms 1 and 2. Both are minimal for a constant L, so by default term 1
    does not pull on its target (`stop_grad_x0_target`), while term 2 does.

    Args:
        x0 (`torch.Tensor` of shape `(batch_size, length, latent_dim)`): L(y), with its gradient.
        x_start (`torch.Tensor` like `x0`, *optional*): What was diffused in its place, the target of term 1 and of the
            prior: Diffusion-LM and GENIE add a little noise to the embedding first.
        weights, signal_power, x0_pred, snr, space, min_snr_gamma: see [`denoising_loss`].
        decoder_hidden (`torch.Tensor` like `x0`, *optional*): D_s, for [`decoder_mse_loss`].
        logits, labels: see [`token_cross_entropy`].
        label_log_probs (`torch.Tensor` of shape `(batch_size, length)`, *optional*): log p(y | D_s) of the labels, in
            place of both.
        embedding_logits (`torch.Tensor` like `logits`, *optional*): the head applied to the (noised) embedding, for
            the rounding likelihood.
        alpha_cumprod_T: see [`prior_loss`].
        stop_grad_x0_target (`bool`, defaults to `True`): detach the target of term 1.
        denoising_weight, decoder_mse_weight, decoder_ce_weight, embedding_nll_weight, tT_weight (`float`): weights of
            the terms; a term of weight 0 does not need its inputs.

    Raises:
        `ValueError`: for a missing input of a term, or all weights 0.
    """

    def need(term: str, **inputs) -> None:
        missing = [name for name, value in inputs.items() if value is None]
        if missing:
            raise ValueError(f"The {term} term has a weight but no {' and '.join(f'`{name}`' for name in missing)}.")

    x_start = x0 if x_start is None else x_start
    denoising = decoder_mse = cross_entropy = embedding_nll = prior = None
    if denoising_weight:
        need("denoising", x0_pred=x0_pred)
        target = x_start.detach() if stop_grad_x0_target else x_start
        denoising = denoising_loss(
            x0_pred,
            target,
            weights=weights,
            signal_power=signal_power,
            snr=snr,
            space=space,
            min_snr_gamma=min_snr_gamma,
        )
    if decoder_mse_weight:
        need("decoder_mse", decoder_hidden=decoder_hidden)
        decoder_mse = decoder_mse_loss(decoder_hidden, x0, weights, signal_power)
    if decoder_ce_weight and label_log_probs is not None:
        cross_entropy = -_weighted_token_mean(label_log_probs.float(), weights).mean()
    elif decoder_ce_weight:
        need("cross_entropy", logits=logits, labels=labels)
        cross_entropy = token_cross_entropy(logits, labels, weights)
    if embedding_nll_weight:
        need("embedding_nll", embedding_logits=embedding_logits, labels=labels)
        embedding_nll = token_cross_entropy(embedding_logits, labels, weights)
    if tT_weight:
        need("prior", alpha_cumprod_T=alpha_cumprod_T)
        prior = prior_loss(x_start, weights, signal_power, alpha_cumprod_T)

    terms = (denoising, decoder_mse, cross_entropy, embedding_nll, prior)
    term_weights = (denoising_weight, decoder_mse_weight, decoder_ce_weight, embedding_nll_weight, tT_weight)
    weighted = [weight * term for weight, term in zip(term_weights, terms) if term is not None]
    if not weighted:
        raise ValueError("All weights of the loss are 0: there is nothing to train.")
    return CodeFusionLoss(sum(weighted), *terms)


def _squared_error(prediction: torch.Tensor, target: torch.Tensor, signal_power: float) -> torch.Tensor:
    if prediction.shape != target.shape:  # broadcasting would hide it
        raise ValueError(f"The prediction has shape {tuple(prediction.shape)}, its target {tuple(target.shape)}.")
    return (prediction.float() - target.float()).square().sum(-1) / signal_power


def _weighted_token_mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    if values.shape != weights.shape:
        raise ValueError(f"`weights` must be of the tokens' shape {tuple(values.shape)}, got {tuple(weights.shape)}.")
    weights = weights.float()
    # A program without any weight counts as 0 instead of 0 / 0.
    return (values * weights).sum(-1) / weights.sum(-1).clamp(min=torch.finfo(torch.float32).tiny)
