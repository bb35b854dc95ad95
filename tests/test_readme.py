"""The README's code runs, and prints what it says it prints."""

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^codefusion (?:generate|env).*?(?=\s{2,}#|$)", README, re.MULTILINE)


def test_python_blocks_run_in_order():
    assert len(PYTHON) >= 2
    scope, printed = {}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in PYTHON:
            exec(block, scope)  # noqa: S102  (our own documentation)
    expected = [
        line.strip() for block in PYTHON for line in re.findall(r"^print\(.*\)\s+# (.*)$", block, re.MULTILINE)
    ]
    assert expected and printed.getvalue().splitlines() == expected


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(command, tmp_path):
    (tmp_path / "grades.csv").write_text("Name,Grade,Days Missed\nAna,91,2\nBo,75,9\n")
    program = Path(sys.executable).with_name("codefusion")
    done = subprocess.run([program, *shlex.split(command)[1:]], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_first_screen_is_short():
    assert README.index("## What is") < len("\n".join(README.splitlines()[:50]))


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", README):
        assert (ROOT / target).exists(), target
