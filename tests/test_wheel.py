"""The wheel, installed into an environment that has not got the source tree."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import codefusion_hf


pytest.importorskip("hatchling", reason="builds the wheel: pip install hatchling")

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
SENTENCES = {
    "bash": "delete all .pyc files under the current directory",
    "cf": "Color cells that have value greater than 1129",
    "python": "sort the list x in descending order",
}
# Imported by Python when it starts.
OFFLINE = """
import sys

def offline(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise RuntimeError(f"network: {event} {arguments}")

sys.addaudithook(offline)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The programs of an environment with the wheel, and with this environment's other packages."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    install = [sys.executable, "-m", "pip", "--python", scripts / "python", "install", "--no-deps", "--no-index"]
    subprocess.run([*install, "--quiet", "--disable-pip-version-check", wheel], check=True)
    command = [scripts / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    # A .pth file in a folder that a .pth file names is not read: an editable install of the source stays out.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    (packages / "sitecustomize.py").write_text(OFFLINE)
    return scripts


def run(scripts, cwd, program, *arguments):
    environment = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "PYTHONPATH")}
    environment |= {"HF_HOME": str(cwd / "home"), "OMP_NUM_THREADS": "1"}
    command = [scripts / program, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_wheel_has_every_file_of_the_package(wheel):
    sources = {
        path.relative_to(SOURCE).as_posix()
        for path in (SOURCE / "codefusion_hf").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == sources


def test_the_source_tree_is_out_of_reach(installed, tmp_path):
    script = "import importlib.util; print(importlib.util.find_spec('codefusion_hf').origin)"
    out = run(installed, tmp_path, "python", "-c", script)
    assert Path(out.strip()).is_relative_to(installed.parent)


@pytest.mark.parametrize("name", codefusion_hf.available_checkpoints())
def test_every_shipped_model_generates_offline(installed, tmp_path, name):
    out = run(installed, tmp_path, "codefusion", "generate", "--model", name, "--json", SENTENCES[name])
    candidates = json.loads(out)["candidates"]
    assert len(candidates) == 5 and candidates[0]["valid"]
    if name == "cf":
        assert candidates[0]["code"] == "GreaterThan(1129)"


def test_a_shipped_model_can_be_published_from_the_wheel(installed, tmp_path):
    out = run(installed, tmp_path, "codefusion", "push", "--checkpoint", "cf", "--repo", "org/cf", "--dry-run")
    assert "model.safetensors" in out and "pipeline_codefusion.py" in out
