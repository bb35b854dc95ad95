"""
CodeBERTScore (Zhou et al., 2023, arXiv:2302.05527): how well the tokens of a candidate can be matched with those of a
reference, by the cosine of their contextual embeddings in an encoder of code.

Scores equal those of the package code-bert-score 0.4.1 with `batch_size=1` (there, the windows of a text longer than
the encoder's input depend on its neighbours in the batch).
"""

import functools
import math
import random
import string
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import datasets
import evaluate
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from codefusion_hf.metrics import module
from codefusion_hf.metrics.ranking import SURROGATE, check_inputs, ranked_result


_DESCRIPTION = """
Precision, recall, F1 and F3 of greedily matched contextual token embeddings of candidate and reference program, best
of the first k candidates, with the score of randomly paired programs as the floor.
"""
_CITATION = """\
@article{zhou2023codebertscore,
    title={CodeBERTScore: Evaluating Code Generation with Pretrained Models of Code},
    author={Zhou, Shuyan and Alon, Uri and Agarwal, Sumit and Neubig, Graham},
    journal={arXiv preprint arXiv:2302.05527},
    year={2023}
}
"""
_INPUTS_DESCRIPTION = """
Args:
    predictions (`list[list[str]]`): Per task its candidates, best first; `list[str]` for one candidate each.
    references (`list[list[str]]`): Per task its golds; `list[str]` for one each.
    k, language, model_name_or_path, revision, num_layers, idf, sources, per_item, device, batch_size:
        See `code_bertscore`.
Returns:
    `dict`: `top_1`, ... (F1); `f3_top_1`, ...; `precision_top_1`, ...; `recall_top_1`, ...; `random_pairing_f1`;
    `hashcode`; with `per_item=True` also `per_item`.
Examples:
    >>> metric = evaluate.load("codefusion/code_bertscore")
    >>> metric.compute(predictions=[["x = [1]", "x = 1"]], references=[["x = 1"]], language="python")["top_5"]
    1.0
"""

_CODEBERT = ("microsoft/codebert-base-mlm", 10)
# Encoder and number of layers for each language, as tuned by the authors (code_bert_score/utils.py).
DEFAULT_MODELS = {
    "python": ("neulab/codebert-python", 11),
    "bash": _CODEBERT,
    "cf": _CODEBERT,
    "c": ("neulab/codebert-c", 10),
    "cpp": ("neulab/codebert-cpp", 10),
    "java": ("neulab/codebert-java", 7),
    "javascript": ("neulab/codebert-javascript", 10),
}
MEASURES = ("precision", "recall", "f1", "f3")
MAX_TOKENS = 16_384  # of one text: what a candidate may cost is bounded, programs are two orders shorter
_PUNCTUATION = frozenset(string.punctuation) - set("+-*/&|~")  # operators carry meaning
_BYTE_LEVEL_BLANKS = "ĠĊĉ"  # space, line feed and tab in the alphabet of byte-level BPE
_ROWS = 1024  # of a similarity matrix, computed at a time
_TASKS = 16  # whose candidates are held in memory at a time


@dataclass
class TokenEmbeddings:
    """
    A text as the score sees it.

    Args:
        vectors (`torch.FloatTensor` of shape `(num_tokens, hidden_size)`): Of length 1.
        weights (`torch.FloatTensor` of shape `(num_tokens,)`): Summing to 1, or all 0 for a text without content.
    """

    vectors: torch.Tensor
    weights: torch.Tensor


