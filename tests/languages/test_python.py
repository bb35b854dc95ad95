"""Python programs: spans, validity, normal form and matching, against `tokenize`, tree-sitter and cases by hand."""

import ast
import io
import json
import keyword
import os
import re
import sys
import tokenize
import warnings
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_python

from codefusion_hf.languages import python
from codefusion_hf.languages.python import canonicalize, is_valid, literals, matches, normalize, spans


DATA = Path(os.environ.get("CODEFUSION_DATA", Path(__file__).parents[3] / "shared" / "data"))
SNIPPETS = sorted(Path(ast.__file__).parent.glob("*.py"))[:6]  # the standard library: real programs on every machine


def named(code, kind=None):
    return [code[span.start : span.end] for span in spans(code) if kind in (None, span.kind)]


def gold(name):
    path = DATA / "prepared" / name
    if not path.exists():
        pytest.skip("needs the data pack")
    return [json.loads(line)["code"] for line in path.open(encoding="utf-8")]


@pytest.mark.parametrize(
    ("code", "identifiers", "keywords"),
    [
        ("df.groupby('a', as_index=False).mean()", ["df", "groupby", "as_index", "mean"], ["False"]),
        ("[x for x in range(10) if x not in y]", ["x", "x", "range", "x", "y"], ["for", "in", "if", "not", "in"]),
        ("def f(a, *args: int, b=None) -> str: ...", ["f", "a", "args", "int", "b", "str"], ["def", "None"]),
        ("import os.path as p, sys", ["os", "path", "p", "sys"], ["import", "as"]),
        ("x = 1e5 + 0x1f + 1_000  # a comment", ["x"], []),
        ("f'{x} {y!r}' + rb'if' + \"else\" + '''for\nx'''", [], []),
        (" \n  lambda s: print(s)\n ", ["s", "print", "s"], ["lambda"]),
        ("async def f():\n    await g()", ["f", "g"], ["async", "def", "await"]),
    ],
)
def test_spans(code, identifiers, keywords):
    assert named(code, "identifier") == identifiers
    assert named(code, "keyword") == keywords


def test_soft_keywords_are_keywords_where_they_are_used_as_such():
    code = "match match:\n    case [case,\n          _] if case:\n        case = match(case)\n    case (case): pass\n"
    words = [(code[span.start : span.end], span.kind) for span in spans(code)]
    assert [kind for word, kind in words if word == "match"] == ["keyword", "identifier", "identifier"]
    expected = ["keyword", "identifier", "identifier", "identifier", "identifier", "keyword", "identifier"]
    assert [kind for word, kind in words if word == "case"] == expected
    assert named("match = re.match(type, case)", "keyword") == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type statements and nested quotes are new in Python 3.12")
def test_spans_of_newer_python():
    assert named("type X = int", "keyword") == ["type"]
    assert named("f'{x['a']}' + y") == ["y"]


@pytest.mark.parametrize(
    "code",
    ["größe = 'ü' + ñ  # é", "x = 1\r\ny = 'ü'\r\nz = y\r\n", "x = 1\ry = 2\r", "a\x0c = '\u2028' + b", "'😀'; c = d"],
)
def test_offsets_are_characters(code):
    assert [word for word in named(code) if not word.isidentifier()] == []
    names = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    assert set(named(code)) == names


