"""The CodeFusion model: encoder E, denoiser N, decoder D, head H and code embedding L (Singh et al., EMNLP 2023)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModelForTextEncoding, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ModelOutput

from .configuration_codefusion import CodeFusionConfig
from .generation_codefusion import UNCONDITIONAL_LENGTH, DiffusionGenerationMixin
from .generation_config_codefusion import CodeFusionGenerationConfig
from .layers_codefusion import CodeFusionBlocks, CodeFusionCache, CodeFusionMemory, CodeFusionRMSNorm, additive_mask
from .loss_codefusion import codefusion_loss
from .networks_codefusion import CodeFusionDecoder, CodeFusionDenoiser, CodeFusionHead
from .scheduling_codefusion import CodeFusionScheduler


WHOLE_ONE_IN = 8  # batches without blocks when a model learns blocks


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


class CodeFusionPreTrainedModel(PreTrainedModel):
    """Loading, saving and initialisation."""

    config_class = CodeFusionConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    _no_split_modules = ["CodeFusionLayer", "T5Block"]
    _supports_sdpa = True
    _supports_attention_backend = True
    supports_gradient_checkpointing = True

    def get_correct_attn_implementation(self, requested_attention: str | None, is_init_check: bool = False) -> str:
        """On CPU, where SDPA takes twice as long as two products at the lengths of programs, eager is the default."""
        if requested_attention is None and not torch.cuda.is_available():
            requested_attention = "eager"
        return super().get_correct_attn_implementation(requested_attention, is_init_check)

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
        self.encoder = None
        if config.conditioning == "cross_attention":
            self.encoder = AutoModelForTextEncoding.from_config(config.encoder_config)
        if getattr(self.encoder, "pooler", None) is not None:
            self.encoder.pooler = None  # BERT's sentence vector: never used here, and DDP rejects unused parameters
        self.code_embeddings = nn.Embedding(config.vocab_size, config.embedding_dim)
        # Of L2-normalised rows only the direction counts, but Adam turns long rows slowly: start at the final norm.
        width = config.embedding_dim if config.embedding_norm == "l2" else 1
        self.code_embeddings.init_std = config.embedding_scale / width**0.5
        same_width = encoder_width == config.d_model or self.encoder is None
        self.memory_proj = nn.Identity() if same_width else nn.Linear(encoder_width, config.d_model, bias=False)
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
        generator: torch.Generator | list[torch.Generator] | None = None,
    ) -> CodeFusionMemory:
        """
        E_s = E(s) and everything derived from it that is constant over the denoising steps.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, source_length)`): The utterance (or masked code).
            attention_mask (`torch.Tensor` of shape `(batch_size, source_length)`, *optional*): 0 at padding.
            unconditional (`torch.BoolTensor` of shape `(batch_size,)`, *optional*):
                Rows whose E_s is fresh Gaussian noise (unconditional generation, paper section 3.2), 8 vectors of it
                whatever the padding. With infilling, rows whose utterance is hidden.
            generator (`torch.Generator` or one for each row, *optional*): Source of that noise.

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
        if unconditional is not None and input_ids.shape[1] < UNCONDITIONAL_LENGTH:
            missing = UNCONDITIONAL_LENGTH - input_ids.shape[1]
            input_ids = F.pad(input_ids, (0, missing), value=self.config.pad_token_id)
            attention_mask = F.pad(attention_mask, (0, missing))
        visible = attention_mask.bool()
        if self.encoder is None:
            hidden = F.embedding(input_ids, self.embedding_table())
            if unconditional is not None:
                visible = visible & ~unconditional[:, None]
            return CodeFusionMemory(hidden, additive_mask(visible, hidden.dtype), input_ids, visible, [], [])

        encoded = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        hidden = self.memory_proj(encoded)
        if self.memory_embedding_proj is not None:
            hidden = hidden + self.memory_embedding_proj(
                F.embedding(input_ids, self.embedding_table()).to(hidden.dtype)
            )
        can_copy = visible
        if unconditional is not None:
            shape = (hidden.shape[0], UNCONDITIONAL_LENGTH, hidden.shape[2])
            noise = _randn(shape, generator, hidden.device).to(hidden.dtype) * self.config.uncond_noise_std
            noise = F.pad(noise, (0, 0, 0, hidden.shape[1] - UNCONDITIONAL_LENGTH))
            hidden = torch.where(unconditional[:, None, None], noise, hidden)
            is_noise = torch.arange(hidden.shape[1], device=hidden.device) < UNCONDITIONAL_LENGTH
            visible = torch.where(unconditional[:, None], is_noise, visible)
            can_copy = can_copy & ~unconditional[:, None]
        return CodeFusionMemory(
            hidden_states=hidden,
            mask=additive_mask(visible, hidden.dtype),
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
        blocks: CodeFusionBlocks | None = None,
        cache: CodeFusionCache | None = None,
    ) -> torch.Tensor:
        """
        x̂0 = N(x_t, t, E_s).

        Args:
            sample (`torch.FloatTensor` of shape `(rows, length, latent_dim)`): x_t; `rows` is a multiple of the
                memory's batch size, with the candidates of one utterance next to each other.
            timesteps (`torch.LongTensor` of shape `(rows,)`, `(rows, length)` or `(1, length)`): Indices in 0..T-1.
            previous (`torch.FloatTensor`, *optional*): The last x̂0 (self-conditioning).
            table (`torch.FloatTensor` of shape `(vocab_size, latent_dim)`, *optional*): L, if already computed.
            blocks ([`CodeFusionBlocks`], *optional*): How the canvas is laid out; one block without it.
            cache ([`CodeFusionCache`], *optional*):
                Of the tokens left of these, for sampling in blocks; keeps those of all blocks but the last.

        Returns:
            `torch.FloatTensor` of shape `(rows, length, latent_dim)` in fp32.
        """
        table = self.embedding_table() if table is None else table
        inputs = self._scaled(sample, timesteps)
        if self.encoder is None:
            # Infilling as in Diffusion-LM: the utterance's part of the sequence is held at its clean embeddings.
            power = self.config.signal_power / self.config.embedding_dim
            source = (memory.hidden_states * power**-0.5).repeat_interleave(len(sample) // len(memory.input_ids), 0)
            inputs = torch.cat([inputs, source], dim=1)
            previous = None if previous is None else F.pad(previous, (0, 0, 0, source.shape[1]))
        return self._predict(inputs, timesteps, memory, previous, table, blocks, cache)[:, : sample.shape[1]]

    def _scaled(self, sample: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        # Unit variance at every t.
        alpha_bar = self.scheduler.alphas_cumprod.to(sample.device, torch.float32)[_by_token(timesteps)][..., None]
        power = self.config.signal_power / self.config.embedding_dim
        return sample * torch.rsqrt(alpha_bar * power + 1 - alpha_bar)

    def _noise(self, shape, generator, device) -> tuple[torch.Tensor, torch.Tensor]:
        # ε of the diffusion and ε' of x_start (empty without it), drawn position by position: padding changes nothing.
        width = self.config.embedding_dim
        drawn = _randn((*shape, 2 * width if self.config.x_start_noise else width), generator, device)
        return drawn[..., :width], drawn[..., width:]

    def _block_timesteps(self, batch_size, length, size, generator, device) -> torch.LongTensor:
        # One t for each block, `(batch_size, length)`. Half of the blocks are pure noise, where sampling begins and,
        # with one step a block, ends; the others are denser at high noise: what a block is, is decided there.
        steps, blocks = self.config.num_diffusion_steps, -(-length // size)
        drawn = _randint(2 * steps, (batch_size, blocks), generator, device)
        drawn = (drawn - steps).clamp(min=0)
        return (steps - 1 - drawn * drawn // steps).repeat_interleave(size, dim=1)[:, :length]

    def _denoise_joint(self, sample, timesteps, memory, previous=None, table=None, blocks=None) -> torch.Tensor:
        # x̂0 of the program and the utterance behind it, both noised.
        return self._predict(self._scaled(sample, timesteps), timesteps, memory, previous, table)

    def _predict(self, inputs, timesteps, memory, previous, table, blocks=None, cache=None) -> torch.Tensor:
        dtype = memory.hidden_states.dtype
        source = F.embedding(memory.input_ids, table).to(dtype)
        inputs, timesteps = inputs.to(dtype), _by_token(timesteps)
        return self.denoiser(inputs, timesteps, memory, source, previous, blocks, cache).float()

    def decode(
        self,
        denoised: torch.Tensor,
        memory: CodeFusionMemory,
        table: torch.Tensor | None = None,
        blocks: CodeFusionBlocks | None = None,
        scored: int | None = None,
        cache: CodeFusionCache | None = None,
        labels: torch.LongTensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        D_s = D(x̂0, E_s) `(rows, length, latent_dim)` and the head's scores `(rows, length, vocab_size)`, fp32; with
        `labels` `(rows, length)` the log-probabilities of these alone. Of the last `scored` positions only, if given.
        """
        table = self.embedding_table() if table is None else table
        denoised = denoised.to(memory.hidden_states.dtype)
        decoded, hidden = denoised, None
        if self.decoder is not None:
            decoded, hidden = self.decoder(denoised, memory, blocks, cache)
        decoded = decoded if scored is None else decoded[:, -scored:]
        if labels is not None:
            return decoded, self.head.label_log_probs(decoded, hidden, table, memory, blocks, labels)
        return decoded, self.head(decoded, hidden, table, memory, blocks, cache)

    def forward(
        self,
        input_ids: torch.LongTensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        unconditional: torch.BoolTensor | None = None,
        timesteps: torch.LongTensor | None = None,
        noise: torch.FloatTensor | None = None,
        noise_mask: torch.BoolTensor | None = None,
        self_condition: bool | None = None,
        block_size: int | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        output_logits: bool = True,
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
            timesteps (`torch.LongTensor` of shape `(batch_size,)`, or `(batch_size, target_length)`, *optional*):
                t, of all tokens or of each; uniform in 0..T-1 by default, and with blocks drawn for each block.
            noise (`torch.FloatTensor` of shape `(batch_size, target_length, latent_dim)`, *optional*): ε.
            noise_mask (`torch.BoolTensor` of shape `(batch_size, target_length)`, *optional*):
                Positions that are noised and count in the loss; the others are seen clean (the reading of CPD in the
                paper's section 1). All by default.
            self_condition (`bool`, *optional*):
                Whether the denoiser sees its own first estimate; a coin by default. Never so with blocks: they take a
                step or two each.
            block_size (`int`, *optional*):
                Tokens of a block, 0 for the whole canvas at once. With `config.block_size` drawn by default
                ([`draw_block_size`]), unless `timesteps` are given, else 0.
            generator (`torch.Generator` or one for each row, *optional*):
                Source of every draw that is not given. With one for each row, a row's draws do not depend on the rows
                beside it, so neither the number of processes nor gradient accumulation changes them.
            output_logits (`bool`, defaults to `True`): Whether `logits` are returned; a step without is faster.

        Returns:
            [`CodeFusionOutput`]

        Raises:
            ValueError: without `labels`, or with inputs longer than the model's limits.
        """
        if labels is None:
            raise ValueError(
                "`forward` computes the training loss and needs `labels`; use `generate` to sample programs"
            )
        config = self.config
        labels = labels.masked_fill(labels < 0, config.pad_token_id)
        device, (batch_size, length) = labels.device, labels.shape
        memory = self.encode(input_ids, attention_mask, unconditional, generator)
        table = self.embedding_table()
        weights = torch.where(labels == config.pad_token_id, config.pad_loss_weight, 1.0)
        if noise_mask is not None:
            weights = weights * noise_mask
        denoise = self.denoise
        if self.encoder is None and not config.partial_noising:
            # Diffusion-LM learns utterance and program as one text: both are noised, both count.
            denoise = self._denoise_joint
            labels = torch.cat([labels, memory.input_ids], dim=1)
            weights = torch.cat([weights, memory.can_copy.to(weights)], dim=1)

        if block_size is None and config.block_size is not None and timesteps is None:
            block_size = draw_block_size(config.block_size, generator)
        blocks = CodeFusionBlocks(block_size, with_clean=True) if block_size else None
        if blocks is not None and timesteps is None:
            timesteps = self._block_timesteps(batch_size, length, block_size, generator, device)
        elif blocks is not None:
            timesteps = _by_token(timesteps).expand(-1, length)
        elif timesteps is None:
            timesteps = _randint(config.num_diffusion_steps, (batch_size,), generator, device)
        clean = F.embedding(labels, table).float()  # x0 = L(y)
        start = clean
        if noise is None or config.x_start_noise:
            drawn, start_noise = self._noise((batch_size, length), generator, device)
            if labels.shape[1] > length:
                source_drawn, source_noise = self._noise(memory.input_ids.shape, generator, device)
                drawn, start_noise = torch.cat([drawn, source_drawn], 1), torch.cat([start_noise, source_noise], 1)
            noise = drawn if noise is None else noise
            if config.x_start_noise:
                start = clean + float(1 - self.scheduler.alphas_cumprod[0]) ** 0.5 * start_noise
        noisy = self.scheduler.add_noise(start, noise, timesteps)
        if noise_mask is not None:
            noisy[:, :length] = torch.where(noise_mask[..., None], noisy[:, :length], clean[:, :length])

        if self_condition is None:
            self_condition = not self.training or bool(_randint(2, (1,), generator, device).item())
        previous, levels = None, timesteps
        if blocks is not None:
            noisy, levels = torch.cat([clean, noisy], 1), torch.cat([torch.zeros_like(timesteps), timesteps], 1)
        elif config.self_conditioning and self_condition:
            with torch.no_grad():
                # The first pass needs no graph, so neither do the shared keys and values it reads.
                previous = denoise(noisy, levels, memory, table=table).detach()
        denoised = denoise(noisy, levels, memory, previous, table, blocks)
        whole = denoised
        if blocks is not None:
            denoised = denoised[:, length:]
            whole = torch.cat([clean, denoised], 1)
        only = None if output_logits else labels
        decoded, scores = self.decode(whole, memory, table, blocks, labels.shape[1], labels=only)

        is_last = _by_token(timesteps) == 0
        loss = codefusion_loss(
            x0=clean,
            # Diffusion-LM, gaussian_diffusion.py: the last step aims at the embedding itself, the others at x_start.
            x_start=torch.where(is_last[..., None], clean, start) if config.x_start_noise else None,
            weights=weights,
            signal_power=config.signal_power,
            x0_pred=denoised,
            decoder_hidden=decoded,
            logits=scores if output_logits else None,
            labels=labels,
            label_log_probs=None if output_logits else scores,
            # Rounding likelihood of Diffusion-LM: how well the embedding itself can be told from the other rows of L.
            embedding_logits=self.head.score(start, table) if config.embedding_nll_weight else None,
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
            logits=scores[:, :length] if output_logits else None,
            denoising_loss=loss.denoising,
            decoder_mse_loss=loss.decoder_mse,
            cross_entropy_loss=loss.cross_entropy,
            embedding_nll_loss=loss.embedding_nll,
            prior_loss=loss.prior,
            denoised_embeddings=denoised[:, :length],
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


def draw_block_size(largest: int, generator: torch.Generator | list[torch.Generator] | None = None) -> int:
    """
    The blocks of a batch: of 1, 2, 4, ... up to `largest` tokens; in one batch of eight 0, the whole canvas at one
    noise level, so that edits, infilling and revisions, which need it, are learned, too.
    """
    device = torch.device("cpu")
    if not _randint(WHOLE_ONE_IN, (1,), generator, device).item():
        return 0
    return 2 ** _randint(largest.bit_length(), (1,), generator, device).item()


def _by_token(timesteps: torch.Tensor) -> torch.Tensor:
    return timesteps if timesteps.ndim == 2 else timesteps[:, None]


def _randn(shape: torch.Size, generator, device: torch.device) -> torch.Tensor:
    if isinstance(generator, list):
        return torch.cat([_randn((1, *shape[1:]), one, device) for one in generator])
    # A CPU generator works for every device, so that a seed means the same draw everywhere.
    source = generator.device if generator is not None else device
    return torch.randn(shape, generator=generator, device=source, dtype=torch.float32).to(device)


def _randint(high: int, shape: tuple[int, ...], generator, device: torch.device) -> torch.Tensor:
    if isinstance(generator, list):
        return torch.cat([_randint(high, (1, *shape[1:]), one, device) for one in generator[: shape[0]]])
    source = generator.device if generator is not None else device
    return torch.randint(high, shape, generator=generator, device=source).to(device)


__all__ = ["CodeFusionForConditionalGeneration", "CodeFusionOutput", "CodeFusionPreTrainedModel", "draw_block_size"]
