"""Which words of an utterance name a column of its table: schema linking by name (RAT-SQL, Wang et al., 2020)."""

import re
from functools import lru_cache


MAX_WORDS = 4  # of a mention that are shown
STOP_WORDS = frozenset(
    "a all an and any are as at be been but by can do does for from had has have he her his if in into is it its many "
    "me more most much my no nor not of off on or our out over she so some such than that the their them then there "
    "these they this those to under up was we were when where which who whose will with you your".split()
)
_WORDS = re.compile(r"[^\W_]+")


def mentions(headers: list[str], nl: str) -> list[str]:
    """
    For every column the words of the utterance that its header has, in their order and spelling, or "". Words match by
    stem (`salaries`, `Salary`), by prefix (`temperature`, `Temp`), as an abbreviation (`quantity`, `Qty`), or by
    their initials (`goal difference`, `GD`). Of two columns, one of which is named by some of the words that name the
    other, only the other is meant: "unit cost" is not the column `Unit`.

    Args:
        headers (`list[str]`): As they stand in the table.
        nl (`str`): The utterance.
    """
    words = _WORDS.findall(nl)
    lowered = [word.lower() for word in words]
    asked = {place: word for place, word in enumerate(lowered) if len(word) > 1 and word not in STOP_WORDS}
    found = [_places(_names(header), lowered, asked) for header in headers]
    kept = [places if not any(places < others for others in found) else frozenset() for places in found]
    texts = []
    for places in kept:
        distinct = {lowered[place]: words[place] for place in sorted(places, reverse=True)}
        texts.append(" ".join(list(distinct.values())[::-1][:MAX_WORDS]))
    return texts


def _names(header: str) -> set[str]:
    """What a header can be called by: `UnitPrice` by its words, `Sq Ft` and `pH` also in one word."""
    words = [*_WORDS.findall(re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", header)), "".join(_WORDS.findall(header))]
    return {word.lower() for word in words if len(word) > 1 and word.lower() not in STOP_WORDS}


def _places(names: set[str], words: list[str], asked: dict[int, str]) -> frozenset[int]:
    """The places of the words that a header's names match."""
    places = {place for place, word in asked.items() if any(_same(name, word) for name in names)}
    initials = "".join(word[0] for word in words)
    for name in (name for name in names if name.isalpha() and len(name) <= 4):
        for start in range(len(words) - len(name) + 1):
            span = range(start, start + len(name))
            if initials.startswith(name, start) and all(place in asked for place in span):
                places.update(span)
    return frozenset(places)


def _same(name: str, word: str) -> bool:
    """Whether a name of a header and a word of an utterance are forms of the same word."""
    if name[0] != word[0]:
        return False
    if name == word or _stem(name) == _stem(word):
        return True
    short, long = sorted((name, word), key=len)
    if not short.isalpha():
        return False
    if long.startswith(short):
        return len(short) >= 4 or (len(short) == 3 and len(long) >= 7 and short[-1] not in "aeiou")
    short_stem, long_stem = sorted((_stem(name), _stem(word)), key=len)
    return len(short_stem) >= 5 and long_stem.startswith(short_stem) or _abbreviates(short, long)


def _abbreviates(short: str, long: str) -> bool:
    """`qty` of `quantity`: the same beginning, consonants in their order, and an end at the end."""
    if not (len(short) <= min(5, len(long) - 2) and short[0] == long[0] and short[-1] in long[-2:]):
        return False
    if re.search("[aeiou]", short[1:]) and short != "dept":
        return False
    rest = iter(long)
    return all(letter in rest for letter in short)


@lru_cache(maxsize=10_000)
def _stem(word: str) -> str:
    if len(word) > 2:
        word = re.sub(r"(?<=[sxz])es$|(?<=[cs]h)es$|(?<=[^s])s$(?<!...us)", "", word)
    if len(word) > 4:
        word = re.sub(r"([^aeiouls])\1(ing|ed)$|(?<=...)(ing|ed)$", r"\1", word)
        word = re.sub(r"(?<=..)e$", "", word)
    return re.sub("(?<=..)(y|ie)$", "i", word)
