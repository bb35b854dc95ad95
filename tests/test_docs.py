"""
The documentation says what is so. On every page the Python blocks run, in order and in one namespace, and print what
their comments say; `codefusion` commands run on small files; all other commands, options, paths and links exist.

`<!-- not run: REASON -->` on the line before a block leaves it out.
"""

import argparse
import contextlib
import functools
import io
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import openpyxl
import pytest
import torch

from codefusion_hf import cli


ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted(path for path in ROOT.glob("model_cards/*.md") if not path.name.endswith(".template.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}
FENCE = re.compile(r"(<!-- not run: [^\n]+ -->\n)?^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PRINTED = re.compile(r"^\s*print\(.*\)  # (.*)$", re.MULTILINE)
# A whole language: its commands are those of a package that has it, see `test_a_language_is_added_in_two_files`.
LANGUAGE_PAGE = "docs/languages.md"
# Commands that are not ours, with what is checked elsewhere or needs an account, a server or a machine of its own.
FOREIGN = "cd git hf mkdir uvicorn".split()
FOREIGN_FLAGS = {"--cpu", "--multi_gpu", "--num_processes", "--strict", "--workers"}
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
PYPROJECT = (ROOT / "pyproject.toml").read_text()


def blocks(page, language, marked=False):
    """The fenced blocks of a language, without those that are marked as not run, or these only."""
    return [code for mark, name, code in FENCE.findall(TEXTS[page]) if name == language and bool(mark) == marked]


def prose(page):
    return FENCE.sub("", TEXTS[page])


def inline_code(page):
    return [" ".join(code.split()) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose(page))]


def commands(text):
    """The simple commands of a shell script, as lists of words: without assignments and redirections."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        inner = re.match(r"\s*\w+=\$\((.*)\)\s*$", line)
        lexer = shlex.shlex(inner[1] if inner else line, posix=True, punctuation_chars="&|;<>")
        lexer.whitespace_split = True
        words = []
        for word in [*lexer, ";"]:
            if set(word) <= set("&|;"):
                while words and re.match(r"\w+=", words[0]):
                    words.pop(0)
                if words and words[0] != "export":
                    found.append(words)
                words = []
            else:
                words.append(word)
    return found


SHELL = {page: [words for block in blocks(page, "bash") for words in commands(block)] for page in TEXTS}
OURS = {tuple(words): page for page, lines in SHELL.items() for words in lines if words[0] == "codefusion"}


@pytest.fixture
def files(tmp_path, tiny_cf, monkeypatch):
    """A folder with the files that the documentation speaks of, as the current one."""
    rows = [json.loads(line) for line in (ROOT / "tests/fixtures/cf_pairs.jsonl").read_text("utf-8").splitlines()[:3]]
    rows = [{**row, "id": number} for number, row in enumerate(rows)]
    for name in "benchmark cf_val cf_train cf_pretrain train corpus".split():
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    predictions = [{"id": row["id"], "nl": row["nl"], "candidates": [{"code": row["code"]}]} for row in rows]
    (tmp_path / "predictions.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in predictions))
    table = [("Name", "Grade", "Days Missed"), ("Ana", 91, 2), ("Bo", 75, 9), ("Cy", 84, 0)]
    (tmp_path / "grades.csv").write_text("".join(f"{','.join(map(str, row))}\n" for row in table))
    book = openpyxl.Workbook()
    for row in table:
        book.active.append(row)
    book.save(tmp_path / "grades.xlsx")
    for name in ("mine", "finetuned"):
        shutil.copytree(tiny_cf, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in TEXTS if blocks(page, "python")])
def test_python_blocks_run_and_print_what_they_say(page, files):
    scope, printed, threads = {"__name__": "documentation"}, io.StringIO(), torch.get_num_threads()
    try:
        with contextlib.redirect_stdout(printed):
            for block in blocks(page, "python"):
                exec(compile(block, page, "exec"), scope)  # noqa: S102  (our own documentation)
    finally:
        torch.set_num_threads(threads)
    lines = iter(printed.getvalue().splitlines())
    for expected in [line for block in blocks(page, "python") for line in PRINTED.findall(block)]:
        assert expected in lines, (expected, printed.getvalue())  # uses up the lines before it: the order counts


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_our_commands_run(words, files, capsys):
    arguments = list(words[1:])
    if arguments[0].startswith("push") and "--dry-run" not in arguments:  # nothing is sent from here
        cli._build_parser().parse_args(arguments)
        return
    if arguments[0] == "predict":
        (files / "predictions.jsonl").unlink()
    assert cli.main(arguments) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.strip() or arguments[0] == "predict"


def test_the_pages_have_commands():
    assert len(OURS) >= 15 and sum(map(len, SHELL.values())) >= 50


class Parsed(Exception):
    """Carries a script's parser out of the script, before it does anything."""


@functools.cache
def script_parser(script):
    """The parser of a script in examples/, which runs until it parses its arguments."""

    def stop(self, *arguments, **options):
        raise Parsed(self)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Parsed) as caught:
        patch.syspath_prepend(ROOT / "examples")
        patch.setattr(sys, "argv", [script])
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        runpy.run_path(str(ROOT / script), run_name="__main__")
    return caught.value.args[0]


def options(parser):
    """All option strings of a parser and of its subcommands."""
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= set().union(*map(options, action.choices.values()))
    return found


@functools.cache
def subcommands():
    """The parsers of `codefusion` by the words that call them."""
    found, waiting = {}, [("codefusion", cli._build_parser())]
    while waiting:
        name, parser = waiting.pop()
        found[name] = parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += [(f"{name} {word}", child) for word, child in action.choices.items()]
    return found


def is_script(word):
    return word.startswith("examples/") and word.endswith(".py")


def check_script(words):
    """Whether `[LAUNCHER ...] examples/X.py ...` would be accepted by the script's own parser."""
    index = next(number for number, word in enumerate(words) if is_script(word))
    parser, arguments = script_parser(words[index]), words[index + 1 :]
    if "..." in arguments or words[0] == "inline":  # an excerpt: its options exist
        assert {word for word in arguments if word.startswith("--")} <= options(parser), words
        return
    with contextlib.redirect_stderr(io.StringIO()) as message:
        try:
            parser.parse_args(arguments)
        except SystemExit:
            pytest.fail(f"{' '.join(words)}: {message.getvalue().splitlines()[-1]}")


def check_extras(words):
    for extras in re.findall(r"\[([\w,]+)\]", " ".join(words)):
        for extra in extras.split(","):
            assert re.search(rf"^{extra} = \[", PYPROJECT, re.MULTILINE) or "datatrove" in words[-1], (words, extra)


@pytest.mark.parametrize("page", [page for page in TEXTS if SHELL[page]])
def test_commands_exist(page):
    for words in SHELL[page]:
        program = words[0]
        if any(map(is_script, words)):
            assert program in ("python", "accelerate", "torchrun"), words
            check_script(words)
        elif program == "make":
            assert set(words[1:]) <= set(TARGETS), words
        elif program == "pip":
            check_extras(words)
        elif program == "python":
            assert words[1] == "-c" or words[1:3] == ["-m", "pytest"] and (ROOT / words[3]).exists(), words
        else:
            assert program in (*FOREIGN, "codefusion"), words


@functools.cache
def known_flags():
    paths = [path for path in sorted(ROOT.glob("examples/*.py")) if "argparse" in path.read_text("utf-8")]
    scripts = [path.relative_to(ROOT).as_posix() for path in paths]
    return FOREIGN_FLAGS.union(*map(options, map(script_parser, scripts)), *map(options, subcommands().values()))


@pytest.mark.parametrize("page", TEXTS)
def test_inline_code_exists(page):
    for code in inline_code(page):
        if page == LANGUAGE_PAGE and ("cron" in code or "mini-*" in code):
            continue
        words = code.split()
        if code.startswith("--"):
            assert words[0].split("=")[0] in known_flags(), code
        elif words[0] == "codefusion" and len(words) > 1:
            names = [name for name in subcommands() if code.startswith(name)]
            assert len(names) > 1 or words[1] == "--help", code
            flags = {word for word in words if re.match("--[a-z]", word)}
            assert flags <= options(subcommands()[max(names, key=len)]), code
        elif words[0] == "make" and len(words) == 2:
            assert words[1] in TARGETS, code
        elif words[0] == "pip":
            check_extras(words)
        elif any(map(is_script, words)):
            script = ROOT / next(word for word in words if is_script(word))
            assert script.is_file(), code
            if "argparse" in script.read_text(encoding="utf-8"):  # a web application has no parser
                check_script(["inline", *words])
        elif re.fullmatch(r"(examples|tests|src|docs|model_cards)/[\w./-]+", words[0].partition("::")[0]):
            assert (ROOT / words[0].partition("::")[0]).exists(), code
        if re.search(r"::test_\w+$", code):
            test = f"def {code.rpartition('::')[2]}("
            assert any(test in path.read_text("utf-8") for path in ROOT.glob("tests/**/test_*.py")), code


def slugs(text):
    """The anchors that GitHub makes of the headings."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)", prose(page)):
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if anchor and "/api/" not in f"/{path}":  # made by the build, which checks its anchors
            assert anchor in slugs(file.read_text("utf-8")), target


def test_the_first_screen_is_short():
    readme = TEXTS["README.md"]
    assert readme.index("## What is") < len("\n".join(readme.splitlines()[:45]))


def test_every_public_name_is_in_the_reference():
    import codefusion_hf

    reference = "".join(text for page, text in TEXTS.items() if page.startswith("docs/api/"))
    for name in codefusion_hf.__all__:
        assert re.search(rf"^::: codefusion_hf\.(?:\w+\.)*{name}$", reference, re.MULTILINE), name


def test_a_language_is_added_in_two_files(tmp_path):
    """The page's module and change, in a copy of the package: contract, tokenizer, training and scores."""
    ignore = shutil.ignore_patterns("__pycache__", "checkpoints")
    for folder in ("src", "tests/languages", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    [module] = blocks(LANGUAGE_PAGE, "python", marked=True)
    (tmp_path / "src/codefusion_hf/languages/cron.py").write_text(module)
    contract = tmp_path / "tests/languages/test_contract.py"
    changes = "".join(blocks(LANGUAGE_PAGE, "diff"))
    names = tmp_path / "src/codefusion_hf/languages/__init__.py"
    [old] = re.findall(r"^-(LANGUAGES.*)", changes, re.MULTILINE)
    [new] = re.findall(r"^\+(LANGUAGES.*)", changes, re.MULTILINE)
    assert old in names.read_text()
    names.write_text(names.read_text().replace(old, new))
    for name, sample in re.findall(r"^ (\w+ = \{)\n\+(.*)$", changes, re.MULTILINE):
        assert name in contract.read_text()
        contract.write_text(contract.read_text().replace(name, f"{name}\n{sample}"))

    pairs = [("every weekday at nine", "0 9 * * 1-5"), ("every quarter of an hour", "*/15 * * * *")] * 4
    rows = [{"id": number, "nl": nl, "code": code} for number, (nl, code) in enumerate(pairs[:2] + pairs)]
    (tmp_path / "cron.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    guesses = ["0 9 * * mon-fri", "0,15,30,45 * * * *"]
    answers = [{"id": row["id"], "candidates": [{"code": guesses[row["id"] % 2]}]} for row in rows]
    (tmp_path / "predictions.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in answers))
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "src"), "OMP_NUM_THREADS": "1"}
    for words in [words for block in blocks(LANGUAGE_PAGE, "bash", marked=True) for words in commands(block)]:
        program = [sys.executable] if words[0] == "python" else [sys.executable, "-m", "codefusion_hf.cli"]
        done = subprocess.run([*program, *words[1:]], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr[-2000:])
    assert (tmp_path / "cron-model" / "model.safetensors").exists()
    scores = dict(re.findall(r"^(code_exact_match\w*)\D+([\d.]+)", done.stdout, re.MULTILINE))
    assert float(scores["code_exact_match_normalized"]) == 100 and float(scores["code_exact_match"]) == 0, done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="the site needs the extra `docs`")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_the_site_loads_nothing_from_elsewhere(site):
    pages = list(site.glob("**/index.html"))
    assert len(pages) >= 20
    for page in pages:
        html = page.read_text("utf-8")
        assert not re.search(r"""<(?:script|img|iframe|source)[^>]+src=["']?(?:https?:)?//""", html), page
        assert not re.search(r"""<link(?![^>]+canonical)[^>]+href=["']?(?:https?:)?//""", html), page
    for sheet in site.glob("**/*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//|@import", sheet.read_text("utf-8")), sheet
