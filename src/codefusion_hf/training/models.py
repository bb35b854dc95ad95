"""The model that a run starts from: a checkpoint, or a preset with fresh weights or a pre-trained encoder."""

import argparse
import copy
import json
import os
from pathlib import Path

import torch
from accelerate.utils import set_seed
from transformers import AutoModelForTextEncoding, AutoTokenizer, PreTrainedConfig

from .. import available_checkpoints, checkpoint_path
from ..configuration_codefusion import CodeFusionConfig
from ..languages import LANGUAGES
from ..modeling_codefusion import CodeFusionForConditionalGeneration
from .devices import default_attention
from .ema import full_state_dict


SPACES = ("Ġ", "▁")  # how tokens begin, in byte-level BPE and in SentencePiece, that have a space before them
ENCODER_DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout_rate")  # of BERT and T5


def load_preset(name: str, presets: Path) -> CodeFusionConfig:
    """
    Config of a preset (a file name in `presets` without `.json`) or of a JSON file.

    Raises:
        ValueError: if there is no such preset; the message lists the presets.
    """
    return _read_preset(name, presets)[0]


def _read_preset(name: str, presets: Path) -> tuple[CodeFusionConfig, dict]:
    # And what the preset says about generation, which is no part of a model's config.
    path = Path(name) if name.endswith(".json") else presets / f"{name}.json"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in presets.glob("*.json")))
        raise ValueError(f"unknown preset {name!r}: presets are {names}; or give a JSON file")
    values = json.loads(path.read_text())
    generation = values.pop("generation_config", {})
    known = set(CodeFusionConfig().to_dict())
    if unknown := set(values) - known:
        raise ValueError(f"{path} has unknown settings: {', '.join(sorted(unknown))}")
    return CodeFusionConfig(**values), generation


def resolve_checkpoint(name_or_path: str) -> str:
    """
    The folder of a shipped model (`"cf"`), or what was given: a folder or a Hub id.

    Raises:
        ValueError: for a name that is none of these; the message lists the shipped models.
    """
    if name_or_path in available_checkpoints():
        return checkpoint_path(name_or_path)
    if os.path.isdir(name_or_path) or "/" in name_or_path:
        return name_or_path
    names = ", ".join(available_checkpoints())
    raise ValueError(f"unknown model {name_or_path!r}: shipped models are {names}; a folder or a Hub id will do, too")


def build_model(args: argparse.Namespace, presets: Path):
    """
    Model and tokenizer that the arguments ask for: a checkpoint, or a preset with fresh weights, its way of generating
    and, optionally, a pre-trained encoder. Sets `args.language` to the checkpoint's or the preset's if it is `None`,
    and `args.attn_implementation` to what is fastest on the device.

    Raises:
        ValueError: if the arguments name neither, or the tokenizer does not fit, or the language is unknown.
    """
    if bool(args.model_name_or_path) == bool(args.config_name):
        raise ValueError("give either --model_name_or_path or --config_name")
    if args.num_encoder_layers and not args.encoder_name_or_path:
        raise ValueError("--num_encoder_layers shortens the encoder of --encoder_name_or_path: give that, too")
    set_seed(args.seed)  # fresh weights
    args.attn_implementation = args.attn_implementation or default_attention()
    if args.model_name_or_path:
        return _from_checkpoint(args)
    if not args.tokenizer_name:
        raise ValueError("--config_name needs --tokenizer_name (examples/train_tokenizer.py makes one)")
    tokenizer = AutoTokenizer.from_pretrained(args.tokenizer_name)
    config, generation = _read_preset(args.config_name, presets)
    args.language = args.language or config.language
    if args.language not in LANGUAGES:
        raise ValueError(f"a new model needs --language, one of {', '.join(LANGUAGES)}")
    encoder = None
    if args.encoder_name_or_path:
        encoder = load_pretrained_encoder(args.encoder_name_or_path, tokenizer, args.num_encoder_layers)
        config.encoder_config = encoder.config
    else:
        config.encoder_config.vocab_size = len(tokenizer)
    config.vocab_size, config.language = len(tokenizer), args.language
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        setattr(config, name, getattr(tokenizer, name))
    set_attention(config, args.attn_implementation)
    if args.dropout is not None:
        set_dropout(config, args.dropout)
    if args.max_target_length is not None:
        config.max_target_length = args.max_target_length
    if args.block_size is not None:
        config.block_size = args.block_size or None
    config._validate()
    model = CodeFusionForConditionalGeneration(config)
    if unknown := model.generation_config.update(**generation):
        raise ValueError(f"{args.config_name}: unknown settings of generation: {', '.join(sorted(unknown))}")
    if encoder is not None:
        _load_encoder(model, encoder)
    return model, tokenizer


