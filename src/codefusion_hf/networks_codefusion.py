"""The networks behind the encoder: denoiser N, decoder D and head H (Singh et al., EMNLP 2023, section 3.1)."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from .configuration_codefusion import CodeFusionConfig
from .layers_codefusion import (
    CodeFusionBlocks,
    CodeFusionCache,
    CodeFusionCopy,
    CodeFusionMemory,
    CodeFusionStack,
    timestep_embedding,
)


class CodeFusionDenoiser(nn.Module):
    """N: predicts the clean embeddings x̂0 of the whole program from x_t, t and E_s (paper, section 3.1)."""

    def __init__(self, config: CodeFusionConfig):
        super().__init__()
        self.time_scale = 1000.0 / config.num_diffusion_steps
        same_width = config.embedding_dim == config.d_model
        self.in_proj = nn.Identity() if same_width else nn.Linear(config.embedding_dim, config.d_model)
        self.out_proj = nn.Identity() if same_width else nn.Linear(config.d_model, config.embedding_dim)
        self.time_mlp = nn.Sequential(
            nn.Linear(config.d_model, config.d_model), nn.SiLU(), nn.Linear(config.d_model, config.d_model)
        )
        self.self_cond_proj = None
        if config.self_conditioning:
            self.self_cond_proj = nn.Linear(config.embedding_dim, config.d_model, bias=False)
            self.self_cond_proj.init_std = 0.0  # at the start self-conditioning changes nothing
        self.infill = config.conditioning == "infill"
        self.stack = CodeFusionStack(config, config.num_denoiser_layers)
        self.copy = self.context_proj = None
        if config.copy_attention:
            self.copy = CodeFusionCopy(config)
            self.context_proj = nn.Linear(config.d_model, config.d_model, bias=False)
            self.context_proj.init_std = 0.0

    def forward(
        self,
        inputs: torch.Tensor,
        timesteps: torch.Tensor,
        memory: CodeFusionMemory,
        source_embeddings: torch.Tensor,
        previous: torch.Tensor | None,
        blocks: CodeFusionBlocks | None = None,
        cache: CodeFusionCache | None = None,
    ) -> torch.Tensor:
        """
        Args:
            inputs (`torch.FloatTensor` of shape `(rows, length, latent_dim)`): x_t, scaled to unit variance. With
                infilling, that of the program and, behind it, of the utterance.
            timesteps (`torch.LongTensor` of shape `(rows or 1, 1 or length)`): Indices in 0..T-1.
            source_embeddings (`torch.FloatTensor` of shape `(batch_size, source_length, latent_dim)`): L(s).
            previous (`torch.FloatTensor`, *optional*): The last x̂0, for self-conditioning.
            blocks ([`CodeFusionBlocks`], *optional*): How the canvas is laid out; one block without it.
            cache ([`CodeFusionCache`], *optional*): Of the tokens left of these.

        Returns:
            `torch.FloatTensor` of shape `(rows, length, latent_dim)`: x̂0.
        """
        if cache is not None:
            cache.advance(inputs.shape[1], blocks.size)
        hidden = self.in_proj(inputs)
        time = timestep_embedding(timesteps * self.time_scale, hidden.shape[-1]).to(hidden.dtype)
        hidden = hidden + self.time_mlp(time)
        if self.self_cond_proj is not None and (previous is not None or torch.is_grad_enabled()):
            # Zeros instead of a skipped branch: DistributedDataParallel wants every parameter in every graph.
            hidden = hidden + self.self_cond_proj(
                torch.zeros_like(inputs) if previous is None else previous.to(inputs)
            )
        if self.infill:
            return self.out_proj(self.stack.infill(hidden, memory.mask))
        hidden = self.stack(hidden, memory.denoiser_key_values, memory.mask, blocks, cache)
        if self.copy is None:
            return self.out_proj(hidden)
        gate, weights, context = self.copy(hidden, memory, blocks, cache)
        flat = weights.view(source_embeddings.shape[0], -1, weights.shape[-1]).to(source_embeddings.dtype)
        pointed = torch.matmul(flat, source_embeddings).view(*hidden.shape[:2], -1)
        return (1 - gate) * self.out_proj(hidden + self.context_proj(context)) + gate * pointed


class CodeFusionDecoder(nn.Module):
    """D: turns x̂0 into D_s with full self-attention and cross-attention to E_s. Without layers it is the identity."""

    def __init__(self, config: CodeFusionConfig):
        super().__init__()
        same_width = config.embedding_dim == config.d_model
        self.in_proj = nn.Identity() if same_width else nn.Linear(config.embedding_dim, config.d_model)
        self.out_proj = nn.Identity() if same_width else nn.Linear(config.d_model, config.embedding_dim)
        self.stack = CodeFusionStack(config, config.num_decoder_layers)
        self.residual = config.residual_decoder
        if self.residual:
            self.out_proj.init_std = 0.0

    def forward(
        self,
        denoised: torch.Tensor,
        memory: CodeFusionMemory,
        blocks: CodeFusionBlocks | None = None,
        cache: CodeFusionCache | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """x̂0 `(rows, length, latent_dim)` to D_s of the same shape and the hidden states `(rows, length, d_model)`."""
        if cache is not None:
            cache.advance(denoised.shape[1], blocks.size)
        hidden = self.stack(self.in_proj(denoised), memory.decoder_key_values, memory.mask, blocks, cache)
        decoded = self.out_proj(hidden)
        return (denoised + decoded if self.residual else decoded), hidden


class _LabelLogProbs(torch.autograd.Function):
    """
    The log-softmax of a linear layer at the labels. On CPU, what is as large as the vocabulary is made for a hundred
    tokens at a time, and made again for the gradient, so that it stays in the processor's cache: moving whole tensors
    took a fifth of a training step.
    """

    chunk = 128

    @staticmethod
    def split(*tensors):
        """Pieces of tensors with a row for each token."""
        size = _LabelLogProbs.chunk if tensors[0].device.type == "cpu" else len(tensors[0])
        return zip(*(tensor.split(size) for tensor in tensors))

    @staticmethod
    def forward(ctx, vectors, weight, bias, labels):
        picked, norms = [], []
        for x, y in _LabelLogProbs.split(vectors, labels):
            logits = F.linear(x, weight, bias).float()
            norms.append(logits.logsumexp(-1))
            picked.append(logits.gather(-1, y[:, None])[:, 0] - norms[-1])
        ctx.save_for_backward(vectors, weight, bias, labels, torch.cat(norms))
        return torch.cat(picked)

    @staticmethod
    def backward(ctx, grad):
        vectors, weight, bias, labels, norms = ctx.saved_tensors
        grad_logits = vectors.new_empty(len(vectors), len(weight))
        for x, y, norm, g, out in _LabelLogProbs.split(vectors, labels, norms, grad, grad_logits):
            probs = F.linear(x, weight, bias).float().sub_(norm[:, None]).exp_()
            out.copy_(probs.mul_(-g[:, None]).scatter_add_(-1, y[:, None], g[:, None]))
        return grad_logits @ weight, grad_logits.T @ vectors, grad_logits.sum(0), None


class CodeFusionHead(nn.Module):
    """H: token scores from D_s, against its own matrix or against L, mixed with the copy pointer if there is one."""

    def __init__(self, config: CodeFusionConfig):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        if config.tie_head_to_embedding:
            self.logit_scale = nn.Parameter(torch.ones(()))
        else:
            self.weight = nn.Parameter(torch.empty(config.vocab_size, config.d_model))
        self.tied = config.tie_head_to_embedding
        self.copy = CodeFusionCopy(config) if config.copy_attention and config.num_decoder_layers else None

    def forward(
        self,
        decoded: torch.Tensor,
        hidden: torch.Tensor | None,
        table: torch.Tensor,
        memory: CodeFusionMemory,
        blocks: CodeFusionBlocks | None = None,
        cache: CodeFusionCache | None = None,
    ) -> torch.Tensor:
        """
        Args:
            decoded (`torch.FloatTensor` of shape `(rows, length, latent_dim)`): D_s.
            hidden (`torch.FloatTensor` of shape `(rows, at least length, d_model)`):
                States the copy pointer reads; also of positions further left, which get no scores.
            table (`torch.FloatTensor` of shape `(vocab_size, latent_dim)`): L.

        Returns:
            `torch.FloatTensor` of shape `(rows, length, vocab_size)`, fp32: logits, or log-probabilities with copying.
        """
        logits = self.score(decoded, table)
        if self.copy is None:
            return logits
        gate, weights = (x[:, -decoded.shape[1] :] for x in self.copy(hidden, memory, blocks, cache)[:2])
        rows, length, source_length = weights.shape
        with torch.autocast(weights.device.type, enabled=False):
            tokens = memory.input_ids
            source = partial(self._source, tokens, rows // len(tokens))
            same, places = source() if cache is None else cache.once("tokens", source)
            copied = gate * (weights.reshape(len(tokens), -1, source_length) @ same).view_as(weights)
            # log((1 - gate) * softmax(logits)) everywhere, and, where something can be copied, its probability added.
            scores, generate = F.log_softmax(logits, dim=-1), torch.log1p(-gate.clamp(max=1 - 1e-6))
            places = places.expand(-1, length, -1)
            if not torch.is_grad_enabled():  # in place: these are the largest tensors of sampling
                scores.add_(generate)
                return scores.scatter_(-1, places, torch.logaddexp(scores.gather(-1, places), copied.log()))
            scores = scores + generate
            mixed = torch.logaddexp(scores.gather(-1, places), copied.clamp(min=1e-20).log())
            # Written as often as the token occurs, with the same value, but with the gradient of one.
            is_first = (same.tril(-1).sum(-1) == 0).repeat_interleave(rows // len(tokens), dim=0)[:, None]
            return scores.scatter(-1, places, torch.where(is_first, mixed, mixed.detach()))

    @staticmethod
    def _source(tokens: torch.LongTensor, group: int) -> tuple[torch.Tensor, torch.LongTensor]:
        # A token may stand in the utterance more than once, and the weights of its places add up. Where it is the
        # same, and the tokens for each row:
        same = (tokens[:, :, None] == tokens[:, None, :]).float()
        return same, tokens.repeat_interleave(group, dim=0)[:, None]

    def label_log_probs(
        self,
        decoded: torch.Tensor,
        hidden: torch.Tensor | None,
        table: torch.Tensor,
        memory: CodeFusionMemory,
        blocks: CodeFusionBlocks | None,
        labels: torch.LongTensor,
    ) -> torch.Tensor:
        """For training, the log-probabilities of `labels` alone, `(rows, length)` in fp32; see `forward`."""
        vectors, weight, bias = self._linear(decoded, table)
        device = vectors.device.type
        if torch.is_autocast_enabled(device):
            vectors, weight, bias = (x.to(torch.get_autocast_dtype(device)) for x in (vectors, weight, bias))
        with torch.autocast(device, enabled=False):
            scores = _LabelLogProbs.apply(vectors.flatten(0, -2), weight, bias, labels.flatten()).view_as(labels)
        if self.copy is None:
            return scores
        gate, weights = (x[:, -decoded.shape[1] :] for x in self.copy(hidden, memory, blocks)[:2])
        with torch.autocast(device, enabled=False):
            copied = gate[..., 0] * (weights * (labels[..., None] == memory.input_ids[:, None])).sum(-1)
            generate = torch.log1p(-gate[..., 0].clamp(max=1 - 1e-6))
            return torch.logaddexp(scores + generate, copied.clamp(min=1e-20).log())

    def score(self, vectors: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """Logits `(rows, length, vocab_size)` in fp32, without the copy pointer."""
        return F.linear(*self._linear(vectors, table)).float()  # under autocast the product comes back in its dtype

    def _linear(self, vectors: torch.Tensor, table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        # The operands of the scores' product, in fp32.
        if self.tied:
            return self.logit_scale * vectors.float(), table.float(), self.bias.float()
        return vectors.float(), self.weight.float(), self.bias.float()


__all__ = ["CodeFusionDecoder", "CodeFusionDenoiser", "CodeFusionHead"]
