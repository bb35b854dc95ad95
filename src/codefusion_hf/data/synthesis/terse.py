"""Terse utterances of the conditional-formatting pair generator: fragments such as "final above 80" or "P1 or P2".

People who know their table say little more than a column, a comparison and a literal, often without any verb, and
join two such conditions by a comma. The rule then hangs on a column that is named in one word, by an abbreviation, or
only by one of its values.
"""

from __future__ import annotations

import re
from calendar import month_name, monthrange
from dataclasses import dataclass, field
from datetime import date, timedelta

from ...languages.cf import canonicalize
from .conditions import FUTURE, GOOD, GOOD_KEYS
from .grammar import _article, _call, _logic, _plural
from .lexicon import BANK, NUMBER_WORDS
from .shorthand import ShorthandSampler
from .tables import NUMERIC, _tokens


@dataclass
class _Short:
    """A condition in few words; `value` is the text of an equality that the table alone places."""

    code: str
    clauses: list[str]  # complete: "salary above 50"
    posts: list[str] = field(default_factory=list)  # behind an entity: "with salary above 50"
    value: str = ""


class TerseSampler(ShorthandSampler):
    """Draws pairs whose utterance is a fragment."""

    def terse(self) -> tuple[str, str] | None:
        """(utterance, code) of one to three short conditions; `None` where the drawn table does not allow them."""
        if self.chance(0.3):
            self._add_coded()
        self._shorten_headers()
        draw = self.rng.random()
        if draw < 0.5 or not self.referenced:
            text, code = self._alone() or ("", "")
        elif draw < 0.62:
            text, code = self._values_only() or ("", "")
        else:
            text, code = self._compound(3 if draw > 0.93 else 2) or ("", "")
        if not text:
            return None
        return self.fill(self.pick(BANK["terse frames"]), o=text), canonicalize(code)

    # -- one condition -------------------------------------------------------------------------------------------

    def short(self, index: int) -> _Short | None:
        """A condition on one column in few words."""
        kind = self.columns[index].concept.kind
        mention = self.brief(index)
        if mention is None:
            return None
        draw = self.rng.random()
        if draw < (0.16 if kind == "name" else 0.08):
            return self._short_state(index, mention)
        if kind in NUMERIC:
            ranked = self.columns[index].concept.key == "rank" or kind == "year"
            if draw < 0.2 and not ranked:
                return self._short_rank(index, mention)
            return self._short_number(index, mention)
        if kind == "date":
            return self._short_date(index, mention)
        if draw < 0.35:
            value = self._short_value(index)
            if value is not None:
                return value
        return self._short_text(index, mention)

    def _short_number(self, index: int, mention: str) -> _Short:
        cells, pick = self.columns[index], self.pick
        concept = cells.concept
        operator = self.weighted(BANK["terse number weights"])
        unit = self.chance(0.4)
        first = self._value(concept)
        texts, arguments = {}, ()
        if "etween" in operator:
            second = self._value(concept)
            second = second + pick((1, 2, 5, 10)) if first == second else second
            first, second = min(first, second), max(first, second)
            (texts["a"], low), (texts["b"], high) = self.number(first, cells, unit), self.number(second, cells, unit)
            arguments = (low, high)
        else:
            texts["n"], code = self.number(first, cells, unit)
            arguments = (code,)
        whole = all(self.literals[-1 - i].replace(",", "").isdigit() for i in range(len(arguments)))
        banks = (
            BANK[name].get(operator, [""]) for name in ("terse numbers", "terse number verbs", "terse quantities")
        )
        adjective, verb, quantity = (
            pick([text for text in bank if whole or not ("}+" in text or "}-" in text)]).format(**texts)
            for bank in banks
        )
        code = _call(operator, self.reference(index), *arguments)
        with_ = f"{_article(mention) if self.chance(0.4) else mention} {adjective}"
        clauses = [f"{mention} {adjective}"] * 4 + [f"{mention} {verb}".replace(" :", ":")] * 2
        clauses += [f"{_plural(mention)} {adjective}", with_]
        if operator not in ("Equals", "Between") or not adjective[0] >= "\ue000":
            clauses.append(f"{mention} is {adjective}".replace("is of ", "is "))
        if quantity and not quantity.startswith(("just", "exactly")):
            clauses.append(f"{_article(mention) if self.chance(0.5) else mention} of {quantity}")
        posts = [f"with {with_}"] * 3 + [f"whose {mention} {verb}".replace(" :", " is"), f"with {mention} {verb}"]
        posts = [post for post in posts if "stays" not in post or post.startswith("whose")]
        extra = []
        if operator in BANK["terse quantities"]:
            for verb in self.implied(index, concept.verbs)[:4]:
                if not verb.endswith((" of", " by", " to")):
                    clauses += [f"{verb} {quantity}"] * 2
                    extra += [f"{'who' if self.person else 'that'} {verb} {quantity}"] * 2
            nouns = [noun for noun in concept.have if self.clear(index, noun)]
            if nouns and not self.literals[-1].endswith(concept.units):
                clauses += [f"{quantity} {pick(nouns)}"] * 4
                extra += [f"with {quantity} {pick(nouns)}"] * 3
            if re.fullmatch(r"(won|lost|sold|drawn|scored|spent|paid|owed|used|[a-z]{3,}ed)", mention.lower()):
                clauses += [f"{mention} {quantity}"] * 4
                extra += [f"that {mention.lower()} {quantity}"] * 3
        comparatives = {"GreaterThan": concept.greater, "LessThan": concept.less}.get(operator, ())
        for phrase in self.implied(index, comparatives)[:3]:
            clauses += [f"{phrase} {texts['n']}"] * 2
            extra += [f"{phrase} {texts['n']}"] * 3
        return _Short(code, clauses, posts + extra)

    def _short_rank(self, index: int, mention: str) -> _Short:
        concept, pick = self.columns[index].concept, self.pick
        reference, plural = self.reference(index), _plural(mention)
        forms = {"m": mention, "p": plural, "e": self.entity}
        if self.chance(0.3):
            name = pick(("AboveAverage", "BelowAverage"))
            return self._phrased("terse average", _call(name, reference), w=name[:5].lower(), **forms)
        top = self.chance(0.55)
        side, extreme = ("top", "highest") if top else ("bottom", "lowest")
        if concept.family in GOOD or concept.key in GOOD_KEYS:
            extreme = pick((extreme, "best" if top else "worst"))
        superlatives = self.implied(index, concept.most if top else concept.least)
        if self.chance(0.25):
            n = pick((5, 10, 10, 15, 20, 25, 30, 40))
            amount = self.keep(pick((f"{n}%", f"{n}%", f"{n} percent", f"{n} %", f"{n} pct")))
            code = _call("TopPercent" if top else "BottomPercent", reference, str(n))
            return self._phrased("terse share", code, side=side, n=amount, x=extreme, **forms)
        n = pick((1, 2, 3, 3, 4, 5, 5, 6, 8, 10, 10, 12, 15, 20))
        code = _call("Top" if top else "Bottom", reference, str(n))
        if n == 1:
            short = self._phrased("terse extreme", code, x=extreme, w="max" if top else "min", **forms)
            short.clauses += [f"{word} {mention}" for word in superlatives[:1]]
            return short
        many = self.keep(NUMBER_WORDS[n] if n in NUMBER_WORDS and n < 11 and self.chance(0.3) else str(n))
        short = self._phrased("terse rank", code, side=side, n=many, x=extreme, **forms)
        for word in superlatives[:2]:
            short.clauses += [f"{many} {word} {self.entity}", f"{many} {word} {plural}", f"{many} {word}"]
        return short

    def _phrased(self, bank: str, code: str, **values: str) -> _Short:
        """A condition in the phrases of a bank, which holds clauses and phrases behind an entity."""
        return _Short(code, *([form.format(**values) for form in forms] for forms in BANK[bank]))

    def _short_date(self, index: int, mention: str) -> _Short:
        reference, pick = self.reference(index), self.pick
        draw = self.rng.random()
        if draw < 0.2:
            period = pick(list(BANK["period phrases"]))
            phrase, code = pick(BANK["period phrases"][period]), _call(period, reference)
        elif draw < 0.3:
            day = self._date()
            last = monthrange(day.year, day.month)[1]
            low, high = day.replace(day=1), day.replace(day=last)
            if draw >= 0.25:
                low, high = date(day.year, 1, 1), date(day.year, 12, 31)
            phrase = "in " + self.keep(f"{month_name[day.month]} {day.year}" if draw < 0.25 else str(day.year))
            code = _call("Between", reference, low.isoformat(), high.isoformat())
            period = ""
        else:
            period, operator = "", self.weighted(BANK["terse date weights"])
            text, iso, day = self.date_literal()
            if operator == "Between":
                other, iso_b, _ = self.date_literal(day + timedelta(days=int(3 + self.rng.random() * 200)))
                phrase = pick(BANK["terse dates"][operator]).format(a=text, b=other)
                code = _call(operator, reference, iso, iso_b)
            else:
                phrase, code = pick(BANK["terse dates"][operator]).format(n=text), _call(operator, reference, iso)
        clauses = [f"{mention} {phrase}"] * 4
        posts = [f"with {mention} {phrase}", f"with {_article(mention)} {phrase}"]
        posts = posts if not phrase.startswith("is ") else [f"whose {mention} {phrase}"]
        bare = phrase.removeprefix("is ")
        if bare[0].isalpha() or bare[0] >= "\ue000":
            participles = self.implied_participles(index)
            for participle in participles:
                on = "on " if bare[0] >= "\ue000" and len(bare) == 1 else ""
                text = f"{participle} {on}{bare}"
                clauses += [text] * 2
                posts += [text] * 3
            dates = sum(cells.concept.kind == "date" for cells in self.columns)
            if dates == 1 and bare[0].isalpha() and period not in FUTURE:
                posts += [bare] * 2  # the only date of the table needs no name
        return _Short(code, clauses, posts)

    def _short_state(self, index: int, mention: str) -> _Short:
        concept, reference = self.columns[index].concept, self.reference(index)
        kind = self.weighted({"Blanks": 46, "Filled": 16, "Duplicates": 18, "Unique": 8, "Errors": 6, "nobody": 40})
        people = [text for text in self._relations(index) if not text.startswith(("who", "under", "in", "on"))]
        if kind == "nobody" and concept.kind == "name" and people:
            relation = self.pick(people)
            forms = (("{}", "nobody"), ("{}", "no one"), ("not {}", "anyone"), ("not yet {}", "anyone"))
            negation, who = self.pick(forms)
            post = negation.format(relation.replace("{x}", who))
            return _Short(_call("Blanks", reference), [f"{self.entity} {post}", post], [post])
        kind = "Blanks" if kind == "nobody" else kind
        forms = {"m": mention, "a": _article(mention), "p": _plural(mention)}
        clause = self.pick(BANK["terse states"][kind]).format(**forms)
        code = _logic("NOT", _call("Blanks", reference)) if kind == "Filled" else _call(kind, reference)
        posts = BANK["terse state posts"]
        return _Short(code, [clause], [post.format(**forms) for post in posts.get(kind, ())])

    def literal(self, text: str) -> str:
        """A text in the sentence, mostly without quotes; never bare where its last character would be punctuation."""
        styles = ("{}",) * 15 + ('"{}"',) * 4 + ("'{}'", "“{}”")
        style = self.pick(styles) if text[-1] not in ".!?…" else '"{}"'
        return self.keep(('"{}"' if "'" in text and style == "'{}'" else style).format(text))

    def _texts_of(self, index: int) -> list[str]:
        cells = [text for text in self.columns[index].values if text and text[0] != "#" and '"' not in text]
        return list(dict.fromkeys(text for text in cells if len(text) <= 40 and text == text.strip()))

    def _piece(self, index: int, operator: str) -> str:
        """What a prefix, suffix or substring rule looks for: a part of a cell, or something new."""
        values, draw = self._texts_of(index), self.rng.random()
        if draw < 0.25 or not values:
            text = self._expand(self.pick(BANK["terse pieces"]))
            return text.lower() if self.chance(0.4) else text
        text = self.pick(values)
        cuts = [match.start() for match in re.finditer(r"[^\w]", text)][:4]
        if operator.endswith("StartsWith"):
            end = self.pick(cuts) + self.chance(0.5) if cuts and draw < 0.75 else 1 + int(self.rng.random() * 4)
            return text[: max(1, end)].strip()
        if operator.endswith("EndsWith"):
            start = self.pick(cuts) + self.chance(0.4) if cuts and draw < 0.75 else -1 - int(self.rng.random() * 4)
            return text[start:].strip() or text
        parts = [part for part in re.split(r"[\s@/_-]+", text) if len(part) > 1]
        return self.pick(parts) if parts and draw < 0.85 else text

    def _short_text(self, index: int, mention: str) -> _Short:
        reference = self.reference(index)
        operator = self.weighted(BANK["terse text weights"])
        concept, values = self.columns[index].concept, self._texts_of(index)
        if operator in ("either", "neither"):
            if len(values) < 2:
                values = list(dict.fromkeys(self._new_text(index) for _ in range(6)))
            if len(values) < 2:
                operator = "TextEquals"
            else:
                return self._several(index, mention, self.rng.sample(values, min(len(values), 3)), operator)
        if operator in ("TextEquals", "NotText"):
            text = self.pick(values) if values and (self.chance(0.8) or not concept.args) else ""
            text = text or self._new_text(index)
        else:
            text = self._piece(index, operator)
        text = text.lower() if self.chance(0.12) else text
        if not text or text[0] in "<>=" or '"' in text:
            text = "Open"
        code = _text_call(operator, reference, text)
        literal = self.literal(text)
        clausal, plural = (self.pick(forms).format(x=literal) for forms in BANK["terse texts"][operator])
        clauses = [f"{mention} {clausal}".replace(" :", ":")] * 4 + [f"{_plural(mention)} {plural}"] * 2
        posts = [f"whose {mention} {clausal}"] if clausal.split()[0].endswith(("s", "n't", "not")) else []
        posts += [f"where {mention} is {clausal}"] if operator == "NotText" and clausal.startswith("not ") else []
        if "terse text posts " + operator in BANK:
            more = self._phrased("terse text posts " + operator, code, m=mention, a=_article(mention), x=literal)
            clauses, posts = clauses + more.clauses, posts + more.posts
        elif not plural.startswith(("that", "with")) and "them" not in plural:
            posts.append(f"with {mention} {plural}")
        return _Short(code, clauses, posts or [f"where {mention} {clausal}"])

    def _several(self, index: int, mention: str, texts: list[str], kind: str) -> _Short:
        """Several values of one column: "status Open or Pending", "dept is not HR and not Legal"."""
        equal = [_text_call("TextEquals", self.reference(index), text) for text in texts]
        a, b, *rest = (self.literal(text) for text in texts)
        forms = {"m": mention, "a": a, "b": b}
        if kind == "either":
            if rest and self.chance(0.25):
                return self._phrased("terse three", _logic("OR", *equal), c=rest[0], **forms)
            return self._phrased("terse either", _logic("OR", *equal[:2]), **forms)
        if self.chance(0.35):
            return self._phrased("terse not either", _logic("NOT", _logic("OR", *equal[:2])), **forms)
        return self._phrased("terse neither", _logic("AND", *(_logic("NOT", rule) for rule in equal[:2])), **forms)

    def _new_text(self, index: int) -> str:
        """A text that the table need not hold."""
        concept = self.columns[index].concept
        return self._text_value(concept) if concept.args or concept.kind != "code" else self._piece(index, "")

    # -- values that imply their column --------------------------------------------------------------------------

    def telling(self, index: int) -> list[str]:
        """The values of a column that can be meant for no other column of the table."""
        others = [cells for place, cells in enumerate(self.columns) if place != index]
        texts = (text for cells in others for text in (*cells.values, cells.header, *cells.concept.args))
        seen = [_tokens(text) for text in texts if text]
        colors = BANK["colors"]
        return [
            text
            for text in self._texts_of(index)
            if len(text) > 1 and text.lower() not in colors and any(char.isalpha() for char in text)
            and not any(_tokens(text) <= words for words in seen)
        ]  # fmt: skip

    def _short_value(self, index: int) -> _Short | None:
        """A value that stands for its column: "from Kenya", "not in the Freezer"."""
        if not self.referenced or self.columns[index].concept.kind == "bool":
            return None
        values = self.telling(index)
        if not values:
            return None
        concept, pick = self.columns[index].concept, self.pick
        relations = BANK["relations"].get(concept.key, ())
        preposition = pick(BANK["terse prepositions"].get(concept.kind, ("for",))) + " {x}"
        if relations and self.chance(0.7):
            preposition = pick(relations)
        reference = self.reference(index)
        text = pick(values)
        text = text.lower() if self.chance(0.1) else text
        code = _text_call("TextEquals", reference, text)
        person = "who are" if self.person else "that are"
        draw = self.rng.random()
        rest = [value for value in values if value.lower() != text.lower()]
        if draw < 0.28 and rest:
            other = pick(rest)
            either = f"{self.literal(text)} or {self.literal(other)}"
            code = _logic("OR", code, _text_call("TextEquals", reference, other))
            post = preposition.format(x=either)
            return _Short(code, [either, either, post, f"{self.entity} {post}"], [post])
        literal = self.literal(text)
        post = preposition.format(x=literal)
        if draw < 0.5:
            negative = f"not {post}" if not post.startswith(("who", "where")) else f"not {literal}"
            posts = [negative, f"{person} {negative}"]
            posts += [f"outside {literal}"] if concept.key in BANK["places"] else []
            if post.startswith(("with ", "for ", "by ")) and not self.person:
                posts.append(f"that do not go {post}" if post.startswith("with") else f"that are not {post}")
            clauses = self.forms("terse negations", x=literal, n=negative, p=post, e=self.entity)
            return _Short(_logic("NOT", code), clauses, posts)
        clauses = [literal, literal, post, f"{self.entity} {post}", f"only {literal}", f"{self.subject_word()} {post}"]
        posts = [post] * 3
        if concept.adjective:
            clauses += [f"{literal} {self.entity}", f"still {literal}"]
            posts += [f"{person} {literal}", f"still {literal}"]
        return _Short(code, clauses, posts, text)

    def subject_word(self) -> str:
        """What conditions stand behind: the entity, or "everyone"."""
        loose = BANK["terse subjects"]["people" if self.person else "things"]
        return self.pick(loose) if self.chance(0.3) else self.entity

    def _values_only(self) -> tuple[str, str] | None:
        """Values and dates without a column: "Port Edna on 2024-01-09"."""
        texts = [i for i in range(len(self.columns)) if self.columns[i].concept.kind not in NUMERIC | {"date", "bool"}]
        self.rng.shuffle(texts)
        shorts = [short for short in map(self._short_value, texts[:2]) if short]
        if not shorts:
            return None
        if len(shorts) == 1 or self.chance(0.35):
            dates = [i for i, cells in enumerate(self.columns) if cells.concept.kind == "date"]
            if len(dates) == 1 and shorts[0].value and self.chance(0.5):
                text, iso, _ = self.date_literal()
                operator, word = self.pick(BANK["terse dating"])
                rule = _call(operator, self.reference(dates[0]), iso)
                return f"{self.pick(shorts[0].clauses)} {word} {text}", _logic("AND", shorts[0].code, rule)
            return self.pick(shorts[0].clauses), shorts[0].code
        first, second = shorts
        joined = f"{self.pick(first.clauses)}{self.pick((' ', ' ', ', ', ' and '))}{self.pick(second.posts)}"
        return joined, _and(first.code, second.code)

    # -- sentences -----------------------------------------------------------------------------------------------

    def _alone(self) -> tuple[str, str] | None:
        index = int(self.rng.random() * len(self.columns))
        condition = self.short(index)
        if condition is None:
            return None
        if condition.posts and self.chance(0.25):
            return f"{self.subject_word()} {self.pick(condition.posts)}", condition.code
        return self.pick(condition.clauses), condition.code

    def _compound(self, count: int) -> tuple[str, str] | None:
        if len(self.columns) < count:
            return None
        indices = self.rng.sample(range(len(self.columns)), count)
        shorts = [self.short(index) for index in indices]
        if None in shorts:
            return None
        codes = [short.code for short in shorts]
        clauses = [self.pick(short.clauses) for short in shorts]
        posts = [self.pick(short.posts or [""]) for short in shorts]
        draw, pick = self.rng.random(), self.pick
        mixed = [code.startswith(("OR(", "AND(", "NOT(OR")) for code in codes]
        if count == 3:
            if draw < 0.75 or any(mixed):
                first, second = pick((", ", " and ")), pick((" and ", ", ", ", and "))
                return f"{clauses[0]}{first}{clauses[1]}{second}{clauses[2]}", _and(*codes)
            return f"{clauses[0]}, {clauses[1]} or {clauses[2]}", _logic("OR", *codes)
        value = shorts[1].value
        if value and draw < 0.25 and not mixed[0]:
            literal = self.literal(value)
            if self.chance(0.3):
                word = pick((", but only ", " but only ", ", only "))
                return f"{clauses[0]}{word}{literal}", _and(*codes)
            word = pick((" except ", ", except ", " but not ", ", not ", " excluding ", " other than "))
            return f"{clauses[0]}{word}{literal}", _and(codes[0], _logic("NOT", codes[1]))
        if all(posts) and draw < 0.45:
            subject = self.subject_word()
            if draw < 0.38 or any(mixed):
                word = pick((" ", " and ", " and ", " but ", ", "))
                return f"{subject} {posts[0]}{word}{posts[1]}", _and(*codes)
            return f"{subject} {posts[0]} or {posts[1]}", _logic("OR", *codes)
        if posts[1] and draw < 0.55:
            return f"{clauses[0]} {posts[1]}", _and(*codes)
        if draw < 0.78 or any(mixed):
            word = pick(BANK["terse joiners"])
            return f"{clauses[0]}{word}{clauses[1]}", _and(*codes)
        either = "either " if self.chance(0.12) else ""
        word = pick((" or ", " or ", ", or ", " OR ", " or else "))
        return f"{either}{clauses[0]}{word}{clauses[1]}", _logic("OR", *codes)


def _text_call(operator: str, reference: str | None, text: str) -> str:
    """The rule of a text comparison; numbers compare as numbers, quotes stand where a comma would split."""
    if operator in ("TextEquals", "NotText") and re.fullmatch(r"-?\d+(\.\d+)?", text):
        return _call("Equals" if operator == "TextEquals" else "NotEquals", reference, text)
    text = '"' + text + '"' if re.search(r"[(),']", text) else text
    positive = {"NotText": "TextEquals", "NotStartsWith": "TextStartsWith", "NotEndsWith": "TextEndsWith"}.get(
        operator
    )
    return _logic("NOT", _call(positive, reference, text)) if positive else _call(operator, reference, text)


def _and(*codes: str) -> str:
    """One flat conjunction."""
    return _logic("AND", *(code[4:-1] if code.startswith("AND(") else code for code in codes))
