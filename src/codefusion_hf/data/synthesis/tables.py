"""Tables, column names and literals of the conditional-formatting pair generator: what an utterance is about."""

from __future__ import annotations

import random
import re
from calendar import month_name
from dataclasses import dataclass, field
from datetime import date, timedelta

from .lexicon import BANK, COLUMNS, DOMAINS, NUMBER_WORDS, Column


NUMERIC = frozenset({"int", "num", "money", "pct", "year"})
SYMBOLS = ("$", "$", "$", "€", "£", "₹", "")
_KEYS = tuple(COLUMNS)
_TOKEN = re.compile(r"[a-z0-9%#°]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_FIRST_LITERAL = 0xE000  # literals stand in the text as private-use characters until casing and typos are done
_FUNCTION_WORDS = frozenset("no number of".split())
_VAGUE = frozenset(BANK["vague words"])
_HEADER_WORDS = frozenset(text.lower() for text in BANK["header adjectives"])
_NAMES = {
    key: frozenset(text.lower() for text in column.mentions + column.headers + column.have)
    for key, column in COLUMNS.items()
}


def _tokens(text: str) -> frozenset[str]:
    return frozenset(_TOKEN.findall(_CAMEL.sub(" ", text).replace("_", " ").lower()))


def _plain(value: float) -> str:
    """A number as the rule language prints it: no separators, no trailing zeros."""
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _usable(text: str) -> bool:
    """Whether a literal can stand unquoted in a rule and be read back."""
    return (
        bool(text) and text == text.strip() and len(text) <= 40 and not any(char in "(),'\"\n\t“”`" for char in text)
    )


@dataclass
class _Cells:
    """A column of a drawn table; the utterance shares its currency symbol."""

    concept: Column
    header: str
    values: list[str]
    symbol: str = ""
    known: frozenset[str] = field(default_factory=frozenset)


class TableSampler:
    """The state of one draw: the table, how its columns may be named, and the literals that the utterance holds."""

    def __init__(self, rng: random.Random, corpus_texts: list[str], corpus_numbers: list[str]):
        self.rng = rng
        self.corpus_texts = corpus_texts
        self.corpus_numbers = corpus_numbers
        self.literals: list[str] = []
        self.columns: list[_Cells] = []
        self.entity, self.person = "rows", False
        self.symbol = self.pick(("$", "$", "€", "£"))
        self.referenced = True  # whether codes carry c[k]

    def chance(self, probability: float) -> bool:
        """Whether an event of this probability happens."""
        return self.rng.random() < probability

    def pick(self, items):
        """One of the items."""
        return items[int(self.rng.random() * len(items))]

    def weighted(self, weights: dict[str, int]) -> str:
        """One of the names, by weight."""
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

    def forms(self, name: str, **values) -> list[str]:
        """The phrases of a bank, filled in."""
        phrases = BANK[name]
        for key, value in values.items():
            phrases = [phrase.replace("{" + key + "}", str(value)) for phrase in phrases]
        return phrases

    def draw_table(self) -> None:
        """Draw the columns and cells of a table."""
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
        """Columns of unrelated domains and made-up names: only the words of a name tell which column is meant."""
        size = 2 + int(self.rng.random() * 6)
        self.entity, self.person = self.pick(BANK["row nouns"]), False
        concepts = []
        for _ in range(size):
            if self.chance(0.45):
                concepts.append(COLUMNS[self.pick(_KEYS)])
            else:
                concepts.append(self._novel_concept(self.chance(0.65)))
        self._fill(list({concept.key: concept for concept in concepts}.values()))

    def _novel_concept(self, numeric: bool) -> Column:
        rng = self.rng
        noun = self.pick(BANK["header nouns"] if numeric else BANK["header texts"])
        form = rng.random()
        if form < 0.3:
            header, mentions = noun, [noun.lower()]
        elif form < 0.75:
            header = f"{self.pick(BANK['header adjectives'])} {noun}"
            mentions = [header.lower(), noun.lower(), header.lower()]
        elif form < 0.9:
            header = f"{noun} {self.pick(BANK['header nouns'] if numeric else BANK['header texts'])}"
            mentions = [header.lower()]
        else:
            header = f"{noun} {self.pick(BANK['header suffixes'])}"
            mentions = [header.lower(), noun.lower()]
        if not numeric:
            if self.chance(0.3):
                kind, args = self.pick(["name", "city", "company", "date"]), ()
            else:
                values = [self.pick(BANK["literals"]) for _ in range(3 + int(rng.random() * 4))]
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
        style = self.pick(
            ("as is",) * 9 + ("lower", "lower", "upper", "snake", "snake", "camel", "pascal", "snake upper", "dotted")
        )
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
                header = " ".join(BANK["abbreviations"].get(word.lower(), word) for word in header.split())
            if concept.units and "(" not in header and self.chance(0.12):
                header = f"{header} ({concept.units[0]})"
            header = _styled(header, style if self.chance(0.93) else "as is")
            if header.lower() in seen:
                header = _styled(concept.mentions[0].title(), style)
            if header.lower() in seen:
                continue
            seen.add(header.lower())
            known = _NAMES.get(concept.key) or frozenset(
                mention.lower() for mention in concept.mentions + concept.headers
            )
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
            first, last = self.pick(BANK["pools"]["first"]), self.pick(BANK["pools"]["last"])
            return first if self.chance(0.15) else f"{first} {last}"
        if kind == "email":
            pools = BANK["pools"]
            first, last = self.pick(pools["first"]).lower(), self.pick(pools["last"]).lower()
            return f"{first}.{last}@{self.pick(pools['domain'])}".replace("'", "")
        if kind == "code":
            return self._code(concept.args[0])
        return self.pick(BANK["pools"][concept.args[0] if kind == "text" else kind])

    def _code(self, pattern: str) -> str:
        rng = self.rng
        return "".join(
            "0123456789"[int(rng.random() * 10)] if char == "#" else "ABCDEFGHJKLMNPRSTUVWX"[int(rng.random() * 21)]
            if char == "A" and pattern.count("A") > 1 or char == "A" and pattern in ("A##", "##A") else char
            for char in pattern
        )  # fmt: skip

    def table(self) -> dict:
        """The table as a sample holds it."""
        rows = [list(row) for row in zip(*(cells.values for cells in self.columns))]
        return {"columns": [cells.header for cells in self.columns], "rows": rows}

    def reference(self, index: int) -> str | None:
        """The column as rules write it; `None` where no table is given."""
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
                    if (
                        words[0] in _FUNCTION_WORDS
                        or _tokens(text) & _VAGUE
                        or _tokens(text) <= _HEADER_WORDS
                        or not re.search("[a-z]{3}", text)
                    ):
                        text = _humanized(cells.header)
            else:
                text = self.pick(cells.concept.mentions)
            if self.clear(index, text):
                return text
        return cells.header if self.clear(index, cells.header) else None

    def column_phrase(self, mention: str) -> str:
        """The column as a place: "the price column", "column Price", "[Price]"."""
        text = mention if self.chance(0.5) else self.keep(mention)
        return self.pick(BANK["column phrases"]).replace("{m}", text)

    def implied(self, index: int, phrases: tuple[str, ...]) -> tuple[str, ...]:
        """Family phrases ("older than") if only this column of the table can be meant."""
        concept = self.columns[index].concept
        if not phrases:
            return ()
        for other, cells in enumerate(self.columns):
            if other != index and (
                (concept.family and cells.concept.family == concept.family)
                or set(phrases)
                & set(cells.concept.greater + cells.concept.less + cells.concept.most + cells.concept.least)
                or set(phrases) & set(cells.concept.verbs)
            ):
                return ()
        return phrases

    def number(self, value: int | float, cells: _Cells | None, unit: bool = True) -> tuple[str, str]:
        """(as written in the utterance, as printed in the rule)."""
        rng = self.rng
        kind = cells.concept.kind if cells else "int"
        code = _plain(value)
        if kind == "pct":
            return self.keep(self.pick(self.forms("number forms", code=code))), f"{code}%"
        if kind == "year":
            return self.keep(code), code
        text, draw = code, rng.random()
        whole = isinstance(value, int)
        if whole and abs(value) >= 1000:
            if draw < 0.35:
                text = f"{value:,}"
            elif value % 1000000 == 0 and draw < 0.75:
                text = self.pick(self.forms("number text", w=value // 1000000))
            elif value % 100000 == 0 and draw < 0.55 and value >= 100000:
                if value % 1000000 and rng.random() < 0.5 and value > 1000000:
                    text = f"{_plain(value / 1000000)} million"
                else:
                    text = self.pick((f"{value // 100000} lakhs", f"{value // 100000} lakh", f"{value // 1000}k"))
            elif value % 100 == 0 and draw < 0.62 and value < 1000000:
                short = _plain(value / 1000)
                text = self.pick((f"{short}k", f"{short}K", f"{short}k", f"{short} thousand"))
        elif whole and value in NUMBER_WORDS and draw < 0.13:
            text = (
                NUMBER_WORDS[value]
                if value < 100
                else self.pick(("a hundred", "one hundred"))
                if value == 100
                else code
            )
        symbol = cells.symbol if cells else ""
        if kind == "money" and text[-1] not in "sMm" and rng.random() < 0.5:
            symbol = symbol or self.symbol
            if symbol == "₹":
                text = self.pick((f"₹{text}", f"Rs. {text}", f"{text} rupees", f"Rs {text}", f"INR {text}"))
            else:
                name = {"$": ("dollars", "USD", "bucks", "dollars"), "€": ("euros", "EUR"), "£": ("pounds", "GBP")}[
                    symbol
                ]
                text = f"{symbol}{text}" if rng.random() < 0.7 and text[0].isdigit() else f"{text} {self.pick(name)}"
        elif unit and cells and cells.concept.units and rng.random() < 0.4:
            text = f"{text} {self.pick(cells.concept.units)}"
        return self.keep(text), code

    def date_literal(self, day: date | None = None) -> tuple[str, str, date]:
        """(as written in the utterance, as printed in the rule, the date)."""
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
        if operator not in ("TextEquals", "NotText"):
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
            return self.pick(BANK["literals"])
        if draw < 0.7:
            return self._code(self.pick(("AA-###", "PO###", "A##", "##AA", "AAA-##", "ID_###", "AA/##")))
        return self._text_value(COLUMNS[self.pick(BANK["free literal forms"])])

    def _part(self, text: str, operator: str) -> str:
        """The part of a value that "contains", "starts with" or "ends with" would look for."""
        rng, words = self.rng, text.split(" ")
        if operator.endswith("StartsWith"):
            if len(words) > 1 and rng.random() < 0.5:
                return words[0]
            return text[: 1 + int(rng.random() * min(3, max(1, len(text) - 1)))].strip()
        if operator.endswith("EndsWith"):
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
    month = month_name[day.month]
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
