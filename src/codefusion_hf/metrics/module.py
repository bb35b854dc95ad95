"""
The `evaluate` side of all metrics. Import this module, not the class: `evaluate.load` takes the first metric class
that it finds among the names of a file.
"""

from __future__ import annotations

import datasets
import evaluate

from codefusion_hf.metrics.ranking import clean_texts


TEXTS = datasets.Sequence(datasets.Value("string"))
PAPER_URL = "https://aclanthology.org/2023.emnlp-main.716"
PAPER_CITATION = """\
@inproceedings{singh2023codefusion,
    title={CodeFusion: A Pre-trained Diffusion Model for Code Generation},
    author={Singh, Mukul and Cambronero, Jos{\\'e} and Gulwani, Sumit and Le, Vu and Negreanu, Carina and
        Verbruggen, Gust},
    booktitle={Proceedings of EMNLP 2023},
    year={2023}
}
"""


class RankedMetric(evaluate.Metric):
    """
    A metric over ranked candidates. Takes flat and nested lists alike, even mixed, and text that Arrow cannot store
    (lone surrogates). Its features are to be declared as `TEXTS`.
    """

    def add_batch(self, *, predictions=None, references=None, **kwargs):
        """Adds tasks: for each a list of candidates, best first, and a list of golds; one text stands for a list."""
        if predictions is not None:
            predictions = clean_texts(predictions, "predictions")
        if references is not None:  # a metric without golds gets none
            references = clean_texts(references, "references")
        return super().add_batch(predictions=predictions, references=references, **kwargs)

    def add(self, *, prediction=None, reference=None, predictions=None, references=None, **kwargs):
        """Adds one task: a list of candidates, best first, and a list of golds; one text stands for a list."""
        # The plural names are those by which `evaluate.combine` hands a single task on.
        candidates = prediction if predictions is None else predictions
        golds = reference if references is None else references
        tasks = {"predictions": [candidates]} | ({} if golds is None else {"references": [golds]})
        return self.add_batch(**tasks, **{name: [value] for name, value in kwargs.items()})

    def language_or_configured(self, language: str | None) -> str | None:
        """`language`, by default the one named on loading: `evaluate.load(folder, "bash")`, as `combine` needs it."""
        return language or (None if self.config_name == "default" else self.config_name)