def _from_checkpoint(args: argparse.Namespace):
    path = resolve_checkpoint(args.model_name_or_path)
    tokenizer = own = AutoTokenizer.from_pretrained(path)
    config = CodeFusionConfig.from_pretrained(path)
    if args.dropout is not None:
        set_dropout(config, args.dropout)
    model = CodeFusionForConditionalGeneration.from_pretrained(
        path, config=config, attn_implementation=args.attn_implementation, dtype=torch.float32
    )
    if args.tokenizer_name:
        tokenizer = AutoTokenizer.from_pretrained(args.tokenizer_name)
        if tokenizer.get_vocab() != own.get_vocab():
            model = move_to_tokenizer(model, own, tokenizer)
    if args.encoder_name_or_path:
        model = replace_encoder(
            model, load_pretrained_encoder(args.encoder_name_or_path, tokenizer, args.num_encoder_layers)
        )
    if args.max_target_length is not None:
        model = lengthen_canvas(model, args.max_target_length)
    if len(tokenizer) > model.config.vocab_size:
        raise ValueError(f"the tokenizer has {len(tokenizer)} tokens, the model {model.config.vocab_size}")
    args.language = args.language or model.config.language
    if args.language not in LANGUAGES:
        names = ", ".join(LANGUAGES)
        raise ValueError(f"{args.model_name_or_path} does not say its language: give --language, one of {names}")
    model.config.language = args.language
    if args.block_size is not None:  # no weight depends on it, so a trained model can go over to it
        model.config.block_size = args.block_size or None
        model.config._validate()
    return model, tokenizer


def set_attention(config: CodeFusionConfig, implementation: str) -> None:
    """Chooses the attention of all parts of a model: `"eager"` or `"sdpa"`."""
    config._attn_implementation = config.encoder_config._attn_implementation = implementation


