"""What the project says of itself in several files is the same in all of them."""

import re
from pathlib import Path

import pytest
import yaml


ROOT = Path(__file__).parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))


def commands(job):
    return [step["run"] for step in WORKFLOW["jobs"][job]["steps"] if "run" in step]


def test_both_ends_of_the_range_of_transformers_are_tested():
    floor, cap = re.search(r'"transformers>=([\d.]+),(<\d+)"', PYPROJECT).groups()
    matrix = WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["transformers"]
    oldest, newest = re.search(r"for transformers in '([^']+)' '([^']+)'", MAKEFILE).groups()
    assert matrix == [oldest, newest] and newest == cap
    assert oldest.startswith(f"=={floor}"), "the floor, or its first release that can be installed"


def test_the_oldest_python_is_tested():
    oldest = re.search(r'requires-python = ">=([\d.]+)"', PYPROJECT)[1]
    assert WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"][0] == oldest
    assert oldest in WORKFLOW["jobs"]["wheel"]["strategy"]["matrix"]["python"]
    assert f'target-version = "py{oldest.replace(".", "")}"' in PYPROJECT


@pytest.mark.parametrize("job", WORKFLOW["jobs"])
def test_workflows_call_what_there_is(job):
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    for command in commands(job):
        assert set(re.findall(r"\bmake ([\w-]+)", command)) <= targets, command
        assert all((ROOT / path).exists() for path in re.findall(r"\btests/\w+\.py", command)), command
        for extra in re.findall(r"\.\[(\w+)\]", command):
            assert re.search(rf"^{extra} = \[", PYPROJECT, re.MULTILINE), command


def test_ruff_is_the_same_everywhere():
    version = re.search(r"^ruff==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [repo["rev"] for repo in hooks if "ruff" in repo["repo"]] == [f"v{version}"]


@pytest.mark.parametrize("name", ["bug", "wrong_program"])
def test_a_report_has_the_environment(name):
    form = yaml.safe_load((ROOT / f".github/ISSUE_TEMPLATE/{name}.yml").read_text(encoding="utf-8"))
    asked = [field for field in form["body"] if "codefusion env" in field["attributes"]["label"]]
    assert len(asked) == 1 and asked[0]["validations"]["required"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms_are_read(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    fields = [field.get("id") for field in form.get("body", [])]
    assert isinstance(form, dict) and len(set(fields)) == len(fields)
