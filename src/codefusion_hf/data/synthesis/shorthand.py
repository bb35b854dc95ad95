"""Columns of terse utterances: code-like cells, clipped headers, and the fewest words that tell a column."""

from __future__ import annotations

import re

from .lexicon import BANK, Column
from .tables import _FUNCTION_WORDS, _HEADER_WORDS, _VAGUE, _Cells, _humanized, _tokens
from .unnamed import UnnamedSampler


class ShorthandSampler(UnnamedSampler):
    """Draws what people shorten: headers and mentions of columns, and codes."""

    def _add_coded(self) -> None:
        """Insert a column of codes: addresses, plates, part numbers, names with punctuation."""
        (header, *mentions), patterns = self.pick(BANK["terse codes"])
        count = len(self.columns[0].values)
        values = [self._expand(self.pick(patterns)) for _ in range(count)]
        if any(cells.header.lower() == header.lower() for cells in self.columns) or len(self.columns) > 8:
            return
        known = frozenset([header.lower(), *mentions])
        concept = Column("~" + header.lower(), "code", (), (header,), tuple(mentions or [header.lower()]))
        place = int(self.rng.random() * (len(self.columns) + 1))
        self.columns.insert(place, _Cells(concept, header, values, known=known))

    def _expand(self, pattern: str) -> str:
        """A text of a pattern: "#" a digit, "^" a letter, "~" a word, "¤" a surname, "№" the character "#"."""
        banks = {
            "#": "0123456789",
            "^": "ABCDEFGHKLMNPRSTUVWXZ",
            "~": BANK["header nouns"],
            "¤": BANK["pools"]["last"],
            "№": "#",
        }
        text = "".join(self.pick(banks[char]) if char in banks else char for char in pattern)
        return text.lower() if re.search(r"\.[a-z]{2,}|/[a-z~]|^[#@/]", pattern.replace("№", "#")) else text

    def _shorten_headers(self) -> None:
        """Acronyms and clipped words as headers: "Goal Difference" becomes "GD", "Conversion Rate" "Conv. Rate"."""
        for cells in self.columns:
            words = cells.header.split()
            header = cells.header
            if not all(word.isalpha() for word in words) or not self.chance(0.12):
                continue
            if len(words) > 1 and self.chance(0.5):
                header = "".join(word[0] for word in words).upper()
            else:
                longest = max(words, key=len)
                if len(longest) > 7:
                    header = header.replace(longest, longest[: 3 + int(self.rng.random() * 2)] + self.pick((".", "")))
            taken = {other.header.lower() for other in self.columns}
            if header.lower() not in taken:
                cells.known |= {_humanized(cells.header)}
                cells.header = header

    def brief(self, index: int) -> str | None:
        """The column in as few words as tell it: often one word of its header, or an abbreviation."""
        cells = self.columns[index]
        text = self.mention(index, plain=self.chance(0.7))
        if text is None:
            return None
        words = [word for word in _humanized(cells.header).split() if word.isalpha() and len(word) > 3]
        vague = _VAGUE | _FUNCTION_WORDS | (_HEADER_WORDS if len(words) > 1 else frozenset())
        words = [word for word in words if word not in vague]
        if words and len(words) < 4 and self.chance(0.35):
            word = self.pick(words)
            others = (other for place, other in enumerate(self.columns) if place != index)
            if not any(word in " ".join([other.header, *other.known]).lower() for other in others):
                text = word
        if text.lower() != cells.header.lower():  # an abbreviated header hides the words that it shares
            others = (other.known for place, other in enumerate(self.columns) if place != index)
            if any(_tokens(text) <= _tokens(name) for known in others for name in known):
                return cells.header if self.clear(index, cells.header) else None
        if self.chance(0.1):
            short = " ".join(BANK["abbreviations"].get(word, word).lower() for word in text.split())
            text = short if self.clear(index, short) else text
        return text
