import json
import os
import random
import re
import subprocess
import sys
from collections import Counter

import pytest

from codefusion_hf.data.synthesis import CFSynthesizer, swap_literals
from codefusion_hf.data.synthesis.lexicon import COLUMNS
from codefusion_hf.data.synthesis.sampler import _Sampler
from codefusion_hf.data.synthesis.tables import _NAMES, TableSampler, _Cells
from codefusion_hf.languages import cf


CORPUS = ["TextContains(Barbara)", "TextEquals(Zmiana 7)", "GreaterThan(0.4375)", "TextEquals($B$5)", "Errors()"]
KINDS = (
    "Equals NotEquals GreaterThan GreaterThanEqual LessThan LessThanEqual Between NotBetween TextEquals TextContains "
    "TextNotContains TextStartsWith TextEndsWith Top Bottom TopPercent BottomPercent AboveAverage BelowAverage "
    "Duplicates Unique Blanks Errors Yesterday Today Tomorrow Last7Days LastWeek ThisWeek NextWeek LastMonth "
    "ThisMonth NextMonth AND OR NOT ColorScale DataBar IconSet"
).split()


@pytest.fixture(scope="module")
def samples():
    synthesizer, rng = CFSynthesizer(0, CORPUS), random.Random(0)
    return [synthesizer.sample(rng) for _ in range(12000)]


def test_everything_comes_from_the_generator():
    first, second = CFSynthesizer(1, CORPUS), CFSynthesizer(2, CORPUS)
    draws = [[s.sample(rng) for _ in range(50)] for s, rng in ((first, random.Random(7)), (second, random.Random(7)))]
    assert draws[0] == draws[1]
    state = random.getstate()
    assert first.sample() == CFSynthesizer(1, CORPUS).sample() != second.sample()
    assert random.getstate() == state


def test_order_of_sets_does_not_matter():
    program = (
        "import random; from codefusion_hf.data.synthesis import CFSynthesizer as S; rng = random.Random(0);"
        "print([S(0).sample(rng) for _ in range(300)])"
    )
    path = [part for part in sys.path if part]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(path)},
            capture_output=True,
            text=True,
            check=True,
            encoding="utf-8",
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_codes_are_canonical(samples):
    for sample in samples[:3000]:
        code = sample["code"]
        assert cf.is_valid(code), code
        # the language's normal form drops letter case of texts, nothing else may differ
        assert cf.normalize(code).casefold() == code.casefold()


def test_tables_and_references(samples):
    for sample in samples:
        references = [int(k) for k in re.findall(r"c\[(\d+)\]", sample["code"])]
        if sample["table"] is None:
            assert not references, sample
            continue
        columns, rows = sample["table"]["columns"], sample["table"]["rows"]
        assert 2 <= len(columns) <= 9 and 3 <= len(rows) <= 6
        assert len({column.lower() for column in columns}) == len(columns)
        assert all(len(row) == len(columns) and all(isinstance(cell, str) for cell in row) for row in rows)
        assert all(k < len(columns) for k in references), sample
    json.dumps(samples[:100])


def test_shares(samples):
    without_table = sum(sample["table"] is None for sample in samples) / len(samples)
    with_reference = sum("c[" in sample["code"] for sample in samples) / len(samples)
    assert 0.13 < without_table < 0.25
    assert 0.7 < with_reference < 0.9
    # every position is asked for, and the same utterance hardly ever comes twice
    positions = Counter(k for sample in samples for k in re.findall(r"c\[(\d)\]", sample["code"]))
    assert set(positions) >= set("012345678")
    assert len({sample["nl"] for sample in samples}) > 0.99 * len(samples)


def test_every_rule_kind_occurs(samples):
    kinds = Counter(name for sample in samples for name in re.findall(r"([A-Za-z0-9]+)\(", sample["code"]))
    assert not [kind for kind in KINDS if kinds[kind] < 5]


