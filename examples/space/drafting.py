"""Drafts and result of a generation, one after the other, while it runs."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase
from transformers.generation.streamers import BaseStreamer


SHOWN_SECONDS = 0.12  # each draft stays at least so long, for the eye to follow


class DraftQueue(BaseStreamer):
    """Puts the text of each draft into a queue."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, items: queue.SimpleQueue):
        self.tokenizer, self.items = tokenizer, items

    def put(self, value: torch.Tensor) -> None:
        """Ignores the prompt and the finished tokens: the caller gets the ranked result."""

    def put_draft(self, value: torch.Tensor) -> None:
        """Takes a draft of token ids of shape `(length,)`."""
        self.items.put(("draft", self.tokenizer.decode(value, skip_special_tokens=True)))

    def end(self) -> None:
        """Nothing is left to do."""


def drafts_and_result(
    generate: Callable[[BaseStreamer], Any], tokenizer: PreTrainedTokenizerBase
) -> Iterator[tuple[str, Any]]:
    """
    Runs `generate(streamer)` in a thread: yields `("draft", text)` after each denoising step, and at the end
    `("result", value)`.

    Raises:
        Exception: Whatever `generate` raises.
    """
    items: queue.SimpleQueue = queue.SimpleQueue()

    def run() -> None:
        try:
            items.put(("result", generate(DraftQueue(tokenizer, items))))
        except Exception as error:  # handed to the caller's thread
            items.put(("error", error))

    threading.Thread(target=run, daemon=True).start()
    while True:
        kind, value = items.get()
        if kind == "error":
            raise value
        yield kind, value
        if kind == "result":
            return
        time.sleep(SHOWN_SECONDS)
