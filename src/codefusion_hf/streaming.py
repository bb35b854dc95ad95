"""Shows a program as it takes shape."""

import sys

import torch
from transformers import PreTrainedTokenizerBase
from transformers.generation.streamers import BaseStreamer


class DraftStreamer(BaseStreamer):
    """
    Prints the program as it takes shape, one line per draft, to stderr: stdout stays free for the result.

    Args:
        tokenizer (`PreTrainedTokenizerBase`): The model's tokenizer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.tokenizer = tokenizer
        self.num_drafts = 0

    def put(self, value: torch.Tensor) -> None:
        """Ignores the prompt and the finished tokens: the caller prints the ranked result."""

    def put_draft(self, value: torch.Tensor) -> None:
        """Prints the first sample of a draft of token ids of shape `(length,)` or `(samples, length)`."""
        self.num_drafts += 1
        text = self.tokenizer.decode(value.reshape(-1, value.shape[-1])[0], skip_special_tokens=True)
        text = text.replace("\n", "\\n")  # one line, as for the candidates
        print(f"draft {self.num_drafts:3d}  {text}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Starts the count again for the next prompt."""
        self.num_drafts = 0
