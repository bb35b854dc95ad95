"""Synthetic (utterance, rule) pairs for conditional formatting (CF), and literal-swap augmentation of real pairs.

The 641 real pairs of the benchmark never name a column by `c[k]` and cover few rule kinds, while most rules need literals that
training code does not hold (data.md, sections 2 and 3; algorithms.md, section 6.1). The generator composes both sides at once: it
draws a table, a condition, its canonical code and one of many ways to say it. What the words cannot tell is never in the code: a
column that is not named or implied gets no `c[k]`, and a way of naming that would also fit another column is not used.
"""

from __future__ import annotations

import random
import re
from datetime import timedelta

from .synthesis_conditions import ConditionSampler, _call, _Condition, _logic, _plural
from .synthesis_lexicon import BANK, COLUMNS, NUMBER_WORDS, Column
from .synthesis_swap import swap_literals
from .synthesis_tables import _FIRST_LITERAL, _KEYS, NUMERIC, _Cells, _styled, _tokens, _usable


__all__ = ["CFSynthesizer", "swap_literals"]

_PERCENT = _Cells(Column("percent", "pct", ("1", "100"), ("",), ("",)), "", [])
_ADJECTIVES = tuple(
    (name, BANK["number phrases"][name]) for name in ("GreaterThan", "GreaterThanEqual", "LessThan", "LessThanEqual")
)
_DOUBLED = re.compile(
    r"\b(all|the|any|only the|those|what are the) (the|all|everything|anything|everyone|anyone|those|every)\b",
    re.IGNORECASE,
)
_AN = re.compile(r"\ba (?=orange|amber)")


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


