"""The small grammar of the synthesis: English forms of words, and rules as text."""

from __future__ import annotations

from .lexicon import BANK
from .tables import _FIRST_LITERAL


MASS = frozenset(BANK["mass nouns"])


def _plural(phrase: str) -> str:
    """Naive English plural of a noun phrase; unchanged for plurals and what does not count."""
    head, _, last = phrase.rpartition(" ")
    low = last.lower()
    if (
        low.endswith("s")
        and not low.endswith(("ss", "us", "is"))
        or low in MASS
        or not low.isalpha()
        or low.endswith("ed")
        or " at " in phrase
    ):
        return phrase
    if " of " in phrase:
        first, rest = phrase.split(" of ", 1)
        return f"{_plural(first)} of {rest}"
    if low.endswith("y") and low[-2:-1] not in "aeiou":
        last = last[:-1] + "ies"
    elif low.endswith(("s", "x", "ch", "sh", "z")):
        last += "es"
    else:
        last += "s"
    return f"{head} {last}".strip()


def _singular(phrase: str) -> str:
    if phrase.endswith("ies") and phrase not in ("movies", "calories"):
        return phrase[:-3] + "y"
    if phrase.endswith(("sses", "xes", "shes", "ches")):
        return phrase[:-2]
    return phrase[:-1] if phrase.endswith("s") and not phrase.endswith(("ss", "series")) else phrase


def _article(phrase: str) -> str:
    last = phrase.split()[-1].lower()
    if (
        last in MASS
        or last.endswith("s")
        and not last.endswith(("ss", "us"))
        or phrase.lower().startswith("number of")
    ):
        return phrase
    return ("an " if phrase[0].lower() in "aeio" else "a ") + phrase


def _gerund(verb: str) -> str | None:
    """ "earn" -> "earning"; `None` for past tenses and passives."""
    first, _, rest = verb.partition(" ")
    if first in (
        "earn",
        "cost",
        "sell",
        "go",
        "weigh",
        "last",
        "cover",
        "owe",
        "take",
        "wait",
        "yield",
        "emit",
        "give",
        "produce",
        "carry",
        "spend",
        "use",
        "make",
        "stay",
        "consume",
        "score",
        "pay",
        "handle",
        "total",
        "generate",
    ):
        return f"{first[:-1] if first.endswith('e') else first}ing {rest}".strip()
    return None


def _third_person(verb: str) -> str:
    first, _, rest = verb.partition(" ")
    if first in ("are", "have", "were"):
        first = {"are": "is", "have": "has", "were": "was"}[first]
    elif _gerund(verb) or first in ("bring", "get", "ask", "rent", "average"):
        first = first[:-1] + "ies" if first == "carry" else first + ("es" if first == "go" else "s")
    return f"{first} {rest}".strip()


def _last_literal(text: str) -> str:
    """The last protected literal of a phrase."""
    return [char for char in text if ord(char) >= _FIRST_LITERAL][-1]


def _call(name: str, reference: str | None, *arguments: str) -> str:
    return f"{name}({', '.join(([reference] if reference else []) + list(arguments))})"


def _logic(name: str, *rules: str) -> str:
    return f"{name}({', '.join(rules)})"


def _text_rule(operator: str, reference: str | None, text: str) -> str:
    """The rule of a text comparison; negations that are no rule of their own are wrapped in NOT."""
    positive = {"NotText": "TextEquals", "NotStartsWith": "TextStartsWith", "NotEndsWith": "TextEndsWith"}.get(
        operator
    )
    return _logic("NOT", _call(positive, reference, text)) if positive else _call(operator, reference, text)
