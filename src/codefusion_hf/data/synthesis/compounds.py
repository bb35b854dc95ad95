"""Rules over several columns, or two conditions on one: comparisons, combinations, shared predicates."""

from __future__ import annotations

from .conditions import _Condition
from .grammar import _call, _logic
from .lexicon import BANK
from .tables import NUMERIC
from .terse import TerseSampler


_SIGNS = {
    "GreaterThan": ">",
    "LessThan": "<",
    "GreaterThanEqual": ">=",
    "LessThanEqual": "<=",
    "Equals": "=",
    "NotEquals": "<>",
}


class CompoundSampler(TerseSampler):
    """Conditions on several columns, said together."""

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

    def _pair_of(self, groups: dict[str, str], units: bool = True) -> tuple[int, int, str, str] | None:
        """Two columns whose kinds are in one group, and what to call them; `units=False`: only those without units."""
        members: dict[str, list[int]] = {}
        for index, cells in enumerate(self.columns):
            if cells.concept.kind in groups and (units or not cells.concept.units):
                members.setdefault(groups[cells.concept.kind], []).append(index)
        pairs = [group for group in members.values() if len(group) > 1]
        if not pairs:
            return None
        left, right = self.rng.sample(self.pick(pairs), 2)
        first, second = self.mention(left, plain=True), self.mention(right, plain=True)
        return None if first is None or second is None else (left, right, first, second)

    def _two_columns(self) -> tuple[str, str] | None:
        """A column compared with another: "actual cost exceeds budget"."""
        pair = self._pair_of({"date": "date", "money": "money", "pct": "pct", "int": "count", "num": "count"})
        if pair is None:
            return None
        left, right, first, second = pair
        is_date = self.columns[left].concept.kind == "date"
        operator = self.weighted(
            {"GreaterThan": 40, "LessThan": 34, "GreaterThanEqual": 8, "LessThanEqual": 8, "Equals": 8, "NotEquals": 6}
        )
        second = self.pick(("{}", "the {}", "{}")).format(second)
        if is_date:
            adjectives = BANK["date comparisons"][operator]
            reduced = self.pick(adjectives).format(n=second)
            singular = f"is {reduced}" if self.chance(0.85) else f"{_SIGNS[operator]} {second}"
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
        if not self.referenced or self.chance(0.33):  # rules on two columns need c[k]
            return self._same_column()
        if self.chance(0.1):
            return self._shared_predicate()
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

    def _shared_predicate(self) -> tuple[str, str] | None:
        """One comparison of two columns: "both math and english are above 80"."""
        pair = self._pair_of({kind: kind for kind in ("int", "money", "pct")}, units=False)
        if pair is None:
            return None
        left, right, first, second = pair
        operator, arguments, _, reduced, _ = self._number_phrase(self.columns[left])
        logic = self.weighted({"AND": 45, "OR": 45, "NOT": 10})
        if logic == "NOT" and operator.startswith("Not"):
            return None
        clause = self.pick(BANK["shared subjects"][logic]).format(a=first, b=second, r=reduced)
        codes = [_call(operator, self.reference(index), *arguments) for index in (left, right)]
        if logic == "NOT":
            return self.fill(self.pick(BANK["clause frames"]), x=clause), _logic(
                "AND", *(_logic("NOT", code) for code in codes)
            )
        return self.fill(self.pick(BANK["clause frames"]), x=clause), _logic(logic, *codes)

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
        if draw < 0.2 and others and self.referenced:
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
