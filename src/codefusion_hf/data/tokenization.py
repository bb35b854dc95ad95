"""Compact byte-level BPE tokenizers whose tokens are the same in an utterance and in a program."""

from collections.abc import Iterable

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast


SPECIAL_TOKENS = ["<pad>", "<s>", "</s>", "<unk>", "<mask>"]


def train_tokenizer(
    texts: Iterable[str],
    vocab_size: int,
    atoms: Iterable[str] = (),
    num_sentinels: int = 16,
    lossless: bool = True,
    model_max_length: int = 512,
) -> PreTrainedTokenizerFast:
    """
    Trains a tokenizer for utterances and programs. Literals must be copied from one into the other, so a literal has
    to be the same tokens on both sides, whatever stands before it:

    - every text starts with a space, digits stand alone;
    - `lossless`: one space is put behind every sign but the hyphen and taken away when decoding, so that the word in
      `"word"`, `/word` and ` word` is one token, and decoding gives back every text exactly;
    - otherwise, for a language that ignores case and is printed canonically: a space follows opening brackets,
      quotes, currency and comparison signs; all is lower case; the thousands commas of a number and final punctuation
      are dropped; typographic quotes, dashes and spaces become the ASCII ones.

    Args:
        texts (`Iterable[str]`): Training corpus.
        vocab_size (`int`): Size with atoms, sentinels and special tokens.
        atoms (`Iterable[str]`): Strings that are one token each, such as `GreaterThan(`.
        num_sentinels (`int`): `<extra_id_k>` tokens for masked code.
        lossless (`bool`): Whether texts must come back as they were.
        model_max_length (`int`): Longest input, in tokens.

    Raises:
        ValueError: if `vocab_size` leaves no room for the 256 bytes.
    """
    atoms = list(dict.fromkeys(atoms))
    sentinels = [f"<extra_id_{k}>" for k in range(num_sentinels)]
    learned = vocab_size - len(atoms) - len(sentinels)
    if learned < 256 + len(SPECIAL_TOKENS):
        raise ValueError(f"`vocab_size` must be at least {256 + len(SPECIAL_TOKENS) + vocab_size - learned}")
    tokenizer = Tokenizer(models.BPE())
    normalizer, words, decoder = _lossless() if lossless else _canonical()
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(words), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), *decoder, decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=learned,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in sentinels])
    # `lstrip`: the space in front belongs to the atom, it would cost a token otherwise.
    tokenizer.add_tokens([AddedToken(atom, normalized=False, lstrip=atom.strip() == atom) for atom in atoms])
    end = tokenizer.token_to_id("</s>")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", end)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=model_max_length,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        split_special_tokens=True,
    )


def _lossless() -> tuple[normalizers.Normalizer, str, list[decoders.Decoder]]:
    """Normalizer, words and decoder of texts that come back exactly."""
    sign = r"[^\w\s-]"
    normalizer = normalizers.Sequence(
        [normalizers.Replace(Regex(f"(?<={sign})"), " "), normalizers.Prepend(" ")]  # Prepend leaves "" alone
    )
    # Options (`-name`) are words. A sign takes its space along where another one follows: no token for spaces alone.
    words = rf" ?\d| ?-*[^\W\d_]+| ?{sign}(?: (?=\s|$))?| ?_| ?-|\s+(?!\S)|\s+"
    return normalizer, words, [decoders.Replace(Regex(f"(?<={sign}) "), "")]


def _canonical() -> tuple[normalizers.Normalizer, str, list[decoders.Decoder]]:
    """Normalizer, words and decoder of texts of which only the meaning comes back."""
    replace = [
        (Regex("[“”„«»″]"), '"'),
        (Regex("[‘’‚′`´]"), "'"),
        (Regex("[–—−]"), "-"),
        (Regex(r"\s"), " "),
        (Regex(r"(?<=\d),(?=\d{3}(\D|$))"), ""),
        (Regex(r"(?<!\w)'|'(?!\w)"), " ' "),
        (Regex('"'), ' " '),
        (Regex(r"(?<=\w)(?=[<>=])"), " "),
        (Regex(r"[.!?…][.!?…\s]*$"), ""),
        (Regex(r"(?<=[(\[{$€£¥₹=<>])(?=[^\s])"), " "),
    ]
    steps = [normalizers.NFC(), *(normalizers.Replace(*pair) for pair in replace), normalizers.Lowercase()]
    normalizer = normalizers.Sequence([*steps, normalizers.Prepend(" "), normalizers.Replace(Regex(" +"), " ")])
    words = r" ?\d| ?[^\W\d_]+| ?[^\w\s]| ?_|\s+"
    pairs = [("( ", "("), ("$ ", "$"), (" )", ")"), (",  ", ", ")]
    return normalizer, words, [decoders.Replace(*pair) for pair in pairs]