def set_dropout(config: CodeFusionConfig, rate: float) -> None:
    """
    The dropout of all parts of a model that is made from `config`.

    Raises:
        ValueError: for a rate that is negative or not below 1.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"--dropout must be from 0 to below 1, got {rate}")
    config.dropout = rate
    _set_encoder_dropout(config.encoder_config, rate)


def _set_encoder_dropout(config: PreTrainedConfig, rate: float) -> None:
    for name in ENCODER_DROPOUTS:
        if hasattr(config, name):
            setattr(config, name, rate)


def move_to_tokenizer(model: CodeFusionForConditionalGeneration, own, tokenizer) -> CodeFusionForConditionalGeneration:
    """
    The model for another tokenizer, such as that of another language: all weights but those of tokens stay, and a
    token has the mean of what its pieces had.

    Args:
        own, tokenizer: The model's tokenizer, and the one it shall have.
    """
    config = copy.deepcopy(model.config)
    config.vocab_size = config.encoder_config.vocab_size = len(tokenizer)
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        setattr(config, name, getattr(tokenizer, name))
    config.encoder_config.pad_token_id = tokenizer.pad_token_id
    moved = CodeFusionForConditionalGeneration(config)
    tables = [model.code_embeddings.weight, model.head.bias]
    if model.encoder is not None:
        tables.append(model.encoder.get_input_embeddings().weight)
    if not model.head.tied:
        tables.append(model.head.weight)
    weights, pieces = model.state_dict(keep_vars=True), _pieces(own, tokenizer)
    for name, fresh in moved.state_dict().items():
        if any(weights[name] is table for table in tables):
            weights[name] = _averaged(weights[name].data, pieces, fresh)
    moved.load_state_dict(weights)
    moved.generation_config = copy.deepcopy(model.generation_config)
    return moved


def lengthen_canvas(model: CodeFusionForConditionalGeneration, length: int) -> CodeFusionForConditionalGeneration:
    """
    The model on a canvas of `length` tokens. Positions that it has not had begin as its last one had ended: what tells
    them apart at first are the relative positions.

    Raises:
        ValueError: for a shorter canvas than the model's, or a model that infills, whose utterance stands behind it.
    """
    if length < model.config.max_target_length or model.config.conditioning == "infill":
        raise ValueError(
            f"--max_target_length {length}: the canvas of a checkpoint can only grow (it has "
            f"{model.config.max_target_length} tokens), and not that of a model with `conditioning='infill'`"
        )
    config = copy.deepcopy(model.config)
    config.max_target_length = length
    longer = CodeFusionForConditionalGeneration(config)
    weights = model.state_dict()
    for name, fresh in longer.state_dict().items():
        if fresh.shape != (weight := weights[name]).shape:
            weights[name] = torch.cat([weight, weight[-1:].expand(len(fresh) - len(weight), -1)])
    longer.load_state_dict(weights)
    longer.generation_config = copy.deepcopy(model.generation_config)
    longer.generation_config.max_length = length
    return longer


def replace_encoder(model: CodeFusionForConditionalGeneration, encoder) -> CodeFusionForConditionalGeneration:
    """
    The model with another encoder, whose dropout becomes the model's. All other weights stay, the projection of the
    memory included if its shape does; denoiser and decoder must learn to read what comes from it.

    Args:
        encoder: What [`load_pretrained_encoder`] returned for the model's tokenizer.

    Raises:
        ValueError: for a model without an encoder (`conditioning="infill"`), or an encoder that lacks weights.
    """
    if model.encoder is None:
        raise ValueError("--encoder_name_or_path: a model with `conditioning='infill'` has no encoder")
    config = copy.deepcopy(model.config)
    config.encoder_config = encoder.config
    _set_encoder_dropout(config.encoder_config, config.dropout)
    set_attention(config, model.config._attn_implementation)
    replaced = CodeFusionForConditionalGeneration(config)
    weights = replaced.state_dict()
    for name, weight in model.state_dict().items():
        if not name.startswith("encoder.") and weights[name].shape == weight.shape:
            weights[name] = weight
    replaced.load_state_dict(weights)
    _load_encoder(replaced, encoder)
    replaced.generation_config = copy.deepcopy(model.generation_config)
    return replaced


def load_pretrained_encoder(name_or_path: str, tokenizer, num_layers: int | None = None):
    """
    A pre-trained text encoder for another tokenizer: each token's embedding is the mean of the embeddings of the
    pieces into which the encoder's own tokenizer splits it. With the encoder's own tokenizer nothing changes.

    Args:
        name_or_path (`str`): Folder or Hub id of any model that `AutoModelForTextEncoding` loads.
        tokenizer: The tokenizer the encoder shall read.
        num_layers (`int`, *optional*): Keep the first layers only.
    """
    extra = {"num_hidden_layers": num_layers} if num_layers else {}
    encoder = AutoModelForTextEncoding.from_pretrained(name_or_path, dtype=torch.float32, **extra)
    own = AutoTokenizer.from_pretrained(name_or_path)
    _set_encoder_dropout(encoder.config, 0.0)  # few epochs over many pairs; and dropout is slow on CPU
    if own.get_vocab() != tokenizer.get_vocab():
        old = encoder.get_input_embeddings().weight.data
        new = torch.nn.Embedding(len(tokenizer), old.shape[1], padding_idx=tokenizer.pad_token_id)
        new.weight.data.normal_(std=float(old.std()))
        new.weight.data = _averaged(old, _pieces(own, tokenizer), new.weight.data)
        encoder.set_input_embeddings(new)
        encoder.config.vocab_size = len(tokenizer)
        encoder.config.pad_token_id = tokenizer.pad_token_id
    return encoder


def _load_encoder(model: CodeFusionForConditionalGeneration, encoder) -> None:
    left_out = model.encoder.load_state_dict(encoder.state_dict(), strict=False)  # a BERT's pooler is no part of ours
    if left_out.missing_keys:
        raise ValueError(f"--encoder_name_or_path: that encoder lacks {', '.join(left_out.missing_keys[:3])}")


def _pieces(own, tokenizer) -> list[list[int]]:
    # The tokens of `own` that each token of `tokenizer` stands for; none where `own` does not know it.
    vocabulary, found = own.get_vocab(), []
    # Of a WordPiece: what stands inside of a word has other pieces than what begins one.
    inside = getattr(own.backend_tokenizer.model, "continuing_subword_prefix", None)
    roles = {
        tokenizer.pad_token_id: own.pad_token_id,
        tokenizer.eos_token_id: own.sep_token_id or own.eos_token_id,
    }
    for index, token in enumerate(tokenizer.convert_ids_to_tokens(range(len(tokenizer)))):
        text = tokenizer.convert_tokens_to_string([token])
        if index in roles:
            pieces = [roles[index]]
        elif index in tokenizer.all_special_ids:
            pieces = [vocabulary[token]] if token in vocabulary else []
        elif inside and text.isalnum() and not token.startswith(SPACES):
            pieces = _inner_pieces(own.backend_tokenizer.normalizer.normalize_str(text), vocabulary, inside)
        elif token in vocabulary:
            pieces = [vocabulary[token]]
        else:
            pieces = own(text, add_special_tokens=False)["input_ids"]
            pieces = [] if own.unk_token_id in pieces else pieces
        found.append(pieces)
    return found


def _inner_pieces(text: str, vocabulary: dict[str, int], prefix: str) -> list[int]:
    # From left to right the longest pieces with the prefix, as WordPiece has it; none if some letter is in no piece.
    found, start = [], 0
    while start < len(text):
        ends = (end for end in range(len(text), start, -1) if prefix + text[start:end] in vocabulary)
        if (end := next(ends, None)) is None:
            return []
        found.append(vocabulary[prefix + text[start:end]])
        start = end
    return found


def _averaged(old: torch.Tensor, pieces: list[list[int]], fresh: torch.Tensor) -> torch.Tensor:
    # For each token the mean of its pieces' rows of `old`; where it has none, its row of `fresh`.
    return torch.stack([old[rows].mean(0) if rows else fresh[index] for index, rows in enumerate(pieces)])


def add_lora(model: CodeFusionForConditionalGeneration, rank: int):
    """
    Puts adapters (LoRA, Hu et al., 2021) beside every linear layer of attention and feed-forward in encoder, denoiser
    and decoder, and into the copy pointers, and freezes the rest but the pointers' gates, which are a few vectors.

    Args:
        model ([`CodeFusionForConditionalGeneration`]): Changed in place; its `forward` stays.
        rank (`int`): Of the adapters; their scale is 2.

    Returns:
        `peft.PeftModel`: A handle on the same modules, for saving and merging.

    Raises:
        ValueError: if peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise ValueError("--lora_rank needs peft: pip install 'codefusion-hf[train]'") from None
    gates = ("gate", "follow", "context_gate")
    parts = ("encoder.", "denoiser.stack.layers.", "decoder.stack.layers.", "denoiser.copy.", "head.copy.")
    linear = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name.startswith(parts) and not name.endswith(gates)
    ]
    gates = [name for name, _ in model.named_modules() if ".copy." in name and name.endswith(gates)]
    # Peft matches by the end of a name and knows no absolute ones; these are long enough to be unambiguous.
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=linear, modules_to_save=gates or None)
    return get_peft_model(model, config)


def save_model(model: CodeFusionForConditionalGeneration, tokenizer, folder: Path, lora=None, main: bool = True):
    """
    Saves the weights that `model` has at the moment as a normal checkpoint; with adapters merged, and by themselves in
    `adapter/`. If the weights are sharded, all processes must call this.

    Args:
        folder (`Path`): Created if it does not exist.
        lora (`peft.PeftModel`, *optional*): What [`add_lora`] returned.
        main (`bool`): Whether this process writes.
    """
    weights = full_state_dict(model)
    if not main:
        return
    if lora is None:
        model.save_pretrained(folder, state_dict=weights)
    else:
        copy.deepcopy(lora).merge_and_unload().save_pretrained(folder)
        lora.save_pretrained(folder / "adapter")
    tokenizer.save_pretrained(folder)
