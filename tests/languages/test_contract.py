"""The contract of a language module, for every language, with hostile input."""

import ast
import sys
import time
from pathlib import Path

import pytest

from codefusion_hf import languages
from codefusion_hf.languages import LANGUAGES, Span, get_language


PACKAGE = Path(languages.__file__).parent
PROGRAMS = {
    "cf": ["GreaterThan(10)", "AND(TextContains(c[1], a), NOT(Blanks()))", "top(10%)", "TextEquals('a, (b')"],
}
BROKEN = {
    "cf": ["GreaterThan(10", "highlight cells above 10", "Nonsense(1)", "Top(0)"],
}
HOSTILE = [
    "",
    " \t\n",
    "\x00",
    "\ud800",
    "é\u202e(" * 9,
    "(" * 100_000,
    ")" * 100_000,
    "NOT(" * 100_000,
    "AND(" * 31 + "('\"," * 900 + ")" * 31,
    "Between(" + "1," * 2000 + ")",
    "'" * 4000,
    "TextContains(" + "?x" * 2000 + ")",
    "TextContains(" + "*a" * 12 + "b)",
    "AND(" + ", ".join(f"TextContains(c[{i % 2}], *{i}?)" for i in range(150)) + ")",
    "Top(1e308)",
    "Top(nan)",
    "c[99999999]",
    "9" * 5000,
]
SECONDS = 2.0  # per call; the slowest takes a few milliseconds


@pytest.fixture(params=LANGUAGES)
def language(request):
    return get_language(request.param)


def test_every_language_has_samples():
    assert set(LANGUAGES) == set(PROGRAMS) == set(BROKEN)


def test_get_language_refuses_unknown_names():
    with pytest.raises(ValueError, match="unknown language 'cobol'; available: .*cf"):
        get_language("cobol")


def test_names(language):
    assert language.NAME in LANGUAGES and get_language(language.NAME) is language
    assert language.FILE_EXTENSION.startswith(".")


def test_programs_are_valid_and_match_themselves(language):
    for code in PROGRAMS[language.NAME]:
        assert language.is_valid(code), code
        assert language.matches(code, code), code
        assert language.matches(f" {code}\n", code), code
        assert language.matches(language.normalize(code), code), code
        assert language.normalize(language.normalize(code)) == language.normalize(code)


def test_different_programs_do_not_match(language):
    programs = PROGRAMS[language.NAME]
    assert len({language.normalize(code) for code in programs}) == len(programs)
    for index, code in enumerate(programs):
        assert not any(language.matches(code, other) for other in programs[index + 1 :]), code


def test_spans_are_sorted_disjoint_tokens(language):
    for code in PROGRAMS[language.NAME]:
        spans = language.spans(code)
        assert spans, code
        assert all(isinstance(span, Span) and span.kind in ("identifier", "keyword") for span in spans)
        assert all(code[span.start : span.end].strip() == code[span.start : span.end] != "" for span in spans)
        assert all(left.end <= right.start for left, right in zip(spans, spans[1:])), code


def test_broken_programs(language):
    for code in BROKEN[language.NAME]:
        assert not language.is_valid(code), code
        assert language.spans(code) == [], code
        assert not language.matches(code, PROGRAMS[language.NAME][0]), code
        assert language.normalize(f" {code}  ") == language.normalize(code)


@pytest.mark.parametrize("index", range(len(HOSTILE)))
def test_hostile_text_never_raises_and_is_fast(language, index):
    code, reference = HOSTILE[index], PROGRAMS[language.NAME][0]
    for call in (
        lambda: language.is_valid(code),
        lambda: language.spans(code),
        lambda: language.normalize(code),
        lambda: language.matches(code, reference),
    ):
        start = time.perf_counter()
        call()
        assert time.perf_counter() - start < SECONDS


@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_blank_text_is_invalid_and_matches_nothing(language, blank):
    assert not language.is_valid(blank)
    assert language.spans(blank) == []
    assert not language.matches(blank, PROGRAMS[language.NAME][0])
    assert not language.matches(blank, blank)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_are_light(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imports |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0}
    assert {name.split(".")[0] for name in imports} <= sys.stdlib_module_names
