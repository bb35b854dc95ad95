"""examples/record_denoising.py, run as users run it, on the tiny checkpoint."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from codefusion_hf import cli


ROOT = Path(__file__).parents[1]
TINY = ROOT / "tests" / "fixtures" / "tiny-cf"
SCRIPT = ROOT / "examples" / "record_denoising.py"
UTTERANCE = "Style values which are In Progress"


def record(*arguments):
    command = [sys.executable, SCRIPT, *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)


def frames(path):
    """The frames of an animation in RGB, with their times in milliseconds."""
    with Image.open(path) as image:
        found = []
        for number in range(image.n_frames):
            image.seek(number)
            found.append((image.convert("RGB"), image.info["duration"]))
        return found


def colors(image, color):
    """How many pixels have a colour."""
    return {found: count for count, found in image.getcolors(1 << 24)}.get(color, 0)


def test_what_watch_prints_becomes_an_animation(tmp_path):
    output = tmp_path / "out.gif"
    done = record("--output", output, "--", "--model", TINY, "--num-inference-steps", 6, UTTERANCE)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith(f"{output}: 6 drafts, ")
    shown = frames(output)
    # A GIF joins frames that are the same, so there can be fewer than drafts.
    assert 2 <= len(shown) <= 7 and sum(time for _, time in shown) == 6 * 450 + 4500
    first, last = shown[0][0], shown[-1][0]
    changed, valid = (0xFF, 0xD9, 0x66), (0x7E, 0xE2, 0xA8)
    assert colors(first, changed) > 100 and colors(first, valid) == 0, "all of the first draft is new"
    assert colors(last, changed) == 0 and colors(last, valid) > 100, "the candidates, with their verdicts"
    with Image.open(output) as image:
        assert image.info["loop"] == 0
        assert image.info["comment"].decode().endswith(f"--num-inference-steps 6 '{UTTERANCE}'")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "OUT.gif", "--", "--model", "nope", "x"], "unknown model 'nope'"),
        (["--output", "OUT.gif", "--", "--model", str(TINY), " "], "the utterance is empty"),
        (["--output", "OUT.png", "--", "x"], "--output must end in .gif"),
        (["--output", "no/folder/OUT.gif", "--", "x"], "there is no folder no/folder"),
        (["--output", "OUT.gif"], "the following arguments are required: ARGUMENT"),
    ],
)
def test_errors_are_one_line(tmp_path, arguments, message):
    output = tmp_path / "OUT.gif"
    done = record(*(output if argument == "OUT.gif" else argument for argument in arguments))
    assert done.returncode != 0 and not output.exists() and "Traceback" not in done.stderr
    assert message in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("record_denoising.py: error: ")


def test_the_first_picture_of_the_readme_is_such_an_animation():
    path = ROOT / "docs" / "images" / "denoising.gif"
    first_screen = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")[0]
    assert "](docs/images/denoising.gif)" in first_screen and len(first_screen.splitlines()) <= 45
    assert path.stat().st_size < 500_000 and len(frames(path)) >= 8
    with Image.open(path) as image:
        command = image.info["comment"].decode()
    program, *arguments = shlex.split(command)
    args = cli._build_parser().parse_args(arguments)
    assert (program, args.watch, args.model) == ("codefusion", True, "cf")
    words = " ".join(SCRIPT.read_text(encoding="utf-8").replace("\\\n", "").split())
    assert shlex.join(arguments[2:-1]) in words and arguments[-1] in words, "the command in the script's help makes it"
