"""The CodeFusion model: encoder E, denoiser N, decoder D, head H and code embedding L (Singh et al., EMNLP 2023)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModelForTextEncoding, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import ModelOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_codefusion import CodeFusionConfig
from .generation_codefusion import CodeFusionGenerationConfig, DiffusionGenerationMixin
from .loss_codefusion import codefusion_loss
from .scheduling_codefusion import CodeFusionScheduler


@dataclass
class CodeFusionOutput(ModelOutput):
    """
    Args:
        loss (`torch.FloatTensor` of shape `(1,)`, *optional*): The weighted sum of the terms below.
        logits (`torch.FloatTensor` of shape `(batch_size, target_length, vocab_size)`): Scores of the head H.
        denoising_loss, decoder_mse_loss, cross_entropy_loss (`torch.FloatTensor` of shape `(1,)`):
            The three terms of the paper's loss L_t, unweighted.
        embedding_nll_loss, prior_loss (`torch.FloatTensor` of shape `(1,)`):
            The extra terms of Diffusion-LM and GENIE. A term whose weight is 0 is not computed and `None`.
        denoised_embeddings (`torch.FloatTensor` of shape `(batch_size, target_length, latent_dim)`): x̂0.
        encoder_last_hidden_state (`torch.FloatTensor` of shape `(batch_size, source_length, d_model)`): E_s.
    """

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    denoising_loss: torch.FloatTensor | None = None
    decoder_mse_loss: torch.FloatTensor | None = None
    cross_entropy_loss: torch.FloatTensor | None = None
    embedding_nll_loss: torch.FloatTensor | None = None
    prior_loss: torch.FloatTensor | None = None
    denoised_embeddings: torch.FloatTensor | None = None
    encoder_last_hidden_state: torch.FloatTensor | None = None


@dataclass
class CodeFusionMemory:
    """
    What denoiser and decoder see of the utterance: computed once, used at every step.

    Args:
        hidden_states (`torch.FloatTensor` of shape `(batch_size, source_length, d_model)`): E_s.
        mask (`torch.FloatTensor` of shape `(batch_size, 1, 1, source_length)`): Additive attention mask.
        input_ids (`torch.LongTensor` of shape `(batch_size, source_length)`): Tokens that can be copied.
        can_copy (`torch.BoolTensor` of shape `(batch_size, source_length)`): Positions the copy path may point at.
        denoiser_key_values, decoder_key_values (`list[tuple[torch.Tensor, torch.Tensor]]`):
            Cross-attention keys and values of each layer, each of shape `(batch_size, num_heads, source_length, head_dim)`.
    """

    hidden_states: torch.Tensor
    mask: torch.Tensor
    input_ids: torch.Tensor
    can_copy: torch.Tensor
    denoiser_key_values: list
    decoder_key_values: list


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
    """Attention as two matrix products; on CPU its backward pass is much faster than SDPA's. Shapes as in transformers."""
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = F.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2), weights