def test_literals_stand_in_the_utterance(samples):
    said_by_meaning = 0
    for sample in samples:
        nl = sample["nl"].lower()
        for literal in re.findall(r"Text\w+\((?:c\[\d+\], )?([^()]+)\)", sample["code"]):
            literal = literal.removeprefix("'").removesuffix("'").replace("''", "'")  # quoted where it holds commas
            if literal in ("Yes", "No") and literal not in sample["nl"]:
                said_by_meaning += 1  # "verified accounts"
            else:
                assert literal in sample["nl"] or sample["nl"].isupper(), sample
        assert 1 <= len(nl.split()) <= 45, nl
        assert not re.search("[\ue000-\uf8ff{}]", nl), nl
    assert said_by_meaning < 0.005 * len(samples)


@pytest.fixture(scope="module")
def fragments():
    rng, drawn = random.Random(3), []
    while len(drawn) < 4000:
        sampler = _Sampler(rng, [], [])
        sampler.draw_table()
        sampler.referenced = len(drawn) % 10 > 0
        pair = sampler.terse()
        if pair is not None:
            drawn.append((sampler.finish(pair[0]), pair[1], sampler.table() if sampler.referenced else None))
    return drawn


def test_fragments_refer_to_columns_and_say_their_literals(fragments):
    for nl, code, table in fragments:
        assert cf.is_valid(code) and cf.canonicalize(code) == code, code
        references = re.findall(r"c\[(\d+)\]", code)
        if table is None:
            assert not references, code
            continue
        conditions = [name for name in re.findall(r"\b[A-Z]\w+(?=\()", code) if name not in ("AND", "OR", "NOT")]
        assert len(references) >= max(1, len(conditions)), (nl, code)  # every condition has its column
        assert all(int(k) < len(table["columns"]) for k in references)
        for literal in re.findall(r"Text\w+\(c\[\d+\], ([^()',]+)\)", code):
            assert literal in nl, (nl, code)


def test_fragments_cover_compounds_and_codes(fragments):
    codes = [code for _, code, _ in fragments]
    for pattern in (
        r"^AND\(.*c\[(\d)\].*c\[(?!\1)\d\]",  # two columns
        r"^OR\(.*c\[(\d)\].*c\[(?!\1)\d\]",
        r"AND\(.*OR\(",
        r"AND\(.*NOT\(",
        r"Text(Starts|Ends)With\(c\[\d\], [^\w]",  # punctuation
        r"TextContains\(c\[\d\], '?\(",
        r"'.*, .*'",  # a comma in a literal of a nested rule
        r"NotBetween\(",
        r"Blanks\(",
    ):
        assert sum(re.search(pattern, code) is not None for code in codes) >= 5, pattern
    assert sum(len(nl.split()) <= 5 for nl, _, _ in fragments) > 0.25 * len(fragments)


def test_a_value_implies_a_column_only_where_it_is_telling(fragments):
    implied = 0
    for nl, code, table in fragments:
        match = re.fullmatch(r"TextEquals\(c\[(\d+)\], ([^()',]+)\)", code)
        if table is None or match is None or len(nl.split()) > 1 + len(match[2].split()):
            continue
        holders = {k for row in table["rows"] for k, cell in enumerate(row) if cell.lower() == match[2].lower()}
        implied += holders == {int(match[1])}
    assert implied > 20


def test_a_rule_without_a_column_names_none(samples):
    for sample in samples:
        table = sample["table"]
        if table is None or "c[" in sample["code"] or table["columns"][0] == "Index":
            continue
        if "sheet" in sample["nl"].lower():  # may be named like a column
            continue
        words = set(re.findall(r"[a-z]+", sample["nl"].lower()))
        for header in table["columns"]:
            assert header.lower() not in words or len(header) < 4, sample


def test_spoken_numbers_are_plain_in_the_rule(samples):
    spoken = {
        r"\$(\d+)k\b": 1000,
        r"\b(\d+) lakhs\b": 100000,
        r"\b(\d+) million\b": 1000000,
        r"\b(\d+) thousand\b": 1000,
    }
    for pattern, factor in spoken.items():
        hits = [(m, s) for s in samples if (m := re.search(pattern, s["nl"])) and "." not in s["nl"][: m.start()][-2:]]
        assert hits, pattern
        for match, sample in hits:
            if "," not in sample["nl"][max(0, match.start() - 1) : match.start()]:
                assert str(int(match.group(1)) * factor) in sample["code"], sample