class CodeEncoder:
    """
    A pre-trained encoder and its tokenizer, reading off the hidden states of one layer.

    Args:
        model (`PreTrainedModel`): Any encoder; in evaluation mode, on its device.
        tokenizer (`PreTrainedTokenizerBase`): A fast one, with `cls_token`, `sep_token` and `pad_token`.
        num_layers (`int`): The layer, from 1.

    Raises:
        ValueError: If the model has no such layer, has a decoder, or the tokenizer is slow or lacks these tokens.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, num_layers: int):
        name, config = model.config.name_or_path, model.config
        if config.is_encoder_decoder or None in (tokenizer.cls_token, tokenizer.sep_token, tokenizer.pad_token):
            raise ValueError(f"{name} is no encoder like BERT: that has cls, sep and pad tokens, and no decoder")
        if not tokenizer.is_fast:
            raise ValueError(f"{name} needs a fast tokenizer (tokenizer.json): the score uses its offsets")
        if type(num_layers) is not int or not 1 <= num_layers <= config.num_hidden_layers:
            raise ValueError(f"`num_layers` must be 1 to {config.num_hidden_layers} for {name}, got {num_layers!r}")
        self.model, self.tokenizer, self.num_layers = model, tokenizer, num_layers
        embeddings = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
        # RoBERTa counts positions from behind the padding index: 514 rows serve 512 tokens.
        offset = 0 if getattr(embeddings, "padding_idx", None) is None else embeddings.padding_idx + 1
        positions = getattr(config, "max_position_embeddings", 512) - offset
        self.max_length = min(tokenizer.model_max_length, positions)

    def token_ids(self, text: str) -> list[int]:
        """The ids that the encoder reads for a text, `<cls>` and `<sep>` included, at most `MAX_TOKENS`."""
        return self._tokenize(text.strip())["input_ids"]

    def embed(
        self,
        texts: Sequence[str],
        sources: Sequence[str | None],
        idf: dict[int, float] | None = None,
        batch_size: int = 32,
    ) -> list[TokenEmbeddings]:
        """
        Embeds texts, each behind its source (if any), whose tokens are dropped after encoding like those of
        punctuation alone.

        Args:
            texts (`Sequence[str]`): Programs.
            sources (`Sequence[str | None]`): One for each text.
            idf (`dict[int, float]`, *optional*): Weight of a token id, see [`idf_weights`]; by default 1, and 0 for
                `<cls>` and `<sep>`.
            batch_size (`int`, defaults to 32): Windows encoded at a time. Changes speed, never results.
        """
        encodings, windows = [], []
        for index, (text, source) in enumerate(zip(texts, sources)):
            prefix = "" if source is None or not source.strip() else f"{source.strip()} \n"
            encoding = self._tokenize(prefix + text.strip())
            encodings.append((encoding, len(prefix)))
            spans = window_spans(len(encoding["input_ids"]), self.max_length)
            windows += [(index, span, encoding["input_ids"][span[0] : span[1]]) for span in spans]

        # Windows of similar length share a batch; those of one text are joined in their order.
        windows.sort(key=lambda window: len(window[2]))
        parts: list[dict[int, torch.Tensor]] = [{} for _ in texts]
        for start in range(0, len(windows), batch_size):
            batch = windows[start : start + batch_size]
            for (index, span, _), hidden in zip(batch, self._hidden_states([ids for _, _, ids in batch])):
                parts[index][span[2]] = hidden[span[2] - span[0] : span[3] - span[0]]
        return [
            self._select(torch.cat([part[start] for start in sorted(part)]), encoding, source_length, idf)
            for part, (encoding, source_length) in zip(parts, encodings)
        ]

    def _tokenize(self, text: str):
        return self.tokenizer(text, truncation=True, max_length=MAX_TOKENS, return_offsets_mapping=True, verbose=False)

    @torch.inference_mode()
    def _hidden_states(self, batch: list[list[int]]) -> list[torch.Tensor]:
        rows = [torch.tensor(ids, device=self.model.device) for ids in batch]
        input_ids = pad_sequence(rows, batch_first=True, padding_value=self.tokenizer.pad_token_id)
        attention_mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        output = self.model(input_ids, attention_mask=attention_mask, output_hidden_states=True)
        return [hidden[: len(ids)].float() for hidden, ids in zip(output.hidden_states[self.num_layers], batch)]

    def _select(self, hidden: torch.Tensor, encoding, source_length: int, idf) -> TokenEmbeddings:
        ids, offsets = encoding["input_ids"], encoding["offset_mapping"]
        special = (self.tokenizer.cls_token_id, self.tokenizer.sep_token_id)
        kept = [
            position
            for position, (token, (start, end)) in enumerate(zip(self.tokenizer.convert_ids_to_tokens(ids), offsets))
            if not is_punctuation(token) and (start >= source_length or position in (0, len(ids) - 1))
        ]
        if idf is None:
            weights = [0.0 if ids[position] in special else 1.0 for position in kept]
        else:
            weights = [idf[ids[position]] for position in kept]
        weights = torch.tensor(weights, device=hidden.device)
        vectors = torch.nn.functional.normalize(hidden[kept], dim=-1)
        return TokenEmbeddings(vectors, weights / weights.sum().clamp(min=1e-12))


def window_spans(length: int, max_length: int) -> list[tuple[int, int, int, int]]:
    """
    Windows with half an overlap (SLED, Ivgi et al., 2022): `(start, end, use_start, use_end)`, where the tokens from
    `use_start` to `use_end` take their embeddings from the window, away from its borders.

    Args:
        length (`int`): Tokens of the text.
        max_length (`int`): Tokens of a window.
    """
    if length <= max_length:
        return [(0, length, 0, length)]
    margin = max_length // 4
    stride = max_length - 2 * margin
    spans = [(0, max_length, 0, max_length - margin)]
    while spans[-1][1] < length:
        start, end, _, used = spans[-1]
        end = min(length, end + stride)
        last = end == length
        spans.append((length - max_length if last else start + stride, end, used, length if last else used + stride))
    return spans


def is_punctuation(token: str) -> bool:
    """Whether a token of the vocabulary is blank or punctuation alone; the operators `+ - * / & | ~` are neither."""
    return all(character in _PUNCTUATION for character in token.strip(_BYTE_LEVEL_BLANKS))


def idf_weights(encoder: CodeEncoder, references: Sequence[str]) -> dict[int, float]:
    """
    Inverse document frequency of token ids, log((N + 1) / (n + 1)) for an id in n of N references.

    Raises:
        ValueError: If all references are the same: every token of theirs would weigh nothing.
    """
    if len({reference.strip() for reference in references}) < 2:
        raise ValueError("`idf` needs at least two different references to weigh tokens by")
    counts = Counter(token for reference in references for token in set(encoder.token_ids(reference)))
    total = len(references) + 1
    weights = {token: math.log(total / (count + 1)) for token, count in counts.items()}
    return defaultdict(lambda: math.log(total), weights)


def pair_scores(candidate: TokenEmbeddings, reference: TokenEmbeddings) -> tuple[float, float, float, float]:
    """
    Precision P, recall R, F1 = 2PR / (P + R) and F3 = 10PR / (9P + R), fractions. A text without content scores 0.

    Args:
        candidate (`TokenEmbeddings`): Each of its tokens is matched with the closest one of the reference: P.
        reference (`TokenEmbeddings`): Each of its tokens is matched with the closest one of the candidate: R.
    """
    if not candidate.weights.any() or not reference.weights.any():
        return 0.0, 0.0, 0.0, 0.0
    closest = torch.full_like(reference.weights, -1.0)
    precision = 0.0
    for start in range(0, len(candidate.vectors), _ROWS):
        similarity = candidate.vectors[start : start + _ROWS] @ reference.vectors.T
        precision += float(similarity.amax(1) @ candidate.weights[start : start + _ROWS])
        closest = torch.maximum(closest, similarity.amax(0))
    # Cosines may be negative and sums may pass 1 by a rounding error: fractions are neither.
    precision, recall = (min(max(value, 0.0), 1.0) for value in (precision, float(closest @ reference.weights)))
    if not precision or not recall:
        return precision, recall, 0.0, 0.0
    product = precision * recall
    return precision, recall, 2 * product / (precision + recall), 10 * product / (9 * precision + recall)


def random_pairing(references: Sequence[Sequence[str]]) -> dict[int, int]:
    """
    For each task another one that shares no reference with it, always the same: the next one in a cycle through all
    tasks, shuffled since neighbours in a benchmark may be related. Tasks without such a partner are left out.
    """
    order = list(range(len(references)))
    random.Random(0).shuffle(order)
    golds = [{text.strip() for text in task} for task in references]
    partners = {}
    for position, task in enumerate(order):
        others = (order[(position + step) % len(order)] for step in range(1, len(order)))
        partner = next((other for other in others if not golds[task] & golds[other]), None)
        if partner is not None:
            partners[task] = partner
    return partners


def load_encoder(
    language: str | None = None,
    model_name_or_path: str | None = None,
    revision: str | None = None,
    num_layers: int | None = None,
    device: str | None = None,
) -> CodeEncoder:
    """
    Loads an encoder, once for all calls with the same arguments.

    Args:
        language (`str`, *optional*): One of `DEFAULT_MODELS`, which gives model and layer. Without effect where both
            are given.
        model_name_or_path (`str`, *optional*): A folder or an id on the Hub.
        revision (`str`, *optional*): Commit, tag or branch of an id on the Hub. Pin it: scores depend on the weights.
        num_layers (`int`, *optional*): The layer read off; required for a model that is not in `DEFAULT_MODELS`.
        device (`str`, *optional*): Of torch; by default the GPU if torch sees one, else the CPU.

    Raises:
        ValueError: If neither language nor model is given, or one is unusable, or `num_layers` is missing or out of
            range.
        OSError: If the model is neither on this computer nor can be downloaded.
    """
    if model_name_or_path is None:
        if language not in DEFAULT_MODELS:
            raise ValueError(
                f"pass `model_name_or_path`, or one of {', '.join(DEFAULT_MODELS)} as `language`, got {language!r}"
            )
        model_name_or_path, _ = DEFAULT_MODELS[language]
    if num_layers is None:
        num_layers = dict(DEFAULT_MODELS.values()).get(model_name_or_path)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    model, tokenizer = _load(str(model_name_or_path), revision, str(device))
    if num_layers is None:
        raise ValueError(
            f"`num_layers` is required for {model_name_or_path}: 1 to {model.config.num_hidden_layers}, "
            "no default has been tuned for it"
        )
    return CodeEncoder(model, tokenizer, num_layers)


@functools.lru_cache(maxsize=2)
def _load(name: str, revision: str | None, device: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
        model = AutoModel.from_pretrained(name, revision=revision)
    except (OSError, ValueError) as error:  # a missing tokenizer is a ValueError
        revision = f" at revision {revision}" if revision else ""
        reason = str(error).partition("\n")[0].rstrip(".")
        raise OSError(
            f"cannot load the encoder {name}{revision}: it is not on this computer and could not be downloaded, or is "
            f"incomplete; pass the folder of one as `model_name_or_path` with `num_layers` ({reason})"
        ) from None
    return model.to(device).eval(), tokenizer


def code_bertscore(
    predictions: Sequence[str | Sequence[str]],
    references: Sequence[str | Sequence[str]],
    k: Sequence[int] = (1, 3, 5),
    language: str | None = None,
    model_name_or_path: str | None = None,
    revision: str | None = None,
    num_layers: int | None = None,
    idf: bool = False,
    sources: Sequence[str] | None = None,
    per_item: bool = False,
    device: str | None = None,
    batch_size: int = 32,
) -> dict:
    """
    CodeBERTScore of ranked candidates: of several references the best counts, of the first k candidates the best.

    Args:
        predictions (`Sequence`): Per task its candidates, best first, or one as `str`.
        references (`Sequence`): Per task its golds, or one as `str`.
        k (`Sequence[int]`, defaults to `(1, 3, 5)`): Numbers of candidates to look at.
        language, model_name_or_path, revision, num_layers, device: See [`load_encoder`].
        idf (`bool`, defaults to `False`): Weigh tokens by their inverse document frequency among all references.
        sources (`Sequence[str]`, *optional*): Per task the utterance, which the encoder reads before each program.
        per_item (`bool`, defaults to `False`): Adds the F1 of every candidate.
        batch_size (`int`, defaults to 32): Windows encoded at a time. Changes speed, never results.

    Returns:
        `dict`: Fractions: `top_1`, ... (F1), `f3_top_1`, ..., `precision_top_1`, ..., `recall_top_1`, ...;
        `random_pairing_f1`, the F1 of first candidates with references of other tasks ([`random_pairing`]), which
        the score of a useful system exceeds (`None` if no two tasks differ); `hashcode`, which says what encoder made
        them; with `per_item` also `per_item`, a list of F1 for each task.

    Raises:
        ValueError, TypeError, OSError: See [`check_inputs`] and [`load_encoder`]; and for `sources` or a `batch_size`
            that do not fit.
    """
    predictions, references = check_inputs(predictions, references, k)
    if sources is not None:
        if (
            isinstance(sources, str)
            or len(sources) != len(predictions)
            or not all(isinstance(text, str) for text in sources)
        ):
            raise ValueError(f"`sources` must be a list of {len(predictions)} texts, one for each task")
        sources = [SURROGATE.sub("\ufffd", text) for text in sources]
    if type(batch_size) is not int or batch_size < 1:
        raise ValueError(f"`batch_size` must be a whole number from 1, got {batch_size!r}")
    encoder = load_encoder(language, model_name_or_path, revision, num_layers, device)
    weights = idf_weights(encoder, [text for task in references for text in task]) if idf else None
    tasks = list(zip(predictions, references, sources or [None] * len(predictions)))

    def embed(pairs) -> dict[tuple[str, str | None], TokenEmbeddings]:
        pairs = list(dict.fromkeys(pairs))
        texts, prefixes = [text for text, _ in pairs], [source for _, source in pairs]
        return dict(zip(pairs, encoder.embed(texts, prefixes, weights, batch_size)))

    partners = random_pairing(references)
    scores = {measure: [] for measure in MEASURES}
    floor = []
    # Embeddings of references are kept: random pairing needs them again. Those of candidates last for a few tasks.
    golds = embed((text, source) for _, texts, source in tasks for text in texts)
    for start in range(0, len(tasks), _TASKS):
        chunk = range(start, min(start + _TASKS, len(tasks)))
        embedded = embed((text, tasks[index][2]) for index in chunk for text in tasks[index][0])
        for index in chunk:
            candidates, texts, source = tasks[index]
            best = [
                [max(values) for values in zip(*(pair_scores(embedded[c, source], golds[t, source]) for t in texts))]
                for c in candidates
            ]
            for position, measure in enumerate(MEASURES):
                scores[measure].append([values[position] for values in best])
            if index in partners and candidates:
                _, texts, other = tasks[partners[index]]
                floor.append(max(pair_scores(embedded[candidates[0], source], golds[t, other])[2] for t in texts))

    result = ranked_result(scores["f1"], k, per_item)
    for measure in ("f3", "precision", "recall"):
        result |= {f"{measure}_{name}": value for name, value in ranked_result(scores[measure], k).items()}
    result["random_pairing_f1"] = sum(floor) / len(floor) if floor else None
    commit = getattr(encoder.model.config, "_commit_hash", None)
    name = encoder.model.config.name_or_path + (f"@{commit}" if commit else "")
    result["hashcode"] = f"{name}_L{encoder.num_layers}_{'idf' if idf else 'no-idf'}{'_sources' if sources else ''}"
    return result


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _INPUTS_DESCRIPTION)
class CodeBertscore(module.RankedMetric):
    """[`code_bertscore`] as an `evaluate` module."""

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS_DESCRIPTION,
            features=datasets.Features({"predictions": module.TEXTS, "references": module.TEXTS}),
            reference_urls=["https://arxiv.org/abs/2302.05527", "https://github.com/neulab/code-bert-score"],
        )

    def _compute(
        self,
        predictions,
        references,
        k=(1, 3, 5),
        language=None,
        model_name_or_path=None,
        revision=None,
        num_layers=None,
        idf=False,
        sources=None,
        per_item=False,
        device=None,
        batch_size=32,
    ):
        return code_bertscore(
            predictions,
            references,
            k,
            language,
            model_name_or_path,
            revision,
            num_layers,
            idf,
            sources,
            per_item,
            device,
            batch_size,
        )
