"""How much the candidates of a task differ from each other; an `evaluate` module."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

import datasets
import evaluate
from rapidfuzz.distance import Levenshtein

from codefusion_hf.languages import get_language
from codefusion_hf.metrics import module
from codefusion_hf.metrics.ranking import check_inputs


_DESCRIPTION = """\
Diversity of the programs generated for one task: distinct n-grams, pairwise edit distance and, given an encoder,
pairwise similarity of embeddings.
"""

_INPUTS_DESCRIPTION = """
Args:
    predictions (`list[list[str]]`): Candidates of each task, duplicates kept.
    references: Not used; accepted so that the metric can be combined with others.
    tokenizer (`str`, defaults to `"regex"`): `regex` (words and single other characters), `whitespace` or `char`.
    denominator (`str`, defaults to `"tokens"`): `tokens` or `ngrams`: what distinct n-grams are divided by.
    embedding_model (`str`, *optional*): An encoder: a folder, or an id on the Hub.
    revision (`str`, *optional*): Its commit, to pin it.
    pooling (`str`, defaults to `"mean"`): `mean` of the last layer's tokens, or `cls`, the first one.
    language (`str`, *optional*): Adds the share of distinct programs, by the normal form of the language. By default
        the configuration name given to `evaluate.load`.
    per_item (`bool`, defaults to `False`): Adds the figures of every task.
Returns:
    Means over tasks with at least two candidates: `ngram_1` ... `ngram_4`, `edit_distance_min`, `_max`, `_mean`, with
    an encoder `embedding_similarity_min`, `_max`, `_mean`, with a language `distinct_programs`; then `tokenizer`,
    `denominator`, `num_tasks` and `num_excluded`.
Examples:
    >>> metric = codefusion_hf.load_metric("code_diversity")
    >>> result = metric.compute(predictions=[["a b c d e"] * 5])
    >>> result["ngram_1"], result["ngram_4"], result["edit_distance_mean"]
    (0.2, 0.08, 0.0)
"""

TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "regex": re.compile(r"\w+|[^\w\s]").findall,
    "whitespace": str.split,
    "char": list,
}
DENOMINATORS = ("tokens", "ngrams")
POOLINGS = ("mean", "cls")
ORDERS = (1, 2, 3, 4)
# Edit distance takes quadratic time: what is longer is compared by its beginning.
MAX_CHARS = 20_000
MAX_TOKENS = 512  # of a program that is embedded
BATCH_SIZE = 32


def ngram_fraction(
    programs: Sequence[str], n: int, tokenizer: str = "regex", denominator: str = "tokens"
) -> float | None:
    """
    Distinct n-grams of all programs together, divided by the number of all their tokens (paper, Table 2: "fraction of
    distinct token-level n-grams") or of all their n-grams. `None` if there are none of these.
    """
    tokens = [TOKENIZERS[tokenizer](text) for text in programs]
    ngrams = [ngram for words in tokens for ngram in zip(*(words[start:] for start in range(n)))]
    total = sum(map(len, tokens)) if denominator == "tokens" else len(ngrams)
    return len(set(ngrams)) / total if total else None


def edit_distances(programs: Sequence[str]) -> list[float]:
    """Levenshtein distance of each pair in characters, divided by the length of the longer one; 0 for two blanks."""
    pairs = itertools.combinations([text[:MAX_CHARS] for text in programs], 2)
    return [Levenshtein.normalized_distance(left, right) for left, right in pairs]


def embed(
    programs: Sequence[str], model_name_or_path: str, revision: str | None = None, pooling: str = "mean"
) -> dict[str, list[float]]:
    """
    Unit vectors of the programs: the encoder's last layer at their tokens (cut at 512), averaged without the special
    ones (`"mean"`; a blank program has no others), or at the first token (`"cls"`).
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_name_or_path, revision=revision)
    model = AutoModel.from_pretrained(model_name_or_path, revision=revision).eval()
    vectors: dict[str, list[float]] = {}
    texts = sorted(set(programs), key=lambda text: (len(text), text))  # little padding, and always the same batches
    for start in range(0, len(texts), BATCH_SIZE):
        batch = texts[start : start + BATCH_SIZE]
        inputs = tokenizer(
            batch,
            padding=True,
            truncation=True,
            max_length=min(MAX_TOKENS, tokenizer.model_max_length),
            return_special_tokens_mask=True,
            return_tensors="pt",
        )
        special = inputs.pop("special_tokens_mask")
        with torch.no_grad():
            hidden = model(**inputs).last_hidden_state  # (batch, tokens, hidden_size)
        weights = inputs["attention_mask"] * (1 - special)
        weights = torch.where(weights.any(1, keepdim=True), weights, inputs["attention_mask"]).to(hidden.dtype)
        pooled = hidden[:, 0] if pooling == "cls" else (hidden * weights[..., None]).sum(1)
        vectors |= zip(batch, torch.nn.functional.normalize(pooled, dim=-1).tolist())
    return vectors