def test_a_name_that_fits_two_columns_is_not_used():
    headers = {"price": "Unit Price", "houseprice": "List Price", "duedate": "Due Date"}
    sampler = TableSampler(random.Random(0), [], [])
    sampler.columns = [_Cells(COLUMNS[key], header, [], known=_NAMES[key]) for key, header in headers.items()]
    assert not sampler.clear(0, "price") and not sampler.clear(1, "price")
    assert sampler.clear(0, "unit price") and sampler.clear(1, "List Price") and sampler.clear(2, "deadline")
    names = {sampler.mention(0) for _ in range(200)}
    assert len(names) > 1 and "price" not in names


def test_corpus_literals_are_reused_without_cell_references():
    synthesizer, rng = CFSynthesizer(0, CORPUS), random.Random(0)
    codes = [synthesizer.sample(rng)["code"] for _ in range(3000)]
    assert any("Barbara" in code for code in codes) and any("0.4375" in code for code in codes)
    assert not any("$B$5" in code for code in codes)


@pytest.mark.parametrize("arguments", [("0",), (True,), (0, "TextEquals(a)"), (0, [1])])
def test_wrong_arguments_raise(arguments):
    with pytest.raises(TypeError, match="must be"):
        CFSynthesizer(*arguments)


@pytest.mark.parametrize(
    "nl, code, pattern",
    [
        (
            "Color cells over 25",
            "GreaterThan(25)",
            r"Color cells over (-?[\d.]+)=>GreaterThan\((-?[\d.]+)\)",
        ),
        (
            "over 70,000 in C6:C35",
            "GreaterThan(70000)",
            r"over (-?[\d.,]+) in C6:C35=>GreaterThan\((-?[\d.]+)\)",
        ),
        ("highlight top 10% of A5:H45", "top(10%)", r"highlight top (\d+)% of A5:H45=>top\((\d+)%\)"),
        ('make it red if value is "Done"', "TextEquals(Done)", r'make it red if value is "(.+)"=>TextEquals\((.+)\)'),
        (
            "cells with in progress",
            "TextContains(c[0], In Progress)",
            r"cells with (.+)=>TextContains\(c\[0\], (.+)\)",
        ),
    ],
)
def test_swap_changes_both_sides(nl, code, pattern):
    rng, seen = random.Random(0), set()
    for _ in range(60):
        new = swap_literals(nl, code, rng)
        match = re.fullmatch(pattern, "=>".join(new))
        assert match, new
        if new != (nl, code):
            assert match.group(1).replace(",", "") == match.group(2)
            seen.add(match.group(2))
    assert len(seen) > 15


def test_swap_keeps_the_order_of_between():
    rng, changed = random.Random(0), 0
    for _ in range(200):
        nl, code = swap_literals("color values between 400 and 800", "Between(400, 800)", rng)
        low, high = map(float, re.fullmatch(r"Between\((.+), (.+)\)", code).groups())
        assert low < high and nl == f"color values between {code[8:-1].replace(', ', ' and ')}"
        changed += code != "Between(400, 800)"
    assert changed > 100


@pytest.mark.parametrize(
    "nl, code",
    [
        ("Apply color scale to A5:H45", "ColorScale()"),
        ("Highlight cells for range D5:D97", "GreaterThan(5)"),
        ("more than 5 on sheet 5", "GreaterThan(5)"),
        ("Apply conditional formatting in sheet 1", "top(1)"),
        ("top values in sheet 10", "top(10)"),
        ("between x and x + 1, find the top value", "top(1)"),
        ("the year 2006 from B2-B2006", "Equals(6)"),
        ("is $B$5", "TextEquals($B$5)"),
        ("find Male in Gender", "TextEquals(Female)"),
    ],
)
def test_swap_leaves_what_is_absent_or_ambiguous(nl, code):
    rng = random.Random(0)
    assert all(swap_literals(nl, code, rng) == (nl, code) for _ in range(30))
