"""Synthetic (utterance, rule) pairs for conditional formatting (CF), and literal-swap augmentation of real pairs.

The 641 real pairs of the benchmark never name a column by `c[k]` and cover few rule kinds, while most rules need
literals that training code does not hold (design notes: data.md, sections 2 and 3; algorithms.md, section 6.1). The
generator composes both sides at once: it draws a table, a condition, its canonical code and one of many ways to say
it. What the words cannot tell is never in the code: a column that is not named or implied gets no `c[k]`, and a way of
naming that would also fit another column is not used.
"""

from __future__ import annotations

import random
import re

from .compounds import CompoundSampler
from .conditions import _Condition
from .grammar import _call, _logic, _plural, _text_rule
from .lexicon import BANK
from .swap import swap_literals
from .tables import _FIRST_LITERAL, NUMERIC, _tokens, _usable


__all__ = ["CFSynthesizer", "swap_literals"]

TERSE_SHARE = 0.4  # of the draws: fragments that name a column in a word or by a value
_TEXT_LITERAL = re.compile(r"Text\w+\(([^()]+)\)")
_RELATIVE_DATE = re.compile(r"\d{4}-\d\d-\d\d|day\(|Days\(|Week\(|Month\(|Tomorrow")

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
            Rules of an unlabelled corpus, such as `TextContains(Barbara)`. Their literals are reused in rules without
            a column.

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
            rng (`random.Random`, *optional*):
                Source of all randomness; by default the generator that the constructor seeded.

        Returns:
            `dict`: `nl` (the utterance), `code` (a canonical rule) and `table`: `None` or
            `{"columns": [...], "rows": [...]}` with 3 to 6 rows of strings; `c[k]` in the rule
            is the k-th column, counted from 0.
        """
        return _Sampler(rng or self.generator, self.corpus_texts, self.corpus_numbers).sample()


class _Sampler(CompoundSampler):
    """Puts conditions into sentences."""

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
        """A sentence that asks for a colour scale, data bars or icons."""
        if self.chance(0.3):
            return self.fill(self.pick(BANK["visual sentences"][name]), c=column, m=mention, p=_plural(mention))
        visual = self.pick(BANK["visuals"][name])
        article = self.pick(("", "a ", "")) if not visual.endswith("s") and visual not in ("bar in each cell",) else ""
        article = "an " if article and visual[0] in "aeio" else article
        if visual == "bar in each cell":
            article = "a "
        return self.fill(self.pick(BANK["visual frames"]), c=column, v=article + visual)

    def sample(self) -> dict:
        """See [`CFSynthesizer.sample`]."""
        table: dict | None = None
        if self.chance(TERSE_SHARE):
            for _ in range(8):
                self.literals = []
                self.draw_table()
                self.referenced = self.rng.random() >= 0.1
                pair = self.terse()
                if pair is not None:
                    nl, code = pair
                    return {"nl": self.finish(nl), "code": code, "table": self.table() if self.referenced else None}
            self.literals, self.columns, self.referenced = [], [], True
        draw = self.rng.random()
        if draw < 0.13:
            if self.chance(0.3):
                self.draw_table()
                table = self.table()
            nl, code = self._no_column()
            if table and self._tells_column(nl, code):
                table = None
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

    def _tells_column(self, nl: str, code: str) -> bool:
        """Whether words or literals of a rule without a column would still tell a column of the table."""
        words = {word.rstrip("s") for word in _tokens(nl)}
        texts = [text.lower() for text in _TEXT_LITERAL.findall(code)]
        dated = _RELATIVE_DATE.search(code) is not None
        for cells in self.columns:
            if any(word.rstrip("s") in words for word in _tokens(cells.header) if len(word) > 3):
                return True
            if any({word.rstrip("s") for word in _tokens(text)} <= words for text in cells.known):
                return True
            if dated and cells.concept.kind == "date" or "%" in code and cells.concept.kind == "pct":
                return True
            if any(text in value.lower() for text in texts for value in cells.values):
                return True
        return False

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
        if draw > 0.985 and condition.posts and "Not" not in code and "NOT" not in code:
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
            code = _text_rule(operator, reference, text)
        return self.fill(
            self.pick(BANK["column frames"]), c=column, v=self.pick(BANK["value nouns"][nouns]), r=reduced, s=singular
        ), code

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