@pytest.mark.parametrize("path", SNIPPETS, ids=lambda path: path.name)
def test_spans_agree_with_the_syntax_tree(path):
    statements = path.read_text(encoding="utf-8").split("\n\n\n")
    for code in filter(is_valid, map(str.strip, statements)):
        nodes = list(ast.walk(ast.parse(code)))
        found = {code[span.start : span.end] for span in spans(code) if span.kind == "identifier"}
        inside = {id(n) for s in nodes if isinstance(s, ast.JoinedStr) for n in ast.walk(s)}  # f-strings are literals
        names = {node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in inside}
        names |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and id(node) not in inside}
        names |= {node.arg for node in nodes if isinstance(node, ast.arg) and id(node) not in inside}
        names |= {n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
        assert names <= found and not any(map(keyword.iskeyword, found))
        assert found <= {t.string for t in tokenize.generate_tokens(io.StringIO(code).readline)}


LEXEMES = """1if x else y; 0xfor x; 1 .real; 1..real; 1_0.5e-3j+e; '''a'b'''+x; rb'x'+b; if"a":pass; 1.e5+e5; 0xe+x
.5e3+e; 1or x; 0b1or x; 1e5if y else z; 'a\\'b'+c; \"\"\"a\"\"\"\"b\"+c; 'a#b'+c#d; Rf'{x}'+y; u"ü"+ü; 0o17if a else b
lambda*a:a; x=\\
'\\
'+y; not-1.0j; a.b.c@d; 1__0; {**a,'b':c}; x: 'y' = z""".replace("\n", "; ", 1).split("; ")


def by_tokenize(code):
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    return [(t.string, "keyword" if keyword.iskeyword(t.string) else "identifier") for t in tokens if t.type == 1]


@pytest.mark.parametrize("path", SNIPPETS, ids=lambda path: path.name)
def test_names_are_those_of_tokenize(path):
    for code in path.read_text(encoding="utf-8").split("\n\n\n"):
        code = code.strip()
        if is_valid(code) and not re.search(r"\b(match|case|type)\b|[fF][rR]?['\"]", code):  # what is contextual
            assert [(code[s.start : s.end], s.kind) for s in spans(code)] == by_tokenize(code)


@pytest.mark.parametrize("code", LEXEMES)
def test_names_beside_numbers_and_strings(code):
    if is_valid(code):
        assert [(code[s.start : s.end], s.kind) for s in spans(code)] == by_tokenize(code)


PYTHON_2 = [
    ("print 'a', b", ["print", "b"]),
    ("exec code in ns", ["exec", "code", "in", "ns"]),
    ("try:\n    f()\nexcept E, e:\n    print >>é, e", ["try", "f", "except", "E", "e", "print", "é", "e"]),
    ("print 'ü', a  not  in b", ["print", "a", "not", "in", "b"]),
]


@pytest.mark.parametrize(("code", "words"), PYTHON_2)
def test_what_only_tree_sitter_parses_is_invalid_but_has_spans(code, words):
    assert not is_valid(code)
    assert named(code) == words


@pytest.mark.parametrize(
    "code", ["sort the list x", "f(", "x = = 1", "print 'a'\0", "print '\ud800'", "print a\n" * 999]
)
def test_what_nobody_parses_has_no_spans(code):
    assert spans(code) == []


@pytest.mark.parametrize(
    "code",
    ["", " \n", "# only a comment", "f(", "x = 1\0", "'\ud800'", "return x y", "x = 1\n  y", "9" * 5000, None]
    + ["(" * 500 + ")" * 500, "-" * 5000 + "1", "x" * (python.MAX_CHARS + 1)],
)
def test_invalid(code):
    assert is_valid(code) is False


@pytest.mark.parametrize("code", ["a" + "+a" * 4999, "a" + ".a" * 4999, "a" + "()" * 4999, "a," * 4999])
def test_deep_trees_are_survived(code):
    # Whether they are valid depends on the interpreter's limits.
    assert matches(code, code)
    assert normalize(code)
    assert is_valid(code) <= bool(spans(code))


def test_warnings_neither_show_nor_make_programs_invalid():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert is_valid(r"re.sub('\d', '', x) if x is 1 else 1if 2 else 3")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x=  [ 1,2 ]  # why", "x = [1, 2]"),
        ('print("a")', "print('a')"),
        ("((a) + (b))", "a + b"),
        ("u'a' == U\"b\"", "'a' == 'b'"),
        ("if x: y\r\n", "if x:\n    y"),
        ("  not python (  ", "not python ("),
    ],
)
def test_normalize(code, expected):
    assert normalize(code) == expected


def test_canonicalize():
    assert canonicalize(" x=1\n") == "x = 1"
    with pytest.raises(ValueError, match="no Python program: .*was never closed|no Python program: unexpected EOF"):
        canonicalize("f(")
    huge = "x = 0x" + "f" * 5000  # parses, but has too many decimal digits to be printed
    assert is_valid(huge) and canonicalize(huge) == huge


def test_literals():
    assert literals("f('a b', 1.50, -2, x=\"c\", y=True) + f'{z} d' + b'e'") == ["a b", "1.5", "2", "c", " d", "b'e'"]
    assert literals("f(") == []


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("x=[1,  2]", "x = [1, 2] # gold", True),
        ("print('a')", 'print(u"a")', True),
        ("print ('a')", "print('b')", False),
        ("[i for i in y]", "[x for x in y]", False),
        ("1", "1.0", False),
        ("True", "1", False),
        ("f( x", "f( x", True),  # no program on either side: text
        ("f( x", "f(x)", False),
        ("f(x)", "f( x", False),
        ("# a", "# b", False),
        ("", "", False),
        (None, "x", False),
    ],
)
def test_matches(prediction, reference, expected):
    assert matches(prediction, reference) is expected


@pytest.mark.parametrize("name", ["python_train.jsonl", "python_val.jsonl"])
def test_every_gold_is_valid_and_has_spans(name):
    codes = gold(name)
    assert [code for code in codes if not is_valid(code)] == []
    assert [code for code in codes if not matches(normalize(code), code)] == []
    assert {code for code in codes if not spans(code) and not literals(code)} <= {"[]"}


def test_tree_sitter_agrees_on_golds_and_on_what_is_cut_out_of_them():
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_python.language()))
    codes = gold("python_val.jsonl")
    mutants = [code[: len(code) * 2 // 3] + code[len(code) * 2 // 3 + 1 :] for code in codes]
    agree = [is_valid(code) == (not parser.parse(code.encode()).root_node.has_error) for code in [*codes, *mutants]]
    assert sum(agree) >= 0.97 * len(agree)