def code_diversity(
    predictions: Sequence[str | Sequence[str]],
    tokenizer: str = "regex",
    denominator: str = "tokens",
    embedding_model: str | None = None,
    revision: str | None = None,
    pooling: str = "mean",
    language: str | None = None,
    per_item: bool = False,
) -> dict[str, float | int | str | list | None]:
    """
    Diversity of the candidates of a task, averaged over tasks (paper, Table 2). Duplicates count: generate with
    `dedupe=False`. Tasks with fewer than two candidates are excluded and counted.

    Args:
        predictions (`Sequence[Sequence[str]]`): Per task its candidates.
        tokenizer (`str`, defaults to `"regex"`): One of `TOKENIZERS`; the paper names none, and figures depend on it.
        denominator (`str`, defaults to `"tokens"`): One of `DENOMINATORS`; see [`ngram_fraction`].
        embedding_model, revision, pooling: See [`embed`]; without a model there is no similarity of embeddings.
        language (`str`, *optional*): Adds `distinct_programs`, the share of candidates that are left when those with
            equal `normalize(code)` are merged.
        per_item (`bool`, defaults to `False`): Adds the figures of every task.

    Returns:
        `dict`: Means over tasks, as fractions: `ngram_1` ... `ngram_4`; `edit_distance_min`, `_max`, `_mean` over the
        pairs of a task; with a model `embedding_similarity_min`, `_max`, `_mean` (cosine); with a language
        `distinct_programs`. `None` where no task has the figure. Then `tokenizer`, `denominator`, with a model
        `pooling`; `num_tasks` (scored) and `num_excluded`. With `per_item` also `per_item`: for each task these
        figures, `None` if it is excluded.

    Raises:
        TypeError, ValueError: See [`metrics.ranking.check_inputs`]; ValueError also for an unknown option.
        OSError: if the encoder cannot be loaded.
    """
    for name, value, allowed in (
        ("tokenizer", tokenizer, TOKENIZERS),
        ("denominator", denominator, DENOMINATORS),
        ("pooling", pooling, POOLINGS),
    ):
        if value not in allowed:
            raise ValueError(f"unknown `{name}` {value!r}; available: {', '.join(allowed)}")
    candidates, _ = check_inputs(predictions, None)
    normalize = get_language(language).normalize if language else None
    scored = [text for task in candidates if len(task) > 1 for text in task]
    vectors = embed(scored, embedding_model, revision, pooling) if embedding_model else {}

    names = [f"ngram_{n}" for n in ORDERS]
    for measure in ("edit_distance", *(["embedding_similarity"] if embedding_model else [])):
        names += [f"{measure}_{statistic}" for statistic in ("min", "max", "mean")]
    names += ["distinct_programs"] if normalize else []

    def figures(task: list[str]) -> dict[str, float | None]:
        result = {f"ngram_{n}": ngram_fraction(task, n, tokenizer, denominator) for n in ORDERS}
        measures = {"edit_distance": edit_distances(task)}
        if embedding_model:
            pairs = itertools.combinations([vectors[text] for text in task], 2)
            measures["embedding_similarity"] = [sum(x * y for x, y in zip(*pair)) for pair in pairs]
        for name, values in measures.items():
            result[f"{name}_min"], result[f"{name}_max"] = min(values), max(values)
            result[f"{name}_mean"] = sum(values) / len(values)
        if normalize:
            result["distinct_programs"] = len({normalize(text) for text in task}) / len(task)
        return result

    items = [figures(task) if len(task) > 1 else None for task in candidates]
    kept = [item for item in items if item is not None]
    result: dict[str, float | int | str | list | None] = {}
    for name in names:
        values = [item[name] for item in kept if item[name] is not None]
        result[name] = sum(values) / len(values) if values else None
    result |= {"tokenizer": tokenizer, "denominator": denominator}
    if embedding_model:
        result["pooling"] = pooling
    result |= {"num_tasks": len(kept), "num_excluded": len(items) - len(kept)}
    if per_item:
        result["per_item"] = items
    return result


class CodeDiversity(module.RankedMetric):
    """[`code_diversity`] as an `evaluate` module."""

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=module.PAPER_CITATION,
            inputs_description=_INPUTS_DESCRIPTION,
            features=datasets.Features({"predictions": module.TEXTS}),
            reference_urls=[module.PAPER_URL],
        )

    def _compute(
        self,
        predictions,
        tokenizer="regex",
        denominator="tokens",
        embedding_model=None,
        revision=None,
        pooling="mean",
        language=None,
        per_item=False,
    ):
        language = self.language_or_configured(language)
        return code_diversity(
            predictions, tokenizer, denominator, embedding_model, revision, pooling, language, per_item
        )
