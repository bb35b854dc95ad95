"""examples/plot_denoising.py, run as users run it, on the tiny checkpoint."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]
PAIRS = ROOT / "tests" / "fixtures" / "cf_pairs.jsonl"
TINY = ROOT / "tests" / "fixtures" / "tiny-cf"


SCRIPT = ROOT / "examples" / "plot_denoising.py"


def plot_in_a_process(*arguments: object) -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def plot(*arguments: object) -> None:
    """The same in this process: importing torch takes longer than drawing."""
    before, sys.argv = sys.argv, [str(SCRIPT), *map(str, arguments)]
    try:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    finally:
        sys.argv = before


def png_size(path: Path) -> tuple[int, int]:
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")


def state_row(identifier: str, language: str, latents: list[str], code: str) -> dict:
    """A row as `states` writes it, of a run with steps at timesteps 9, 6 and 3."""
    row = {"id": identifier, "nl": 'say <b> & "$x$"', "language": language, "code": code, "timesteps": [9, 6, 3]}
    return {**row, "latents": latents, "denoised": latents, "states": [code] * 3}


@pytest.fixture
def states(tmp_path) -> Path:
    """Two CF programs and a Python one of two lines, with characters that HTML and mathtext would take for theirs."""
    rows = [
        state_row("a", "cf", ["zzzz", "Top(zz)", "Top(10)"], "Top(10)"),
        state_row("b", "cf", ["zzzz", "yyyy", "Top(20)"], "Top(10)"),
        state_row("c", "python", ["$a$ < 1", "if a < 1:\n\tb$", "if a < 1:\n    b()"], "if a < 1:\n    b()"),
    ]
    path = tmp_path / "saved.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_from_a_model_to_its_pictures(tmp_path):
    saved, scores = tmp_path / "states.jsonl", tmp_path / "scores.json"
    arguments = ("states", "--model", TINY, "--data", PAIRS, "--num_inference_steps", 6, "--output")
    plot_in_a_process(*arguments, saved)
    rows = [json.loads(line) for line in saved.read_text().splitlines()]
    pairs = [json.loads(line) for line in PAIRS.read_text().splitlines()]
    assert [row["nl"] for row in rows] == [pair["nl"] for pair in pairs]
    for row in rows:
        assert row["language"] == "cf" and row["sampler"] == "ddpm" and row["num_inference_steps"] == 6
        assert row["timesteps"] == sorted(row["timesteps"], reverse=True) and len(row["timesteps"]) == 6
        assert len(row["states"]) == len(row["denoised"]) == len(row["latents"]) == 6
        assert row["states"][-1] == row["code"], "the last state is the program"
        assert all("<pad>" not in text and "</s>" not in text for text in row["latents"])
    assert len({row["latents"][0] for row in rows}) > 30, "each program starts from noise of its own"
    again = tmp_path / "again.jsonl"
    plot(*arguments, again, "--batch_size", 7)
    assert again.read_text() == saved.read_text()

    plot_in_a_process("figure2", "--states", saved, "--output", tmp_path / "figure2.png")
    curves = {curve["read"]: curve for curve in json.loads((tmp_path / "figure2.json").read_text())}
    latents = curves["latents"]
    assert latents["programs"] == 40 and latents["timesteps"] == [*rows[0]["timesteps"][1:], 0]
    assert latents["edit_distance"][0] > 0.5 > 0.2 > latents["edit_distance"][-1], "noise becomes the program"
    assert curves["states"]["edit_distance"][-1] == 0 and curves["states"]["timesteps"] == rows[0]["timesteps"]

    plot("stages", "--states", saved, "--id", rows[3]["id"], "--output", tmp_path / "stages.png")
    assert rows[3]["nl"] in (tmp_path / "stages.txt").read_text()

    plot("scores", "--model", TINY, "--data", PAIRS, "--steps", 1, 4, "--max_rows", 12, "--output", scores)
    results = json.loads(scores.read_text())
    assert [(result["num_inference_steps"], result["rows"]) for result in results] == [(1, 12), (4, 12)]
    assert all(0 <= result["top_1"] <= result["top_5"] <= 100 for result in results) and results[1]["top_1"] > 80
    plot("figure6", "--scores", scores, "--output", tmp_path / "figure6.png")
    for name in ("figure2", "stages", "figure6"):
        width, height = png_size(tmp_path / f"{name}.png")
        assert 300 < width <= 1100 and height > 100 and (tmp_path / f"{name}.png").stat().st_size < 200_000


def test_one_utterance(tmp_path):
    saved = tmp_path / "states.jsonl"
    options = ("--columns", "Name, Grade,Absences", "--num_inference_steps", 3, "--sampler", "dpmpp_2m", "--seed", 5)
    plot("states", "--model", TINY, "--nl", "students with a grade above 90", *options, "--output", saved)
    (row,) = map(json.loads, saved.read_text().splitlines())
    assert row["nl"] == "students with a grade above 90" and row["seed"] == 5 and len(row["states"]) == 3


def test_figure2_is_the_mean_distance_per_language(states, tmp_path):
    plot("figure2", "--states", states, "--read", "latents", "--output", tmp_path / "figure2.png")
    cf, python = json.loads((tmp_path / "figure2.json").read_text())
    assert (cf["language"], cf["programs"], python["language"]) == ("cf", 2, "python")
    assert cf["timesteps"] == [6, 3, 0], "the text after a step belongs to the next timestep"
    assert cf["edit_distance"] == pytest.approx([1, (2 / 7 + 1) / 2, (0 + 1 / 7) / 2], abs=1e-4)
    assert cf["ci95"][0] == 0 and cf["ci95"][2] == pytest.approx(1.96 * (1 / 7) / 2, abs=1e-4)
    assert python["edit_distance"][-1] == 0 and python["ci95"] == [0, 0, 0]


def test_stages_mark_what_is_new(states, tmp_path):
    plot("stages", "--states", states, "--id", "a", "--output", tmp_path / "a.png")
    assert (tmp_path / "a.txt").read_text() == (
        'say <b> & "$x$"\n\nt = 6  zzzz\nt = 3  Top(zz)\n       ^^^^^^^\nt = 0  Top(10)\n           ^^\n'
    )
    chosen = ("--id", "c", "--read", "denoised", "--timesteps", 9, 5)
    plot("stages", "--states", states, *chosen, "--output", tmp_path / "c.png")
    page = (tmp_path / "c.html").read_text()
    assert "<caption>say &lt;b&gt; &amp; &quot;$x$&quot;</caption>" in page
    assert "<code>$a$ &lt; 1</code>" in page and "t = 6<" in page and "t = 3<" not in page
    assert "b<mark>(</mark><mark>)</mark>" in page and page.count("<tr>") == 3
    assert png_size(tmp_path / "c.png")[1] > png_size(tmp_path / "a.png")[1], "the lines of a program are lines"


def test_figure6_takes_several_languages(tmp_path):
    names = ("cf", "bash", "brainfuck")
    results = [
        {"num_inference_steps": steps, "language": name, "top_1": 10 * index + steps, "top_5": 90}
        for index, name in enumerate(names)
        for steps in (20, 1, 5)
    ]
    (tmp_path / "a.json").write_text(json.dumps(results[:3]))
    (tmp_path / "b.json").write_text(json.dumps(results[3:]))
    plot("figure6", "--scores", tmp_path / "a.json", tmp_path / "b.json", "--output", tmp_path / "figure6.png")
    drawn = json.loads((tmp_path / "figure6.json").read_text())
    assert sorted(map(str, drawn)) == sorted(map(str, results))
    assert [row["num_inference_steps"] for row in drawn] == sorted(row["num_inference_steps"] for row in drawn)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["figure2", "--states", "ROWS", "--output", "no/folder/x.png"], "there is no folder no/folder"),
        (["figure2", "--states", "NONE", "--output", "OUT"], "No such file"),
        (["figure2", "--states", "SHORT", "--output", "OUT"], "row 1: it must have one text for each timestep"),
        (["figure2", "--states", "ROWS", "MORE", "--output", "OUT"], "the cf programs were generated with different"),
        (["figure2", "--states", "ROWS", "--output", "x.svg"], "a picture must end in .png, got x.svg"),
        (["figure6", "--scores", "ROWS", "--output", "OUT"], "no valid JSON"),
        (["figure6", "--scores", "DICT", "--output", "OUT"], "must be a list"),
        (["figure6", "--scores", "LIST", "--output", "OUT"], "a result has no num_inference_steps, language, top_1"),
        (["stages", "--states", "LIST", "--output", "OUT"], "line 1: expected a JSON object"),
        (["stages", "--states", "ROWS", "--id", "z", "--output", "OUT"], "has no program with id z"),
        (["states", "--model", "nope", "--nl", "x", "--output", "OUT"], "unknown model 'nope'"),
        (["states", "--model", "TINY", "--nl", " ", "--output", "OUT"], "the utterance is empty"),
        (["states", "--model", "TINY", "--nl", "x", "--sampler", "euler", "--output", "OUT"], "euler"),
        (["scores", "--model", "TINY", "--data", "PAIRS", "--max_rows", "0", "--output", "OUT"], "--max_rows must be"),
    ],
)
def test_errors_are_one_line(states, tmp_path, capsys, arguments, message):
    row = json.loads(states.read_text().splitlines()[0])
    files = {"LIST": [{"top_5": 1}], "DICT": {"a": 1}, "SHORT": {**row, "states": []}}
    files["MORE"] = {**row, "timesteps": [8, 6, 3]}
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    paths = {"ROWS": states, "TINY": TINY, "PAIRS": PAIRS, "OUT": tmp_path / "out.png", "NONE": tmp_path / "none"}
    paths |= {name: tmp_path / name for name in files}
    with pytest.raises(SystemExit) as caught:
        plot(*(paths.get(argument, argument) for argument in arguments))
    # argparse prints its message, the script exits with its own.
    text = capsys.readouterr().err if caught.value.code == 2 else caught.value.code
    assert message in text.strip().splitlines()[-1]
    assert caught.value.code == 2 or "\n" not in text
