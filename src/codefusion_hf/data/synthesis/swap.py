"""Literal-swap augmentation: a real (utterance, rule) pair with another number or text on both sides."""

from __future__ import annotations

import random
import re

from .lexicon import COLUMNS
from .tables import TableSampler, _plain, _usable


_LEAF = re.compile(r"([A-Za-z]\w*)\(([^()]*)\)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?%?")
_RANK_BEFORE = re.compile(
    r"(?:top|bottom|high\w*|low\w*|larg\w*|small\w*|big\w*|best|worst|first|last|the)[\s-]*$", re.IGNORECASE
)
_RANK_AFTER = re.compile(r"\s*(?:%|per ?cent|top|bottom|high|low|larg|small|big|best|worst)", re.IGNORECASE)
_LABEL = re.compile(
    r"(?:sheet|table|fig\.?|row|column|cell|page|range|level|phase|type)[\s-]*$", re.IGNORECASE
)  # "sheet 1" is a name


def swap_literals(nl: str, code: str, rng: random.Random) -> tuple[str, str]:
    """Replace one literal that stands in both the utterance and the rule by another of its kind, on both sides.

    A literal is swapped only where it is unambiguous: it occurs once in the rule and once in the utterance as a word
    of its own (numbers also with thousands separators), not inside a cell range such as `A5:H45`. The bounds of
    `Between` keep their order. Meant for pairs whose column, if any, is named in words: a text literal that alone
    implies its column would stop doing so.

    Args:
        nl (`str`): The utterance.
        code (`str`): Its rule.
        rng (`random.Random`): Source of randomness.

    Returns:
        `tuple[str, str]`: the new utterance and rule; the same ones if nothing can be swapped.
    """
    leaves = [(match, [part.strip() for part in match.group(2).split(",")]) for match in _LEAF.finditer(code)]
    arguments = [(match.group(1).lower(), part, parts) for match, parts in leaves for part in parts if part]
    options = []
    for name, argument, parts in arguments:
        bare = argument.strip("'\"")
        if not bare or bare.startswith(("c[", "$")) or re.fullmatch(r"\d{4}-\d\d-\d\d", bare):
            continue
        if "," in code and name.startswith("text") and len([p for p in parts if not p.startswith("c[")]) > 1:
            continue  # a text with a comma: its end is unclear
        if len(re.findall(_word(bare), code)) != 1:
            continue
        is_number = bool(_NUMBER.fullmatch(bare))
        forms = [bare]
        if is_number:
            core = bare.rstrip("%")
            forms = [core, f"{int(core):,}"] if core.lstrip("-").isdigit() and abs(int(core)) >= 1000 else [core]
        spans = [match.span() for form in forms for match in re.finditer(_word(form), nl, re.IGNORECASE)]
        if name.startswith(("top", "bottom")):
            spans = [(a, b) for a, b in spans if _RANK_BEFORE.search(nl[:a]) or _RANK_AFTER.match(nl[b:])]
        if len(spans) == 1 and not _in_range(nl, *spans[0]) and not _LABEL.search(nl[: spans[0][0]]):
            options.append((name, bare, parts, spans[0], is_number))
    if not options:
        return nl, code
    name, bare, parts, (start, end), is_number = options[int(rng.random() * len(options))]
    written = nl[start:end]
    if is_number:
        new = _new_number(name, bare.rstrip("%"), parts, rng)
        if new is None or re.search(_word(new), nl):
            return nl, code
        new_written = f"{int(new):,}" if "," in written and new.lstrip("-").isdigit() else new
        new_code = new + ("%" if bare.endswith("%") else "")
    else:
        new_written = new_code = _new_text(bare, rng)
        if len(bare) <= 2 or name.startswith(("textstart", "textend", "start", "end")) and len(bare) <= 3:
            new_written = new_code = new_code.split(" ")[0][: max(1, len(bare))]
        if new_code.lower() == bare.lower() or re.search(_word(new_code), nl, re.IGNORECASE):
            return nl, code
    code_match = re.search(_word(bare), code)
    return nl[:start] + new_written + nl[end:], code[: code_match.start()] + new_code + code[code_match.end() :]


def _word(text: str) -> str:
    """Pattern of `text` as a word of its own: "5" is neither in "H5" nor in "1.5"."""
    left = r"(?<![\w.,$:#-])" if re.match(r"\d", text) else r"(?<!\w)" if re.match(r"\w", text) else ""
    if re.match(r"\d", text):
        left = r"(?<![\w:#-])(?<!\d[.,])"
    right = r"(?!\w|[.,]\d|:\w|-\d)" if re.search(r"\d$", text) else r"(?!\w)" if re.search(r"\w$", text) else ""
    return left + re.escape(text) + right


def _in_range(nl: str, start: int, end: int) -> bool:
    """Whether the span touches a cell range or a cell, such as A5:H45, C6-C35, $B$5."""
    return any(
        match.start() < end and start < match.end()
        for match in re.finditer(
            r"\$?[A-Za-z]{1,3}\$?\d+(?:\s*(?::|-|to)\s*\$?[A-Za-z]{0,3}\s?\$?\d+)?"
            r"|\b[A-Za-z]{1,3}:[A-Za-z]{1,3}\b|\b\d+\s*:\s*\d+\b",
            nl,
        )
    )


def _new_number(name: str, old: str, parts: list[str], rng: random.Random) -> str | None:
    value = float(old)
    if name.startswith(("top", "bottom")):
        choices = [
            n for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 50, 60, 75, 100) if str(n) != old
        ]
        return str(choices[int(rng.random() * len(choices))])
    draw = rng.random()
    if draw < 0.5:  # like the old one: same sign, about its size, same decimals
        decimals = len(old.partition(".")[2])
        size = max(abs(value), 4.0)
        new = round((0.3 + rng.random() * 2.2) * size, decimals) * (-1 if value < 0 else 1)
        text = _plain(float(new)) if decimals else str(int(new))
    elif draw < 0.8:
        text = str(int(10 ** (rng.random() * 6)))
    elif draw < 0.93:
        text = f"{rng.random() * 10 ** int(rng.random() * 4):.{1 + int(rng.random() * 3)}f}"
    else:
        text = str(-int(1 + rng.random() * 100))
    if text == old:
        return None
    if "between" in name:
        bounds = [part for part in parts if _NUMBER.fullmatch(part)]
        if len(bounds) != 2:
            return None
        low, high = (float(part.rstrip("%")) for part in bounds)
        first = bounds[0].rstrip("%") == old
        new_low, new_high = (float(text), high) if first else (low, float(text))
        # users write either order: keep the one that was there, so shift the new bound past the other if need be
        if (low < high) != (new_low < new_high) or new_low == new_high:
            gap = 1 + int(rng.random() * 20)
            shifted = (high - gap if low < high else high + gap) if first else (low + gap if low < high else low - gap)
            text = _plain(float(shifted))
            if text == old or text in (part.rstrip("%") for part in bounds):
                return None
    return text


def _new_text(old: str, rng: random.Random) -> str:
    draw = rng.random()
    sampler = TableSampler(rng, [], [])
    text = ""
    while not _usable(text):
        if draw < 0.15:
            text = sampler._code(
                ("AA-###", "PO###", "A##", "##AA", "AAA-##", "ID_###", "AA/##")[int(rng.random() * 7)]
            )
        elif draw < 0.22:
            text = sampler._text_value(COLUMNS["email"])
        else:
            text = sampler._free_literal()
    if old.isupper() and len(old) > 1:
        return text.upper()
    return text.lower() if old.islower() and rng.random() < 0.7 else text
