"""Synthetic (utterance, rule) pairs for conditional formatting (CF), and literal-swap augmentation of real pairs.

The 641 real pairs of the benchmark never name a column by `c[k]` and cover few rule kinds, while most rules need literals that
training code does not hold (data.md, sections 2 and 3; algorithms.md, section 6.1). The generator composes both sides at once: it
draws a table, a condition, its canonical code and one of many ways to say it. What the words cannot tell is never in the code: a
column that is not named or implied gets no `c[k]`, and a way of naming that would also fit another column is not used.
"""

from __future__ import annotations

import random
import re
from calendar import monthrange
from dataclasses import dataclass, field
from datetime import date, timedelta

from . import synthesis_phrases as P
from .synthesis_domains import DOMAINS
from .synthesis_lexicon import (
    ABBREVIATIONS,
    COLUMNS,
    HEADER_ADJ,
    HEADER_NOUN,
    HEADER_TEXT,
    LITERALS,
    POOLS,
    Column,
)


NUMERIC = frozenset({"int", "num", "money", "pct", "year"})
TEXTUAL = frozenset({"cat", "bool", "name", "city", "country", "company", "product", "email", "code", "text"})
# concepts of which more is better: only there do "best" and "worst" tell the direction
GOOD = frozenset({"score", "rating"})
GOOD_KEYS = frozenset("gpa margin revenue roi attend satis math english science physics art exam1 exam2 profit ontime ppg goals".split())
MASS = frozenset(
    "stock pay earnings overtime experience seniority tenure attendance revenue sales turnover income profit spending expenditure "
    "humidity rain rainfall protein sodium salt sugar fat moisture unemployment literacy education feedback fuel traffic noise "
    "downtime progress completion urgency homework inventory freight postage art math maths english science history physics".split()
)  # fmt: skip
SYMBOLS = ("$", "$", "$", "€", "£", "₹", "")
_TOKEN = re.compile(r"[a-z0-9%#°]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_FIRST_LITERAL = 0xE000  # literals stand in the text as private-use characters until casing and typos are done


def _tokens(text: str) -> frozenset[str]:
    return frozenset(_TOKEN.findall(_CAMEL.sub(" ", text).replace("_", " ").lower()))


def _plural(phrase: str) -> str:
    """Naive English plural of a noun phrase; unchanged for plurals and what does not count."""
    head, _, last = phrase.rpartition(" ")
    low = last.lower()
    if low.endswith("s") and not low.endswith(("ss", "us", "is")) or low in MASS or not low.isalpha():
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
    if last in MASS or last.endswith("s") and not last.endswith(("ss", "us")) or phrase.lower().startswith("number of"):
        return phrase
    return ("an " if phrase[0].lower() in "aeio" else "a ") + phrase


def _plain(value: float) -> str:
    """A number as the rule language prints it: no separators, no trailing zeros."""
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _call(name: str, reference: str | None, *arguments: str) -> str:
    return f"{name}({', '.join(([reference] if reference else []) + list(arguments))})"


def _logic(name: str, *rules: str) -> str:
    return f"{name}({', '.join(rules)})"


@dataclass
class _Cells:
    """A column of a drawn table: its concept, header, values and the writing habits that the utterance shares with it."""

    concept: Column
    header: str
    values: list[str]
    symbol: str = ""
    known: frozenset[str] = field(default_factory=frozenset)


@dataclass
class _Condition:
    """One condition on one column, in the forms that the frames need; empty lists where a form does not exist."""

    code: str
    mention: str = ""
    clauses: list[str] = field(default_factory=list)  # "salary is above 50"
    posts: list[str] = field(default_factory=list)  # after the entity: "with a salary above 50"
    objects: list[str] = field(default_factory=list)  # complete: "salaries above 50"
    questions: list[str] = field(default_factory=list)  # after "which employees": "earn more than 50"
    reduced: str = ""  # "above 50"
    singular: str = ""  # "is above 50"
    nouns: str = "number"


class CFSynthesizer:
    """Generator of synthetic conditional-formatting pairs.

    Args:
        seed (`int`):
            Seed of the generator that [`~CFSynthesizer.sample`] uses when it is called without one.
        corpus_rules (`list[str]`, *optional*):
            Rules of an unlabelled corpus, such as `TextContains(Barbara)`. Their literals are reused in rules without a column.

    Raises:
        TypeError: if `seed` is not an integer or `corpus_rules` not a list of strings.
    """

    def __init__(self, seed: int, corpus_rules: list[str] | None = None):
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise TypeError(f"seed must be an int, got {type(seed).__name__}.")
        if corpus_rules is not None and (
            isinstance(corpus_rules, str) or not all(isinstance(rule, str) for rule in corpus_rules)
        ):
            raise TypeError("corpus_rules must be a list of strings.")
        self.generator = random.Random(seed)
        self.corpus_texts, self.corpus_numbers = _corpus_literals(corpus_rules or [])

    def sample(self, rng: random.Random | None = None) -> dict:
        """Draw one pair.

        Args:
            rng (`random.Random`, *optional*): Source of all randomness; the generator seeded in the constructor by default.

        Returns:
            `dict`: `nl` (the utterance), `code` (a canonical rule) and `table`: `None` or `{"columns": [...], "rows": [...]}`
            with 3 to 6 rows of strings; `c[k]` in the rule is the k-th column, counted from 0 (data.md, section 3).
        """
        return _Sampler(rng or self.generator, self.corpus_texts, self.corpus_numbers).sample()


class _Sampler:
    """The state of one draw."""

    def __init__(self, rng: random.Random, corpus_texts: list[str], corpus_numbers: list[str]):
        self.rng = rng
        self.corpus_texts = corpus_texts
        self.corpus_numbers = corpus_numbers
        self.literals: list[str] = []
        self.columns: list[_Cells] = []
        self.entity, self.person = "rows", False
        self.symbol = self.pick(("$", "$", "€", "£"))
        self.referenced = True  # whether codes carry c[k]

    # -- small draws -------------------------------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def pick(self, items):
        return items[int(self.rng.random() * len(items))]

    def weighted(self, weights: dict[str, int]) -> str:
        point = self.rng.random() * sum(weights.values())
        for name, weight in weights.items():
            point -= weight
            if point < 0:
                return name
        return name

    def keep(self, text: str) -> str:
        """Protect a literal from casing and typos; returns the character that stands for it."""
        self.literals.append(text)
        return chr(_FIRST_LITERAL + len(self.literals) - 1)

    # -- tables ------------------------------------------------------------------------------------------------------

    def draw_table(self) -> None:
        if self.chance(0.2):
            self._random_table()
        else:
            self._domain_table()
        if len(self.columns) < 2:  # two columns drew the same header
            self.draw_table()

    def _domain_table(self) -> None:
        entities, keys = self.pick(DOMAINS)
        self.entity, self.person = self.pick(entities)
        keys = list(keys)
        self.rng.shuffle(keys)
        size = min(len(keys), 9, 2 + int(self.rng.random() * 6.5 + self.rng.random() * 2))
        concepts = [COLUMNS[key] for key in keys[:size]]
        if size < 9 and self.chance(0.12):
            concepts.append(self._novel_concept(self.chance(0.6)))
        self._fill(concepts)

    def _random_table(self) -> None:
        """Columns from unrelated domains and made-up names: here only the words of the name tell which column is meant."""
        size = 2 + int(self.rng.random() * 6)
        self.entity, self.person = self.pick(P.ROW_NOUNS), False
        concepts = []
        for _ in range(size):
            if self.chance(0.45):
                concepts.append(COLUMNS[self.pick(_KEYS)])
            else:
                concepts.append(self._novel_concept(self.chance(0.65)))
        self._fill(list({concept.key: concept for concept in concepts}.values()))

    def _novel_concept(self, numeric: bool) -> Column:
        rng = self.rng
        noun = self.pick(HEADER_NOUN if numeric else HEADER_TEXT)
        form = rng.random()
        if form < 0.3:
            header, mentions = noun, [noun.lower()]
        elif form < 0.75:
            header = f"{self.pick(HEADER_ADJ)} {noun}"
            mentions = [header.lower(), noun.lower(), header.lower()]
        elif form < 0.9:
            header = f"{noun} {self.pick(HEADER_NOUN if numeric else HEADER_TEXT)}"
            mentions = [header.lower()]
        else:
            header = f"{noun} {self.pick(['(%)', '(k)', '2021', 'Q3', '#2', '/day', 'per unit', '(est.)', 'YTD', 'A', 'B', '1', '2'])}"
            mentions = [header.lower(), noun.lower()]
        if not numeric:
            if self.chance(0.3):
                kind, args = self.pick(["name", "city", "company", "date"]), ()
            else:
                values = [self.pick(LITERALS) for _ in range(3 + int(rng.random() * 4))]
                kind, args = "cat", tuple(dict.fromkeys(value for value in values if _usable(value)))
        elif header.endswith("(%)") or self.chance(0.06):
            kind, args = "pct", ("0", "100")
        elif self.chance(0.2):
            kind, args = "money", ("10", self.pick(["500", "20000", "900000"]))
        elif self.chance(0.3):
            kind, args = "num", ("0", self.pick(["1", "10", "90", "900"]), self.pick(["1", "2"]))
        else:
            kind, args = "int", (self.pick(["0", "1", "-50"]), self.pick(["20", "100", "900", "5000", "90000"]))
        return Column("~" + header.lower(), kind, args, (header,), tuple(mentions))

    def _fill(self, concepts: list[Column]) -> None:
        rng = self.rng
        style = self.pick(("as is",) * 9 + ("lower", "lower", "upper", "snake", "snake", "camel", "pascal", "snake upper", "dotted"))
        abbreviate = 0.15 if self.chance(0.3) else 0.0
        symbol = self.pick(SYMBOLS)
        date_style = self.pick(("iso", "iso", "dmy", "mdy", "text"))
        count = 3 + int(rng.random() * 4)
        seen: set[str] = set()
        self.columns = []
        if self.chance(0.6):
            rng.shuffle(concepts)
        for concept in concepts:
            header = self.pick(concept.headers)
            if rng.random() < abbreviate:
                header = " ".join(ABBREVIATIONS.get(word.lower(), word) for word in header.split())
            if concept.units and "(" not in header and self.chance(0.12):
                header = f"{header} ({concept.units[0]})"
            header = _styled(header, style if self.chance(0.93) else "as is")
            if header.lower() in seen:
                header = _styled(concept.mentions[0].title(), style)
            if header.lower() in seen:
                continue
            seen.add(header.lower())
            known = _NAMES.get(concept.key) or frozenset(mention.lower() for mention in concept.mentions + concept.headers)
            cells = _Cells(concept, header, [], symbol if concept.kind == "money" and self.chance(0.7) else "", known)
            separator = self.chance(0.35)
            cells.values = [self._cell(cells, date_style, separator) for _ in range(count)]
            self.columns.append(cells)

    def _cell(self, cells: _Cells, date_style: str, separator: bool) -> str:
        concept, rng = cells.concept, self.rng
        if rng.random() < 0.03:
            return "" if rng.random() < 0.85 else "#N/A"
        kind = concept.kind
        if kind in NUMERIC and kind != "pct":
            value = self._value(concept, exact=True)
            text = f"{value:,}" if separator and kind != "year" else _plain(value)
            return cells.symbol + text if not text.startswith("-") else "-" + cells.symbol + text[1:]
        if kind == "pct":
            return f"{_plain(self._value(concept, exact=True))}%"
        if kind == "date":
            return _date_text(self._date(), date_style)
        return self._text_value(concept)

    def _value(self, concept: Column, exact: bool = False) -> int | float:
        """A plausible number for the column; round unless `exact`."""
        rng = self.rng
        low, high = float(concept.args[0]), float(concept.args[1])
        # large ranges are log-like: most salaries, populations and clicks are far from the maximum
        share = rng.random() ** (2.5 if high > 50000 and high > 60 * max(low, 1) else 1)
        value = low + share * (high - low)
        if concept.kind == "num":
            decimals = int(concept.args[2])
            if not exact and rng.random() < 0.55 and high > 4:
                return int(round(value)) or 1
            return round(value, decimals)
        if concept.kind == "year":
            return int(value)
        if concept.kind == "money" and exact and high < 5000 and rng.random() < 0.5:
            return round(value, 2)
        value = int(round(value))
        if exact or rng.random() < 0.25:
            if not exact and concept.kind in ("money", "pct") and abs(value) < 200 and rng.random() < 0.25:
                return round(value + self.pick((0.5, 0.25, 0.99, 0.75, 0.1)), 2)
            return value
        size = 10 ** max(0, len(str(abs(value))) - (1 if rng.random() < 0.5 else 2))
        step = size * self.pick((1, 1, 5)) if size > 1 else self.pick((1, 5, 1, 10) if high > 30 else (1,))
        return int(round(value / step) * step) or (int(high) if high < 10 else min(int(high), step))

    def _date(self) -> date:
        return date(2021, 1, 1) + timedelta(days=int(self.rng.random() * 1800))

    def _text_value(self, concept: Column) -> str:
        kind = concept.kind
        if kind in ("cat", "bool"):
            return self.pick(concept.args)
        if kind == "name":
            first, last = self.pick(POOLS["first"]), self.pick(POOLS["last"])
            return first if self.chance(0.15) else f"{first} {last}"
        if kind == "email":
            return f"{self.pick(POOLS['first']).lower()}.{self.pick(POOLS['last']).lower()}@{self.pick(POOLS['domain'])}".replace("'", "")
        if kind == "code":
            return self._code(concept.args[0])
        return self.pick(POOLS[concept.args[0] if kind == "text" else kind])

    def _code(self, pattern: str) -> str:
        rng = self.rng
        return "".join(
            "0123456789"[int(rng.random() * 10)] if char == "#" else "ABCDEFGHJKLMNPRSTUVWX"[int(rng.random() * 21)]
            if char == "A" and pattern.count("A") > 1 or char == "A" and pattern in ("A##", "##A") else char
            for char in pattern
        )  # fmt: skip

    def table(self) -> dict:
        rows = [list(row) for row in zip(*(cells.values for cells in self.columns))]
        return {"columns": [cells.header for cells in self.columns], "rows": rows}

    # -- naming columns ----------------------------------------------------------------------------------------------

    def reference(self, index: int) -> str | None:
        return f"c[{index}]" if self.referenced else None

    def clear(self, index: int, mention: str) -> bool:
        """Whether `mention` can only mean this column of the table."""
        own = self.columns[index]
        low, words = mention.lower(), _tokens(mention)
        exact = low == own.header.lower() or words == _tokens(own.header)
        for other, cells in enumerate(self.columns):
            if other == index:
                continue
            other_words = _tokens(cells.header)
            if low == cells.header.lower() or words == other_words:
                return False
            if not exact and (words <= other_words or low in cells.known):
                return False
        return True

    def mention(self, index: int, plain: bool = False) -> str | None:
        """A way to name the column that no other column fits; `plain` asks for words that sit inside a sentence."""
        cells = self.columns[index]
        for _ in range(4):
            draw = self.rng.random()
            if draw < 0.3 and not plain:
                text = cells.header
            elif draw < 0.5:
                text = _humanized(cells.header)
                words = text.split()
                if draw > 0.44 and len(words) > 1:  # only a part of the header
                    text = " ".join(words[1:] if self.chance(0.5) else words[:-1])
                    if words[0] in _FUNCTION_WORDS or _tokens(text) & _VAGUE or _tokens(text) <= _HEADER_WORDS:
                        text = _humanized(cells.header)
            else:
                text = self.pick(cells.concept.mentions)
            if self.clear(index, text):
                return text
        return cells.header if self.clear(index, cells.header) else None

    def column_phrase(self, mention: str) -> str:
        """The column as a place: "the price column", "column Price", "[Price]"."""
        text = mention if self.chance(0.5) else self.keep(mention)
        return self.pick(_COLUMN_PHRASES).replace("{m}", text)

    def implied(self, index: int, phrases: tuple[str, ...]) -> tuple[str, ...]:
        """Family phrases ("older than") if only this column of the table can be meant."""
        concept = self.columns[index].concept
        if not phrases:
            return ()
        for other, cells in enumerate(self.columns):
            if other != index and (
                (concept.family and cells.concept.family == concept.family)
                or set(phrases) & set(cells.concept.greater + cells.concept.less + cells.concept.most + cells.concept.least)
                or set(phrases) & set(cells.concept.verbs)
            ):
                return ()
        return phrases

    # -- literals ----------------------------------------------------------------------------------------------------

    def number(self, value: int | float, cells: _Cells | None, unit: bool = True) -> tuple[str, str]:
        """(as written in the utterance, as printed in the rule)."""
        rng = self.rng
        kind = cells.concept.kind if cells else "int"
        code = _plain(value)
        if kind == "pct":
            return self.keep(self.pick((f"{code}%", f"{code}%", f"{code}%", f"{code} %", f"{code} percent", f"{code} per cent", f"{code} pct"))), f"{code}%"
        if kind == "year":
            return self.keep(code), code
        text, draw = code, rng.random()
        whole = isinstance(value, int)
        if whole and abs(value) >= 1000:
            if draw < 0.35:
                text = f"{value:,}"
            elif value % 1000000 == 0 and draw < 0.75:
                text = self.pick((f"{value // 1000000} million", f"{value // 1000000}M", f"{value // 1000000}m", f"{value // 1000000} mil"))
            elif value % 100000 == 0 and draw < 0.55 and value >= 100000:
                if value % 1000000 and rng.random() < 0.5 and value > 1000000:
                    text = f"{_plain(value / 1000000)} million"
                else:
                    text = self.pick((f"{value // 100000} lakhs", f"{value // 100000} lakh", f"{value // 1000}k"))
            elif value % 100 == 0 and draw < 0.62 and value < 1000000:
                short = _plain(value / 1000)
                text = self.pick((f"{short}k", f"{short}K", f"{short}k", f"{short} thousand"))
        elif whole and value in P.NUMBER_WORDS and draw < 0.13:
            text = P.NUMBER_WORDS[value] if value < 100 else self.pick(("a hundred", "one hundred")) if value == 100 else code
        symbol = cells.symbol if cells else ""
        if kind == "money" and text[-1] not in "sMm" and rng.random() < 0.5:
            symbol = symbol or self.symbol
            if symbol == "₹":
                text = self.pick((f"₹{text}", f"Rs. {text}", f"{text} rupees", f"Rs {text}", f"INR {text}"))
            else:
                name = {"$": ("dollars", "USD", "bucks", "dollars"), "€": ("euros", "EUR"), "£": ("pounds", "GBP")}[symbol]
                text = f"{symbol}{text}" if rng.random() < 0.7 and text[0].isdigit() else f"{text} {self.pick(name)}"
        elif unit and cells and cells.concept.units and rng.random() < 0.4:
            text = f"{text} {self.pick(cells.concept.units)}"
        return self.keep(text), code

    def date_literal(self, day: date | None = None) -> tuple[str, str, date]:
        day = day or self._date()
        styles = ["iso", "iso", "text", "short", "us", "ordinal", "dash", "ofthe", "us2"]
        if day.day > 12:
            styles += ["mdy", "dmy", "dot"]
        return self.keep(_date_text(day, self.pick(styles))), day.isoformat(), day

    def text_literal(self, index: int | None, operator: str) -> tuple[str, str]:
        """(the literal as it stands in the utterance, the same in the rule); mostly a value of the column."""
        rng = self.rng
        if index is None:
            pool = self.corpus_texts if self.corpus_texts and rng.random() < 0.4 else None
            text = self.pick(pool) if pool else self._free_literal()
        else:
            cells = self.columns[index]
            values = [value for value in cells.values if value and value[0] != "#"]
            text = self.pick(values) if values and rng.random() < 0.75 else self._text_value(cells.concept)
            if not _usable(text):
                text = self._text_value(cells.concept)
        if operator != "TextEquals" and operator != "NotText":
            text = self._part(text, operator)
        if not _usable(text):
            text = "Open"
        if index is not None and text.isascii():
            draw = rng.random()
            text = text.lower() if draw < 0.2 else text.upper() if draw < 0.22 else text
        return text, text

    def _free_literal(self) -> str:
        draw = self.rng.random()
        if draw < 0.62:
            return self.pick(LITERALS)
        if draw < 0.7:
            return self._code(self.pick(("AA-###", "PO###", "A##", "##AA", "AAA-##", "ID_###", "AA/##")))
        return self._text_value(COLUMNS[self.pick(("city", "country", "company", "product", "notes", "issue", "task", "custname", "email", "filename", "tstatus", "category"))])

    def _part(self, text: str, operator: str) -> str:
        """The part of a value that "contains", "starts with" or "ends with" would look for."""
        rng, words = self.rng, text.split(" ")
        if operator == "TextStartsWith":
            if len(words) > 1 and rng.random() < 0.5:
                return words[0]
            return text[: 1 + int(rng.random() * min(3, max(1, len(text) - 1)))].strip()
        if operator == "TextEndsWith":
            if "@" in text:
                return text[text.index("@") :] if rng.random() < 0.5 else text[text.rindex(".") :]
            if "." in text[1:-1] and " " not in text:
                return text[text.rindex(".") :]
            if len(words) > 1 and rng.random() < 0.5:
                return words[-1]
            return text[-(1 + int(rng.random() * min(3, max(1, len(text) - 1)))) :].strip()
        if "@" in text and rng.random() < 0.6:
            return text[text.index("@") + (rng.random() < 0.5) :]
        if len(words) > 1 and rng.random() < 0.6:
            return self.pick([word for word in words if len(word) > 1] or words)
        return text

    def quoted(self, text: str, always: bool = False) -> str:
        """The literal in the sentence, often in quotes (always where its end would be unclear)."""
        style = self.pick(("{}",) * 9 + ('"{}"',) * 6 + ("'{}'",) * 4 + ("“{}”", "`{}`"))
        if style == "{}" and (always or not text[0].isalnum() or not text[-1].isalnum()):
            style = '"{}"'
        if "'" in text and style == "'{}'":
            style = '"{}"'
        return self.keep(style.format(text))

    # -- conditions --------------------------------------------------------------------------------------------------

    def subject(self, mention: str) -> str:
        """The column as the subject of a clause."""
        draw = self.rng.random()
        if draw < 0.5:
            return mention
        if draw < 0.75:
            return f"the {mention}"
        if draw < 0.82:
            return self.keep(self.pick(('"{}"', "'{}'", "[{}]", "{}")).format(mention))
        if draw < 0.88:
            return f"the {mention} column" if draw < 0.85 else f"column {mention}"
        return f"the value of {mention}" if draw < 0.9 else mention

    def condition(self, index: int, kind: str) -> _Condition | None:
        """A condition of the given kind on column `index`, or `None` where it cannot be named clearly."""
        mention = self.mention(index, plain=self.chance(0.6))
        return None if mention is None else getattr(self, f"_{kind}")(index, mention)

    def _assemble(self, index: int, mention: str, code: str, singular: str, reduced: str, quantity: str, nouns: str) -> _Condition:
        """The forms shared by all "column is such" conditions."""
        subject = self.subject(mention)
        condition = _Condition(code, mention, [f"{subject} {singular}"], [], [], [], reduced, singular, nouns)
        if reduced[:1].isalpha() and self.chance(0.35) and nouns != "text":
            condition.clauses.append(f"{subject} {reduced}")
        posts, questions, pick = condition.posts, condition.questions, self.pick
        their = "their" if self.person else "the"
        posts.append(f"whose {mention} {singular}")
        posts.append(f"where {pick(('', 'the ', their + ' '))}{mention} {singular}")
        symbolic = singular[0] in "<>=!≠≥≤"
        if reduced and not symbolic:
            if nouns == "number":
                noun = _article(mention) if self.chance(0.4) else mention
                posts += [f"with {noun} {reduced}", f"that have {noun} {reduced}", f"with {noun} {reduced}", f"having {noun} {reduced}"]
                questions.append(f"have {noun} {reduced}")
            elif nouns == "date":
                posts.append(f"with {_article(mention)} {reduced}")
                questions.append(f"have {_article(mention)} {reduced}")
            condition.objects.append(f"{_plural(mention)} {reduced}")
        return condition

    def _number_phrase(self, cells: _Cells | None) -> tuple[str, tuple[str, ...], str, str, str]:
        """(operator, arguments, singular verb phrase, post-modifier, phrase after a verb) of a numeric comparison."""
        weights = P.NUMBER_WEIGHTS
        operator = self.weighted(weights)
        first = self._value(cells.concept) if cells else self._any_number()
        if "etween" in operator:
            second = self._value(cells.concept) if cells else self._any_number(like=first)
            if first == second:
                second = first + self.pick((1, 2, 5, 10))
            first, second = min(first, second), max(first, second)
            (text_a, code_a), (text_b, code_b) = self.number(first, cells), self.number(second, cells)
            values, arguments = {"a": text_a, "b": text_b}, (code_a, code_b)
        else:
            text, code = self.number(first, cells)
            values, arguments = {"n": text}, (code,)
        singular, plural, reduced, quantity = self._comparator(P.NUMBER_PHRASES[operator], values)
        return operator, arguments, singular, reduced, quantity

    def _comparator(self, bank, values: dict[str, str]) -> tuple[str, str, str, str]:
        adjectives, verbs, symbols, quantities = bank
        reduced = self.pick(adjectives)
        draw = self.rng.random()
        if draw < 0.66:
            singular, plural = f"is {reduced}", f"are {reduced}"
        elif draw < 0.83:
            singular, plural = self.pick(verbs)
        else:
            singular = plural = self.pick(symbols)
        quantity = self.pick(quantities) if quantities else ""
        return tuple(text.format(**values) if text else "" for text in (singular, plural, reduced, quantity))

    def _any_number(self, like: float | None = None) -> int | float:
        rng = self.rng
        if like is not None:
            return round(like * self.pick((1.2, 1.5, 2, 3, 10)) + 1, 2) if isinstance(like, float) else like + self.pick((1, 5, 10, 20, 100, 500)) * max(1, abs(like) // 10)
        draw = rng.random()
        if draw < 0.12 and self.corpus_numbers:
            text = self.pick(self.corpus_numbers)
            return float(text) if "." in text else int(text)
        if draw < 0.45:
            return int(rng.random() * 100)
        if draw < 0.6:
            return self.pick((5, 10, 20, 25, 50, 75, 100, 200, 250, 500, 1000, 1500, 5000, 10000, 25000, 100000, 1000000))
        if draw < 0.75:
            return int(10 ** (2 + rng.random() * 4))
        if draw < 0.9:
            return round(rng.random() * 10 ** int(rng.random() * 4), 1 + int(rng.random() * 2))
        return -int(rng.random() * 100) - 1 if draw < 0.96 else 0

    def _number(self, index: int, mention: str) -> _Condition:
        cells = self.columns[index]
        concept = cells.concept
        if self.chance(0.06) and (concept.kind == "money" or float(concept.args[0]) <= 0):
            return self._special_number(index, mention)
        operator, arguments, singular, reduced, quantity = self._number_phrase(cells)
        condition = self._assemble(index, mention, _call(operator, self.reference(index), *arguments), singular, reduced, quantity, "number")
        literal = singular
        extra = []
        if quantity:
            for verb in self.implied(index, concept.verbs)[:3]:
                if not (verb.endswith(" of") and " or " in quantity):
                    extra += [f"that {verb} {quantity}", f"who {verb} {quantity}" if self.person else f"that {verb} {quantity}"]
                    condition.questions += [f"{verb} {quantity}"] * 2
            if concept.have and self.clear(index, concept.have[0]) and not concept.units:
                noun = self.pick(concept.have)
                if self.clear(index, noun):
                    extra += [f"with {quantity} {noun}", f"that have {quantity} {noun}", f"having {quantity} {noun}"]
                    condition.questions += [f"have {quantity} {noun}"] * 2
        adjectives = concept.greater if operator == "GreaterThan" else concept.less if operator == "LessThan" else ()
        for adjective in self.implied(index, adjectives):
            text = f"{adjective} {_last_literal(literal)}"
            extra += [text, text, f"that are {text}" if not self.person else f"who are {text}"]
            condition.questions += [f"are {text}"]
        if concept.key in ("pubyear", "relyear", "yearbuilt") and operator in ("GreaterThan", "LessThan"):
            word = "after" if operator == "GreaterThan" else "before"
            extra += [f"{concept.participles[0]} {word} {_last_literal(literal)}"] * 3
        elif concept.key in ("pubyear", "relyear", "yearbuilt") and operator in ("Equals", "Between", "GreaterThanEqual"):
            span = {"Equals": "in {}", "Between": "between {} and {}", "GreaterThanEqual": "in or after {}"}[operator]
            extra += [f"{concept.participles[0]} {span}".format(*(char for char in literal if ord(char) >= _FIRST_LITERAL))] * 3
        if quantity and "{" not in quantity:
            for verb in self.implied(index, concept.verbs)[:2]:
                gerund = _gerund(verb)
                if gerund:
                    extra += [f"{gerund} {quantity}"] * 2
                if not verb.endswith(" of"):
                    third = _third_person(verb)
                    who = "anyone who" if self.person else "anything that"
                    condition.objects += [f"{who} {third} {quantity}", f"{'everyone who' if self.person else 'everything that'} {third} {quantity}"]
        if concept.key == "age" and self.implied(index, concept.greater) and quantity:
            extra += [f"aged {quantity}"] * 2
            if self.person and operator in ("GreaterThan", "LessThan"):
                extra += [f"{'over' if operator == 'GreaterThan' else 'under'} {_last_literal(literal)}"] * 2
        if extra:
            condition.posts += extra + extra
        return condition

    def _special_number(self, index: int, mention: str) -> _Condition:
        """Signs and zero: "negative profit", "out of stock"."""
        concept, reference = self.columns[index].concept, self.reference(index)
        kind = self.weighted({"negative": 40, "positive": 20, "zero": 30, "nonzero": 10})
        operator = {"negative": "LessThan", "positive": "GreaterThan", "zero": "Equals", "nonzero": "NotEquals"}[kind]
        percent = "%" if concept.kind == "pct" else ""
        adjective = {"negative": "negative", "positive": "positive", "zero": "zero", "nonzero": "non-zero"}[kind]
        zero = self.pick(("zero", "0"))
        comparison = {"negative": self.pick(("below zero", "less than zero", "under zero", "negative")), "positive": self.pick(("above zero", "positive", "greater than zero")),
                      "zero": self.pick((zero, "equal to zero", "nil")), "nonzero": self.pick((f"not {zero}", "different from zero", "non-zero"))}[kind]  # fmt: skip
        condition = _Condition(_call(operator, reference, f"0{percent}"), mention, [f"{mention} is {comparison}"], [f"whose {mention} is {comparison}", f"with {adjective} {mention}", f"where the {mention} is {comparison}"])
        condition.objects = [f"{adjective} {_plural(mention)}", f"{adjective} values in {self.column_phrase(mention)}"]
        idioms = _IDIOMS.get((concept.key, kind))
        if idioms and self.implied(index, ("x",)):
            condition.posts += [text for text in idioms] * 3
        return condition

    def _implied_measure(self) -> tuple[str, str] | None:
        """(object, code) where currency, unit, percent sign or date alone tells the column: "orders over $500"."""
        groups: dict[str, list[int]] = {}
        for index, cells in enumerate(self.columns):
            concept = cells.concept
            kind = concept.kind if concept.kind in ("money", "pct", "date") else concept.units[0] if concept.units else ""
            if kind:
                groups.setdefault(kind, []).append(index)
        single = [group[0] for group in groups.values() if len(group) == 1]
        if not single:
            return None
        index = self.pick(single)
        cells, entity, reference = self.columns[index], self.entity, self.reference(index)
        if cells.concept.kind == "date":
            if self.chance(0.5):
                period = self.pick(("Yesterday", "Today", "LastWeek", "ThisWeek", "LastMonth", "ThisMonth", "Tomorrow", "NextWeek", "NextMonth"))
                words = {"Yesterday": "yesterday", "Today": "today", "Tomorrow": "tomorrow", "LastWeek": "last week", "ThisWeek": "this week", "NextWeek": "next week",
                         "LastMonth": "last month", "ThisMonth": "this month", "NextMonth": "next month"}[period]  # fmt: skip
                return self.pick((f"{words}'s {entity}", f"{entity} from {words}", f"{entity} of {words}", f"{entity} for {words}")), _call(period, reference)
            operator = self.weighted(P.DATE_WEIGHTS)
            text, iso, day = self.date_literal()
            values, arguments = {"n": text}, (iso,)
            if operator == "Between":
                other, iso_b, _ = self.date_literal(day + timedelta(days=int(5 + self.rng.random() * 200)))
                values, arguments = {"a": text, "b": other}, (iso, iso_b)
            adjective = self.pick([phrase for phrase in P.DATE_PHRASES[operator][0] if "the {" not in phrase and "ahead" not in phrase]).format(**values)
            return f"{entity} {self.pick(('', 'dated '))}{adjective}".replace("dated on", "on"), _call(operator, reference, *arguments)
        operator = self.pick(("GreaterThan", "GreaterThan", "LessThan", "LessThan", "GreaterThanEqual", "LessThanEqual"))
        value = self._value(cells.concept)
        if value <= 0:
            return None
        code, shown = _plain(value), _plain(value) if self.chance(0.6) or isinstance(value, float) else f"{value:,}"
        if cells.concept.kind == "pct":
            text, code = self.pick((f"{code}%", f"{code} percent")), f"{code}%"
        elif cells.concept.kind == "money":
            symbol = cells.symbol or "$"
            name = {"$": "dollars", "€": "euros", "£": "pounds", "₹": "rupees"}[symbol]
            text = f"{symbol}{shown}" if self.chance(0.75) else f"{shown} {name}"
        else:
            text = f"{shown} {self.pick(cells.concept.units)}"
        phrase = self.pick({"GreaterThan": ("over {n}", "above {n}", "of more than {n}", "exceeding {n}"), "LessThan": ("under {n}", "below {n}", "of less than {n}"),
                            "GreaterThanEqual": ("of at least {n}", "of {n} or more", "from {n} up"), "LessThanEqual": ("of at most {n}", "up to {n}", "of {n} or less", "of no more than {n}")}[operator])  # fmt: skip
        return f"{entity} {phrase.format(n=self.keep(text))}", _call(operator, reference, code)

    def _performance(self) -> tuple[str, str] | None:
        """(object, code) where the only score of the table is meant without a word: "top 5 students", "students above average"."""
        good = [index for index, cells in enumerate(self.columns) if cells.concept.kind in NUMERIC and (cells.concept.family in GOOD or cells.concept.key in GOOD_KEYS)]
        numeric = [cells for cells in self.columns if cells.concept.kind in NUMERIC and cells.concept.key != "age"]
        if len(good) != 1 or len(numeric) > 1 and self.columns[good[0]].concept.family not in GOOD:
            return None
        entity, reference = self.entity, self.reference(good[0])
        if self.chance(0.5):
            name = self.pick(("AboveAverage", "BelowAverage"))
            word = name[:5].lower()
            return self.pick((f"{entity} {word} average", f"{entity} who are {word} average" if self.person else f"{entity} that are {word} average", f"{entity} {word} the average", f"{word}-average {entity}",
                              f"{entity} doing {'better' if word == 'above' else 'worse'} than average")), _call(name, reference)  # fmt: skip
        top = self.chance(0.6)
        n = self.pick((1, 2, 3, 3, 5, 5, 10))
        if n == 1:
            return f"the {self.pick(('best', 'top') if top else ('worst', 'weakest'))} {_singular(entity)}", _call("Top" if top else "Bottom", reference, "1")
        many = self.keep(self.pick((str(n), P.NUMBER_WORDS[n])))
        word = self.pick(("top", "best", "best performing") if top else ("bottom", "worst", "weakest"))
        return self.pick((f"{word} {many} {entity}", f"the {many} {word} {entity}")), _call("Top" if top else "Bottom", reference, str(n))

    def _flag(self) -> tuple[str, str] | None:
        """(object, code) of yes/no columns: "verified accounts", "animals that are not vaccinated"."""
        flags = [index for index, cells in enumerate(self.columns) if cells.concept.key in _FLAGS]
        if not flags:
            return None
        index = self.pick(flags)
        word = _FLAGS[self.columns[index].concept.key]
        entity, reference = self.entity, self.reference(index)
        yes = [value for value in self.columns[index].values if value]
        positive = self.chance(0.55)
        value = ("Yes" if positive else "No") if set(yes) <= {"Yes", "No"} else None
        if value is None or not self.clear(index, word):
            return None
        if positive:
            phrase = self.pick((f"{word} {entity}", f"{entity} that are {word}", f"{entity} which are {word}"))
        else:
            phrase = self.pick((f"{entity} that are not {word}", f"{entity} not {word}", f"{entity} that aren't {word}", f"{entity} not yet {word}"))
        return phrase, _call("TextEquals", reference, value)

    def _idiom_pair(self) -> tuple[str, str] | None:
        """(object, code) of two columns compared by an idiom: "projects over budget"."""
        places = {cells.concept.key: index for index, cells in enumerate(self.columns)}
        options = [idiom for idiom in _PAIR_IDIOMS if idiom[0] in places and idiom[1] in places]
        if not options or not self.referenced:
            return None
        left, right, operator, phrases = self.pick(options)
        return f"{self.entity} {self.pick(phrases)}", _call(operator, self.reference(places[left]), self.reference(places[right]))

    def _text(self, index: int, mention: str) -> _Condition:
        cells = self.columns[index]
        concept = cells.concept
        weights = dict(P.TEXT_WEIGHTS)
        if concept.kind in ("cat", "bool"):
            weights.update(TextEquals=70, TextContains=10, TextStartsWith=4, TextEndsWith=2)
        operator = self.weighted(weights)
        text, code_text = self.text_literal(index, operator)
        return self._text_condition(index, mention, operator, text)

    def _text_condition(self, index: int, mention: str, operator: str, text: str) -> _Condition:
        concept = self.columns[index].concept
        reference = self.reference(index)
        code = _logic("NOT", _call("TextEquals", reference, text)) if operator == "NotText" else _call(operator, reference, text)
        literal = self.quoted(text)
        singular, _, reduced = (form.format(x=literal) for form in self.pick(P.TEXT_PHRASES[operator]))
        condition = self._assemble(index, mention, code, singular, reduced, "", "text")
        condition.objects = [f"{_plural(mention)} {reduced}"] if reduced[0].isalpha() else []
        posts = condition.posts
        if operator == "TextEquals":
            bare = literal
            posts += [f"with {mention} {bare}", f"with {mention} = {bare}", f"with {bare} as {mention}", f"that have {mention} {bare}", f"with {mention} {bare}", f"having {bare} as the {mention}"]
            condition.clauses.append(f"{mention}: {bare}")
            if concept.key in ("city", "country", "state", "region", "company", "origin"):
                posts += [f"from {bare}"] * 4 if self._only_place(index) else []
            if concept.key == "dest" and self.clear(index, "dest"):
                posts += [f"going to {bare}", f"headed for {bare}", f"bound for {bare}"]
            if concept.key == "assignee":
                posts += [f"assigned to {bare}"] * 3
            if concept.key == "dept" and self.person:
                posts += [f"in {bare}", f"who work in {bare}", f"working in {bare}", f"from the {bare} department"]
            if concept.key in ("author", "artist", "director") and self.clear(index, "writer"):
                posts += [f"by {bare}"] * 2
            if concept.key == "paymethod":
                posts += [f"paid by {bare}", f"paid with {bare}"]
            if concept.key in ("carrier",):
                posts += [f"shipped by {bare}", f"sent with {bare}"]
            if concept.key == "driver":
                posts += [f"driven by {bare}"]
            if concept.key == "supplier":
                posts += [f"supplied by {bare}", f"from {bare}"]
            condition.questions += [f"have {bare} as {mention}", f"have {mention} {bare}", f"have {mention} set to {bare}"]
        elif operator == "TextStartsWith":
            posts += [f"whose {mention} starts with {literal}", f"with {_article(mention)} starting with {literal}"]
        elif operator == "TextContains":
            condition.questions += [f"have {literal} in the {mention}", f"mention {literal} in the {mention}"]
            posts += [f"with {literal} in the {mention}", f"with {literal} somewhere in the {mention}", f"with {_article(mention)} containing {literal}", f"that mention {literal} in the {mention}"]
            condition.objects.append(f"{_plural(mention)} with {literal} in them")
        elif operator == "TextEndsWith":
            posts += [f"with {_article(mention)} ending in {literal}", f"whose {mention} ends in {literal}"]
        return condition

    def _only_place(self, index: int) -> bool:
        places = {"city", "country", "state", "region", "company", "origin", "dest", "supplier", "district"}
        return sum(cells.concept.key in places for cells in self.columns) == 1

    def _implied_value(self) -> tuple[str, str] | None:
        """(object, code) where a value alone tells the column: "cancelled orders", "everything marked Overdue"."""
        counts: dict[str, list[int]] = {}
        for index, cells in enumerate(self.columns):
            if cells.concept.kind in ("cat", "name", "city", "country", "company", "product"):
                for value in set(cells.values):
                    counts.setdefault(value.lower(), []).append(index)
        candidates = []
        for value, owners in counts.items():
            if len(owners) == 1 and len(value) > 2 and _usable(value):
                words = _tokens(value)
                others = (cells for position, cells in enumerate(self.columns) if position != owners[0])
                if not any(words <= _tokens(text) for cells in others for text in [*cells.values, cells.header, *cells.concept.args] if text):
                    candidates.append((owners[0], value))
        if not candidates:
            return None
        index, low = self.pick(candidates)
        value = next(text for text in self.columns[index].values if text.lower() == low)
        concept = self.columns[index].concept
        text = low if concept.adjective and self.chance(0.6) or self.chance(0.15) else value
        literal = self.keep(text) if self.chance(0.6) else self.quoted(text)
        code = _call("TextEquals", self.reference(index), text)
        e, pick = self.entity, self.pick
        if concept.adjective and concept.key != "severity":
            forms = [f"{literal} {e}", f"{literal} {e}", f"{literal} {e}", f"{e} that are {literal}", f"everything that is {literal}", f"anything {literal}", f"{e} marked {literal}", f"everything marked as {literal}", f"all {literal} ones"]
        elif concept.key in ("city", "country", "company") and self._only_place(index):
            forms = [f"{e} from {literal}", f"rows for {literal}", f"everything from {literal}", f"{literal} rows", f"{e} in {literal}"]
        elif concept.key == "dept" and self.person:
            forms = [f"{e} in {literal}", f"{literal} {e}", f"everyone in {literal}", f"{e} who work in {literal}", f"the {literal} people"]
        elif concept.key == "gender":
            forms = [f"{literal} {e}"]
        else:
            forms = [f"rows for {literal}", f"rows with {literal}", f"the {literal} rows", f"everything about {literal}", f"{literal} rows", f"lines that say {literal}", f"rows where it says {literal}", f"cells equal to {literal}", f"cells that say {literal}", f"anything that is {literal}"]
        return pick(forms), code

    def _date_kind(self, index: int, mention: str) -> _Condition:
        cells = self.columns[index]
        concept, rng = cells.concept, self.rng
        reference = self.reference(index)
        draw = rng.random()
        if draw < 0.3:
            period = self.pick(list(P.PERIOD_PHRASES))
            reduced = self.pick(P.PERIOD_PHRASES[period])
            code = _call(period, reference)
            past = period not in P.FUTURE
            singular = f"{self.pick(('is', 'was', 'falls', 'is') if past else ('is', 'falls', 'will be', 'is'))} {reduced}"
            if singular.startswith("falls") and reduced.endswith("date"):
                singular = f"is {reduced}"
        elif draw < 0.42:
            day = self._date()
            if rng.random() < 0.5:
                last = monthrange(day.year, day.month)[1]
                text, low, high = f"{P.MONTHS[day.month - 1]} {day.year}", date(day.year, day.month, 1), date(day.year, day.month, last)
            else:
                text, low, high = f"{day.year}", date(day.year, 1, 1), date(day.year, 12, 31)
            text = self.keep(text)
            reduced = self.pick((f"in {text}", f"in {text}", f"during {text}"))
            singular = f"{self.pick(('is', 'was', 'falls'))} {reduced}"
            code = _call("Between", reference, low.isoformat(), high.isoformat())
        else:
            operator = self.weighted(P.DATE_WEIGHTS)
            text, iso, day = self.date_literal()
            values, arguments = {"n": text}, (iso,)
            if operator == "Between":
                other, iso_b, _ = self.date_literal(day + timedelta(days=int(5 + rng.random() * 200)))
                values, arguments = {"a": text, "b": other}, (iso, iso_b)
            adjectives, symbols = P.DATE_PHRASES[operator]
            reduced = self.pick(adjectives).format(**values)
            if reduced.startswith("after the ") and not self.literals[0][0].isdigit():
                reduced = f"after {text}"
            singular = self.pick(symbols).format(**values) if rng.random() < 0.14 else f"{self.pick(('is', 'is', 'was', 'falls', 'is'))} {reduced}"
            code = _call(operator, reference, *arguments)
        condition = self._assemble(index, mention, code, singular, reduced, "", "date")
        for participle in self.implied_participles(index):
            text = f"{participle} {reduced}"
            condition.posts += [text] * 3
            if not participle.startswith(("who", "that", "whose")):
                condition.questions += [f"were {text}" if participle not in ("due", "expiring", "arriving", "leaving") else f"are {text}"]
        return condition

    def implied_participles(self, index: int) -> tuple[str, ...]:
        """What was done on the date ("shipped"), if no other date of the table was the same."""
        own = self.columns[index].concept.participles
        others = {part for position, cells in enumerate(self.columns) if position != index for part in cells.concept.participles}
        return tuple(part for part in own if part not in others)

    def _average(self, index: int, mention: str) -> _Condition:
        name = self.pick(("AboveAverage", "BelowAverage"))
        concept = self.columns[index].concept
        reduced = self.pick(P.AVERAGE_PHRASES[name])
        condition = self._assemble(index, mention, _call(name, self.reference(index)), f"is {reduced}", reduced, "", "number")
        word = "above" if name == "AboveAverage" else "below"
        condition.posts += [f"with {word}-average {mention}", f"that are {word} average in {mention}", f"{word} average in {mention}", f"{word} average for {mention}"]
        condition.objects += [f"{word}-average {_plural(mention)}", f"{word} average {_plural(mention)}"]
        for adjective in self.implied(index, concept.greater if word == "above" else concept.less)[:2]:
            condition.posts += [f"{adjective} average", f"{adjective} the average"]
        for verb in self.implied(index, concept.verbs)[:2]:
            amount = "more" if word == "above" else "less"
            if not verb.endswith((" of", " by", " to")):
                condition.posts += [f"that {verb} {amount} than average"]
                condition.questions += [f"{verb} {amount} than average", f"{verb} {amount} than the average"]
        return condition

    def _rank(self, index: int, mention: str) -> _Condition:
        rng, cells = self.rng, self.columns[index]
        concept = cells.concept
        top = rng.random() < 0.58
        percent = rng.random() < 0.25
        e, plural = self.entity, _plural(mention)
        c = self.column_phrase(mention)
        if percent:
            n = self.pick((10, 10, 5, 20, 25, 1, 15, 30, 50, 3, 2, 40))
            code = _call("TopPercent" if top else "BottomPercent", self.reference(index), str(n))
            amount = self.keep(self.pick((f"{n}%", f"{n}%", f"{n} %", f"{n} percent", f"{n} per cent", f"{n} pct")))
            side = "top" if top else "bottom"
            if n in (10, 25, 20) and rng.random() < 0.15:
                share = f"{side} {({10: 'decile', 25: 'quarter', 20: 'fifth'})[n]}"
            else:
                share = f"{self.pick((side, side, side, 'highest' if top else 'lowest'))} {amount}"
            condition = _Condition(code, mention, [f"{mention} is in the {share}"], [f"in the {share} by {mention}", f"in the {share} of {mention}", f"whose {mention} is in the {share}"])
            condition.objects = [f"{share} of {plural}", f"the {share} of {c}", f"{share} in {c}", f"{share} {plural}", f"{share} of {e} by {mention}", f"the {share} of values in {c}", f"{e} in the {share} by {mention}"]
            return condition
        n = self.pick((1, 1, 1, 1, 2, 3, 3, 4, 5, 5, 5, 6, 7, 8, 10, 10, 10, 12, 15, 20, 25, 30, 50))
        code = _call("Top" if top else "Bottom", self.reference(index), str(n))
        is_date = concept.kind == "date"
        many = self.keep(P.NUMBER_WORDS[n] if n in P.NUMBER_WORDS and n <= 12 and rng.random() < 0.35 else str(n))
        if is_date:
            words = ("latest", "most recent", "newest", "last") if top else ("earliest", "oldest", "first")
            words = words[:3] if top else words[:1] + (() if concept.key == "dob" else words[1:2])
            if concept.key == "dob":
                words = words[:1]
        else:
            words = ("highest", "largest", "biggest", "top", "greatest", "highest") if top else ("lowest", "smallest", "bottom", "lowest", "least")
            if concept.family in GOOD or concept.key in GOOD_KEYS:
                words += ("best", "best") if top else ("worst", "worst", "poorest")
        word = self.pick(words)
        superlatives = self.implied(index, concept.most if top else concept.least)
        one = _singular(e)
        side = "top" if top else "bottom"
        if n == 1:
            extreme = self.pick(("highest", "maximum", "max", "largest", "top", "biggest") if top else ("lowest", "minimum", "min", "smallest")) if not is_date else word
            if word == "least":
                word = "lowest"
            objects = [f"the {extreme} {mention}", f"the {word} {mention}", f"the {one} with the {word} {mention}", f"the {extreme} value in {c}", f"{word} {mention}", f"{extreme} {mention}", f"the row with the {extreme} {mention}",
                       f"the single {extreme} {mention}"]
            if not is_date:
                objects += [f"max of {c}" if top else f"min of {c}", f"{side} 1 in {c}", f"{side} {mention}"]
            for noun in self._countable(index):
                objects += [f"the {one} with the {'most' if top else 'fewest'} {noun}"] * 2
            for superlative in superlatives:
                objects += [f"the {superlative} {one}"] * 3
            clauses = [f"{mention} is the {extreme}", f"{mention} is {'highest' if top else 'lowest'}" if not is_date else f"{mention} is the {word}"]
            posts = [f"with the {extreme} {mention}", f"that has the {word} {mention}"]
            condition = _Condition(code, mention, clauses, posts, objects)
            condition.questions = []
            return condition
        objects = [f"{word} {many} {plural}", f"the {many} {word} {plural}", f"{many} {word} values in {c}", f"the {many} {e} with the {word} {mention}", f"{e} with the {many} {word} {plural}", f"{many} {e} with the {word} {mention}"]
        if not is_date:
            objects += [f"{side} {many} {e} by {mention}", f"{side} {many} {plural}", f"{side} {many} values in {c}", f"the {side} {many} of {c}", f"{side} {many} in {c}", f"the {side} {many} by {mention}", f"{side} {many} items in {c}"]
        for noun in self._countable(index):
            objects += [f"the {many} {e} with the {'most' if top else 'fewest'} {noun}"] * 2
        for superlative in superlatives:
            objects += [f"the {many} {superlative} {e}", f"{superlative} {many} {e}", f"the {superlative} {many} {e}"]
        if word == "least":
            objects = [text.replace("least", "lowest") for text in objects[:6]] + objects[6:]
        clauses = [f"{mention} is in the {side} {many}" if not is_date else f"{mention} is one of the {many} {word}", f"{mention} is among the {many} {word if word not in ('top', 'bottom', 'least') else 'highest' if top else 'lowest'}"]
        posts = [f"with the {many} {word if word != 'least' else 'lowest'} {plural}", f"among the {side} {many} in {mention}" if not is_date else f"with the {many} {word} {plural}"]
        return _Condition(code, mention, clauses, posts, objects)

    def _countable(self, index: int) -> list[str]:
        return [noun for noun in self.columns[index].concept.have if self.clear(index, noun)]

    def _state(self, index: int, mention: str) -> _Condition:
        """Blank, filled, error, duplicate and unique."""
        kind = self.weighted({"blank": 34, "filled": 9, "error": 9, "noerror": 2, "duplicate": 28, "unique": 14})
        reference = self.reference(index)
        code, clauses, posts, objects = {
            "blank": (_call("Blanks", reference), P.BLANK_CLAUSES, P.BLANK_POSTS, P.BLANK_OBJECTS),
            "filled": (_logic("NOT", _call("Blanks", reference)), P.FILLED_CLAUSES, P.FILLED_POSTS, P.FILLED_OBJECTS),
            "error": (_call("Errors", reference), P.ERROR_CLAUSES, P.ERROR_POSTS, P.ERROR_OBJECTS),
            "noerror": (_logic("NOT", _call("Errors", reference)), (), (), P.NOERROR_OBJECTS),
            "duplicate": (_call("Duplicates", reference), P.DUPLICATE_CLAUSES, P.DUPLICATE_POSTS, P.DUPLICATE_OBJECTS),
            "unique": (_call("Unique", reference), P.UNIQUE_CLAUSES, P.UNIQUE_POSTS, P.UNIQUE_OBJECTS),
        }[kind]
        forms = {"m": mention, "a": _article(mention), "p": _plural(mention), "c": self.column_phrase(mention)}
        condition = _Condition(code, mention)
        condition.clauses = [self.pick(clauses).format(**forms)] if clauses else []
        condition.posts = [self.pick(posts).format(**forms)] if posts else []
        condition.objects = [self.pick(objects).format(**forms)]
        return condition

    # -- sentences ---------------------------------------------------------------------------------------------------

    def fill(self, frame: str, **values: str) -> str:
        pick = self.pick
        if "{F}" in frame:
            frame = frame.replace("{F}", pick(P.FORMATS))
        if "{V}" in frame:
            verb = pick(P.VERBS)
            frame = frame.replace("{V}", verb)
        if "{C}" in frame:
            frame = frame.replace("{C}", pick(P.COLORS))
        if "{R}" in frame:
            values["R"] = self.entity if self.chance(0.45) else pick(P.ROW_NOUNS)
        for name, value in values.items():
            frame = frame.replace("{" + name + "}", value)
        return frame

    def say(self, condition: _Condition) -> str:
        """One sentence for one condition."""
        rng = self.rng
        options: list[str] = []
        if condition.clauses:
            options.append("clause")
        if condition.posts:
            options += ["post", "post"]
        if condition.objects:
            options += ["object"] if condition.clauses else ["object", "object", "object"]
        if condition.questions:
            options.append("question")
        if condition.reduced:
            options.append("column")
        if not condition.reduced:
            options += ["object"] * 2 if condition.objects else []
        choice = self.pick(options)
        if choice == "clause":
            return self.fill(self.pick(P.CLAUSE_FRAMES), x=self.pick(condition.clauses))
        if choice == "question":
            return self.fill(self.pick(P.QUESTION_FRAMES), e=self.entity, q=self.pick(condition.questions))
        if choice == "column":
            frame = self.pick(P.COLUMN_FRAMES)
            noun = self.pick(P.VALUE_NOUNS[condition.nouns])
            return self.fill(frame, c=self.column_phrase(condition.mention), v=noun, r=condition.reduced, s=condition.singular)
        if choice == "object":
            return self.fill(self.pick(P.OBJECT_FRAMES), o=self.pick(condition.objects))
        noun = self.entity if rng.random() < 0.75 or self.person else self.pick(P.ROW_NOUNS)
        if rng.random() < 0.08:
            noun = self.pick(("everyone", "anyone", "all those")) if self.person else self.pick(("everything", "anything", "all the ones", "those"))
        post = self.pick(condition.posts)
        if noun in ("everyone", "anyone"):
            post = post.replace("that have ", "with ").replace("who are ", "")
            if post.startswith(("who ", "that ")):
                noun = self.entity
        return self.fill(self.pick(P.OBJECT_FRAMES), o=f"{noun} {post}")

    def visual(self, column: str, mention: str, name: str) -> str:
        if self.chance(0.3):
            return self.fill(self.pick(P.VISUAL_SENTENCES[name]), c=column, m=mention, p=_plural(mention))
        visual = self.pick(P.VISUALS[name])
        article = self.pick(("", "a ", "")) if not visual.endswith("s") and visual not in ("bar in each cell",) else ""
        article = "an " if article and visual[0] in "aeio" else article
        if visual == "bar in each cell":
            article = "a "
        return self.fill(self.pick(P.VISUAL_FRAMES), c=column, v=article + visual)

    # -- samples -----------------------------------------------------------------------------------------------------

    def sample(self) -> dict:
        draw = self.rng.random()
        table: dict | None = None
        if draw < 0.13:
            if self.chance(0.3):
                self.draw_table()
                table = self.table()
            nl, code = self._no_column()
            if table and any(_last_argument(code) in value.lower() for row in table["rows"] for value in row):
                table = None  # a literal that stands in the table would tell a column
        elif draw < 0.19:
            nl, code = self._benchmark_like()
            if self.chance(0.2):
                values = [self._free_literal() if self.chance(0.4) else str(int(self.rng.random() * 1000)) for _ in range(4)]
                table = {"columns": ["Index", "Value"], "rows": [[str(row), value] for row, value in enumerate(values)]}
        else:
            for _ in range(8):
                self.literals = []
                self.draw_table()
                # a column that is named while no table is known cannot be numbered
                self.referenced = draw >= 0.27
                pair = self._combination() if self.chance(0.2) else self._single()
                if pair is not None:
                    break
            else:
                self.literals, self.columns, self.referenced = [], [], False
                pair = self._no_column()
            nl, code = pair
            table = self.table() if self.referenced else None
        return {"nl": self.finish(nl), "code": code, "table": table}

    def _kind(self, index: int) -> str:
        kind = self.columns[index].concept.kind
        if kind in NUMERIC:
            return self.weighted({"number": 60, "rank": 22, "average": 10, "state": 6}) if kind != "year" else "number"
        if kind == "date":
            return self.weighted({"date_kind": 74, "rank": 10, "state": 16})
        return self.weighted({"text": 68, "state": 32}) if kind not in ("cat", "bool") else self.weighted({"text": 90, "state": 10})

    def _single(self) -> tuple[str, str] | None:
        draw = self.rng.random()
        if draw < 0.15:
            draws = (self._implied_value, self._implied_value, self._implied_measure, self._performance, self._flag, self._idiom_pair)
            for implied in self.rng.sample(draws, 3):
                pair = implied()
                if pair is not None:
                    return self.fill(self.pick(P.OBJECT_FRAMES), o=pair[0]), pair[1]
            return None
        if draw < 0.2:
            pair = self._two_columns()
            if pair is not None:
                return pair
        index = int(self.rng.random() * len(self.columns))
        if draw < 0.27:
            numeric = [i for i, cells in enumerate(self.columns) if cells.concept.kind in NUMERIC]
            if numeric:
                index = self.pick(numeric)
                mention = self.mention(index)
                if mention is None:
                    return None
                name = self.pick(("ColorScale", "DataBar", "IconSet"))
                return self.visual(self.column_phrase(mention), mention, name), _call(name, self.reference(index))
        if draw < 0.295 and self.referenced:
            return self._by_position(index)
        condition = self.condition(index, self._kind(index))
        if condition is None:
            return None
        code = condition.code
        if draw > 0.985 and condition.posts and not code.startswith("NOT"):
            noun = self.entity
            frame = self.pick(("everything except {o}", "all rows but not {o}", "all but the {o}", "everything other than {o}"))
            return self.fill(self.pick(("{V} {x}", "{V} {x} {F}", "{x} in {C}", "please {V} {x}")), x=frame.replace("{o}", f"{noun} {self.pick(condition.posts)}")), _logic("NOT", code)
        return self.say(condition), code

    def _by_position(self, index: int) -> tuple[str, str] | None:
        """Columns by letter or ordinal: "column C", "the second column"."""
        ordinals = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
        phrases = [f"the {ordinals[index]} column", f"column {'ABCDEFGHIJ'[index]}", f"column {index + 1}", f"{ordinals[index]} column", f"col {'ABCDEFGHIJ'[index]}"]
        if index == len(self.columns) - 1:
            phrases.append("the last column")
        if any(_tokens(cells.header) <= _tokens(" ".join(phrases)) for cells in self.columns):
            return None
        column = self.pick(phrases)
        kind = self.columns[index].concept.kind
        cells = self.columns[index]
        if kind in NUMERIC:
            if self.chance(0.3):
                name = self.pick(("ColorScale", "DataBar", "IconSet"))
                visual = self.pick(P.VISUALS[name])
                return self.fill(self.pick(P.VISUAL_FRAMES), c=column, v=visual), _call(name, self.reference(index))
            operator, arguments, singular, reduced, _ = self._number_phrase(cells)
            code, nouns = _call(operator, self.reference(index), *arguments), "number"
        elif kind == "date":
            return None
        else:
            operator = self.weighted(P.TEXT_WEIGHTS)
            text, _ = self.text_literal(index, operator)
            literal = self.quoted(text)
            singular, _, reduced = (form.format(x=literal) for form in self.pick(P.TEXT_PHRASES[operator]))
            reference, nouns = self.reference(index), "text"
            code = _logic("NOT", _call("TextEquals", reference, text)) if operator == "NotText" else _call(operator, reference, text)
        return self.fill(self.pick(P.COLUMN_FRAMES), c=column, v=self.pick(P.VALUE_NOUNS[nouns]), r=reduced, s=singular), code

    def _two_columns(self) -> tuple[str, str] | None:
        """A column compared with another: "actual cost exceeds budget"."""
        groups: dict[str, list[int]] = {}
        for index, cells in enumerate(self.columns):
            kind = cells.concept.kind
            if kind in ("date", "money", "pct") or kind in ("int", "num"):
                groups.setdefault(kind if kind in ("date", "money", "pct") else "count", []).append(index)
        pairs = [group for group in groups.values() if len(group) > 1]
        if not pairs:
            return None
        left, right = self.rng.sample(self.pick(pairs), 2)
        first, second = self.mention(left, plain=True), self.mention(right, plain=True)
        if first is None or second is None:
            return None
        is_date = self.columns[left].concept.kind == "date"
        operator = self.weighted({"GreaterThan": 40, "LessThan": 34, "GreaterThanEqual": 8, "LessThanEqual": 8, "Equals": 8, "NotEquals": 6})
        second = self.pick(("{}", "the {}", "{}")).format(second)
        if is_date:
            adjectives, symbols = {
                "GreaterThan": (["after {n}", "later than {n}", "past {n}", "after {n}"], ["> {n}"]), "LessThan": (["before {n}", "earlier than {n}", "prior to {n}"], ["< {n}"]),
                "GreaterThanEqual": (["on or after {n}"], [">= {n}"]), "LessThanEqual": (["on or before {n}", "no later than {n}"], ["<= {n}"]),
                "Equals": (["the same as {n}", "the same day as {n}"], ["= {n}"]), "NotEquals": (["different from {n}"], ["<> {n}"]),
            }[operator]  # fmt: skip
            reduced = self.pick(adjectives).format(n=second)
            singular = f"is {reduced}" if self.chance(0.85) else self.pick(symbols).format(n=second)
        else:
            bank = P.NUMBER_PHRASES[operator]
            adjectives = [text for text in bank[0] if text.endswith("{n}") and text not in ("{n}", "from {n} up", "up to {n}", "just {n}", "short of {n}", "a minimum of {n}", "a maximum of {n}")]
            singular, _, reduced, _ = self._comparator((adjectives, bank[1], bank[2], []), {"n": second})
        code = _call(operator, self.reference(left), self.reference(right)) if self.referenced else None
        if code is None:
            return None
        clause = f"{self.pick(('', 'the '))}{first} {singular}"
        if self.chance(0.5):
            return self.fill(self.pick(P.CLAUSE_FRAMES), x=clause), code
        posts = [f"whose {first} {singular}", f"where {clause}"]
        if not is_date and singular[0].isalpha():
            posts.append(f"with {first} {reduced}")
        if is_date:
            posts += [f"{part} {reduced}" for part in self.implied_participles(left)]
        return self.fill(self.pick(P.OBJECT_FRAMES), o=f"{self.entity} {self.pick(posts)}"), code

    # -- combinations ------------------------------------------------------------------------------------------------

    def _combination(self) -> tuple[str, str] | None:
        if self.chance(0.33):
            return self._same_column()
        rng = self.rng
        if len(self.columns) < 2:
            return None
        count = 3 if rng.random() < 0.15 and len(self.columns) > 2 else 2
        indices = rng.sample(range(len(self.columns)), count)
        conditions = []
        for index in indices:
            kind = self._kind(index)
            if kind in ("rank", "average") and rng.random() < 0.6 and self.columns[index].concept.kind in NUMERIC:
                kind = "number"
            condition = self.condition(index, kind)
            if condition is None or not condition.clauses or not condition.posts:
                return None
            conditions.append(condition)
        codes = [condition.code for condition in conditions]
        draw = rng.random()
        clauses = [self.pick(condition.clauses) for condition in conditions]
        posts = [self.pick(condition.posts) for condition in conditions]
        if count == 3:
            joined = f"{clauses[0]}, {clauses[1]} and {clauses[2]}" if rng.random() < 0.5 else f"{clauses[0]} and {clauses[1]} and {clauses[2]}"
            return self.fill(self.pick(P.CLAUSE_FRAMES), x=joined), _logic("AND", *codes)
        adjective = self._adjective_pair(conditions[1], indices[1]) if draw < 0.25 else None
        if adjective is not None:
            prefix, code = adjective
            return self.fill(self.pick(P.OBJECT_FRAMES), o=f"{prefix} {posts[1]}"), _logic("AND", code, codes[1])
        if draw < 0.5:
            word = self.pick(("and", "and", "and", "and also", "but", "and at the same time", "&", "and where", "while"))
            return self.fill(self.pick(P.CLAUSE_FRAMES), x=f"{clauses[0]} {word} {clauses[1]}"), _logic("AND", *codes)
        if draw < 0.72:
            word = self.pick((" and ", " and ", " but ", ", and ", " and also "))
            return self.fill(self.pick(P.OBJECT_FRAMES), o=f"{self.entity} {posts[0]}{word}{posts[1]}"), _logic("AND", *codes)
        if draw < 0.9:
            text = self.pick(("either {} or {}", "{} or {}", "{} or {}", "{} or if {}", "{} or else {}", "{} OR {}")).format(*clauses)
            return self.fill(self.pick(P.CLAUSE_FRAMES), x=text), _logic("OR", *codes)
        if draw < 0.94:
            return self.fill(self.pick(P.OBJECT_FRAMES), o=f"{self.entity} {posts[0]} or {posts[1]}"), _logic("OR", *codes)
        if codes[1].startswith("NOT"):
            return None
        text = self.pick(("{} unless {}", "{} except when {}", "{} but not if {}", "{} and not when {}")).format(*clauses)
        return self.fill(self.pick(("{V} {R} where {x}", "{V} the row if {x}", "{V} {R} {F} where {x}")), x=text), _logic("AND", codes[0], _logic("NOT", codes[1]))

    def _adjective_pair(self, condition: _Condition, taken: int) -> tuple[str, str] | None:
        """An adjective value in front of the entity: "open tickets", "female students"."""
        options = [i for i, cells in enumerate(self.columns) if cells.concept.adjective and i != taken]
        if not options:
            return None
        index = self.pick(options)
        cells = self.columns[index]
        value = self.pick([text for text in cells.values if text] or cells.concept.args)
        for other, rest in enumerate(self.columns):
            if other != index and (value in rest.values or value in rest.concept.args):
                return None
        text = value.lower() if self.chance(0.6) else value
        return f"{self.keep(text)} {self.entity}", _call("TextEquals", self.reference(index), text)

    def _same_column(self) -> tuple[str, str] | None:
        rng = self.rng
        index = int(rng.random() * len(self.columns))
        cells, reference = self.columns[index], self.reference(index)
        mention = self.mention(index, plain=True)
        if mention is None or cells.concept.kind in ("date", "year"):
            return None
        subject = self.subject(mention)
        if cells.concept.kind in NUMERIC:
            clause, code = self._double_number(subject, cells, reference)
            return self.fill(self.pick(P.CLAUSE_FRAMES), x=clause), code
        texts: list[str] = []
        for _ in range(6):
            text = self.text_literal(index, "TextEquals")[0]
            if text.lower() not in [other.lower() for other in texts]:
                texts.append(text)
        if len(texts) < 3:
            return None
        clause, code = self._alternatives(subject, texts, reference)
        draw = rng.random()
        others = [i for i in range(len(self.columns)) if i != index and self.columns[i].concept.kind in NUMERIC]
        if draw < 0.2 and others:
            second = self.condition(self.pick(others), "number")
            if second is None:
                return None
            first = second.code, code
            return self.fill(self.pick(P.CLAUSE_FRAMES), x=f"{second.clauses[0]} and {clause}"), _logic("AND", *first)
        if draw < 0.5 and clause.startswith(subject):
            return self.fill(self.pick(P.OBJECT_FRAMES), o=f"{self.entity} whose {mention}{clause[len(subject):]}"), code
        return self.fill(self.pick(P.CLAUSE_FRAMES), x=clause), code

    def _alternatives(self, subject: str, texts: list[str], reference: str | None) -> tuple[str, str]:
        """Several literals for one text subject: either, neither, both."""
        a, b, third = (self.quoted(text) for text in texts[:3])
        draw = self.rng.random()
        equal = [_call("TextEquals", reference, text) for text in texts]
        contain = [_call("TextContains", reference, text) for text in texts]
        if draw < 0.5:
            form = self.pick(("{s} is {a} or {b}", "{s} is either {a} or {b}", "{s} equals {a} or {b}", "{s} is {a} or is {b}", "{s} is one of {a} or {b}", "{s} = {a} or {b}"))
            return form.format(s=subject, a=a, b=b), _logic("OR", *equal[:2])
        if draw < 0.6:
            form = self.pick(("{s} is {a}, {b} or {c}", "{s} is one of {a}, {b}, {c}", "{s} is any of {a}, {b} or {c}"))
            return form.format(s=subject, a=a, b=b, c=third), _logic("OR", *equal[:3])
        if draw < 0.75:
            form = self.pick(("{s} is neither {a} nor {b}", "{s} is not {a} and not {b}", "{s} is not {a} or {b}"))
            if form.endswith("not {a} or {b}"):
                return form.format(s=subject, a=a, b=b), _logic("NOT", _logic("OR", *equal[:2]))
            return form.format(s=subject, a=a, b=b), _logic("AND", *(_logic("NOT", rule) for rule in equal[:2]))
        if draw < 0.9:
            return self.pick(("{s} contains {a} or {b}", "{s} mentions {a} or {b}", "{s} includes either {a} or {b}")).format(s=subject, a=a, b=b), _logic("OR", *contain[:2])
        if draw < 0.95:
            return self.pick(("{s} contains {a} but not {b}", "{s} includes {a} but does not include {b}")).format(s=subject, a=a, b=b), _logic("AND", contain[0], _call("TextNotContains", reference, texts[1]))
        return f"{subject} contains both {a} and {b}", _logic("AND", *contain[:2])

    def _double_number(self, subject: str, cells: _Cells | None, reference: str | None) -> tuple[str, str]:
        """Two bounds in two comparisons: "over 5 but under 10", "below 5 or above 10"."""
        low = self._value(cells.concept) if cells else self._any_number()
        high = self._value(cells.concept) if cells else self._any_number(like=low)
        if low == high:
            high = low + self.pick((1, 5, 10))
        low, high = min(low, high), max(low, high)
        (low_text, low_code), (high_text, high_code) = self.number(low, cells), self.number(high, cells)
        draw = self.rng.random()
        adjectives = {name: [text for text in bank[0] if text.endswith("{n}") and not text.startswith(("{n}", "from", "equal", "up to", "short"))] for name, bank in _ADJECTIVES}
        more, less = ("GreaterThan", "LessThan") if self.chance(0.7) else (self.pick(("GreaterThanEqual", "GreaterThan")), self.pick(("LessThanEqual", "LessThan")))
        over, under = self.pick(adjectives[more]), self.pick(adjectives[less])
        if draw < 0.5:
            if self.chance(0.15):
                sign = {"GreaterThan": ">", "GreaterThanEqual": ">=", "LessThan": "<", "LessThanEqual": "<="}
                clause = f"{subject} {sign[more]} {low_text} and {sign[less]} {high_text}"
            else:
                clause = f"{subject} is {over.format(n=low_text)} {self.pick(('and', 'but', 'and', 'yet'))} {under.format(n=high_text)}"
            return clause, _logic("AND", _call(more, reference, low_code), _call(less, reference, high_code))
        if draw < 0.85:
            either = self.pick(("", "", "either "))
            if self.chance(0.7):
                return f"{subject} is {either}{under.format(n=low_text)} or {over.format(n=high_text)}", _logic("OR", _call(less, reference, low_code), _call(more, reference, high_code))
            return f"{subject} is {either}{over.format(n=high_text)} or {under.format(n=low_text)}", _logic("OR", _call(more, reference, high_code), _call(less, reference, low_code))
        return f"{subject} is {self.pick(('', 'either '))}{low_text} or {high_text}", _logic("OR", _call("Equals", reference, low_code), _call("Equals", reference, high_code))

    # -- no column ---------------------------------------------------------------------------------------------------

    def _no_column(self) -> tuple[str, str]:
        """A rule for whatever is selected: "highlight values above 10", with or without a range and a sheet."""
        kind = self.weighted({"number": 30, "text": 30, "state": 12, "average": 6, "rank": 12, "visual": 9, "date": 5, "logic": 8})
        pick = self.pick
        place = self._place() if self.chance(0.4) else ""
        if not self.columns and self.chance(0.08):
            letter = pick("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
            place = pick((f" in column {letter}", f" in {letter} column", f" on column {letter}", f" for column {letter}"))
        frames = ("{V} {v} {r}", "{V} {v} {r}", "{V} {v} {r} {F}", "{V} all {v} {r}", "{V} every cell that {s}", "make {v} {r} {C}", "{v} {r}", "{v} {r} in {C}", "if the value {s}, {V} it", "if a cell {s} color it {C}",
                  "{V} {v} whose value {s}", "{V} {v} if the value {s}", "please {V} {v} {r}", "show {v} {r}", "I want {v} {r} to be {C}", "can you {V} {v} {r}?", "which {v} are there {r}?", "color cell where value {s}", "apply conditional formatting {r}",
                  "change background color where value {s}", "{V} the cell when it {s}", "change color to {C} where value {s}", "use {C} for {v} {r}", "find {v} {r}", "apply {C} color where value {s}", "turn a cell {C} if it {s}",
                  "{V} cells with a value that {s}", "cells should be {C} when the value {s}", "{r}", "{V} {r}", "value {s}", "fill {C} if value {s}")  # fmt: skip
        if kind == "number" or kind == "date":
            if kind == "date":
                if self.chance(0.45):
                    period = pick(list(P.PERIOD_PHRASES))
                    reduced, code = pick(P.PERIOD_PHRASES[period]), _call(period, None)
                else:
                    operator = self.weighted(P.DATE_WEIGHTS)
                    text, iso, day = self.date_literal()
                    values, arguments = {"n": text}, (iso,)
                    if operator == "Between":
                        other, iso_b, _ = self.date_literal(day + timedelta(days=int(5 + self.rng.random() * 200)))
                        values, arguments = {"a": text, "b": other}, (iso, iso_b)
                    reduced, code = pick([text for text in P.DATE_PHRASES[operator][0] if "after the" not in text]).format(**values), _call(operator, None, *arguments)
                singular, noun = f"is {reduced}", pick(("dates", "cells with dates", "dates", "all dates"))
                frames = frames[:17]
            else:
                operator, arguments, singular, reduced, _ = self._number_phrase(_PERCENT if self.chance(0.07) else None)
                code, noun = _call(operator, None, *arguments), pick(("values", "cells", "numbers", "cells", "values", "entries", "anything", "figures"))
            return self.fill(pick(frames[:-5] if reduced[0] in '"' else frames), v=noun, r=reduced, s=singular) + place, code
        if kind == "text":
            operator = self.weighted(P.TEXT_WEIGHTS)
            text, _ = self.text_literal(None, operator)
            number = re.fullmatch(r"-?\d+(\.\d+)?", text)
            if number and operator in ("TextEquals", "NotText"):
                code = _call("Equals" if operator == "TextEquals" else "NotEquals", None, text)
            else:
                code = _logic("NOT", _call("TextEquals", None, text)) if operator == "NotText" else _call(operator, None, text)
            literal = self.quoted(text)
            singular, _, reduced = (form.format(x=literal) for form in pick(P.TEXT_PHRASES[operator]))
            if operator == "TextEquals" and self.chance(0.4):
                forms = (f"{{V}} {literal}", f"{{V}} cells with {literal}", f"{{V}} the cell which shows {literal}", f"{literal} in {{C}}", f"change color to {{C}} where text is {literal}", f"make {literal} {{C}}", f"{{V}} the {literal} cells",
                         f"{{V}} value {literal}", f"{{V}} where value = {literal}", f"cells that say {literal} in {{C}}", f"change cell color for {literal}")  # fmt: skip
                return self.fill(pick(forms)) + place, code
            noun = pick(("cells", "values", "cells", "text", "entries", "anything", "all cells"))
            return self.fill(pick(frames), v=noun, r=reduced, s=singular) + place, code
        if kind == "state":
            names = {"Blanks": ("blank cells", "empty cells", "blanks", "cells that are empty", "missing values", "cells with nothing in them", "blank values", "cells without a value", "unfilled cells"),
                     "NotBlanks": ("non-blank cells", "cells that are not blank", "non blank cells", "filled cells", "cells that are not empty", "cells with any value"),
                     "Errors": ("errors", "cells with errors", "error values", "#N/A errors", "formula errors", "cells with #REF!", "cells that return an error", "cells showing #DIV/0!"),
                     "Duplicates": ("duplicates", "duplicate values", "repeated values", "values that appear more than once", "duplicate entries", "values listed twice or more", "double entries", "cells with the same value", "recurring values"),
                     "Unique": ("unique values", "values that appear only once", "values that are not repeated", "one-off values", "cells with a unique value", "values that occur just once")}  # fmt: skip
            name = self.weighted({"Blanks": 26, "NotBlanks": 9, "Errors": 16, "Duplicates": 32, "Unique": 14})
            code = "NOT(Blanks())" if name == "NotBlanks" else f"{name}()"
            return self.fill(pick(P.OBJECT_FRAMES), o=pick(names[name])) + place, code
        if kind == "average":
            name = pick(("AboveAverage", "BelowAverage"))
            phrase = pick(P.AVERAGE_PHRASES[name])
            objects = (f"values {phrase}", f"numbers {phrase}", f"cells {phrase}", f"values that are {phrase}", f"{'above' if name[0] == 'A' else 'below'} average values", f"cells with a value {phrase}")
            return self.fill(pick(P.OBJECT_FRAMES), o=pick(objects)) + place, f"{name}()"
        if kind == "rank":
            top, percent = self.chance(0.6), self.chance(0.25)
            n = pick((10, 5, 20, 25, 1, 15, 3)) if percent else pick((1, 1, 2, 3, 5, 5, 10, 10, 15, 20, 4, 7, 50))
            side = "top" if top else "bottom"
            extreme = pick(("highest", "largest", "biggest", "greatest")) if top else pick(("lowest", "smallest"))
            if percent:
                amount = self.keep(pick((f"{n}%", f"{n} %", f"{n} percent", f"{n} per cent")))
                objects = (f"{side} {amount}", f"{side} {amount} of values", f"values in the {side} {amount}", f"the {extreme} {amount}", f"{side} {amount} numbers")
                return self.fill(pick(P.OBJECT_FRAMES), o=pick(objects)) + place, _call("TopPercent" if top else "BottomPercent", None, str(n))
            if n == 1:
                objects = (f"the {extreme} value", f"{extreme} number", f"the {'maximum' if top else 'minimum'}", f"{'max' if top else 'min'} value", f"{side} 1 value", f"the {extreme} cell", f"single {extreme} value")
            else:
                many = self.keep(P.NUMBER_WORDS[n] if n in P.NUMBER_WORDS and n <= 10 and self.chance(0.3) else str(n))
                objects = (f"{side} {many} values", f"{side} {many}", f"the {many} {extreme} values", f"{extreme} {many} numbers", f"{side} {many} items", f"{many} {extreme} numbers", f"{many} {side} values", f"the {side} {many} cells")
            return self.fill(pick(P.OBJECT_FRAMES), o=pick(objects)) + place, _call("Top" if top else "Bottom", None, str(n))
        if kind == "visual":
            name = pick(("ColorScale", "DataBar", "IconSet"))
            target = pick(("the cells", "the values", "this range", "the selection", "all cells", "the numbers", "this column", "the data")) if not place else place.strip().removeprefix("on ").removeprefix("in ").removeprefix("from ").removeprefix("for ")
            if place and not target.startswith(("range", "cell", "column", "sheet", "the")):
                target = "cells " + target
            return self.fill(pick(P.VISUAL_FRAMES), c=target, v=pick(P.VISUALS[name])), f"{name}()"
        noun = pick(("value", "the value", "cell value", "it", "the number"))
        if self.chance(0.5):
            clause, code = self._double_number(noun, None, None)
        else:
            texts: list[str] = []
            while len(texts) < 3:
                text = self.text_literal(None, "TextEquals")[0]
                if text.lower() not in [other.lower() for other in texts] and not re.fullmatch(r"-?[\d.]+", text):
                    texts.append(text)
            clause, code = self._alternatives(pick(("value", "the cell", "text", "the value")), texts, None)
        forms = ("{V} cells where {x}", "{V} a cell if {x}", "{V} cells when {x}", "if {x}, {V} it", "make the cell {C} if {x}", "{V} values where {x}", "color {C} if {x}", "cells where {x}", "{V} the cell if {x} {F}")
        return self.fill(pick(forms), x=clause) + place, code

    def _range(self) -> str:
        rng = self.rng
        letter = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        column = self.pick(letter) if rng.random() < 0.9 else "A" + self.pick(letter)
        start = 1 + int(rng.random() * 12)
        end = start + 1 + int(rng.random() ** 2 * 300)
        last = column if rng.random() < 0.75 else letter[min(25, letter.index(column[-1]) + 1 + int(rng.random() * 8))]
        return self.pick((f"{column}{start}:{last}{end}",) * 4 + (f"{column}{start} to {last}{end}", f"{column}{start}-{last}{end}", f"{column}{start} - {last}{end}"))

    def _place(self) -> str:
        """Where the rule applies, as real users add it: a range, a sheet, both."""
        cells, sheet = self.keep(self._range()), self.keep(self.pick(P.SHEET_NAMES))
        return self.pick((" in range {r}", " on range {r}", " for range {r}", " from cell {r}", " in cells {r}", " from {r}", " for cell range {r}", " in {r}", " on sheet {s}", " in sheet {s}", " on {s} sheet", " in range {r} on sheet {s}",
                          " from cell {r} in sheet {s}", " for {r} in {s} sheet", " for range {r} on sheet {s}", " from {r} of sheet {s}", " in cell {r} of {s} sheet", " on cell range {r} in {s} sheet.")).format(r=cells, s=sheet)  # fmt: skip

    def _benchmark_like(self) -> tuple[str, str]:
        """The style of the benchmark's own utterances: "Apply topItems conditional formatting on cell range T4:T50 ..."."""
        rng, pick = self.rng, self.pick
        names = {"greaterThan": "GreaterThan", "lessThan": "LessThan", "equalTo": "Equals", "between": "Between", "topItems": "Top", "bottomItems": "Bottom", "topPercent": "TopPercent", "bottomPercent": "BottomPercent",
                 "aboveAverage": "AboveAverage", "belowAverage": "BelowAverage", "duplicateValues": "Duplicates", "colorScale": "ColorScale", "dataBar": "DataBar", "iconSet": "IconSet", "containsText": "TextContains",
                 "blanks": "Blanks", "errors": "Errors"}  # fmt: skip
        spoken = {"colorScale": ("color scale", "Color Scales", "colour scale", "COLOR SCALE"), "dataBar": ("data bar", "DATA BAR", "Data Bars", "databar"), "iconSet": ("icon set", "Icon Sets", "ICON SET", "iconset"),
                  "duplicateValues": ("duplicate", "Duplicate Values", "DUPLICATE", "duplicate value"), "aboveAverage": ("above average", "Above Average"), "belowAverage": ("below average", "Below Average"),
                  "greaterThan": ("greater than", "greaterThan"), "lessThan": ("less than", "lessThan"), "equalTo": ("equal to", "equalTo =", "equalTo"), "containsText": ("text containing", "containing", "text that contains"),
                  "topPercent": ("top",), "bottomPercent": ("bottom",), "topItems": ("top", "Top", "topItems"), "bottomItems": ("bottom", "Bottom", "bottomItems"), "between": ("between",), "blanks": ("blanks", "BLANKS"), "errors": ("errors",)}  # fmt: skip
        operator = pick(list(names))
        rule, label = names[operator], pick(spoken[operator] + (operator,))
        code = f"{rule}()"
        if rule in ("Top", "Bottom"):
            if rng.random() < 0.2:
                label, code = operator, f"{rule}(1)"
            else:
                n = pick((1, 2, 3, 5, 10, 10, 15, 20))
                label, code = f"{label} {self.keep(str(n))}", f"{rule}({n})"
        elif rule in ("TopPercent", "BottomPercent"):
            n = pick((3, 5, 10, 10, 20, 25))
            label, code = f"{label} {self.keep(f'{n}%')}", f"{rule}({n})"
        elif rule in ("GreaterThan", "LessThan"):
            text, number = self.number(self._any_number(), None)
            label, code = f"{label} {text}", f"{rule}({number})"
        elif rule == "Between":
            low = self._any_number()
            (a, a_code), (b, b_code) = self.number(low, None), self.number(self._any_number(like=low), None)
            label, code = f"{label} {a} {pick(('and', 'to'))} {b}", f"Between({a_code}, {b_code})"
        elif rule in ("Equals", "TextContains"):
            text, _ = self.text_literal(None, "TextEquals")
            if rule == "Equals" and not re.fullmatch(r"-?\d+(\.\d+)?", text):
                rule = "TextEquals"
            label, code = f"{label} {self.quoted(text)}", f"{rule}({text})"
        header = pick(COLUMNS[pick(_KEYS)].headers) if rng.random() < 0.75 else _styled(f"{pick(HEADER_ADJ)} {pick(HEADER_NOUN)}", pick(("as is", "snake", "upper")))
        header = self.keep(header)
        area, sheet = self.keep(self._range()), self.keep(pick(P.SHEET_NAMES))
        frames = ("Apply {l} conditional formatting on cell range {r} in {s} sheet.", "Apply {l} conditional formatting on cell range {r} for column {h} in {s} sheet", "Apply {l} on cell range {r} on {h} column in {s}.", "Apply conditional formatting of {l} on sheet {s}",
                  "Apply {l} in sheet {s} for range {r}", "Apply conditional formatting {l} from cell {r} (column- {h})", "Apply {l} conditional formatting to {h} from range {r} in {s}.", "Apply {l} for column {h} on sheet {s}", "In {s}, apply {l} in column {h}",
                  "used' conditional formatting' function to find {l} from cells {r} in sheet titled' {s}'", "Applied {l} conditional format in cells {r} in sheet {s}", "Change {l} from range {r} on sheet {s}", "Add conditional formatting {l} to {h}",
                  "Highlight {l} on range {r} for {h}", "Conditional formatting {l} for range {r} on sheet {s}", "In column-{h}, highlight {l} by conditional formatting from cell {r}", "{l} for {h} range {r} on sheet {s}", "Apply {l} to {h}", "Set {l} for {h} in {s}")  # fmt: skip
        return pick(frames).format(l=label, r=area, s=sheet, h=header), code

    # -- finishing ---------------------------------------------------------------------------------------------------

    def finish(self, text: str) -> str:
        """Casing, punctuation and typos of the words between the literals, then the literals."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.07 and self.columns and self.referenced:
            text = text.rstrip("?") + self._place() if draw < 0.05 else self._place().strip().rstrip(".") + ", " + text
        if rng.random() < 0.05:
            text = self.pick(("hi, {}", "ok so {}", "{} asap", "{} please", "{} for the report", "in this table, {}", "{} so I can spot them", "{} for me", "next, {}", "{} quickly", "hey {}", "{} if possible", "{} so they pop out",
                              "{} before I send this to my boss", "first of all {}", "{} to make them easier to see", "for the meeting, {}")).format(text.rstrip("?."))  # fmt: skip
        text = _AN.sub("an ", _DOUBLED.sub(r"\2", text))
        draw = rng.random()
        if draw < 0.4:
            text = text[0].upper() + text[1:]
        elif draw < 0.62:
            text = text.lower()
        elif draw < 0.64:
            text = text.upper()
        if rng.random() < 0.07:
            text = self._typo(text)
        if text[-1] not in "?.!":
            draw = rng.random()
            text += "." if draw < 0.2 else "!" if draw < 0.215 else ""
        elif text.endswith("?") and rng.random() < 0.25:
            text = text[:-1]
        text = re.sub(" {2,}", " ", text)
        return "".join(self.literals[ord(char) - _FIRST_LITERAL] if _FIRST_LITERAL <= ord(char) < _FIRST_LITERAL + 400 else char for char in text)

    def _typo(self, text: str) -> str:
        rng, words = self.rng, text.split(" ")
        slips = [i for i, word in enumerate(words) if word.lower() in P.TYPOS]
        if slips and rng.random() < 0.7:
            i = self.pick(slips)
            words[i] = self.pick(P.TYPOS[words[i].lower()])
            return " ".join(words)
        long = [i for i, word in enumerate(words) if len(word) > 5 and word.isascii() and word.isalpha()]
        if not long:
            return text
        i = self.pick(long)
        word = words[i]
        at = 1 + int(rng.random() * (len(word) - 3))
        words[i] = self.pick((word[:at] + word[at + 1] + word[at] + word[at + 2 :], word[:at] + word[at + 1 :], word[: at + 1] + word[at:]))
        return " ".join(words)


def _styled(header: str, style: str) -> str:
    """The header in one of the spellings of column names: snake_case, camelCase, UPPER ..."""
    if style == "as is":
        return header
    if style in ("lower", "upper"):
        return header.lower() if style == "lower" else header.upper()
    words = [word for word in re.split(r"[^\w%#°]+", header) if word]
    if len(words) < 2 or not all(word.isascii() for word in words):
        return header.lower() if style == "snake" else header
    if style == "snake":
        return "_".join(words).lower()
    if style == "snake upper":
        return "_".join(words).upper()
    if style == "dotted":
        return ".".join(words).lower()
    joined = "".join(word[0].upper() + word[1:].lower() for word in words)
    return joined if style == "pascal" else joined[0].lower() + joined[1:]


def _humanized(header: str) -> str:
    """The header as spoken: words in lower case, without its unit."""
    text = re.sub(r"\s*\([^)]*\)$", "", _CAMEL.sub(" ", header).replace("_", " ")).lower()
    return re.sub(r"(?<=\w)\.(?=\w)", " ", text).strip(" .?#") or header


def _date_text(day: date, style: str) -> str:
    month = P.MONTHS[day.month - 1]
    suffix = "th" if 11 <= day.day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    return {
        "iso": day.isoformat(),
        "dmy": f"{day.day:02}/{day.month:02}/{day.year}",
        "mdy": f"{day.month:02}/{day.day:02}/{day.year}",
        "dot": f"{day.day:02}.{day.month:02}.{day.year}",
        "text": f"{day.day} {month} {day.year}",
        "short": f"{day.day} {month[:3]} {day.year}",
        "us": f"{month} {day.day}, {day.year}",
        "us2": f"{month[:3]} {day.day} {day.year}",
        "ordinal": f"{month} {day.day}{suffix}, {day.year}",
        "ofthe": f"{day.day}{suffix} of {month} {day.year}",
        "dash": f"{day.day:02}-{month[:3]}-{day.year}",
    }[style]


def _gerund(verb: str) -> str | None:
    """ "earn" -> "earning"; `None` for past tenses and passives."""
    first, _, rest = verb.partition(" ")
    if first in ("earn", "cost", "sell", "go", "weigh", "last", "cover", "owe", "take", "wait", "yield", "emit", "give", "produce", "carry", "spend", "use", "make", "stay", "consume", "score", "pay", "handle", "total", "generate"):
        return f"{first[:-1] if first.endswith('e') else first}ing {rest}".strip()
    return None


def _third_person(verb: str) -> str:
    first, _, rest = verb.partition(" ")
    if first in ("are", "have", "were"):
        first = {"are": "is", "have": "has", "were": "was"}[first]
    elif _gerund(verb) or first in ("bring", "get", "ask", "rent", "average"):
        first = first[:-1] + "ies" if first == "carry" else first + ("es" if first == "go" else "s")
    return f"{first} {rest}".strip()


def _usable(text: str) -> bool:
    """Whether a literal can stand unquoted in a rule and be read back."""
    return bool(text) and text == text.strip() and len(text) <= 40 and not any(char in "(),'\"\n\t“”`" for char in text)


def _last_argument(code: str) -> str:
    """The literal of a text rule in lower case; a character that no table holds for other rules."""
    return code.rpartition("(")[2].rstrip(")").lower() if "Text" in code else "\0"


def _last_literal(text: str) -> str:
    """The last protected literal of a phrase."""
    return [char for char in text if ord(char) >= _FIRST_LITERAL][-1]


def _corpus_literals(rules: list[str]) -> tuple[list[str], list[str]]:
    """Literals of an unlabelled corpus: (texts, plain numbers), without cell references and broken encodings."""
    texts, numbers = [], []
    for rule in rules:
        match = re.fullmatch(r"(?:NOT\()?Text\w+\(([^()]+)\)\)?", rule)
        if match and _usable(text := match.group(1)) and not re.search(r"[$=;{}|\\<>&]|\ufffd", text) and sum(char.isalnum() for char in text) * 2 >= len(text):
            texts.append(text)
        match = re.fullmatch(r"(?:GreaterThan|LessThan|Equals|NotEquals)(?:Equal)?\((-?\d+(?:\.\d{1,4})?)\)", rule)
        if match and len(match.group(1)) < 9:
            numbers.append(match.group(1))
    return texts, numbers


_COLUMN_PHRASES = ("the {m} column",) * 6 + ("column {m}", "{m}", "{m}", "{m}", "the {m} field", "{m} column", 'column "{m}"', '"{m}"', "'{m}'", "[{m}]", "the column {m}", "the {m}", "{m} col", "column '{m}'", "the \"{m}\" column",
                                             "column-{m}", "the column called {m}", "the column named {m}", "field {m}")  # fmt: skip
_ADJECTIVES = tuple((name, P.NUMBER_PHRASES[name]) for name in ("GreaterThan", "GreaterThanEqual", "LessThan", "LessThanEqual"))
_KEYS = tuple(COLUMNS)
# words that name no column when they are left alone from a longer header
_VAGUE = frozenset("of per no number id name total date time type code level rate value amount count score on by in to from the is at days hours new list "
                   "last first max min avg daily net gross expected own end start due main final unit home red yellow test order item customer employee".split())  # fmt: skip
_FUNCTION_WORDS = frozenset("no number of".split())
_HEADER_WORDS = frozenset(text.lower() for text in HEADER_ADJ)
_NAMES = {key: frozenset(text.lower() for text in column.mentions + column.headers + column.have) for key, column in COLUMNS.items()}
_DOUBLED = re.compile(r"\b(all|the|any|only the|those|what are the) (the|all|everything|anything|everyone|anyone|those|every)\b", re.IGNORECASE)
_AN = re.compile(r"\ba (?=orange|amber)")
_FLAGS = {"verified": "verified", "certified": "certified", "vaccinated": "vaccinated", "irrigated": "irrigated", "approved": "approved", "vegan": "vegan"}
_IDIOMS = {
    ("profit", "negative"): ("in the red", "losing money", "that lost money", "making a loss"),
    ("profit", "positive"): ("in the black", "making a profit", "that made money"),
    ("roi", "negative"): ("with a loss", "losing money"), ("balance", "negative"): ("in the red", "that are overdrawn"),
    ("change", "negative"): ("that fell", "that went down", "that dropped"), ("change", "positive"): ("that rose", "that went up", "that gained"),
    ("stock", "zero"): ("out of stock", "that are out of stock", "with nothing left in stock", "sold out"),
    ("copies", "zero"): ("with no copies left",), ("bids", "zero"): ("without bids", "nobody bid on"),
    ("temp", "negative"): ("below freezing", "colder than zero"), ("goals", "zero"): ("without a goal", "who have not scored" ),
    ("reviews", "zero"): ("without reviews", "that nobody reviewed"), ("dayslate", "positive"): ("that are late", "that are overdue"),
    ("delay", "positive"): ("that were late", "with any delay"), ("absent", "zero"): ("who were never absent",), ("rain", "zero"): ("without rain",),
    ("discount", "zero"): ("without a discount",), ("discount", "positive"): ("with a discount", "that are discounted"), ("losses", "zero"): ("that never lost", "without a loss"),
}  # fmt: skip
_PAIR_IDIOMS = (
    ("actual", "budget", "GreaterThan", ("over budget", "that went over budget", "that are over budget", "that overspent", "that exceeded their budget")),
    ("actual", "budget", "LessThan", ("under budget", "that stayed under budget", "that are below budget")),
    ("expenses", "budget", "GreaterThan", ("over budget", "that overspent", "that blew the budget")),
    ("revenue", "target", "LessThan", ("below target", "that missed the target", "under target", "that did not reach the target")),
    ("revenue", "target", "GreaterThan", ("above target", "that beat the target", "over target", "that exceeded the target")),
    ("actual", "target", "LessThan", ("below target", "that missed the target")),
    ("stock", "reorder", "LessThan", ("below the reorder level", "under the reorder point", "whose stock fell below the reorder level", "that dropped under the minimum stock")),
    ("deliverydate", "promised", "GreaterThan", ("that arrived late", "delivered late", "delivered after the promised date", "that came later than promised")),
    ("deliverydate", "promised", "LessThan", ("that arrived early", "delivered early", "delivered earlier than promised")),
    ("paydate", "duedate", "GreaterThan", ("paid late", "paid after the due date", "that were paid late")),
    ("returned", "duedate", "GreaterThan", ("returned late", "brought back late", "returned after the due date")),
    ("spent", "effort", "GreaterThan", ("that took longer than estimated", "over the estimate", "that exceeded the estimate")),
    ("price", "cost", "LessThan", ("sold below cost", "priced below cost", "that sell for less than they cost")),
    ("mrr", "budget", "GreaterThan", ("over budget",)),
    ("houseprice", "budget", "GreaterThan", ("over budget",)),
    ("boxoffice", "budget", "LessThan", ("that lost money", "that made less than their budget", "that grossed less than their budget")),
    ("shareprice", "openp", "GreaterThan", ("that closed higher than they opened", "that closed above the open")),
    ("shareprice", "openp", "LessThan", ("that closed lower than they opened", "that closed below the open")),
    ("wins", "losses", "GreaterThan", ("with more wins than losses", "that won more than they lost")),
    ("wins", "losses", "LessThan", ("with fewer wins than losses", "that lost more than they won", "with more losses than wins")),
    ("exam2", "exam1", "GreaterThan", ("who improved from midterm to final", "who did better in the final than in the midterm")),
    ("exam2", "exam1", "LessThan", ("who did worse in the final than in the midterm", "who scored lower on the final than on the midterm")),
    ("finalbid", "startbid", "GreaterThan", ("that sold above the starting bid",)),
    ("enrolled", "capacity", "GreaterThan", ("over capacity", "that are overbooked", "with more students than seats")),
    ("ticketsold", "capacity", "Equals", ("that are sold out",)),
    ("occupancy", "capacity", "GreaterThan", ("over capacity",)),
    ("math", "english", "GreaterThan", ("who are better at math than at english", "with a higher mark in math than in english")),
)  # fmt: skip
_PERCENT = _Cells(Column("percent", "pct", ("1", "100"), ("",), ("",)), "", [])


# -- literal swap --------------------------------------------------------------------------------------------------------

_LEAF = re.compile(r"([A-Za-z]\w*)\(([^()]*)\)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?%?")


def swap_literals(nl: str, code: str, rng: random.Random) -> tuple[str, str]:
    """Replace one literal that stands in both the utterance and the rule by another of its kind, on both sides.

    A literal is swapped only where it is unambiguous: it occurs once in the rule and once in the utterance as a word of its own
    (numbers also with thousands separators), not inside a cell range such as `A5:H45`. The bounds of `Between` keep their order.
    Meant for pairs whose column, if any, is named in words: a text literal that alone implies its column would stop doing so.

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
        if len(spans) == 1 and not _in_range(nl, *spans[0]):
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
        if name.startswith(("textstart", "textend", "start", "end")) and len(bare) <= 3:
            new_written = new_code = new_code.split(" ")[0][: max(1, len(bare))]
        if new_code.lower() == bare.lower() or re.search(_word(new_code), nl, re.IGNORECASE):
            return nl, code
    code_match = re.search(_word(bare), code)
    return nl[:start] + new_written + nl[end:], code[: code_match.start()] + new_code + code[code_match.end() :]


def _word(text: str) -> str:
    """Pattern of `text` as a word of its own: "5" is neither in "H5" nor in "1.5", "15%"'s 15 is found before the sign."""
    left = r"(?<![\w.,$:#-])" if re.match(r"\d", text) else r"(?<!\w)" if re.match(r"\w", text) else ""
    if re.match(r"\d", text):
        left = r"(?<![\w:#-])(?<!\d[.,])"
    right = r"(?!\w|[.,]\d|:\w|-\d)" if re.search(r"\d$", text) else r"(?!\w)" if re.search(r"\w$", text) else ""
    return left + re.escape(text) + right


def _in_range(nl: str, start: int, end: int) -> bool:
    """Whether the span touches a cell range or a cell, such as A5:H45, C6-C35, $B$5."""
    return any(
        match.start() < end and start < match.end()
        for match in re.finditer(r"\$?[A-Za-z]{1,3}\$?\d+(?:\s*(?::|-|to)\s*\$?[A-Za-z]{0,3}\s?\$?\d+)?|\b[A-Za-z]{1,3}:[A-Za-z]{1,3}\b|\b\d+\s*:\s*\d+\b", nl)
    )


def _new_number(name: str, old: str, parts: list[str], rng: random.Random) -> str | None:
    value = float(old)
    if name.startswith(("top", "bottom")):
        choices = [n for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 50, 60, 75, 100) if str(n) != old]
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
        # written in either order by users: keep the one that was there, so shift the new bound past the other if need be
        if (low < high) != (new_low < new_high) or new_low == new_high:
            gap = 1 + int(rng.random() * 20)
            shifted = (high - gap if low < high else high + gap) if first else (low + gap if low < high else low - gap)
            text = _plain(float(shifted))
            if text == old or text in (part.rstrip("%") for part in bounds):
                return None
    return text


def _new_text(old: str, rng: random.Random) -> str:
    draw = rng.random()
    sampler = _Sampler(rng, [], [])
    text = ""
    while not _usable(text):
        if draw < 0.15:
            text = sampler._code(("AA-###", "PO###", "A##", "##AA", "AAA-##", "ID_###", "AA/##")[int(rng.random() * 7)])
        elif draw < 0.22:
            text = sampler._text_value(COLUMNS["email"])
        else:
            text = sampler._free_literal()
    if old.isupper() and len(old) > 1:
        return text.upper()
    return text.lower() if old.islower() and rng.random() < 0.7 else text
