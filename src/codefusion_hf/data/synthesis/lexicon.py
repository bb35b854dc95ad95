"""Word banks of the conditional-formatting (CF) pair generator, read once from the data files beside this module.

* `columns.txt`: one column concept on each line, `key | kind | headers | mentions | extras`. The kind is
  `int lo hi`, `num lo hi decimals`, `money lo hi`, `pct lo hi`, `year lo hi`, `date`, `cat A/B/C`, `bool Yes/No`, or a
  pool: `name city country company product email code PATTERN text POOL`. Headers are how sheets spell the column,
  mentions how people talk about it. Extras: `f=` comparison family, `u=` units, `adj` (values work as adjectives,
  "open tickets"), `part=` what was done on the date ("shipped"), `have=` what is counted, `max=` `min=` superlatives,
  `gt=` `lt=` comparatives, `v=` verbs.
* `domains.txt`: `entities | column keys`, a table domain on each line; `*` marks people ("who", "their").
* `phrases.json`: phrase banks by name. `{m}` is the mention of a column, `{p}` its plural, `{c}` the column
  as a place, `{e}` the entity, `{n}` `{a}` `{b}` `{x}` literals; in sentence frames `{o}` is what to format, `{x}` a
  clause, `{V}` a verb, `{C}` a colour, `{F}` a format and `{R}` the name of the rows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


NUMBER_WORDS = dict(enumerate("one two three four five six seven eight nine ten eleven twelve".split(), 1))
NUMBER_WORDS |= {15: "fifteen", 20: "twenty", 25: "twenty five", 30: "thirty", 40: "forty", 50: "fifty", 60: "sixty"}
NUMBER_WORDS |= {70: "seventy", 80: "eighty", 90: "ninety", 100: "hundred"}


@dataclass(frozen=True)
class Column:
    """One column concept: how it is headed, how it is talked about, and what values it holds."""

    key: str
    kind: str
    args: tuple[str, ...]
    headers: tuple[str, ...]
    mentions: tuple[str, ...]
    units: tuple[str, ...] = ()
    family: str = ""
    adjective: bool = False
    participles: tuple[str, ...] = ()
    have: tuple[str, ...] = ()
    greater: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    most: tuple[str, ...] = ()
    least: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()


def _split(text: str, separator: str = ",") -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _parse_column(line: str) -> Column:
    parts = [part.strip() for part in line.split("|")]
    key, kind_text, headers, mentions = parts[:4]
    extras = dict(extra.partition("=")[::2] for extra in _split(parts[4], ";")) if len(parts) > 4 else {}
    kind, _, args = kind_text.partition(" ")
    family = BANK["families"][extras["f"]] if "f" in extras else [""] * 5
    units = extras.get("u", "")
    return Column(
        key=key,
        kind=kind,
        args=tuple(args.split("/"))
        if kind in ("cat", "bool")
        else (args,)
        if kind in ("code", "text")
        else tuple(args.split()),
        headers=_split(headers),
        mentions=_split(mentions),
        units=("km/h", "kph") if "km/h" in units else _split(units, "/"),
        family=extras.get("f", ""),
        adjective="adj" in extras,
        participles=_split(extras.get("part", "")),
        have=_split(extras.get("have", "")),
        greater=_split(extras.get("gt", family[0])),
        less=_split(extras.get("lt", family[1])),
        most=_split(extras.get("max", family[2])),
        least=_split(extras.get("min", family[3])),
        verbs=_split(extras.get("v", family[4])),
    )


def _parse_domain(line: str) -> tuple[tuple[tuple[str, bool], ...], tuple[str, ...]]:
    entities, keys = line.split("|")
    return tuple((name.rstrip("*"), name.endswith("*")) for name in _split(entities)), tuple(keys.split())


BANK = json.loads(_read("phrases.json"))
COLUMNS = {column.key: column for column in map(_parse_column, _read("columns.txt").splitlines())}
DOMAINS = tuple(map(_parse_domain, _read("domains.txt").splitlines()))