class CodeFusionRMSNorm(nn.Module):
    """T5's layer norm: no mean, no bias."""

    def __init__(self, dim: int, eps: float = 1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`(..., dim)` to `(..., dim)`."""
        return F.rms_norm(hidden_states, hidden_states.shape[-1:], self.weight.to(hidden_states.dtype), self.eps)


class CodeFusionAttention(nn.Module):
    """Multi-head attention over the canvas, or over given keys and values."""

    def __init__(self, config: CodeFusionConfig):
        super().__init__()
        self.config = config
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
            dropout=self.config.dropout if self.training else 0.0,
            scaling=self.scaling,
        )
        return self.o_proj(output.reshape(shape))


class CodeFusionLayer(GradientCheckpointingLayer):
    """Pre-norm block: self-attention over the whole canvas, cross-attention to E_s, feed-forward."""

    def __init__(self, config: CodeFusionConfig):
        super().__init__()
        self.self_attn = CodeFusionAttention(config)
        self.cross_attn = CodeFusionAttention(config)
        self.up_proj = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.down_proj = nn.Linear(config.d_ff, config.d_model, bias=False)
        self.self_attn_norm = CodeFusionRMSNorm(config.d_model)
        self.cross_attn_norm = CodeFusionRMSNorm(config.d_model)
        self.mlp_norm = CodeFusionRMSNorm(config.d_model)
        self.act = F.relu if config.hidden_act == "relu" else F.gelu
        self.dropout = config.dropout

    def forward(
        self,
        hidden_states: torch.Tensor,
        position_bias: torch.Tensor,
        memory_key_values: tuple[torch.Tensor, torch.Tensor],
        memory_mask: torch.Tensor,
    ) -> torch.Tensor:
        """`(rows, length, d_model)` to the same shape; see [`CodeFusionAttention`] for rows against memory rows."""

        def residual(update: torch.Tensor) -> torch.Tensor:
            return hidden_states + F.dropout(update, self.dropout, self.training)

        hidden_states = residual(self.self_attn(self.self_attn_norm(hidden_states), position_bias))
        hidden_states = residual(self.cross_attn(self.cross_attn_norm(hidden_states), memory_mask, memory_key_values))
        return residual(self.down_proj(self.act(self.up_proj(self.mlp_norm(hidden_states)))))


class CodeFusionStack(nn.Module):
    """Layers with learned absolute positions, one table of T5's relative positions, and a final norm."""

    num_buckets = 32
    max_distance = 128

    def __init__(self, config: CodeFusionConfig, num_layers: int):
        super().__init__()
        self.positions = nn.Embedding(config.max_target_length, config.d_model)
        self.relative_attention_bias = nn.Embedding(self.num_buckets, config.num_heads)
        self.relative_attention_bias.init_std = 0.0
        self.layers = nn.ModuleList([CodeFusionLayer(config) for _ in range(num_layers)])
        self.norm = CodeFusionRMSNorm(config.d_model)

    def key_values(self, memory: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Cross-attention keys and values of every layer for `(batch_size, source_length, d_model)`."""
        return [layer.cross_attn.key_values(memory) for layer in self.layers]

    def position_bias(self, length: int) -> torch.Tensor:
        """T5's bidirectional relative bias, `(1, num_heads, length, length)` (transformers models/t5)."""
        index = torch.arange(length, device=self.positions.weight.device)
        offset = index[None, :] - index[:, None]
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
    ) -> torch.Tensor:
        """`(rows, length, d_model)` to the same shape."""
        length = hidden_states.shape[1]
        if length > self.positions.num_embeddings:
            raise ValueError(
                f"a canvas of {length} tokens is longer than `max_target_length` ({self.positions.num_embeddings})"
            )
        hidden_states = hidden_states + self.positions.weight[:length]
        position_bias = self.position_bias(length)
        for layer, key_values in zip(self.layers, memory_key_values):
            hidden_states = layer(hidden_states, position_bias, key_values, memory_mask)
        return self.norm(hidden_states)


class CodeFusionCopy(nn.Module):
    """
    Pointer over the utterance's tokens with a gate: the probability of copying, and from where (See et al., 2017). Most
    literals of a program stand in its utterance and nowhere in the training data.
    """

    def __init__(self, config: CodeFusionConfig):
        super().__init__()
        self.q_proj = nn.Linear(config.d_model, config.d_model, bias=False)
        self.k_proj = nn.Linear(config.d_model, config.d_model, bias=False)
        self.gate = nn.Linear(config.d_model, 1)
        self.gate.init_std, self.gate.init_bias = 0.0, -1.0  # mostly generate at first
        self.scaling = config.d_model**-0.5

    def forward(self, hidden_states: torch.Tensor, memory: CodeFusionMemory) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Args:
            hidden_states (`torch.FloatTensor` of shape `(rows, length, d_model)`).

        Returns:
            The gate, `(rows, length, 1)`, and the pointer's weights, `(rows, length, source_length)`, in fp32. Rows
            with nothing to copy from have a gate of zero.
        """
        rows, length, width = hidden_states.shape
        group = rows // memory.hidden_states.shape[0]
        query = self.q_proj(hidden_states).view(-1, group * length, width)
        scores = torch.matmul(query, self.k_proj(memory.hidden_states).transpose(1, 2)).float() * self.scaling
        can_copy = memory.can_copy[:, None]
        scores = scores.masked_fill(~can_copy, torch.finfo(scores.dtype).min)
        weights = F.softmax(scores, dim=-1).view(rows, length, -1)
        allowed = can_copy.any(-1, keepdim=True).repeat_interleave(group, dim=0)
        return torch.sigmoid(self.gate(hidden_states).float()) * allowed, weights


def timestep_embedding(timesteps: torch.Tensor, dim: int, max_period: float = 10_000.0) -> torch.Tensor:
    """Sinusoidal features of `(batch_size,)` timesteps in 0..1000, `(batch_size, dim)` (Diffusion-LM, nn.py)."""
    frequencies = torch.exp(
        -math.log(max_period) * torch.arange(dim // 2, device=timesteps.device, dtype=torch.float32) / (dim // 2)
    )
    angles = timesteps.float()[:, None] * frequencies
    return F.pad(torch.cat([angles.cos(), angles.sin()], dim=-1), (0, dim % 2))


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
        self.stack = CodeFusionStack(config, config.num_denoiser_layers)
        self.copy = CodeFusionCopy(config) if config.copy_attention else None

    def forward(
        self,
        inputs: torch.Tensor,
        timesteps: torch.Tensor,
        memory: CodeFusionMemory,
        source_embeddings: torch.Tensor,
        previous: torch.Tensor | None,
    ) -> torch.Tensor:
        """
        Args:
            inputs (`torch.FloatTensor` of shape `(rows, length, latent_dim)`): x_t, scaled to unit variance.
            timesteps (`torch.LongTensor` of shape `(rows,)`): Indices in 0..T-1.
            source_embeddings (`torch.FloatTensor` of shape `(batch_size, source_length, latent_dim)`): L(s).
            previous (`torch.FloatTensor`, *optional*): The last x̂0, for self-conditioning.

        Returns:
            `torch.FloatTensor` of shape `(rows, length, latent_dim)`: x̂0.
        """
        hidden = self.in_proj(inputs)
        time = timestep_embedding(timesteps * self.time_scale, hidden.shape[-1]).to(self.time_mlp[0].weight.dtype)
        hidden = hidden + self.time_mlp(time)[:, None]
        if self.self_cond_proj is not None:
            # Zeros instead of a skipped branch: DistributedDataParallel wants every parameter in every graph.
            hidden = hidden + self.self_cond_proj(
                torch.zeros_like(inputs) if previous is None else previous.to(inputs)
            )
        hidden = self.stack(hidden, memory.denoiser_key_values, memory.mask)
        denoised = self.out_proj(hidden)
        if self.copy is not None:
            gate, weights = self.copy(hidden, memory)
            rows, length, source = weights.shape
            pointed = torch.matmul(
                weights.view(source_embeddings.shape[0], -1, source).to(source_embeddings.dtype), source_embeddings
            ).view(rows, length, -1)
            denoised = (1 - gate) * denoised + gate * pointed
        return denoised


class CodeFusionDecoder(nn.Module):
    """D: turns x̂0 into D_s with full self-attention and cross-attention to E_s. Without layers it is the identity."""

    def __init__(self, config: CodeFusionConfig):
        super().__init__()
        same_width = config.embedding_dim == config.d_model
        self.in_proj = nn.Identity() if same_width else nn.Linear(config.embedding_dim, config.d_model)
        self.out_proj = nn.Identity() if same_width else nn.Linear(config.d_model, config.embedding_dim)
        self.stack = CodeFusionStack(config, config.num_decoder_layers)

    def forward(self, denoised: torch.Tensor, memory: CodeFusionMemory) -> tuple[torch.Tensor, torch.Tensor]:
        """x̂0 `(rows, length, latent_dim)` to D_s of the same shape and the hidden states `(rows, length, d_model)`."""
        hidden = self.stack(self.in_proj(denoised), memory.decoder_key_values, memory.mask)
        return self.out_proj(hidden), hidden


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
        self, decoded: torch.Tensor, hidden: torch.Tensor | None, table: torch.Tensor, memory: CodeFusionMemory
    ) -> torch.Tensor:
        """
        Args:
            decoded (`torch.FloatTensor` of shape `(rows, length, latent_dim)`): D_s.
            hidden (`torch.FloatTensor` of shape `(rows, length, d_model)`): States the copy pointer reads.
            table (`torch.FloatTensor` of shape `(vocab_size, latent_dim)`): L.

        Returns:
            `torch.FloatTensor` of shape `(rows, length, vocab_size)`, fp32: logits, or log-probabilities with copying.
        """
        if self.tied:
            logits = self.logit_scale * torch.matmul(decoded.float(), table.float().T) + self.bias
        else:
            logits = F.linear(decoded.float(), self.weight.float(), self.bias.float())
        logits = logits.float()  # under autocast the products above come back in its dtype
        if self.copy is None:
            return logits
        gate, weights = self.copy(hidden, memory)
        probabilities = (1 - gate) * F.softmax(logits, dim=-1)
        tokens = memory.input_ids.repeat_interleave(weights.shape[0] // memory.input_ids.shape[0], dim=0)
        tokens = tokens[:, None].expand(-1, weights.shape[1], -1)
        return torch.log(probabilities.scatter_add(-1, tokens, gate * weights) + 1e-9)


class CodeFusionPreTrainedModel(PreTrainedModel):
    """Loading, saving and initialisation."""

    config_class = CodeFusionConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    _no_split_modules = ["CodeFusionLayer", "T5Block"]
    _supports_sdpa = True
    _supports_attention_backend = True
    supports_gradient_checkpointing = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        # Only leaves: transformers calls this for no module without own parameters, when the class is not its own.
        if isinstance(module, CodeFusionRMSNorm):
            init.ones_(module.weight)
        elif isinstance(module, nn.Linear):
            init.normal_(module.weight, std=getattr(module, "init_std", module.in_features**-0.5))
            if module.bias is not None:
                init.constant_(module.bias, getattr(module, "init_bias", 0.0))
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=getattr(module, "init_std", self.config.initializer_range))
        elif isinstance(module, CodeFusionHead):
            init.zeros_(module.bias)
            if module.tied:
                init.ones_(module.logit_scale)
            else:
                init.normal_(module.weight, std=self.config.initializer_range)


class CodeFusionForConditionalGeneration(CodeFusionPreTrainedModel, DiffusionGenerationMixin):
    """
    CodeFusion: a diffusion model over the embeddings of a whole program, conditioned on an utterance.

    Args:
        config ([`CodeFusionConfig`]): Sizes and switches.
    """

    generation_config_class = CodeFusionGenerationConfig
    output_modalities = ("text",)
    accepts_loss_kwargs = False  # the loss is a mean over examples: Trainer must scale it under accumulation

    def __init__(self, config: CodeFusionConfig):
        super().__init__(config)
        encoder_width = config.encoder_config.hidden_size
        self.encoder = AutoModelForTextEncoding.from_config(config.encoder_config)
        if getattr(self.encoder, "pooler", None) is not None:
            self.encoder.pooler = None  # BERT's sentence vector: never used here, and DDP rejects unused parameters
        self.code_embeddings = nn.Embedding(config.vocab_size, config.embedding_dim)
        # Of L2-normalised rows only the direction counts, but Adam turns long rows slowly: start at the final norm.
        width = config.embedding_dim if config.embedding_norm == "l2" else 1
        self.code_embeddings.init_std = config.embedding_scale / width**0.5
        self.memory_proj = (
            nn.Identity() if encoder_width == config.d_model else nn.Linear(encoder_width, config.d_model, bias=False)
        )
        self.memory_embedding_proj = (
            nn.Linear(config.embedding_dim, config.d_model, bias=False) if config.memory_add_input_embeddings else None
        )
        self.denoiser = CodeFusionDenoiser(config)
        self.decoder = CodeFusionDecoder(config) if config.num_decoder_layers else None
        self.head = CodeFusionHead(config)
        self.scheduler = CodeFusionScheduler.from_config(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """L, the embedding of program tokens (and of utterance tokens that can be copied)."""
        return self.code_embeddings

    def set_input_embeddings(self, value: nn.Module):
        """Replaces L."""
        self.code_embeddings = value

    def get_output_embeddings(self) -> None:
        """The head is not an `nn.Linear`: there is nothing that transformers could tie."""
        return None

    def resize_token_embeddings(self, *args, **kwargs):
        """Not supported: head, code embedding and encoder share one vocabulary. Raises `ValueError`."""
        raise ValueError("the vocabulary is fixed by the config: build a model with another `vocab_size` instead")

    def embedding_table(self) -> torch.Tensor:
        """L as `(vocab_size, latent_dim)`, with every row at norm `embedding_scale` if `embedding_norm="l2"`."""
        weight = self.code_embeddings.weight
        if self.config.embedding_norm == "l2":
            weight = F.normalize(weight.float(), dim=-1) * self.config.embedding_scale
        return weight

    def encode(
        self,
        input_ids: torch.LongTensor,
        attention_mask: torch.Tensor | None = None,
        unconditional: torch.BoolTensor | None = None,
        generator: torch.Generator | None = None,
    ) -> CodeFusionMemory:
        """
        E_s = E(s) and everything derived from it that is constant over the denoising steps.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, source_length)`): The utterance (or masked code).
            attention_mask (`torch.Tensor` of shape `(batch_size, source_length)`, *optional*): 0 at padding.
            unconditional (`torch.BoolTensor` of shape `(batch_size,)`, *optional*):
                Rows whose E_s is fresh Gaussian noise (unconditional generation, paper section 3.2).
            generator (`torch.Generator`, *optional*): Source of that noise.

        Raises:
            ValueError: for an input of more than `config.max_source_length` tokens.
        """
        if input_ids.shape[1] > self.config.max_source_length:
            raise ValueError(
                f"the input has {input_ids.shape[1]} tokens, at most {self.config.max_source_length} are allowed "
                "(`config.max_source_length`)"
            )
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        encoded = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        hidden = self.memory_proj(encoded)
        if self.memory_embedding_proj is not None:
            hidden = hidden + self.memory_embedding_proj(
                F.embedding(input_ids, self.embedding_table()).to(hidden.dtype)
            )
        visible = attention_mask.bool()
        can_copy = visible
        if unconditional is not None:
            noise = _randn(hidden.shape, generator, hidden.device).to(hidden.dtype) * self.config.uncond_noise_std
            hidden = torch.where(unconditional[:, None, None], noise, hidden)
            visible = visible | unconditional[:, None]
            can_copy = can_copy & ~unconditional[:, None]
        mask = torch.zeros(visible.shape, dtype=hidden.dtype, device=hidden.device)
        mask = mask.masked_fill(~visible, torch.finfo(hidden.dtype).min)[:, None, None]
        return CodeFusionMemory(
            hidden_states=hidden,
            mask=mask,
            input_ids=input_ids,
            can_copy=can_copy,
            denoiser_key_values=self.denoiser.stack.key_values(hidden),
            decoder_key_values=self.decoder.stack.key_values(hidden) if self.decoder is not None else [],
        )

    def denoise(
        self,
        sample: torch.Tensor,
        timesteps: torch.Tensor,
        memory: CodeFusionMemory,
        previous: torch.Tensor | None = None,
        table: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """
        x̂0 = N(x_t, t, E_s).

        Args:
            sample (`torch.FloatTensor` of shape `(rows, length, latent_dim)`): x_t; `rows` is a multiple of the
                memory's batch size, with the candidates of one utterance next to each other.
            timesteps (`torch.LongTensor` of shape `(rows,)`): Indices in 0..T-1.
            previous (`torch.FloatTensor`, *optional*): The last x̂0 (self-conditioning).
            table (`torch.FloatTensor` of shape `(vocab_size, latent_dim)`, *optional*): L, if already computed.

        Returns:
            `torch.FloatTensor` of shape `(rows, length, latent_dim)` in fp32.
        """
        table = self.embedding_table() if table is None else table
        alpha_bar = self.scheduler.alphas_cumprod.to(sample.device, torch.float32)[timesteps][:, None, None]
        power = self.config.signal_power / self.config.embedding_dim
        inputs = sample * torch.rsqrt(alpha_bar * power + 1 - alpha_bar)  # unit variance at every t
        dtype = memory.hidden_states.dtype
        source = F.embedding(memory.input_ids, table).to(dtype)
        return self.denoiser(inputs.to(dtype), timesteps, memory, source, previous).float()

    def decode(
        self, denoised: torch.Tensor, memory: CodeFusionMemory, table: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """D_s = D(x̂0, E_s) `(rows, length, latent_dim)` and the head's scores `(rows, length, vocab_size)`, fp32."""
        table = self.embedding_table() if table is None else table
        denoised = denoised.to(memory.hidden_states.dtype)
        decoded, hidden = self.decoder(denoised, memory) if self.decoder is not None else (denoised, None)
        return decoded, self.head(decoded, hidden, table, memory)

    def forward(
        self,
        input_ids: torch.LongTensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        unconditional: torch.BoolTensor | None = None,
        timesteps: torch.LongTensor | None = None,
        noise: torch.FloatTensor | None = None,
        generator: torch.Generator | None = None,
        return_dict: bool | None = None,
    ) -> CodeFusionOutput | tuple:
        """
        One training step: noise the program to a random t, denoise it, decode it (paper, section 3.1).

        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, source_length)`): Utterances, or masked code (CPD).
            attention_mask (`torch.Tensor` of shape `(batch_size, source_length)`, *optional*): 0 at padding.
            labels (`torch.LongTensor` of shape `(batch_size, target_length)`):
                Programs ending in `</s>`. Padding (the pad token or -100) is diffused like any token.
            unconditional (`torch.BoolTensor` of shape `(batch_size,)`, *optional*): See [`encode`].
            timesteps (`torch.LongTensor` of shape `(batch_size,)`, *optional*): t; uniform in 0..T-1 by default.
            noise (`torch.FloatTensor` of shape `(batch_size, target_length, latent_dim)`, *optional*): ε.
            generator (`torch.Generator`, *optional*): Source of every draw that is not given.

        Returns:
            [`CodeFusionOutput`]

        Raises:
            ValueError: without `labels`, or with inputs longer than the model's limits.
        """
        if labels is None:
            raise ValueError(
                "`forward` computes the training loss and needs `labels`; use `generate` to sample programs"
            )
        labels = labels.masked_fill(labels < 0, self.config.pad_token_id)
        device, batch_size = labels.device, labels.shape[0]
        memory = self.encode(input_ids, attention_mask, unconditional, generator)
        table = self.embedding_table()
        clean = F.embedding(labels, table).float()  # x0 = L(y)
        if timesteps is None:
            timesteps = _randint(self.config.num_diffusion_steps, batch_size, generator, device)
        if noise is None:
            noise = _randn(clean.shape, generator, device)
        noisy = self.scheduler.add_noise(clean, noise, timesteps)

        previous = None
        if self.config.self_conditioning and (not self.training or _randint(2, 1, generator, device).item()):
            with torch.no_grad():
                # The first pass needs no graph, so neither do the shared keys and values it reads.
                previous = self.denoise(noisy, timesteps, memory, table=table).detach()
        denoised = self.denoise(noisy, timesteps, memory, previous, table)
        decoded, logits = self.decode(denoised, memory, table)

        weights = torch.where(labels == self.config.pad_token_id, self.config.pad_loss_weight, 1.0)
        config = self.config
        loss = codefusion_loss(
            x0=clean,
            weights=weights,
            signal_power=config.signal_power,
            x0_pred=denoised,
            decoder_hidden=decoded,
            logits=logits,
            labels=labels,
            # Rounding likelihood of Diffusion-LM: how well L(y) itself can be told from the other rows of L.
            embedding_logits=torch.matmul(clean, table.float().T) if config.embedding_nll_weight else None,
            alpha_cumprod_T=float(self.scheduler.alphas_cumprod[-1]),
            snr=self.scheduler.snr(timesteps),
            space=config.denoising_loss,
            min_snr_gamma=config.min_snr_gamma,
            stop_grad_x0_target=config.stop_grad_x0_target,
            denoising_weight=config.denoising_weight,
            decoder_mse_weight=config.decoder_mse_weight,
            decoder_ce_weight=config.decoder_ce_weight,
            embedding_nll_weight=config.embedding_nll_weight,
            tT_weight=config.tT_weight,
        )
        output = CodeFusionOutput(
            loss=loss.total,
            logits=logits,
            denoising_loss=loss.denoising,
            decoder_mse_loss=loss.decoder_mse,
            cross_entropy_loss=loss.cross_entropy,
            embedding_nll_loss=loss.embedding_nll,
            prior_loss=loss.prior,
            denoised_embeddings=denoised,
            encoder_last_hidden_state=memory.hidden_states,
        )
        use_dict = self.config.return_dict if return_dict is None else return_dict
        return output if use_dict else output.to_tuple()

    def save_pretrained(self, save_directory, **kwargs):
        """As in transformers; remote code also registers the model under `AutoModelForSeq2SeqLM`."""
        if self._auto_class is not None:
            auto_map = dict(getattr(self.config, "auto_map", None) or {})
            auto_map["AutoModelForSeq2SeqLM"] = "modeling_codefusion.CodeFusionForConditionalGeneration"
            self.config.auto_map = auto_map
        for key in ("_name_or_path", "task_specific_params"):  # they would leak a local path of the encoder's origin
            self.config.encoder_config.__dict__.pop(key, None)
        return super().save_pretrained(save_directory, **kwargs)


def _randn(shape: torch.Size, generator: torch.Generator | None, device: torch.device) -> torch.Tensor:
    # A CPU generator works for every device, so that a seed means the same draw everywhere.
    source = generator.device if generator is not None else device
    return torch.randn(shape, generator=generator, device=source, dtype=torch.float32).to(device)


def _randint(high: int, size: int, generator: torch.Generator | None, device: torch.device) -> torch.Tensor:
    source = generator.device if generator is not None else device
    return torch.randint(high, (size,), generator=generator, device=source).to(device)


__all__ = ["CodeFusionForConditionalGeneration", "CodeFusionOutput", "CodeFusionPreTrainedModel"]
