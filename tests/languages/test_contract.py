"""The contract of a language module, for every language, with hostile input."""

import ast
import itertools
import json
import os
import re
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codefusion_hf import languages
from codefusion_hf.languages import LANGUAGES, Span, get_language


DATA = Path(os.environ.get("CODEFUSION_DATA", Path(__file__).parents[3] / "shared" / "data"))
PACKAGE = Path(languages.__file__).parent
PROGRAMS = {
    "bash": [
        "find . -name '*.c' -exec grep -l main {} \\;",
        'for f in *.txt; do wc -l "$f"; done',
        "tar xzf a.tgz",
        'x=$(date +%s) && echo "é $x" | sort -u > out',
    ],
    "cf": ["GreaterThan(10)", "AND(TextContains(c[1], a), NOT(Blanks()))", "top(10%)", "TextEquals('a, (b')"],
    "python": [
        "df.groupby('a', as_index=False)['größe'].mean()",
        "[x for x in y if x not in (1, 2.5, None)]",
        "with open('f') as f:\n    for line in f:\n        print(line.strip(), end='')",
        "sorted(d.items(), key=lambda item: (-item[1], item[0]))[:10]",
        "try:\n    import os.path as p\nexcept ImportError:\n    raise",
        "match command.split():\n    case [action, *_]:\n        f'{action!r} {1:>{width}}'",
        'x = re.sub(r\'\\d+\', b\'\\x00\'.decode(), """a\nb""")  # why',
    ],
}
BROKEN = {
    "bash": ["find . -name 'a", "for f in *; do", "ls | | wc", "echo $(ls"],
    "cf": ["GreaterThan(10", "highlight cells above 10", "Nonsense(1)", "Top(0)"],
    "python": ["f(", "sort the list x", "x = = 1", "for x in y: 'a"],
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
    "[" * 3000 + "]" * 3000,
    "lambda:" * 1400 + "0",
    "\\-@" * 3000,
    "lambda:,exec " * 700,
    "f(**{" * 90,
    "a" + ".a" * 4900,
    "$(" * 4000,
    "]]{ ([[ " * 1200,
    "if " * 3000,
    "<<A\n" * 2000,
    "__import__('os').system('touch pwned')",
    "$(touch pwned)",
    "=cmd|'/c calc'!A1",
]
SECONDS = 2.0  # of processor time per call, so that a busy machine fails no test


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


# What running a program, or a part of it, would tell an audit hook; "compile" is the parser itself.
RUNNING = ("exec", "import", "open", "os.", "subprocess.", "socket.", "shutil.", "ctypes.", "pty.")
audited: list[str] | None = None


def audit(event, args):
    # On a syntax error the interpreter itself looks for a file of the name that `ast.parse` gives all text.
    if audited is not None and event.startswith(RUNNING) and (event, *args[:1]) != ("open", "<unknown>"):
        audited.append(event)


sys.addaudithook(audit)  # hooks cannot be removed: this one sleeps while `audited` is None


def outcome(function, *args):
    """The result of a call that neither raises nor takes long nor executes anything."""
    global audited
    audited, start = [], time.process_time()
    try:
        result = function(*args)
        seconds, events = time.process_time() - start, audited
    finally:
        audited = None
    assert events == [] and seconds < SECONDS, (function, events, seconds)
    return result


def check(language, code):
    """What holds for any text at all."""
    reference = PROGRAMS[language.NAME][0]
    valid, spans = outcome(language.is_valid, code), outcome(language.spans, code)
    assert type(valid) is bool and valid <= bool(code.strip())
    assert all(0 <= start < end <= len(code) and kind in ("identifier", "keyword") for start, end, kind in spans)
    assert all(left.end <= right.start for left, right in itertools.pairwise(spans))
    assert isinstance(outcome(language.normalize, code), str)
    assert all(isinstance(value, str) for value in outcome(language.literals, code))
    outcome(language.matches, code, reference)
    outcome(language.matches, reference, code)
    # (A text that parses but exceeds a work limit may match nothing.)
    assert type(outcome(language.matches, code, code)) is bool
    try:
        assert isinstance(language.canonicalize(code), str) and valid
    except ValueError:
        assert not valid


@pytest.fixture(autouse=True, scope="module")
def warm():
    """Parsers and lists of commands are loaded on first use: that is over when calls are watched."""
    for name in LANGUAGES:
        for code in [*PROGRAMS[name], *BROKEN[name]]:
            get_language(name).spans(code)
            get_language(name).matches(code, code)


def programs(name):
    """Texts near to programs: their tokens in any order, and programs with a cut, a repetition and an insertion."""
    tokens = sorted({token for code in PROGRAMS[name] + BROKEN[name] for token in re.findall(r"\w+|\s+|\W", code)})
    shuffled = st.lists(st.sampled_from([*tokens, *"()[]{}'\"`\\$\n", "\0", "\ud800"]), max_size=30).map("".join)

    def mutate(code, start, end, times, inserted):
        start, end = sorted((start % (len(code) + 1), end % (len(code) + 1)))
        return code[:start] + code[start:end] * times + inserted + code[end:]

    number = st.integers(0, 200)
    mutated = st.builds(
        mutate, st.sampled_from(PROGRAMS[name]), number, number, st.integers(0, 3), st.text(max_size=3)
    )
    repeated = st.builds(
        lambda units, times, tail: ("".join(units) * times)[:4000] + tail,
        st.lists(st.sampled_from([*tokens, *"([{'"]), min_size=1, max_size=3),
        st.sampled_from([2, 10, 40, 99, 200, 1000]),
        shuffled,
    )
    anything = st.text(st.characters(exclude_categories=()), max_size=100)  # surrogates included
    # Repetition is the slowest, and one in eight finds as much.
    return st.one_of(anything, shuffled, shuffled, shuffled, mutated, mutated, mutated, repeated)


@pytest.mark.parametrize("name", LANGUAGES)
def test_any_text_is_survived(name):
    @settings(
        max_examples=2000, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(programs(name))
    def survives(code):
        check(get_language(name), code)

    survives()


@pytest.mark.parametrize("index", range(len(HOSTILE)))
def test_hostile_text_never_raises_and_is_fast(language, index):
    check(language, HOSTILE[index])


def test_the_audit_sees_what_runs():
    for program in (lambda: exec("1"), lambda: eval("1"), lambda: open(os.devnull).close(), lambda: os.system("true")):
        with pytest.raises(AssertionError):
            outcome(program)


@pytest.mark.parametrize(
    ("name", "file", "floor"),
    [
        ("python", "python_train.jsonl", 1.0),
        ("python", "python_val.jsonl", 1.0),
        ("bash", "bash_val.jsonl", 0.985),
        ("cf", "cf_val.jsonl", 0.95),
    ],
)
def test_golds_are_valid(name, file, floor):
    path, language = DATA / "prepared" / file, get_language(name)
    if not path.exists():
        pytest.skip("needs the data pack")
    golds = [json.loads(line)["code"] for line in path.open(encoding="utf-8")]
    assert sum(map(language.is_valid, golds)) >= floor * len(golds)


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
    allowed = sys.stdlib_module_names | {"tree_sitter", "tree_sitter_bash", "tree_sitter_python"}
    assert {name.split(".")[0] for name in imports} <= allowed
