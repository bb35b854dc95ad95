"""Utterances of the conditional-formatting pair generator without a column: a selection, a range, a whole sheet."""

from __future__ import annotations

import re
from datetime import timedelta

from .grammar import _call, _logic, _text_rule
from .implied import ImpliedSampler
from .lexicon import BANK, COLUMNS, NUMBER_WORDS, Column
from .tables import _KEYS, _Cells, _styled


_PERCENT = _Cells(Column("percent", "pct", ("1", "100"), ("",), ("",)), "", [])
_ADJECTIVES = tuple(
    (name, BANK["number phrases"][name]) for name in ("GreaterThan", "GreaterThanEqual", "LessThan", "LessThanEqual")
)


class UnnamedSampler(ImpliedSampler):
    """Draws (utterance, code) pairs whose rule applies to whatever is selected."""

    def fill(self, frame: str, **values: str) -> str:
        """A frame with its verb, colour, format and `values` filled in."""
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
                word = self.pick(("and", "but", "and", "yet"))
                clause = f"{subject} is {over.format(n=low_text)} {word} {under.format(n=high_text)}"
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
                code = _text_rule(operator, None, text)
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
        """The style of the benchmark: "Apply topItems conditional formatting on cell range T4:T50"."""
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
