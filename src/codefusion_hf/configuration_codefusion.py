"""Configuration of CodeFusion (Singh et al., EMNLP 2023)."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig


_CHOICES = {
    "conditioning": ("cross_attention", "infill"),
    "embedding_norm": ("l2", "none"),
    "denoising_loss": ("sample", "epsilon"),
    "noise_schedule": ("sqrt",),
    "hidden_act": ("relu", "gelu"),
}
_LOSS_WEIGHTS = ("denoising_weight", "decoder_mse_weight", "decoder_ce_weight", "embedding_nll_weight", "tT_weight")


@strict
class CodeFusionConfig(PreTrainedConfig):
    r"""
    Configuration of [`CodeFusionForConditionalGeneration`]. The defaults are the recommended recipe at the paper's
    depth; `examples/configs/paper.json` is the literal reading of the paper.

    Args:
        encoder_config (`dict` or `PreTrainedConfig`, *optional*):
            The utterance encoder E: any encoder that `AutoModelForTextEncoding` knows. Defaults to a T5 encoder (the
            architecture of CodeT5) of width `d_model`.
        language (`str`, *optional*):
            Programming language the checkpoint was trained for. A label for tools around the model: nothing in the
            model depends on it.
        vocab_size (`int`, defaults to 4096): Size of the vocabulary shared by utterances and programs.
        d_model (`int`, defaults to 256), d_ff (`int`, defaults to 1024), num_heads (`int`, defaults to 4):
            Width, feed-forward width and attention heads of denoiser and decoder.
        num_denoiser_layers (`int`, defaults to 10), num_decoder_layers (`int`, defaults to 6):
            Depth of N and D. With `num_decoder_layers=0`, D is the identity (GENIE, Diffusion-LM).
        dropout (`float`, defaults to 0): Dropout in denoiser and decoder.
        hidden_act (`str`, defaults to `"relu"`): `"relu"` or `"gelu"`.
        max_source_length (`int`, defaults to 512), max_target_length (`int`, defaults to 64):
            Longest utterance, and size of the canvas on which programs are denoised, in tokens.
        latent_dim (`int`, *optional*): Width of the diffused embeddings L(y); `None` means `d_model`, as in the paper.
        embedding_norm (`str`, defaults to `"l2"`), embedding_scale (`float`, defaults to 4.0):
            With `"l2"` every row of L has norm `embedding_scale`, so that R² = 16 is known and cannot collapse; with
            `"none"` the rows are free parameters drawn from N(0, `embedding_scale`²).
        noise_schedule (`str`, defaults to `"sqrt"`), num_diffusion_steps (`int`, defaults to 1200),
        schedule_offset (`float`, defaults to 1e-4): The forward process, see [`CodeFusionScheduler`].
        block_size (`int`, *optional*):
            Programs are denoised in blocks from left to right, each seeing those before it (block diffusion, Arriola
            et al., 2025). Training mixes blocks of 1, 2, 4, ... up to this many tokens with whole canvases, and
            `generate` chooses among them. Without it the canvas is one block, as in the paper.
        self_conditioning (`bool`, defaults to `True`): The denoiser sees its previous estimate of x0.
        conditioning (`str`, defaults to `"cross_attention"`), partial_noising (`bool`, defaults to `False`):
            `"infill"` has no encoder: utterance and program are one sequence, of which the program is filled in
            (Diffusion-LM). With `partial_noising` only the program is noised in training, too (DiffuSeq).
        memory_add_input_embeddings (`bool`, defaults to `True`):
            Adds the (projected) embeddings L(s) of the utterance to E_s, which lets cross-attention identify tokens.
        copy_attention (`bool`, defaults to `True`):
            Pointer path from utterance tokens to program tokens, in the denoiser (a mixture in embedding space) and
            in the head (a mixture of distributions).
        residual_decoder (`bool`, defaults to `False`):
            D adds to x̂0, at first nothing, instead of replacing it: the head's cross-entropy then trains N at once,
            without a decoder that must learn first.
        tie_head_to_embedding (`bool`, defaults to `True`): The head scores against L instead of its own matrix.
        uncond_noise_std (`float`, defaults to 1.0): Standard deviation of the Gaussian E_s (unconditional generation).
        denoising_loss (`str`, defaults to `"sample"`), min_snr_gamma (`float`, *optional*):
            Space of the loss's first term, and the clamp of its weight in ε-space.
        denoising_weight, decoder_mse_weight, decoder_ce_weight (`float`, defaults to 1.0): The loss's three terms.
        embedding_nll_weight, tT_weight (`float`, defaults to 0.0), x_start_noise (`bool`, defaults to `False`):
            The extra terms of Diffusion-LM and GENIE, and their noise on the embedding before it is diffused.
        pad_loss_weight (`float`, defaults to 0.15): Weight of padding positions in every term.
        stop_grad_x0_target (`bool`, defaults to `True`): No gradient into L from the target of the first term.
        initializer_range (`float`, defaults to 0.02): Standard deviation of fresh embeddings and of an untied head.

    Raises:
        ValueError: for an unknown value of a choice, or sizes that do not fit together.
    """

    model_type = "codefusion"
    sub_configs = {"encoder_config": AutoConfig}
    attribute_map = {"hidden_size": "d_model", "num_train_timesteps": "num_diffusion_steps"}
    keys_to_ignore_at_inference = [  # of the outputs, Trainer's evaluation gathers the logits only
        "denoising_loss",
        "decoder_mse_loss",
        "cross_entropy_loss",
        "embedding_nll_loss",
        "prior_loss",
        "denoised_embeddings",
        "encoder_last_hidden_state",
    ]

    encoder_config: PreTrainedConfig | dict[str, Any] | None = None
    language: str | None = None
    vocab_size: int = 4096
    d_model: int = 256
    d_ff: int = 1024
    num_heads: int = 4
    num_denoiser_layers: int = 10
    num_decoder_layers: int = 6
    dropout: float | int = 0.0
    hidden_act: str = "relu"
    max_source_length: int = 512
    max_target_length: int = 64
    latent_dim: int | None = 128
    embedding_norm: str = "l2"
    embedding_scale: float | int = 4.0
    noise_schedule: str = "sqrt"
    num_diffusion_steps: int = 1200
    schedule_offset: float = 1e-4
    block_size: int | None = None
    self_conditioning: bool = True
    conditioning: str = "cross_attention"
    partial_noising: bool = False
    memory_add_input_embeddings: bool = True
    copy_attention: bool = True
    residual_decoder: bool = False
    tie_head_to_embedding: bool = True
    uncond_noise_std: float | int = 1.0
    denoising_loss: str = "sample"
    min_snr_gamma: float | int | None = None
    denoising_weight: float | int = 1.0
    decoder_mse_weight: float | int = 1.0
    decoder_ce_weight: float | int = 1.0
    embedding_nll_weight: float | int = 0.0
    tT_weight: float | int = 0.0
    x_start_noise: bool = False
    pad_loss_weight: float | int = 0.15
    stop_grad_x0_target: bool = True
    initializer_range: float = 0.02
    is_encoder_decoder: bool = True
    tie_word_embeddings: bool = False  # a tied head scores against L directly, so there is no second tensor to tie
    pad_token_id: int | None = 0
    bos_token_id: int | None = 1
    eos_token_id: int | None = 2

    def __post_init__(self, **kwargs):
        if self.encoder_config is None:
            self.encoder_config = {"model_type": "t5"}
        if isinstance(self.encoder_config, dict):
            encoder = dict(self.encoder_config)
            model_type = encoder.pop("model_type", "t5")
            if model_type == "t5":  # unset sizes follow the denoiser's
                defaults = {
                    "vocab_size": self.vocab_size,
                    "d_model": self.d_model,
                    "d_ff": self.d_ff,
                    "num_heads": self.num_heads,
                    "d_kv": self.d_model // max(1, self.num_heads),
                    "num_layers": 6,
                    "dropout_rate": 0.0,
                    "pad_token_id": self.pad_token_id,
                    "eos_token_id": self.eos_token_id,
                }
                encoder = {**defaults, **encoder}
            self.encoder_config = AutoConfig.for_model(model_type, **encoder)
        super().__post_init__(**kwargs)
        self._validate()

    def _validate(self):
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"`{name}` must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        at_least_one = "vocab_size d_model d_ff num_heads num_denoiser_layers max_source_length max_target_length"
        for name in (*at_least_one.split(), "num_diffusion_steps", "embedding_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}")
        for name in ("num_decoder_layers", "pad_loss_weight", "uncond_noise_std", *_LOSS_WEIGHTS):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1), got {self.dropout}")
        if self.embedding_scale <= 0:
            raise ValueError(f"`embedding_scale` must be positive, got {self.embedding_scale}")
        if self.pad_token_id is None or self.eos_token_id is None:
            raise ValueError("programs end at `pad_token_id` or `eos_token_id`: both must be set")
        if self.d_model % self.num_heads:
            raise ValueError(f"`d_model` ({self.d_model}) must be divisible by `num_heads` ({self.num_heads})")
        if self.min_snr_gamma is not None and self.denoising_loss != "epsilon":
            raise ValueError(
                "`min_snr_gamma` bounds the weights of `denoising_loss='epsilon'`, set that or leave it out"
            )
        if self.conditioning == "infill":
            cross_attending = [
                name
                for name in ("num_decoder_layers", "copy_attention", "memory_add_input_embeddings")
                if getattr(self, name)
            ]
            if cross_attending:
                raise ValueError(f"`conditioning='infill'` has no E_s for {', '.join(cross_attending)}: set them to 0")
        elif self.partial_noising:
            raise ValueError("`partial_noising` belongs to `conditioning='infill'`")
        if self.block_size is not None:
            if not 1 <= self.block_size <= self.max_target_length:
                raise ValueError(
                    f"`block_size` must be None or from 1 to `max_target_length` ({self.max_target_length}), got "
                    f"{self.block_size}"
                )
            if self.conditioning == "infill" or self.denoising_loss == "epsilon":
                raise ValueError("`block_size` needs `conditioning='cross_attention'` and `denoising_loss='sample'`")
        if self.residual_decoder and self.embedding_dim == self.d_model:
            raise ValueError(
                "`residual_decoder` needs a `latent_dim` other than `d_model`: its projection starts at 0"
            )
        if self.tie_head_to_embedding is False and self.embedding_dim != self.d_model:
            raise ValueError(
                f"an untied head needs `latent_dim` == `d_model`, got {self.embedding_dim} and {self.d_model}"
            )

    @property
    def embedding_dim(self) -> int:
        """Width of the diffused embeddings L(y)."""
        return self.d_model if self.latent_dim is None else self.latent_dim

    @property
    def signal_power(self) -> float:
        """R² = E‖L(w)‖², the signal power of one token."""
        scale = float(self.embedding_scale) ** 2
        return scale if self.embedding_norm == "l2" else scale * self.embedding_dim
