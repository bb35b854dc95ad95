"""The `"text-to-code"` pipeline: sentences in, ranked programs out."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Pipeline


class CodeFusionPipeline(Pipeline):
    """
    Generates programs from sentences with a [`CodeFusionForConditionalGeneration`] and its tokenizer.

    The result for a sentence depends on the sentence, the settings and the seed, not on `batch_size` or on the other
    sentences. Arguments of a call can also be given when the pipeline is built, as its defaults.

    Example:

    ```python
    >>> generate = pipeline("text-to-code", model=codefusion_hf.checkpoint_path("cf"))
    >>> generate("highlight cells above 10", num_return_sequences=5)[0]["generated_code"]
    ```
    """

    _load_tokenizer = True
    _load_processor = False
    _load_image_processor = False
    _load_video_processor = False
    _load_feature_extractor = False

    def __call__(
        self,
        inputs: str | list[str],
        *,
        num_return_sequences: int | None = None,
        num_inference_steps: int | None = None,
        sampler: str | None = None,
        num_revisions: int | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
    ) -> list[dict[str, Any]] | list[list[dict[str, Any]]]:
        """
        Args:
            inputs (`str` or `list[str]`): One sentence or several. As in every pipeline, a dataset or a generator of
                sentences gives an iterator over the results.
            num_return_sequences (`int`, *optional*): Programs per sentence.
            num_inference_steps (`int`, *optional*): Denoising steps.
            sampler (`str`, *optional*): See [`CodeFusionGenerationConfig`], which holds the defaults of these four.
            num_revisions (`int`, *optional*): Times the draft is reconsidered.
            seed (`int`, *optional*, defaults to 0): Of the noise; the same for every sentence.
            batch_size (`int`, *optional*, defaults to 1): Sentences per call of the model.

        Returns:
            For each sentence a list of `{"generated_code": str, "score": float}`, best first. The score is the mean
            log-probability of the program's tokens.

        Raises:
            `TypeError`: for an input that is not text.
            `ValueError`: for a blank sentence, or one of more tokens than `model.config.max_source_length`.
        """
        if isinstance(inputs, list) and not inputs:
            return []  # the base class looks at the first input
        return super().__call__(
            inputs,
            batch_size=batch_size,
            num_return_sequences=num_return_sequences,
            num_inference_steps=num_inference_steps,
            sampler=sampler,
            num_revisions=num_revisions,
            seed=seed,
        )

    def _sanitize_parameters(
        self,
        num_return_sequences: int | None = None,
        num_inference_steps: int | None = None,
        sampler: str | None = None,
        num_revisions: int | None = None,
        seed: int | None = None,
    ) -> tuple[dict, dict, dict]:
        settings = {
            "num_return_sequences": num_return_sequences,
            "num_inference_steps": num_inference_steps,
            "sampler": sampler,
            "num_revisions": num_revisions,
            "seed": seed,
        }
        return {}, {name: value for name, value in settings.items() if value is not None}, {}

    def preprocess(self, input_: str) -> dict[str, torch.Tensor]:
        """Checks and tokenizes one sentence: `input_ids` and `attention_mask` of shape `(1, source_length)`."""
        if not isinstance(input_, str):
            raise TypeError(f"A sentence must be a string, got {type(input_).__name__}.")
        if not input_.strip():
            raise ValueError("A sentence must not be blank.")
        encoded = self.tokenizer(input_, return_tensors="pt", verbose=False)
        length, limit = encoded["input_ids"].shape[1], self.model.config.max_source_length
        if length > limit:  # a truncated sentence would ask for something else
            raise ValueError(
                f"The sentence has {length} tokens, but the model reads at most {limit} "
                "(`model.config.max_source_length`): shorten it."
            )
        return dict(encoded)

    def _forward(self, model_inputs: dict[str, torch.Tensor], seed: int = 0, **settings) -> dict[str, torch.Tensor]:
        batch_size = model_inputs["input_ids"].shape[0]
        # One seed per sentence: with a single seed the noise would depend on the place in the batch.
        output = self.model.generate(
            **model_inputs, seed=[seed] * batch_size, return_dict_in_generate=True, **settings
        )
        return {
            "sequences": output.sequences.unflatten(0, (batch_size, -1)),
            "scores": output.sequences_scores.unflatten(0, (batch_size, -1)),
        }

    def postprocess(self, model_outputs: dict[str, torch.Tensor]) -> list[dict[str, Any]]:
        """Decodes the `(1, num_return_sequences, length)` sequences of one sentence."""
        programs = self.tokenizer.batch_decode(model_outputs["sequences"][0], skip_special_tokens=True)
        scores = model_outputs["scores"][0].tolist()
        return [{"generated_code": code, "score": score} for code, score in zip(programs, scores)]


__all__ = ["CodeFusionPipeline"]