class _Sampler(ConditionSampler):
    """Puts conditions into sentences."""

    def fill(self, frame: str, **values: str) -> str:
        pick = self.pick
        if "{F}" in frame:
            frame = frame.replace("{F}", pick(BANK["formats"]))
        if "{V}" in frame:
            verb = pick(BANK["verbs"])
            frame = frame.replace("{V}", verb)
        if "{C}" in frame:
            frame = frame.replace("{C}", pick(BANK["colors"]))
        if "{R}" in frame:
            values["R"] = self.entity if self.chance(0.45) else pick(BANK["row nouns"])
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
            return self.fill(self.pick(BANK["clause frames"]), x=self.pick(condition.clauses))
        if choice == "question":
            return self.fill(self.pick(BANK["question frames"]), e=self.entity, q=self.pick(condition.questions))
        if choice == "column":
            frame = self.pick(BANK["column frames"])
            noun = self.pick(BANK["value nouns"][condition.nouns])
            return self.fill(
                frame, c=self.column_phrase(condition.mention), v=noun, r=condition.reduced, s=condition.singular
            )
        if choice == "object":
            return self.fill(self.pick(BANK["object frames"]), o=self.pick(condition.objects))
        noun = self.entity if rng.random() < 0.75 or self.person else self.pick(BANK["row nouns"])
        if rng.random() < 0.08:
            noun = (
                self.pick(("everyone", "anyone", "all those"))
                if self.person
                else self.pick(("everything", "anything", "all the ones", "those"))
            )
        post = self.pick(condition.posts)
        if noun in ("everyone", "anyone"):
            post = post.replace("that have ", "with ").replace("who are ", "")
            if post.startswith(("who ", "that ")):
                noun = self.entity
        return self.fill(self.pick(BANK["object frames"]), o=f"{noun} {post}")

    def visual(self, column: str, mention: str, name: str) -> str:
        if self.chance(0.3):
            return self.fill(self.pick(BANK["visual sentences"][name]), c=column, m=mention, p=_plural(mention))
        visual = self.pick(BANK["visuals"][name])
        article = self.pick(("", "a ", "")) if not visual.endswith("s") and visual not in ("bar in each cell",) else ""
        article = "an " if article and visual[0] in "aeio" else article
        if visual == "bar in each cell":
            article = "a "
        return self.fill(self.pick(BANK["visual frames"]), c=column, v=article + visual)

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
                values = [
                    self._free_literal() if self.chance(0.4) else str(int(self.rng.random() * 1000)) for _ in range(4)
                ]
                table = {
                    "columns": ["Index", "Value"],
                    "rows": [[str(row), value] for row, value in enumerate(values)],
                }
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
        if (
            kind == "year" or self.columns[index].concept.key == "rank"
        ):  # the top rank is 1: "highest" would be ambiguous
            return "number"
        if kind in NUMERIC:
            return self.weighted({"number": 60, "rank": 22, "average": 10, "state": 6})
        if kind == "date":
            return self.weighted({"date_kind": 74, "rank": 10, "state": 16})
        return (
            self.weighted({"text": 68, "state": 32})
            if kind not in ("cat", "bool")
            else self.weighted({"text": 90, "state": 10})
        )

    def _single(self) -> tuple[str, str] | None:
        draw = self.rng.random()
        if draw < 0.15:
            draws = (
                self._implied_value,
                self._implied_value,
                self._implied_measure,
                self._performance,
                self._flag,
                self._idiom_pair,
            )
            for implied in self.rng.sample(draws, 3):
                pair = implied()
                if pair is not None:
                    return self.fill(self.pick(BANK["object frames"]), o=pair[0]), pair[1]
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
            frame = self.pick(BANK["single frame"])
            return self.fill(
                self.pick(("{V} {x}", "{V} {x} {F}", "{x} in {C}", "please {V} {x}")),
                x=frame.replace("{o}", f"{noun} {self.pick(condition.posts)}"),
            ), _logic("NOT", code)
        return self.say(condition), code

    def _by_position(self, index: int) -> tuple[str, str] | None:
        """Columns by letter or ordinal: "column C", "the second column"."""
        ordinals = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
        phrases = self.forms("by position phrases", w=ordinals[index], w2="ABCDEFGHIJ"[index], w22=index + 1)
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
                visual = self.pick(BANK["visuals"][name])
                return self.fill(self.pick(BANK["visual frames"]), c=column, v=visual), _call(
                    name, self.reference(index)
                )
            operator, arguments, singular, reduced, _ = self._number_phrase(cells)
            code, nouns = _call(operator, self.reference(index), *arguments), "number"
        elif kind == "date":
            return None
        else:
            operator = self.weighted(BANK["text weights"])
            text, _ = self.text_literal(index, operator)
            literal = self.quoted(text)
            singular, _, reduced = (form.format(x=literal) for form in self.pick(BANK["text phrases"][operator]))
            reference, nouns = self.reference(index), "text"
            code = (
                _logic("NOT", _call("TextEquals", reference, text))
                if operator == "NotText"
                else _call(operator, reference, text)
            )
        return self.fill(
            self.pick(BANK["column frames"]), c=column, v=self.pick(BANK["value nouns"][nouns]), r=reduced, s=singular
        ), code

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
        operator = self.weighted(
            {"GreaterThan": 40, "LessThan": 34, "GreaterThanEqual": 8, "LessThanEqual": 8, "Equals": 8, "NotEquals": 6}
        )
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
            bank = BANK["number phrases"][operator]
            adjectives = [
                text
                for text in bank[0]
                if text.endswith("{n}")
                and text
                not in (
                    "{n}",
                    "from {n} up",
                    "up to {n}",
                    "just {n}",
                    "short of {n}",
                    "a minimum of {n}",
                    "a maximum of {n}",
                )
            ]
            singular, _, reduced, _ = self._comparator((adjectives, bank[1], bank[2], []), {"n": second})
        code = _call(operator, self.reference(left), self.reference(right)) if self.referenced else None
        if code is None:
            return None
        clause = f"{self.pick(('', 'the '))}{first} {singular}"
        if self.chance(0.5):
            return self.fill(self.pick(BANK["clause frames"]), x=clause), code
        posts = [f"whose {first} {singular}", f"where {clause}"]
        if not is_date and singular[0].isalpha():
            posts.append(f"with {first} {reduced}")
        if is_date:
            posts += [f"{part} {reduced}" for part in self.implied_participles(left)]
        return self.fill(self.pick(BANK["object frames"]), o=f"{self.entity} {self.pick(posts)}"), code

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
            joined = (
                f"{clauses[0]}, {clauses[1]} and {clauses[2]}"
                if rng.random() < 0.5
                else f"{clauses[0]} and {clauses[1]} and {clauses[2]}"
            )
            return self.fill(self.pick(BANK["clause frames"]), x=joined), _logic("AND", *codes)
        adjective = self._adjective_pair(conditions[1], indices[1]) if draw < 0.25 else None
        if adjective is not None:
            prefix, code = adjective
            return self.fill(self.pick(BANK["object frames"]), o=f"{prefix} {posts[1]}"), _logic("AND", code, codes[1])
        if draw < 0.5:
            word = self.pick(BANK["combination word"])
            return self.fill(self.pick(BANK["clause frames"]), x=f"{clauses[0]} {word} {clauses[1]}"), _logic(
                "AND", *codes
            )
        if draw < 0.72:
            word = self.pick((" and ", " and ", " but ", ", and ", " and also "))
            return self.fill(self.pick(BANK["object frames"]), o=f"{self.entity} {posts[0]}{word}{posts[1]}"), _logic(
                "AND", *codes
            )
        if draw < 0.9:
            text = self.pick(BANK["combination text"]).format(*clauses)
            return self.fill(self.pick(BANK["clause frames"]), x=text), _logic("OR", *codes)
        if draw < 0.94:
            return self.fill(self.pick(BANK["object frames"]), o=f"{self.entity} {posts[0]} or {posts[1]}"), _logic(
                "OR", *codes
            )
        if codes[1].startswith("NOT"):
            return None
        text = self.pick(BANK["combination text 2"]).format(*clauses)
        return self.fill(
            self.pick(("{V} {R} where {x}", "{V} the row if {x}", "{V} {R} {F} where {x}")), x=text
        ), _logic("AND", codes[0], _logic("NOT", codes[1]))

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
            return self.fill(self.pick(BANK["clause frames"]), x=clause), code
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
            if code.startswith("AND("):  # one flat conjunction
                code = code[len("AND(") : -1]
            return self.fill(self.pick(BANK["clause frames"]), x=f"{second.clauses[0]} and {clause}"), _logic(
                "AND", second.code, code
            )
        if draw < 0.5 and clause.startswith(subject):
            return self.fill(
                self.pick(BANK["object frames"]), o=f"{self.entity} whose {mention}{clause[len(subject) :]}"
            ), code
        return self.fill(self.pick(BANK["clause frames"]), x=clause), code

    def _alternatives(self, subject: str, texts: list[str], reference: str | None) -> tuple[str, str]:
        """Several literals for one text subject: either, neither, both."""
        a, b, third = (self.quoted(text) for text in texts[:3])
        draw = self.rng.random()
        equal = [_call("TextEquals", reference, text) for text in texts]
        contain = [_call("TextContains", reference, text) for text in texts]
        if draw < 0.5:
            form = self.pick(BANK["alternatives form"])
            return form.format(s=subject, a=a, b=b), _logic("OR", *equal[:2])
        if draw < 0.6:
            form = self.pick(BANK["alternatives form 2"])
            return form.format(s=subject, a=a, b=b, c=third), _logic("OR", *equal[:3])
        if draw < 0.75:
            form = self.pick(BANK["alternatives form 3"])
            if form.endswith("not {a} or {b}"):
                return form.format(s=subject, a=a, b=b), _logic("NOT", _logic("OR", *equal[:2]))
            return form.format(s=subject, a=a, b=b), _logic("AND", *(_logic("NOT", rule) for rule in equal[:2]))
        if draw < 0.9:
            return self.pick(BANK["alternatives forms"]).format(s=subject, a=a, b=b), _logic("OR", *contain[:2])
        if draw < 0.95:
            return self.pick(("{s} contains {a} but not {b}", "{s} includes {a} but does not include {b}")).format(
                s=subject, a=a, b=b
            ), _logic("AND", contain[0], _call("TextNotContains", reference, texts[1]))
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
        adjectives = {
            name: [
                text
                for text in bank[0]
                if text.endswith("{n}") and not text.startswith(("{n}", "from", "equal", "up to", "short"))
            ]
            for name, bank in _ADJECTIVES
        }
        more, less = (
            ("GreaterThan", "LessThan")
            if self.chance(0.7)
            else (self.pick(("GreaterThanEqual", "GreaterThan")), self.pick(("LessThanEqual", "LessThan")))
        )
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
                return f"{subject} is {either}{under.format(n=low_text)} or {over.format(n=high_text)}", _logic(
                    "OR", _call(less, reference, low_code), _call(more, reference, high_code)
                )
            return f"{subject} is {either}{over.format(n=high_text)} or {under.format(n=low_text)}", _logic(
                "OR", _call(more, reference, high_code), _call(less, reference, low_code)
            )
        return f"{subject} is {self.pick(('', 'either '))}{low_text} or {high_text}", _logic(
            "OR", _call("Equals", reference, low_code), _call("Equals", reference, high_code)
        )

    def _no_column(self) -> tuple[str, str]:
        """A rule for whatever is selected: "highlight values above 10", with or without a range and a sheet."""
        kind = self.weighted(
            {"number": 30, "text": 30, "state": 12, "average": 6, "rank": 12, "visual": 9, "date": 5, "logic": 8}
        )
        pick = self.pick
        place = self._place() if self.chance(0.4) else ""
        if not self.columns and self.chance(0.08):
            letter = pick("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
            place = pick(self.forms("no column place", letter=letter))
        frames = BANK["no column frames"]  # fmt: skip
        if kind == "number" or kind == "date":
            if kind == "date":
                if self.chance(0.45):
                    period = pick(list(BANK["period phrases"]))
                    reduced, code = pick(BANK["period phrases"][period]), _call(period, None)
                else:
                    operator = self.weighted(BANK["date weights"])
                    text, iso, day = self.date_literal()
                    values, arguments = {"n": text}, (iso,)
                    if operator == "Between":
                        other, iso_b, _ = self.date_literal(day + timedelta(days=int(5 + self.rng.random() * 200)))
                        values, arguments = {"a": text, "b": other}, (iso, iso_b)
                    reduced, code = (
                        pick([text for text in BANK["date phrases"][operator][0] if "after the" not in text]).format(
                            **values
                        ),
                        _call(operator, None, *arguments),
                    )
                singular, noun = f"is {reduced}", pick(("dates", "cells with dates", "dates", "all dates"))
                frames = frames[:17]
            else:
                operator, arguments, singular, reduced, _ = self._number_phrase(
                    _PERCENT if self.chance(0.07) else None
                )
                code, noun = (
                    _call(operator, None, *arguments),
                    pick(("values", "cells", "numbers", "cells", "values", "entries", "anything", "figures")),
                )
            return self.fill(
                pick(frames[:-5] if reduced[0] in '"' else frames), v=noun, r=reduced, s=singular
            ) + place, code
        if kind == "text":
            operator = self.weighted(BANK["text weights"])
            text, _ = self.text_literal(None, operator)
            number = re.fullmatch(r"-?\d+(\.\d+)?", text)
            if number and operator in ("TextEquals", "NotText"):
                code = _call("Equals" if operator == "TextEquals" else "NotEquals", None, text)
            else:
                code = (
                    _logic("NOT", _call("TextEquals", None, text))
                    if operator == "NotText"
                    else _call(operator, None, text)
                )
            literal = self.quoted(text)
            singular, _, reduced = (form.format(x=literal) for form in pick(BANK["text phrases"][operator]))
            if operator == "TextEquals" and self.chance(0.4):
                forms = self.forms("no column forms", x=literal)  # fmt: skip
                return self.fill(pick(forms)) + place, code
            noun = pick(("cells", "values", "cells", "text", "entries", "anything", "all cells"))
            return self.fill(pick(frames), v=noun, r=reduced, s=singular) + place, code
        if kind == "state":
            names = {"Blanks": BANK["no column names"],
                     "NotBlanks": BANK["no column names 2"],
                     "Errors": BANK["no column names 3"],
                     "Duplicates": BANK["no column names 4"],
                     "Unique": BANK["no column names 5"]}  # fmt: skip
            name = self.weighted({"Blanks": 26, "NotBlanks": 9, "Errors": 16, "Duplicates": 32, "Unique": 14})
            code = "NOT(Blanks())" if name == "NotBlanks" else f"{name}()"
            return self.fill(pick(BANK["object frames"]), o=pick(names[name])) + place, code
        if kind == "average":
            name = pick(("AboveAverage", "BelowAverage"))
            phrase = pick(BANK["average phrases"][name])
            objects = self.forms("no column objects", phrase=phrase, w="above" if name[0] == "A" else "below")
            return self.fill(pick(BANK["object frames"]), o=pick(objects)) + place, f"{name}()"
        if kind == "rank":
            top, percent = self.chance(0.6), self.chance(0.25)
            n = pick((10, 5, 20, 25, 1, 15, 3)) if percent else pick((1, 1, 2, 3, 5, 5, 10, 10, 15, 20, 4, 7, 50))
            side = "top" if top else "bottom"
            extreme = pick(("highest", "largest", "biggest", "greatest")) if top else pick(("lowest", "smallest"))
            if percent:
                amount = self.keep(pick((f"{n}%", f"{n} %", f"{n} percent", f"{n} per cent")))
                objects = self.forms("no column objects 2", side=side, amount=amount, extreme=extreme)
                return self.fill(pick(BANK["object frames"]), o=pick(objects)) + place, _call(
                    "TopPercent" if top else "BottomPercent", None, str(n)
                )
            if n == 1:
                objects = self.forms(
                    "no column objects 3",
                    extreme=extreme,
                    w="maximum" if top else "minimum",
                    w2="max" if top else "min",
                    side=side,
                )
            else:
                many = self.keep(NUMBER_WORDS[n] if n in NUMBER_WORDS and n <= 10 and self.chance(0.3) else str(n))
                objects = self.forms("no column objects 4", side=side, many=many, extreme=extreme)
            return self.fill(pick(BANK["object frames"]), o=pick(objects)) + place, _call(
                "Top" if top else "Bottom", None, str(n)
            )
        if kind == "visual":
            name = pick(("ColorScale", "DataBar", "IconSet"))
            target = (
                pick(BANK["no column target"])
                if not place
                else place.strip().removeprefix("on ").removeprefix("in ").removeprefix("from ").removeprefix("for ")
            )
            if place and not target.startswith(("range", "cell", "column", "sheet", "the")):
                target = "cells " + target
            return self.fill(pick(BANK["visual frames"]), c=target, v=pick(BANK["visuals"][name])), f"{name}()"
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
        forms = BANK["no column forms 2"]
        return self.fill(pick(forms), x=clause) + place, code

    def _range(self) -> str:
        rng = self.rng
        letter = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        column = self.pick(letter) if rng.random() < 0.9 else "A" + self.pick(letter)
        start = 1 + int(rng.random() * 12)
        end = start + 1 + int(rng.random() ** 2 * 300)
        last = column if rng.random() < 0.75 else letter[min(25, letter.index(column[-1]) + 1 + int(rng.random() * 8))]
        return self.pick(
            [f"{column}{start}:{last}{end}"] * 4
            + self.forms("range forms", column=column, start=start, last=last, end=end)
        )

    def _place(self) -> str:
        """Where the rule applies, as real users add it: a range, a sheet, both."""
        cells, sheet = self.keep(self._range()), self.keep(self.pick(BANK["sheet names"]))
        return self.pick(BANK["place forms"]).format(r=cells, s=sheet)  # fmt: skip

    def _benchmark_like(self) -> tuple[str, str]:
        """The style of the benchmark's own utterances: "Apply topItems conditional formatting on cell range T4:T50 ..."."""
        rng, pick = self.rng, self.pick
        names, spoken = BANK["benchmark rules"], BANK["benchmark labels"]
        operator = pick(list(names))
        rule, label = names[operator], pick([*spoken[operator], operator])
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
        header = (
            pick(COLUMNS[pick(_KEYS)].headers)
            if rng.random() < 0.75
            else _styled(
                f"{pick(BANK['header adjectives'])} {pick(BANK['header nouns'])}", pick(("as is", "snake", "upper"))
            )
        )
        header = self.keep(header)
        area, sheet = self.keep(self._range()), self.keep(pick(BANK["sheet names"]))
        frames = BANK["benchmark like frames"]  # fmt: skip
        return pick(frames).format(l=label, r=area, s=sheet, h=header), code

    def finish(self, text: str) -> str:
        """Casing, punctuation and typos of the words between the literals, then the literals."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.07 and self.columns and self.referenced:
            text = text.rstrip("?") + self._place() if draw < 0.05 else self._place().strip().rstrip(".") + ", " + text
        if rng.random() < 0.05:
            text = self.pick(BANK["finish text"]).format(text.rstrip("?."))  # fmt: skip
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
        return "".join(
            self.literals[ord(char) - _FIRST_LITERAL] if _FIRST_LITERAL <= ord(char) < _FIRST_LITERAL + 400 else char
            for char in text
        )

    def _typo(self, text: str) -> str:
        rng, words = self.rng, text.split(" ")
        slips = [i for i, word in enumerate(words) if word.lower() in BANK["typos"]]
        if slips and rng.random() < 0.7:
            i = self.pick(slips)
            words[i] = self.pick(BANK["typos"][words[i].lower()])
            return " ".join(words)
        long = [i for i, word in enumerate(words) if len(word) > 5 and word.isascii() and word.isalpha()]
        if not long:
            return text
        i = self.pick(long)
        word = words[i]
        at = 1 + int(rng.random() * (len(word) - 3))
        words[i] = self.pick(
            (
                word[:at] + word[at + 1] + word[at] + word[at + 2 :],
                word[:at] + word[at + 1 :],
                word[: at + 1] + word[at:],
            )
        )
        return " ".join(words)


def _last_argument(code: str) -> str:
    """The literal of a text rule in lower case; a character that no table holds for other rules."""
    return code.rpartition("(")[2].rstrip(")").lower() if "Text" in code else "\0"


def _corpus_literals(rules: list[str]) -> tuple[list[str], list[str]]:
    """Literals of an unlabelled corpus: (texts, plain numbers), without cell references and broken encodings."""
    texts, numbers = [], []
    for rule in rules:
        match = re.fullmatch(r"(?:NOT\()?Text\w+\(([^()]+)\)\)?", rule)
        if (
            match
            and _usable(text := match.group(1))
            and not re.search(r"[$=;{}|\\<>&]|\ufffd", text)
            and sum(char.isalnum() for char in text) * 2 >= len(text)
        ):
            texts.append(text)
        match = re.fullmatch(r"(?:GreaterThan|LessThan|Equals|NotEquals)(?:Equal)?\((-?\d+(?:\.\d{1,4})?)\)", rule)
        if match and len(match.group(1)) < 9:
            numbers.append(match.group(1))
    return texts, numbers
