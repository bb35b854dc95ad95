"""The rules of the house that a machine can check, by `ast`: see docs/architecture.md."""

import ast
import re
import sys
from pathlib import Path

import pytest
from transformers.dynamic_module_utils import get_imports, get_relative_imports


ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "codefusion_hf"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# Within ring 0 a file imports from files further left only.
PARTS = "configuration scheduling loss layers networks ranking sampling generation_config generation modeling pipeline"
HUB_FILES = [f"{part}_codefusion" for part in PARTS.split()]
RINGS = {name: 0 for name in HUB_FILES} | {
    "languages": 1,
    "data": 2,
    "metrics": 2,
    "training": 3,
    "evaluation": 3,
    "baselines": 3,
    "scoring": 3,
    "hub": 3,
    "spreadsheets": 3,
    "streaming": 3,
    "editing": 3,
    "predictions": 3,
    "memory": 3,
    "cli": 4,
}
# `import codefusion_hf` gives the public names of rings 0 to 3, so only rings 3 and 4 may use it.
PUBLIC_NAMES_RING = 3
CORE_DEPENDENCIES = {"huggingface_hub", "safetensors", "tokenizers", "torch", "transformers"}
MAX_LINES = 700
# Folders of one machine, and addresses that only it can reach.
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root|mnt|Users)/\w|file:" + "//")


def relative_name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imported_modules(tree: ast.Module, path: Path) -> set[str]:
    """The modules of this package that a file imports, below the package's name; "" is the package itself."""
    package = path.relative_to(PACKAGE).parent.parts
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names if alias.name.split(".")[0] == "codefusion_hf"}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = ("codefusion_hf", *package)[: len(package) + 2 - node.level]
            elif (node.module or "").split(".")[0] == "codefusion_hf":
                base = ()
            else:
                continue
            base = ".".join((*base, *(node.module or "").split("."))).strip(".")
            for alias in node.names:
                # `from . import x` names a module or something that the package defines.
                submodule = PACKAGE.joinpath(*base.split(".")[1:], alias.name)
                is_module = submodule.is_dir() or submodule.with_suffix(".py").is_file()
                modules.add(f"{base}.{alias.name}" if is_module else base)
    return {module.partition(".")[2] for module in modules}


def import_faults(source: str, path: Path) -> list[str]:
    """What is wrong with the imports of a file of the package, one sentence each."""
    name = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if name == "__init__":
        return []  # the package's public names come from everywhere
    if name not in RINGS:
        return [f"{name} is in no ring: say in RINGS where it belongs"]
    ring, tree, faults = RINGS[name], ast.parse(source), []
    for module in sorted(imported_modules(tree, path)):
        target = module.partition(".")[0]
        target_ring = RINGS.get(target, PUBLIC_NAMES_RING)
        if target_ring > ring:
            faults.append(f"ring {ring} imports {target or 'the package'} of ring {target_ring}")
        if ring == 2 and target_ring == 0:
            faults.append(f"ring 2 imports {target}: data and metrics know no model")
        if ring == 0 and target in HUB_FILES and HUB_FILES.index(target) >= HUB_FILES.index(name):
            faults.append(f"{name} imports {target}, which stands further right")
    if ring == 0:
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level and not (node.level == 1 and node.module in HUB_FILES):
                faults.append(f"line {node.lineno}: only `from .x_codefusion import y` finds its way to the Hub")
    return faults


def docstring_faults(source: str) -> list[str]:
    """The public functions, classes and methods without a docstring."""
    faults = []

    def visit(node: ast.Module | ast.ClassDef) -> None:
        for child in node.body:
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                if child.name.startswith("_"):
                    continue
                if ast.get_docstring(child) is None:
                    faults.append(f"line {child.lineno}: {child.name} has no docstring")
                if isinstance(child, ast.ClassDef):
                    visit(child)

    visit(ast.parse(source))
    return faults


@pytest.mark.parametrize("path", SOURCES, ids=relative_name)
def test_imports_stay_within_the_rings(path):
    assert import_faults(path.read_text(encoding="utf-8"), path) == []


@pytest.mark.parametrize(
    ("file", "source", "fault"),
    [
        ("languages/python.py", "from ..data import prompts", "ring 1 imports data of ring 2"),
        ("languages/cf/syntax.py", "from ... import checkpoint_path", "ring 1 imports the package of ring 3"),
        ("data/collator.py", "import codefusion_hf.evaluation", "ring 2 imports evaluation of ring 3"),
        ("metrics/code_validity/code_validity.py", "from ...modeling_codefusion import A", "know no model"),
        ("evaluation.py", "def f():\n    from .cli import main", "ring 3 imports cli of ring 4"),
        ("loss_codefusion.py", "from .modeling_codefusion import A", "further right"),
        ("modeling_codefusion.py", "from . import loss_codefusion", "line 1: only"),
        ("modeling_codefusion.py", "from .languages import get_language", "ring 0 imports languages of ring 1"),
        ("helpers.py", "", "is in no ring"),
    ],
)
def test_forbidden_imports_are_found(file, source, fault):
    assert any(fault in found for found in import_faults(source, PACKAGE / file))


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("languages/cf/__init__.py", "from .. import Span\nfrom .syntax import parse"),
        ("data/collator.py", "from ..languages import get_language\nfrom .prompts import source_text"),
        ("evaluation.py", "from . import checkpoint_path\nfrom .languages import get_language"),
        ("cli/env.py", "def f():\n    from .. import evaluation"),
    ],
)
def test_allowed_imports_are_not_reported(file, source):
    assert import_faults(source, PACKAGE / file) == []


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*_codefusion.py")), ids=relative_name)
def test_hub_files_load_as_remote_code(path):
    # transformers finds imports by regex on the text, docstrings included, and demands every package they name.
    assert {f"{name}.py" for name in get_relative_imports(path)} <= {file.name for file in PACKAGE.glob("*.py")}
    assert set(get_imports(path)) - set(sys.stdlib_module_names) <= CORE_DEPENDENCIES


@pytest.mark.parametrize("path", SOURCES, ids=relative_name)
def test_public_names_have_docstrings(path):
    assert docstring_faults(path.read_text(encoding="utf-8")) == []


def test_missing_docstrings_are_found():
    source = "class A:\n    'Doc.'\n    def b(self): ...\n    def _c(self): ...\nclass _D:\n    def e(self): ...\n"
    assert docstring_faults(source) == ["line 3: b has no docstring"]


@pytest.mark.parametrize("path", SOURCES, ids=relative_name)
def test_files_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_no_machine_paths():
    folders = [ROOT / name for name in ("src", "tests", "examples", "docs", "model_cards")]
    files = [
        path for folder in folders for path in folder.rglob("*") if path.suffix in {".py", ".md", ".json", ".yaml"}
    ]
    files += [path for path in ROOT.iterdir() if path.is_file() and path.name != ".coverage"]
    assert PACKAGE / "cli" / "__init__.py" in files
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    assert [str(path.relative_to(ROOT)) for path, text in texts.items() if MACHINE_PATH.search(text)] == []


def test_machine_paths_are_found():
    assert MACHINE_PATH.search("open('/ro" + "ot/data.json')")
    assert not MACHINE_PATH.search("examples/work/x, 1/root/2")
