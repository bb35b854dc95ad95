"""The building blocks of denoiser and decoder: attention, layers, stacks, and the copy pointer."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_codefusion import CodeFusionConfig


@dataclass
class CodeFusionMemory:
    """
    What denoiser and decoder see of the utterance: computed once, used at every step.

    Args:
        hidden_states (`torch.FloatTensor` of shape `(batch_size, source_length, d_model)`):
            E_s; with infilling, L(s) of width `latent_dim`.
        mask (`torch.FloatTensor` of shape `(batch_size, 1, 1, source_length)`): Additive attention mask.
        input_ids (`torch.LongTensor` of shape `(batch_size, source_length)`): Tokens that can be copied.
        can_copy (`torch.BoolTensor` of shape `(batch_size, source_length)`): Positions the copy path may point at.
        denoiser_key_values, decoder_key_values (`list[tuple[torch.Tensor, torch.Tensor]]`):
            Cross-attention keys and values of each layer, `(batch_size, num_heads, source_length, head_dim)` each.
    """

    hidden_states: torch.Tensor
    mask: torch.Tensor
    input_ids: torch.Tensor
    can_copy: torch.Tensor
    denoiser_key_values: list
    decoder_key_values: list

    def select(self, rows: torch.Tensor) -> "CodeFusionMemory":
        """The memory of some utterances (a boolean mask)."""
        index = rows.nonzero()[:, 0]

        def of_rows(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.index_select(0, index)

        key_values = (self.denoiser_key_values, self.decoder_key_values)
        return CodeFusionMemory(
            *map(of_rows, (self.hidden_states, self.mask, self.input_ids, self.can_copy)),
            *([(of_rows(key), of_rows(value)) for key, value in layers] for layers in key_values),
        )


@dataclass(frozen=True)
class CodeFusionBlocks:
    """
    A canvas in blocks of `size` tokens: a token sees its own block and those before it (block diffusion, Arriola et
    al., 2025). For training, `with_clean` puts the clean program in front of the noisy one, whose blocks read those
    before them there: all blocks are learned in one pass.
    """

    size: int
    with_clean: bool = False

    @property
    def parts(self) -> int:
        """How many programs stand on the canvas."""
        return 2 if self.with_clean else 1

    def visible(self, places: torch.LongTensor) -> torch.BoolTensor:
        """Which positions see which, `(length, length)`, for their places in the program."""
        query, key = places[:, None] // self.size, places[None, :] // self.size
        if not self.with_clean:
            return key <= query
        noisy = torch.arange(len(places), device=places.device) >= len(places) // 2
        return torch.where(noisy[:, None], torch.where(noisy, key == query, key < query), (key <= query) & ~noisy)


class CodeFusionCache:
    """
    For sampling in blocks, what the clean tokens on the left have left behind in a network: the keys and values of
    each layer, `(rows, num_heads, capacity, head_dim)` of which `length` are filled, and where the last of them
    points, `(rows, source_length)`. Written in place: copying what is there already would take a tenth of the time of
    sampling in large batches.
    """

    min_capacity = 16

    def __init__(self):
        self.length = self.start = 0
        self.key_values: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.pointer: torch.Tensor | None = None
        self.shared: dict[str, object] = {}

    def once(self, name: str, make: Callable):
        """What all steps on these rows share is made in the first of them."""
        if name not in self.shared:
            self.shared[name] = make()
        return self.shared[name]

    def advance(self, num_tokens: int, size: int) -> None:
        """Announces tokens behind those that are here; all but their last block, of `size` tokens, will stay."""
        self.start, self.length = self.length, (self.length + num_tokens - 1) // size * size

    def extend(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Those of all tokens, given those of the announced ones."""
        start, stop = self.start, self.start + key.shape[2]
        held = self.key_values.get(layer)
        if held is None or held[0].shape[2] < stop:
            shape = (*key.shape[:2], max(self.min_capacity, 2 * stop), key.shape[-1])
            larger = key.new_empty(shape), value.new_empty(shape)
            for old, new in zip(held or (), larger):
                new[:, :, :start] = old[:, :, :start]
            held = self.key_values[layer] = larger
        for states, new in zip(held, (key, value)):
            states[:, :, start:stop] = new
        return held[0][:, :, :stop], held[1][:, :, :stop]

    def select(self, rows: torch.Tensor) -> "CodeFusionCache":
        """That of some rows (a boolean mask)."""
        index = rows.nonzero()[:, 0]
        selected = copy.copy(self)
        selected.shared = {}
        selected.key_values = {
            layer: (key.index_select(0, index), value.index_select(0, index))
            for layer, (key, value) in self.key_values.items()
        }
        selected.pointer = None if self.pointer is None else self.pointer[index]
        return selected

    def replace(self, rows: torch.LongTensor, origins: torch.LongTensor) -> None:
        """Some rows go on from what others, or they themselves, hold."""
        for states in (state for pair in self.key_values.values() for state in pair):
            states.index_copy_(0, rows, states.index_select(0, origins))
        if self.pointer is not None:
            self.pointer.index_copy_(0, rows, self.pointer.index_select(0, origins))


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention as two matrix products, whose backward pass is faster than SDPA's on CPU; transformers' shapes."""
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    if module.training and dropout:
        # One draw for all queries of a head, which then do without some keys: a draw for each pair would take longer
        # than the two products together.
        kept = weights.new_empty(*weights.shape[:2], 1, weights.shape[-1]).bernoulli_(1 - dropout)
        weights = weights * (kept / (1 - dropout))
    return torch.matmul(weights, value).transpose(1, 2), weights


class _RMSNorm(torch.autograd.Function):
    """
    On CPU torch has no fused RMS norm. What it composes makes many passes in fp32, forward and back; this makes few,
    and what it returns has the dtype that the products behind it read.
    """

    @staticmethod
    def forward(ctx, hidden_states, weight, eps, dtype):
        dim = hidden_states.shape[-1]
        power = torch.linalg.vector_norm(hidden_states, dim=-1, keepdim=True, dtype=torch.float32).square_()
        scale = power.div_(dim).add_(eps).rsqrt_()
        normed = (hidden_states * scale).to(dtype)
        ctx.save_for_backward(normed, weight, scale)
        ctx.dtype = hidden_states.dtype
        return normed * weight.to(dtype)

    @staticmethod
    def backward(ctx, grad):
        normed, weight, scale = ctx.saved_tensors
        dim, dtype = normed.shape[-1], normed.dtype
        product = (grad * normed).reshape(-1, dim)
        grad_weight = product.sum(0, dtype=torch.float32)
        shared = torch.mv(product, weight.to(dtype)).view_as(scale) / dim
        inner = torch.addcmul(grad * weight.to(dtype), normed, shared.to(dtype), value=-1)
        return (inner * scale).to(ctx.dtype), grad_weight, None, None


class CodeFusionRMSNorm(nn.Module):
    """T5's layer norm: no mean, no bias."""

    def __init__(self, dim: int, eps: float = 1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`(..., dim)` to `(..., dim)`; in training on CPU under autocast, in its dtype."""
        device = hidden_states.device.type
        if self.training and device == "cpu" and torch.is_autocast_enabled(device):
            return _RMSNorm.apply(hidden_states, self.weight, self.eps, torch.get_autocast_dtype(device))
        return F.rms_norm(hidden_states, hidden_states.shape[-1:], self.weight.to(hidden_states.dtype), self.eps)


class CodeFusionAttention(nn.Module):
    """Multi-head attention over the canvas, or over given keys and values."""

    def __init__(self, config: CodeFusionConfig):
        super().__init__()
        self.config = config
        self.dropout = config.dropout
        self.head_dim = config.d_model // config.num_heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = False
        self.q_proj = nn.Linear(config.d_model, config.d_model, bias=False)
        self.k_proj = nn.Linear(config.d_model, config.d_model, bias=False)
        self.v_proj = nn.Linear(config.d_model, config.d_model, bias=False)
        self.o_proj = nn.Linear(config.d_model, config.d_model, bias=False)

    def _split(self, states: torch.Tensor) -> torch.Tensor:
        return states.view(*states.shape[:2], -1, self.head_dim).transpose(1, 2)

    def key_values(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of `(batch_size, length, d_model)`, each `(batch_size, num_heads, length, head_dim)`."""
        return self._split(self.k_proj(states)), self._split(self.v_proj(states))

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None,
        key_values: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """
        Args:
            hidden_states (`torch.FloatTensor` of shape `(rows, length, d_model)`).
            attention_mask (`torch.FloatTensor`, *optional*): Additive, broadcastable to the scores.
            key_values: For cross-attention. If they hold fewer rows than `hidden_states`, each serves a group of
                consecutive rows (the candidates of one utterance), which are folded into the query axis.
        """
        shape = hidden_states.shape
        if key_values is None:
            key_values = self.key_values(hidden_states)
        elif key_values[0].shape[0] != shape[0]:
            hidden_states = hidden_states.reshape(key_values[0].shape[0], -1, shape[-1])
        attention: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        if attention_mask is not None:
            attention_mask = attention_mask.to(hidden_states.dtype)
        output, _ = attention(
            self,
            self._split(self.q_proj(hidden_states)),
            *key_values,
            attention_mask,
            dropout=self.dropout if self.training else 0.0,
            scaling=self.scaling,
        )
        return self.o_proj(output.reshape(shape))


class CodeFusionLayer(GradientCheckpointingLayer):
    """Pre-norm block: self-attention over the whole canvas, cross-attention to E_s, feed-forward."""

    def __init__(self, config: CodeFusionConfig):
        super().__init__()
        has_cross_attention = config.conditioning == "cross_attention"
        self.self_attn = CodeFusionAttention(config)
        self.cross_attn = CodeFusionAttention(config) if has_cross_attention else None
        self.up_proj = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.down_proj = nn.Linear(config.d_ff, config.d_model, bias=False)
        self.self_attn_norm = CodeFusionRMSNorm(config.d_model)
        self.cross_attn_norm = CodeFusionRMSNorm(config.d_model) if has_cross_attention else None
        self.mlp_norm = CodeFusionRMSNorm(config.d_model)
        self.act = F.relu if config.hidden_act == "relu" else F.gelu
        self.dropout = config.dropout

    def forward(
        self,
        hidden_states: torch.Tensor,
        position_bias: torch.Tensor,
        memory_key_values: tuple[torch.Tensor, torch.Tensor] | None = None,
        memory_mask: torch.Tensor | None = None,
        extend: Callable | None = None,
    ) -> torch.Tensor:
        """
        `(rows, length, d_model)` to the same shape; see [`CodeFusionAttention`] for rows against memory rows. `extend`
        puts the keys and values of earlier tokens in front of the own ones.
        """

        def residual(update: torch.Tensor) -> torch.Tensor:
            if not self.training or not self.dropout:
                return hidden_states + update
            # One draw for all positions of a row (Gal and Ghahramani, 2016): on CPU masks of their own cost a
            # fifth of a training step.
            mask = update.new_empty(len(update), 1, update.shape[-1]).bernoulli_(1 - self.dropout)
            return torch.addcmul(hidden_states, update, mask / (1 - self.dropout))

        normed = self.self_attn_norm(hidden_states)
        key_values = None if extend is None else extend(*self.self_attn.key_values(normed))
        hidden_states = residual(self.self_attn(normed, position_bias, key_values))
        if self.cross_attn is not None:
            normed = self.cross_attn_norm(hidden_states)
            hidden_states = residual(self.cross_attn(normed, memory_mask, memory_key_values))
        return residual(self.down_proj(self.act(self.up_proj(self.mlp_norm(hidden_states)))))


class CodeFusionStack(nn.Module):
    """Layers with learned absolute positions, one table of T5's relative positions, and a final norm."""

    num_buckets = 32
    max_distance = 128

    def __init__(self, config: CodeFusionConfig, num_layers: int):
        super().__init__()
        self.max_length = config.max_target_length
        infill = config.conditioning == "infill"
        num_positions = self.max_length + (config.max_source_length if infill else 0)
        self.positions = nn.Embedding(num_positions, config.d_model)
        self.relative_attention_bias = nn.Embedding(self.num_buckets, config.num_heads)
        self.relative_attention_bias.init_std = 0.0
        self.layers = nn.ModuleList([CodeFusionLayer(config) for _ in range(num_layers)])
        self.norm = CodeFusionRMSNorm(config.d_model)

    def key_values(self, memory: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Cross-attention keys and values of every layer for `(batch_size, source_length, d_model)`."""
        # In the order in which every product reads them: it would make copies of its own.
        key_values = (layer.cross_attn.key_values(memory) for layer in self.layers)
        return [(key.contiguous(), value.contiguous()) for key, value in key_values]

    def position_bias(self, places: torch.LongTensor) -> torch.Tensor:
        """T5's bidirectional relative bias, `(1, num_heads, length, length)` (transformers models/t5)."""
        offset = places[None, :] - places[:, None]
        half = self.num_buckets // 2
        exact = half // 2
        distance = offset.abs()
        log_ratio = torch.log(distance.clamp(min=1) / exact) / math.log(self.max_distance / exact)
        far = (exact + (log_ratio * (half - exact)).long()).clamp(max=half - 1)
        bucket = (offset > 0).long() * half + torch.where(distance < exact, distance, far)
        return self.relative_attention_bias(bucket).permute(2, 0, 1)[None]

    def forward(
        self,
        hidden_states: torch.Tensor,
        memory_key_values: list[tuple[torch.Tensor, torch.Tensor]],
        memory_mask: torch.Tensor,
        blocks: CodeFusionBlocks | None = None,
        cache: CodeFusionCache | None = None,
    ) -> torch.Tensor:
        """`(rows, length, d_model)` to the same shape; with a `cache`, of positions behind those that it holds."""
        if blocks is None:
            index = self._canvas(hidden_states.shape[1])
            hidden_states = hidden_states + self.positions.weight[: len(index)]
            position_bias = self.position_bias(index)
        else:
            start = 0 if cache is None else cache.start
            stop = start + hidden_states.shape[1] // blocks.parts
            if cache is None:
                positions, position_bias = self._in_blocks(self._canvas(stop).repeat(blocks.parts), blocks)
            else:  # of the whole canvas, once
                everywhere = self._canvas(max(stop, self.max_length))
                positions, position_bias = cache.once("positions", lambda: self._in_blocks(everywhere, blocks))
                positions, position_bias = positions[start:stop], position_bias[:, :, start:stop, :stop]
            hidden_states = hidden_states + positions
        for number, (layer, key_values) in enumerate(zip(self.layers, memory_key_values)):
            extend = None if cache is None else partial(cache.extend, number)
            hidden_states = layer(hidden_states, position_bias, key_values, memory_mask, extend)
        return self.norm(hidden_states)

    def _in_blocks(self, places: torch.LongTensor, blocks: CodeFusionBlocks) -> tuple[torch.Tensor, torch.Tensor]:
        # The embeddings of positions, and their bias where they see each other.
        bias = self.position_bias(places)
        bias = bias.masked_fill(~blocks.visible(places), torch.finfo(bias.dtype).min)
        return self.positions(places), bias

    def infill(self, hidden_states: torch.Tensor, source_mask: torch.Tensor) -> torch.Tensor:
        """
        The program and, behind it, the utterance as one sequence with self-attention only (Diffusion-LM, DiffuSeq).

        Args:
            hidden_states (`torch.FloatTensor` of shape `(rows, target_length + source_length, d_model)`).
            source_mask (`torch.FloatTensor` of shape `(batch_size, 1, 1, source_length)`): Additive.
        """
        source_length = source_mask.shape[-1]
        canvas = self._canvas(hidden_states.shape[1] - source_length)
        # The utterance's positions begin behind the longest canvas, so that they depend on no batch.
        source = torch.arange(source_length, device=canvas.device) + self.max_length
        index = torch.cat([canvas, source])
        hidden_states = hidden_states + self.positions(index)
        mask = F.pad(source_mask, (len(canvas), 0)).repeat_interleave(len(hidden_states) // len(source_mask), dim=0)
        mask = mask + self.position_bias(index)
        for layer in self.layers:
            hidden_states = layer(hidden_states, mask)
        return self.norm(hidden_states)

    def _canvas(self, length: int) -> torch.Tensor:
        if length > self.max_length:
            raise ValueError(f"a canvas of {length} tokens is longer than `max_target_length` ({self.max_length})")
        return torch.arange(length, device=self.positions.weight.device)


class CodeFusionCopy(nn.Module):
    """
    Pointer over the utterance's tokens with a gate: the probability of copying, and from where (See et al., 2017).
    Most literals of a program stand in its utterance and nowhere in the training data.

    All positions are decided at once, so a literal of several tokens falls apart ("9260" becomes "92660") if each
    position looks for its own token. A second gate therefore lets a position follow its left neighbour: it points one
    token behind where the neighbour points. What a position points at also tells it where a literal ends.
    """

    def __init__(self, config: CodeFusionConfig):
        super().__init__()
        self.q_proj = nn.Linear(config.d_model, config.d_model, bias=False)
        self.k_proj = nn.Linear(config.d_model, config.d_model, bias=False)
        self.gate = nn.Linear(config.d_model, 1)
        self.gate.init_std, self.gate.init_bias = 0.0, -1.0  # mostly generate at first
        self.follow = nn.Linear(config.d_model, 1)
        self.follow.init_std, self.follow.init_bias = 0.0, -2.0
        self.context_gate = nn.Linear(config.d_model, 1, bias=False)
        self.context_gate.init_std = 0.0
        self.scaling = config.d_model**-0.5

    def forward(
        self,
        hidden_states: torch.Tensor,
        memory: CodeFusionMemory,
        blocks: CodeFusionBlocks | None = None,
        cache: CodeFusionCache | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        Args:
            hidden_states (`torch.FloatTensor` of shape `(rows, length, d_model)`).
            blocks ([`CodeFusionBlocks`], *optional*): How the canvas is laid out.
            cache ([`CodeFusionCache`], *optional*): Of the tokens on the left.

        Returns:
            The gate, `(rows, length, 1)`, and the pointer's weights, `(rows, length, source_length)`, in fp32; and
            what the pointer points at, `(rows, length, d_model)`. Rows with nothing to copy have a gate of zero.
        """
        rows, length, width = hidden_states.shape
        batch_size = memory.hidden_states.shape[0]
        group = rows // batch_size
        source = partial(self._source, memory, group)
        keys, not_copied, reachable, allowed = source() if cache is None else cache.once("source", source)
        query = self.q_proj(hidden_states).view(batch_size, group * length, width)
        scores = torch.matmul(query, keys).float() * self.scaling
        scores = scores.masked_fill(not_copied, torch.finfo(scores.dtype).min)
        own = F.softmax(scores, dim=-1).view(rows, length, -1)
        follow = torch.sigmoid(self.follow(hidden_states).float()) * reachable
        parts = 1 if blocks is None else blocks.parts
        own, follow = (x.unflatten(1, (parts, -1)).unbind(2) for x in (own, follow))
        pointers = []
        for position in range(len(own)):
            if position:
                left = pointers[-1]
            elif cache is not None and cache.pointer is not None:
                left = cache.pointer[:, None]
            else:
                pointers.append(own[0])
                continue
            if parts > 1 and position % blocks.size == 0:  # the neighbour belongs to a block that is clean by then
                left = left[:, :1].expand_as(left)
            moved = follow[position] * left.roll(1, -1)
            # What would go beyond the end follows nothing.
            pointers.append(torch.addcmul(moved, own[position], 1 - moved.sum(-1, keepdim=True)))
        weights = torch.stack(pointers, dim=2).flatten(1, 2)
        if cache is not None and cache.length > cache.start:
            cache.pointer = weights[:, cache.length - cache.start - 1].clone()

        flat = weights.view(batch_size, group * length, -1).to(hidden_states.dtype)
        context = torch.matmul(flat, memory.hidden_states.to(hidden_states.dtype)).view(rows, length, width)
        gate = torch.sigmoid((self.gate(hidden_states) + self.context_gate(context)).float()) * allowed
        return gate, weights, context

    def _source(self, memory: CodeFusionMemory, group: int) -> tuple[torch.Tensor, ...]:
        # Of the utterance alone: its keys, what cannot be copied, what following can reach, and whether anything can.
        keys = self.k_proj(memory.hidden_states).transpose(1, 2)
        can_copy = memory.can_copy.repeat_interleave(group, dim=0)[:, None]
        # `roll` moves the neighbour's pointer to the right, and the last token to the first: that is not reachable.
        reachable = can_copy.float()
        reachable[..., 0] = 0
        return keys, ~memory.can_copy[:, None], reachable, can_copy.any(-1, keepdim=True)


def additive_mask(visible: torch.BoolTensor, dtype: torch.dtype) -> torch.Tensor:
    """`(rows, length)` to what is added to attention scores, `(rows, 1, 1, length)`: 0 where visible."""
    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill(~visible, torch.finfo(dtype).min)[:, None, None]


def timestep_embedding(timesteps: torch.Tensor, dim: int, max_period: float = 10_000.0) -> torch.Tensor:
    """Sinusoidal features of timesteps in 0..1000, `(..., dim)` (Diffusion-LM, nn.py)."""
    frequencies = torch.exp(
        -math.log(max_period) * torch.arange(dim // 2, device=timesteps.device, dtype=torch.float32) / (dim // 2)
    )
    angles = timesteps.float()[..., None] * frequencies
    return F.pad(torch.cat([angles.cos(), angles.sin()], dim=-1), (0, dim % 2))
