"""
Synthetic (utterance, rule) pairs for conditional formatting (CF): [`CFSynthesizer`] draws a table, a condition on it
and one of many ways to say it. `sampler` puts the sentence together, `tables` draws tables, `conditions` a condition
with its phrases; `compounds`, `implied`, `unnamed`, `shorthand` and `terse` are kinds of sentences; `grammar` and
`lexicon` are the English they share. `swap` puts other literals into real pairs.
"""

from .sampler import CFSynthesizer
from .swap import swap_literals


__all__ = ["CFSynthesizer", "swap_literals"]
