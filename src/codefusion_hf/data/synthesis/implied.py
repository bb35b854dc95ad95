"""Utterances of the conditional-formatting pair generator that imply their column without naming it."""

from __future__ import annotations

from datetime import timedelta

from .conditions import GOOD, GOOD_KEYS, ConditionSampler
from .grammar import _call, _singular
from .lexicon import BANK, NUMBER_WORDS
from .tables import NUMERIC, _plain, _tokens, _usable


class ImpliedSampler(ConditionSampler):
    """Draws (object, code) pairs such as "cancelled orders"; `None` where the table offers nothing of the kind."""

    def _implied_value(self) -> tuple[str, str] | None:
        """(object, code) where a value alone tells the column: "cancelled orders", "everything marked Overdue"."""
        counts: dict[str, list[int]] = {}
        for index, cells in enumerate(self.columns):
            if cells.concept.kind in ("cat", "name", "city", "country", "company", "product"):
                for value in dict.fromkeys(cells.values):
                    counts.setdefault(value.lower(), []).append(index)
        candidates = []
        for value, owners in counts.items():
            if len(owners) == 1 and len(value) > 2 and _usable(value):
                words = _tokens(value)
                others = (cells for position, cells in enumerate(self.columns) if position != owners[0])
                if not any(
                    words <= _tokens(text)
                    for cells in others
                    for text in [*cells.values, cells.header, *cells.concept.args]
                    if text
                ):
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
            forms = self.forms("implied value forms", x=literal, e=e)
        elif concept.key in ("city", "country", "company") and self._relations(index):
            forms = self.forms("implied value forms 2", e=e, x=literal)
        elif concept.key == "dept" and self.person:
            forms = self.forms("implied value forms 3", e=e, x=literal)
        elif concept.key == "gender":
            forms = [f"{literal} {e}"]
        else:
            forms = self.forms("implied value forms 4", x=literal)
        return pick(forms), code

    def _implied_measure(self) -> tuple[str, str] | None:
        """(object, code) where currency, unit, percent sign or date alone tells the column: "orders over $500"."""
        groups: dict[str, list[int]] = {}
        for index, cells in enumerate(self.columns):
            concept = cells.concept
            kind = (
                concept.kind if concept.kind in ("money", "pct", "date") else concept.units[0] if concept.units else ""
            )
            if kind:
                groups.setdefault(kind, []).append(index)
        single = [group[0] for group in groups.values() if len(group) == 1]
        if not single:
            return None
        index = self.pick(single)
        cells, entity, reference = self.columns[index], self.entity, self.reference(index)
        if cells.concept.kind == "date":
            if self.chance(0.5):
                period = self.pick(list(BANK["measure periods"]))
                words = BANK["measure periods"][period]
                return self.pick(self.forms("implied measure forms", words=words, e=entity)), _call(period, reference)
            operator = self.weighted(BANK["date weights"])
            text, iso, day = self.date_literal()
            values, arguments = {"n": text}, (iso,)
            if operator == "Between":
                other, iso_b, _ = self.date_literal(day + timedelta(days=int(5 + self.rng.random() * 200)))
                values, arguments = {"a": text, "b": other}, (iso, iso_b)
            adjective = self.pick(
                [
                    phrase
                    for phrase in BANK["date phrases"][operator][0]
                    if "the {" not in phrase and "ahead" not in phrase
                ]
            ).format(**values)
            return f"{entity} {self.pick(('', 'dated '))}{adjective}".replace("dated on", "on"), _call(
                operator, reference, *arguments
            )
        operator = self.pick(
            ("GreaterThan", "GreaterThan", "LessThan", "LessThan", "GreaterThanEqual", "LessThanEqual")
        )
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
        phrase = self.pick(BANK["measure phrases"][operator])
        return f"{entity} {phrase.format(n=self.keep(text))}", _call(operator, reference, code)

    def _performance(self) -> tuple[str, str] | None:
        """(object, code) where the only score of the table is meant without a word: "students above average"."""
        good = [
            index
            for index, cells in enumerate(self.columns)
            if cells.concept.kind in NUMERIC and (cells.concept.family in GOOD or cells.concept.key in GOOD_KEYS)
        ]
        numeric = [cells for cells in self.columns if cells.concept.kind in NUMERIC and cells.concept.key != "age"]
        if len(good) != 1 or len(numeric) > 1 and self.columns[good[0]].concept.family not in GOOD:
            return None
        entity, reference = self.entity, self.reference(good[0])
        if self.chance(0.5):
            name = self.pick(("AboveAverage", "BelowAverage"))
            word = name[:5].lower()
            who = "who are" if self.person else "that are"
            better = "better" if word == "above" else "worse"
            phrases = self.forms("performance average", e=entity, word=word, who=who, better=better)
            return self.pick(phrases), _call(name, reference)
        top = self.chance(0.6)
        n = self.pick((1, 2, 3, 3, 5, 5, 10))
        if n == 1:
            return f"the {self.pick(('best', 'top') if top else ('worst', 'weakest'))} {_singular(entity)}", _call(
                "Top" if top else "Bottom", reference, "1"
            )
        many = self.keep(self.pick((str(n), NUMBER_WORDS[n])))
        word = self.pick(("top", "best", "best performing") if top else ("bottom", "worst", "weakest"))
        return self.pick((f"{word} {many} {entity}", f"the {many} {word} {entity}")), _call(
            "Top" if top else "Bottom", reference, str(n)
        )

    def _flag(self) -> tuple[str, str] | None:
        """(object, code) of yes/no columns: "verified accounts", "animals that are not vaccinated"."""
        flags = [index for index, cells in enumerate(self.columns) if cells.concept.key in BANK["flags"]]
        if not flags:
            return None
        index = self.pick(flags)
        word = BANK["flags"][self.columns[index].concept.key]
        entity, reference = self.entity, self.reference(index)
        yes = [value for value in self.columns[index].values if value]
        positive = self.chance(0.55)
        value = ("Yes" if positive else "No") if self.referenced and set(yes) <= {"Yes", "No"} else None
        if value is None or not self.clear(index, word):
            return None
        if positive:
            phrase = self.pick(self.forms("flag phrase", word=word, e=entity))
        else:
            phrase = self.pick(self.forms("flag phrase 2", e=entity, word=word))
        return phrase, _call("TextEquals", reference, value)

    def _idiom_pair(self) -> tuple[str, str] | None:
        """(object, code) of two columns compared by an idiom: "projects over budget"."""
        places = {cells.concept.key: index for index, cells in enumerate(self.columns)}
        options = [idiom for idiom in BANK["pair idioms"] if idiom[0] in places and idiom[1] in places]
        if not options or not self.referenced:
            return None
        left, right, operator, phrases = self.pick(options)
        return f"{self.entity} {self.pick(phrases)}", _call(
            operator, self.reference(places[left]), self.reference(places[right])
        )
