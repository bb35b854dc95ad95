"""Conditions of the conditional-formatting pair generator: a rule and the many ways to put it into words."""

from __future__ import annotations

from calendar import month_name, monthrange
from dataclasses import dataclass, field
from datetime import date, timedelta

from .grammar import (
    _article,
    _call,
    _gerund,
    _last_literal,
    _logic,
    _plural,
    _singular,
    _text_rule,
    _third_person,
)
from .lexicon import BANK, NUMBER_WORDS
from .tables import _FIRST_LITERAL, TableSampler, _Cells


FUTURE = frozenset({"Tomorrow", "NextWeek", "NextMonth"})
# concepts of which more is better: only there do "best" and "worst" tell the direction
GOOD = frozenset({"score", "rating"})
GOOD_KEYS = frozenset(
    "gpa margin revenue roi attend satis math english science physics art exam1 exam2 profit ontime ppg goals".split()
)


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


class ConditionSampler(TableSampler):
    """Draws conditions on the columns of the table."""

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

    def _assemble(
        self, index: int, mention: str, code: str, singular: str, reduced: str, quantity: str, nouns: str
    ) -> _Condition:
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
                posts += self.forms("assemble posts", noun=noun, reduced=reduced)
                questions.append(f"have {noun} {reduced}")
            elif nouns == "date":
                posts.append(f"with {_article(mention)} {reduced}")
                questions.append(f"have {_article(mention)} {reduced}")
            condition.objects.append(f"{_plural(mention)} {reduced}")
        return condition

    def _number_phrase(self, cells: _Cells | None) -> tuple[str, tuple[str, ...], str, str, str]:
        """(operator, arguments, singular verb phrase, post-modifier, phrase after a verb) of a numeric comparison."""
        weights = BANK["number weights"]
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
        singular, plural, reduced, quantity = self._comparator(BANK["number phrases"][operator], values)
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
            return (
                round(like * self.pick((1.2, 1.5, 2, 3, 10)) + 1, 2)
                if isinstance(like, float)
                else like + self.pick((1, 5, 10, 20, 100, 500)) * max(1, abs(like) // 10)
            )
        draw = rng.random()
        if draw < 0.12 and self.corpus_numbers:
            text = self.pick(self.corpus_numbers)
            return float(text) if "." in text else int(text)
        if draw < 0.45:
            return int(rng.random() * 100)
        if draw < 0.6:
            return self.pick(
                (5, 10, 20, 25, 50, 75, 100, 200, 250, 500, 1000, 1500, 5000, 10000, 25000, 100000, 1000000)
            )
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
        condition = self._assemble(
            index, mention, _call(operator, self.reference(index), *arguments), singular, reduced, quantity, "number"
        )
        literal = singular
        extra = []
        if quantity:
            for verb in self.implied(index, concept.verbs)[:3]:
                if not (verb.endswith(" of") and " or " in quantity):
                    extra += [
                        f"that {verb} {quantity}",
                        f"who {verb} {quantity}" if self.person else f"that {verb} {quantity}",
                    ]
                    condition.questions += [f"{verb} {quantity}"] * 2
            if concept.have and not self.literals[-1].endswith(concept.units):
                noun = self.pick(concept.have)
                if self.clear(index, noun):
                    extra += self.forms("number extra", quantity=quantity, noun=noun)
                    condition.questions += [f"have {quantity} {noun}"] * 2
        adjectives = concept.greater if operator == "GreaterThan" else concept.less if operator == "LessThan" else ()
        for adjective in self.implied(index, adjectives):
            text = f"{adjective} {_last_literal(literal)}"
            extra += [text, text, f"that are {text}" if not self.person else f"who are {text}"]
            condition.questions += [f"are {text}"]
        if concept.key in ("pubyear", "relyear", "yearbuilt") and operator in ("GreaterThan", "LessThan"):
            word = "after" if operator == "GreaterThan" else "before"
            extra += [f"{concept.participles[0]} {word} {_last_literal(literal)}"] * 3
        elif concept.key in ("pubyear", "relyear", "yearbuilt") and operator in (
            "Equals",
            "Between",
            "GreaterThanEqual",
        ):
            span = {"Equals": "in {}", "Between": "between {} and {}", "GreaterThanEqual": "in or after {}"}[operator]
            extra += [
                f"{concept.participles[0]} {span}".format(*(char for char in literal if ord(char) >= _FIRST_LITERAL))
            ] * 3
        if quantity and "{" not in quantity:
            for verb in self.implied(index, concept.verbs)[:2]:
                gerund = _gerund(verb)
                if gerund:
                    extra += [f"{gerund} {quantity}"] * 2
                if not verb.endswith(" of"):
                    third = _third_person(verb)
                    who = "anyone who" if self.person else "anything that"
                    condition.objects += [
                        f"{who} {third} {quantity}",
                        f"{'everyone who' if self.person else 'everything that'} {third} {quantity}",
                    ]
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
        comparison = self.pick(BANK["zero comparisons"][kind]).format(zero=zero)
        condition = _Condition(
            _call(operator, reference, f"0{percent}"),
            mention,
            [f"{mention} is {comparison}"],
            self.forms("special number condition", m=mention, comparison=comparison, adjective=adjective),
        )
        condition.objects = [f"{adjective} {_plural(mention)}", f"{adjective} values in {self.column_phrase(mention)}"]
        idioms = BANK["zero idioms"].get(f"{concept.key} {kind}")
        if idioms and self.implied(index, ("x",)):
            condition.posts += [text for text in idioms] * 3
        return condition

    def _text(self, index: int, mention: str) -> _Condition:
        cells = self.columns[index]
        concept = cells.concept
        weights = dict(BANK["text weights"])
        if concept.kind in ("cat", "bool"):
            weights.update(TextEquals=70, TextContains=10, TextStartsWith=4, TextEndsWith=2)
        operator = self.weighted(weights)
        text, code_text = self.text_literal(index, operator)
        return self._text_condition(index, mention, operator, text)

    def _text_condition(self, index: int, mention: str, operator: str, text: str) -> _Condition:
        reference = self.reference(index)
        code = _text_rule(operator, reference, text)
        literal = self.quoted(text)
        singular, _, reduced = (form.format(x=literal) for form in self.pick(BANK["text phrases"][operator]))
        condition = self._assemble(index, mention, code, singular, reduced, "", "text")
        condition.objects = [f"{_plural(mention)} {reduced}"] if reduced[0].isalpha() else []
        posts = condition.posts
        if operator == "TextEquals":
            bare = literal
            posts += self.forms("text condition posts", m=mention, x=bare)
            condition.clauses.append(f"{mention}: {bare}")
            posts += [relation.format(x=bare) for relation in self._relations(index)] * 2
            condition.questions += self.forms("text condition questions", x=bare, m=mention)
        elif operator == "NotText":
            posts += [
                f"not {relation}".format(x=literal)
                for relation in self._relations(index)
                if not relation.startswith(("who", "where", "with"))
            ]
        elif operator == "TextStartsWith":
            posts += [f"whose {mention} starts with {literal}", f"with {_article(mention)} starting with {literal}"]
        elif operator == "TextContains":
            condition.questions += [f"have {literal} in the {mention}", f"mention {literal} in the {mention}"]
            posts += self.forms("text condition posts 2", x=literal, m=mention, a=_article(mention))
            condition.objects.append(f"{_plural(mention)} with {literal} in them")
        elif operator == "TextEndsWith":
            posts += [f"with {_article(mention)} ending in {literal}", f"whose {mention} ends in {literal}"]
        return condition

    def _relations(self, index: int) -> tuple[str, ...]:
        """Ways to relate entity and value without naming the column ("assigned to Ana"), if no other column fits."""
        key = self.columns[index].concept.key
        others = {cells.concept.key for position, cells in enumerate(self.columns) if position != index}
        if key in BANK["places"] and (others & set(BANK["places"]) or any(other[0] == "~" for other in others)):
            return ()
        taken = {relation for other in others for relation in BANK["relations"].get(other, ())}
        return tuple(relation for relation in BANK["relations"].get(key, ()) if relation not in taken)

    def _date_kind(self, index: int, mention: str) -> _Condition:
        rng, reference = self.rng, self.reference(index)
        draw = rng.random()
        if draw < 0.3:
            period = self.pick(list(BANK["period phrases"]))
            reduced = self.pick(BANK["period phrases"][period])
            code = _call(period, reference)
            past = period not in FUTURE
            singular = (
                f"{self.pick(('is', 'was', 'falls', 'is') if past else ('is', 'falls', 'will be', 'is'))} {reduced}"
            )
            if singular.startswith("falls") and reduced.endswith("date"):
                singular = f"is {reduced}"
        elif draw < 0.42:
            day = self._date()
            if rng.random() < 0.5:
                last = monthrange(day.year, day.month)[1]
                text, low, high = (
                    f"{month_name[day.month]} {day.year}",
                    date(day.year, day.month, 1),
                    date(day.year, day.month, last),
                )
            else:
                text, low, high = f"{day.year}", date(day.year, 1, 1), date(day.year, 12, 31)
            text = self.keep(text)
            reduced = self.pick((f"in {text}", f"in {text}", f"during {text}"))
            singular = f"{self.pick(('is', 'was', 'falls'))} {reduced}"
            code = _call("Between", reference, low.isoformat(), high.isoformat())
        else:
            operator = self.weighted(BANK["date weights"])
            text, iso, day = self.date_literal()
            values, arguments = {"n": text}, (iso,)
            if operator == "Between":
                other, iso_b, _ = self.date_literal(day + timedelta(days=int(5 + rng.random() * 200)))
                values, arguments = {"a": text, "b": other}, (iso, iso_b)
            adjectives, symbols = BANK["date phrases"][operator]
            reduced = self.pick(adjectives).format(**values)
            if reduced.startswith("after the ") and not self.literals[0][0].isdigit():
                reduced = f"after {text}"
            singular = (
                self.pick(symbols).format(**values)
                if rng.random() < 0.14
                else f"{self.pick(('is', 'is', 'was', 'falls', 'is'))} {reduced}"
            )
            code = _call(operator, reference, *arguments)
        condition = self._assemble(index, mention, code, singular, reduced, "", "date")
        for participle in self.implied_participles(index):
            text = f"{participle} {reduced}"
            condition.posts += [text] * 3
            if not participle.startswith(("who", "that", "whose")):
                condition.questions += [
                    f"were {text}" if participle not in ("due", "expiring", "arriving", "leaving") else f"are {text}"
                ]
        return condition

    def implied_participles(self, index: int) -> tuple[str, ...]:
        """What was done on the date ("shipped"), if no other date of the table was the same."""
        own = self.columns[index].concept.participles
        others = {
            part
            for position, cells in enumerate(self.columns)
            if position != index
            for part in cells.concept.participles
        }
        return tuple(part for part in own if part not in others)

    def _average(self, index: int, mention: str) -> _Condition:
        name = self.pick(("AboveAverage", "BelowAverage"))
        concept = self.columns[index].concept
        reduced = self.pick(BANK["average phrases"][name])
        condition = self._assemble(
            index, mention, _call(name, self.reference(index)), f"is {reduced}", reduced, "", "number"
        )
        word = "above" if name == "AboveAverage" else "below"
        condition.posts += self.forms("average posts", word=word, m=mention)
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
            condition = _Condition(
                code, mention, [f"{mention} is in the {share}"], self.forms("rank condition", share=share, m=mention)
            )
            condition.objects = self.forms("rank objects", share=share, p=plural, c=c, e=e, m=mention)
            return condition
        n = self.pick((1, 1, 1, 1, 2, 3, 3, 4, 5, 5, 5, 6, 7, 8, 10, 10, 10, 12, 15, 20, 25, 30, 50))
        code = _call("Top" if top else "Bottom", self.reference(index), str(n))
        is_date = concept.kind == "date"
        many = self.keep(NUMBER_WORDS[n] if n in NUMBER_WORDS and n <= 12 and rng.random() < 0.35 else str(n))
        if is_date:
            words = ("latest", "most recent", "newest", "last") if top else ("earliest", "oldest", "first")
            words = words[:3] if top else words[:1] + (() if concept.key == "dob" else words[1:2])
            if concept.key == "dob":
                words = words[:1]
        else:
            words = (
                ("highest", "largest", "biggest", "top", "greatest", "highest")
                if top
                else ("lowest", "smallest", "bottom", "lowest", "least")
            )
            if concept.family in GOOD or concept.key in GOOD_KEYS:
                words += ("best", "best") if top else ("worst", "worst", "poorest")
        word = self.pick(words)
        superlatives = self.implied(index, concept.most if top else concept.least)
        one = _singular(e)
        side = "top" if top else "bottom"
        if n == 1:
            extreme = (
                self.pick(
                    ("highest", "maximum", "max", "largest", "top", "biggest")
                    if top
                    else ("lowest", "minimum", "min", "smallest")
                )
                if not is_date
                else word
            )
            if word == "least":
                word = "lowest"
            objects = self.forms("rank objects 2", extreme=extreme, m=mention, word=word, one=one, c=c)
            if not is_date:
                objects += [f"max of {c}" if top else f"min of {c}", f"{side} 1 in {c}", f"{side} {mention}"]
            for noun in self._countable(index):
                objects += [f"the {one} with the {'most' if top else 'fewest'} {noun}"] * 2
            for superlative in superlatives:
                objects += [f"the {superlative} {one}"] * 3
            clauses = [
                f"{mention} is the {extreme}",
                f"{mention} is {'highest' if top else 'lowest'}" if not is_date else f"{mention} is the {word}",
            ]
            posts = [f"with the {extreme} {mention}", f"that has the {word} {mention}"]
            condition = _Condition(code, mention, clauses, posts, objects)
            condition.questions = []
            return condition
        objects = self.forms("rank objects 3", word=word, many=many, p=plural, c=c, e=e, m=mention)
        if not is_date:
            objects += self.forms("rank objects 4", side=side, many=many, e=e, m=mention, p=plural, c=c)
        for noun in self._countable(index):
            objects += [f"the {many} {e} with the {'most' if top else 'fewest'} {noun}"] * 2
        for superlative in superlatives:
            objects += self.forms("rank objects 5", many=many, superlative=superlative, e=e)
        if word == "least":
            objects = [text.replace("least", "lowest") for text in objects[:6]] + objects[6:]
        extreme = word if word not in ("top", "bottom", "least") else "highest" if top else "lowest"
        clauses = [
            f"{mention} is in the {side} {many}" if not is_date else f"{mention} is one of the {many} {word}",
            f"{mention} is among the {many} {extreme}",
        ]
        if self.chance(0.05) and not is_date:
            share = f"{side} {many}"
            clauses = [phrase.format(m=mention, share=share) for phrase in BANK["rank negations"]]
            posts = [f"outside the {share} by {mention}", f"that are not in the {share} by {mention}"]
            return _Condition(_logic("NOT", code), mention, clauses, posts)
        posts = [
            f"with the {many} {word if word != 'least' else 'lowest'} {plural}",
            f"among the {side} {many} in {mention}" if not is_date else f"with the {many} {word} {plural}",
        ]
        return _Condition(code, mention, clauses, posts, objects)

    def _countable(self, index: int) -> list[str]:
        return [noun for noun in self.columns[index].concept.have if self.clear(index, noun)]

    def _state(self, index: int, mention: str) -> _Condition:
        """Blank, filled, error, duplicate and unique."""
        kind = self.weighted({"blank": 34, "filled": 9, "error": 9, "noerror": 2, "duplicate": 28, "unique": 14})
        reference = self.reference(index)
        code, clauses, posts, objects = {
            "blank": (_call("Blanks", reference), BANK["blank clauses"], BANK["blank posts"], BANK["blank objects"]),
            "filled": (
                _logic("NOT", _call("Blanks", reference)),
                BANK["filled clauses"],
                BANK["filled posts"],
                BANK["filled objects"],
            ),
            "error": (_call("Errors", reference), BANK["error clauses"], BANK["error posts"], BANK["error objects"]),
            "noerror": (_logic("NOT", _call("Errors", reference)), (), (), BANK["noerror objects"]),
            "duplicate": (
                _call("Duplicates", reference),
                BANK["duplicate clauses"],
                BANK["duplicate posts"],
                BANK["duplicate objects"],
            ),
            "unique": (
                _call("Unique", reference),
                BANK["unique clauses"],
                BANK["unique posts"],
                BANK["unique objects"],
            ),
        }[kind]
        forms = {"m": mention, "a": _article(mention), "p": _plural(mention), "c": self.column_phrase(mention)}
        condition = _Condition(code, mention)
        condition.clauses = [self.pick(clauses).format(**forms)] if clauses else []
        condition.posts = [self.pick(posts).format(**forms)] if posts else []
        condition.objects = [self.pick(objects).format(**forms)]
        return condition
