import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from codefusion_hf import available_checkpoints, cli, evaluation


SRC = Path(__file__).parents[1] / "src"
UTTERANCE = "Color cells that have value greater than 1129"
# Utterances of the CF benchmark's training split, and some that it does not foresee.
ROWS = [
    {"id": 77, "nl": UTTERANCE},
    {"id": 1, "nl": "Format cells that are greater than or equal to 25 and less than 50"},
    {"id": "emoji", "nl": "mettre en évidence les cellules > 10 🎉"},
    {"id": 77, "nl": "highlight the best two grades", "table": {"columns": ["Name", "Grade"], "rows": [["Ann", "7"]]}},
    {"id": 5, "nl": "duplicates"},
]


def run(capsys, *argv):
    """Exit status, stdout and stderr of the command line, run in this process."""
    try:
        status = cli.main([str(argument) for argument in argv])
    except SystemExit as exit:  # argparse
        status = exit.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def fails(capsys, *argv):
    """The message of a command that must fail with one line."""
    status, out, err = run(capsys, *argv)
    assert (status, out) == (2, "")
    assert err.startswith("codefusion: error: ") and err.count("\n") == 1 and err.endswith("\n")
    return err


def spawn(*argv, after=""):
    """Runs what the installed `codefusion` script runs."""
    code = f"import sys; sys.argv[0] = 'codefusion'; from codefusion_hf.cli import main; main(); {after}"
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, argv)], env=environment, capture_output=True, text=True, timeout=600
    )


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture
def checkpoint(tiny_cf, tmp_path):
    """A copy of the tiny checkpoint, to be damaged."""
    return Path(shutil.copytree(tiny_cf, tmp_path / "checkpoint"))


# --- what must answer at once


def test_env_needs_neither_torch_nor_transformers():
    # They take seconds to import. The parser is built as for every other command, `--help` included.
    process = spawn("env", after="print(sorted({'numpy', 'tokenizers', 'torch', 'transformers'} & set(sys.modules)))")
    assert process.stdout.endswith("\n[]\n")


def test_the_script_knows_the_model(tiny_cf):
    process = spawn("generate", "--model", tiny_cf, "--json", UTTERANCE)
    assert (process.stderr, json.loads(process.stdout)["nl"]) == ("", UTTERANCE)


@pytest.mark.parametrize(
    "command", ["", "generate", "predict", "score", "data leakage", "push", "push-metrics", "apply", "env"]
)
def test_help_shows_an_example(command):
    process = spawn(*command.split(), "--help")
    assert process.returncode == 0
    assert re.search(rf"example:\n  codefusion {command}", process.stdout)


def test_env_names_versions_and_machine():
    process = spawn("env")
    assert (process.returncode, process.stderr) == (0, "")
    facts = dict(re.split(r":\s+", line, maxsplit=1) for line in process.stdout.splitlines())
    assert re.fullmatch(r"5\.\d+\.\d+\S*", facts["transformers"])
    assert facts["CPUs"] == str(os.cpu_count())
    assert facts["NVIDIA driver"] in ("found", "not found")
    assert facts["shipped models"] == (", ".join(available_checkpoints()) or "none")


# --- generate


def test_generate_prints_ranked_lines(capsys, tiny_cf):
    status, out, err = run(capsys, "generate", "--model", tiny_cf, "--num-return-sequences", 3, UTTERANCE)
    assert (status, err) == (0, "")
    lines = [re.fullmatch(r"(\d)  (.*?)\s+(-?\d+\.\d\d)  (valid|invalid)", line) for line in out.splitlines()]
    assert 1 <= len(lines) <= 3 and all(lines)
    assert [int(line[1]) for line in lines] == list(range(1, len(lines) + 1))
    scores = [float(line[3]) for line in lines]
    assert scores == sorted(scores, reverse=True)


def test_generate_json_is_one_object_and_the_seed_decides(capsys, tiny_cf):
    argv = ["generate", "--model", tiny_cf, "--num-inference-steps", 4, "--sampler", "ddim", "--json", UTTERANCE]
    status, out, err = run(capsys, *argv)
    assert (status, err) == (0, "")
    answer = json.loads(out)
    assert list(answer) == ["nl", "candidates"] and answer["nl"] == UTTERANCE
    assert 1 <= len(answer["candidates"]) <= 5
    for candidate in answer["candidates"]:
        assert list(candidate) == ["code", "score", "valid"]
        assert isinstance(candidate["valid"], bool)
    assert run(capsys, *argv)[1] == out
    assert run(capsys, *argv, "--seed", 1)[1] != out


def test_generate_reads_stdin(capsys, tiny_cf, monkeypatch):
    argv = ["generate", "--model", tiny_cf, "--json"]
    expected = run(capsys, *argv, UTTERANCE)[1]
    monkeypatch.setattr("sys.stdin", io.StringIO(UTTERANCE + "\n"))
    assert run(capsys, *argv, "-")[1] == expected


def test_watch_shows_one_draft_for_each_step_on_stderr(capsys, tiny_cf):
    argv = ["generate", "--model", tiny_cf, "--num-inference-steps", 6, UTTERANCE]
    status, out, err = run(capsys, *argv, "--watch")
    assert status == 0
    assert [int(number) for number in re.findall(r"^draft +(\d+)  ", err, flags=re.M)] == [1, 2, 3, 4, 5, 6]
    assert run(capsys, *argv)[1] == out


def test_columns_and_table_reach_the_model(tmp_path, monkeypatch, capsys, tiny_cf):
    seen = []
    generate_candidates = evaluation.generate_candidates

    def spy(model, tokenizer, examples, **settings):
        seen.append(examples[0]["table"])
        return generate_candidates(model, tokenizer, examples, **settings)

    monkeypatch.setattr(evaluation, "generate_candidates", spy)
    csv = tmp_path / "table.csv"
    csv.write_text('\ufeffName,"Grade, final"\nAnn,7\n\nBob\n', encoding="utf-8")
    assert run(capsys, "generate", "--model", tiny_cf, "--table", csv, "best grades")[0] == 0
    assert run(capsys, "generate", "--model", tiny_cf, "--columns", 'Name, "Grade, final"', "best grades")[0] == 0
    columns = ["Name", "Grade, final"]
    assert seen == [{"columns": columns, "rows": [["Ann", "7"], ["Bob", ""]]}, {"columns": columns, "rows": []}]


@pytest.mark.parametrize(
    ("utterance", "message"),
    [
        ("", "the utterance is empty"),
        (" \t\n", "the utterance is empty"),
        ("cells above\x0010", "U+0000 (NUL) at position 11"),
        ("cells \udc80", "U+DC80 (a lone surrogate"),
    ],
)
def test_unusable_utterances(capsys, tiny_cf, utterance, message):
    assert message in fails(capsys, "generate", "--model", tiny_cf, utterance)


@pytest.mark.parametrize(
    "utterance", ["10より大きいセルを強調表示", "🎉🎉🎉", "выделить дубликаты", "\x1b[31mred", "x"]
)
def test_any_script_is_an_utterance(capsys, tiny_cf, utterance):
    status, out, err = run(capsys, "generate", "--model", tiny_cf, "--json", utterance)
    assert (status, err) == (0, "")
    assert json.loads(out)["nl"] == utterance


def test_a_long_utterance_is_never_truncated(capsys, tiny_cf):
    limit = json.loads((tiny_cf / "config.json").read_text())["max_source_length"]
    message = fails(capsys, "generate", "--model", tiny_cf, "word " * 10_000)
    assert f"at most {limit} " in message and "max_source_length" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "klingon"], "a folder with config.json, model.safetensors, tokenizer.json"),
        (["--sampler", "euler"], "dpmpp_2m"),
        (["--num-return-sequences", "0"], "num_return_sequences must be >= 1, got 0"),
        (["--num-inference-steps", "0"], "num_inference_steps"),
        (["--num-inference-steps", "100000"], "num_inference_steps"),
        (["--num-revisions", "-1"], "num_revisions"),
        (["--seed", "-1"], "seed"),
        (["--seed", "x"], "argument --seed: invalid int value: 'x' (see codefusion generate --help)"),
        (["--sampl", "ddim"], "unrecognized arguments: --sampl"),
        (["--columns", " , "], "--columns names no columns"),
        (["--columns", "a\0b"], "U+0000"),
        (["--columns", "a", "--table", "b.csv"], "not allowed with argument --columns"),
        (["--table", "missing.csv"], "missing.csv: No such file or directory"),
    ],
)
def test_wrong_options_of_generate(capsys, tiny_cf, options, message):
    assert message in fails(capsys, "generate", "--model", tiny_cf, *options, UTTERANCE)


def test_unknown_model_lists_the_shipped_ones(capsys):
    message = fails(capsys, "generate", "--model", "klingon", UTTERANCE)
    assert "klingon" in message and all(name in message for name in available_checkpoints())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "names no columns"),
        (b",,\n1,2,3\n", "names no columns"),
        (b"a,b\n1,2\n1,2,3\n", "row 3: 3 cells, but the header names 2 columns"),
        (b"\xff\xfe\x00a", "is no CSV file in UTF-8"),
    ],
)
def test_unusable_tables(capsys, tmp_path, tiny_cf, content, message):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    assert message in fails(capsys, "generate", "--model", tiny_cf, "--table", path, UTTERANCE)


# --- generate from a draft or a template


def generated(capsys, tiny_cf, *argv):
    status, out, err = run(capsys, "generate", "--model", tiny_cf, "--json", *argv)
    assert (status, err) == (0, "")
    return json.loads(out)["candidates"]


def test_a_draft_is_edited(capsys, tiny_cf):
    argv = ["--draft", " top( 3 ", "--num-inference-steps", 4]
    # What does not parse may be what is to be repaired; nothing is undone, so nothing is.
    kept = generated(capsys, tiny_cf, *argv, "--strength", 0, UTTERANCE)
    assert kept[0] == {"code": "top(3", "score": 0.0, "valid": False}
    ignored = generated(capsys, tiny_cf, *argv, "--strength", 1, UTTERANCE)
    assert ignored == generated(capsys, tiny_cf, "--num-inference-steps", 4, UTTERANCE)


def test_holes_are_filled_whatever_their_size(capsys, tiny_cf):
    candidates = generated(capsys, tiny_cf, "--fill", "GreaterThan(____)", UTTERANCE)
    assert "GreaterThan(1129)" in [candidate["code"] for candidate in candidates]
    assert all(candidate["code"].startswith("GreaterThan(") for candidate in candidates)
    by_size = generated(capsys, tiny_cf, "--fill", "GreaterThan([?])", "--hole", "[?]", "--hole-tokens", 2, UTTERANCE)
    codes = [candidate["code"] for candidate in by_size]
    assert "GreaterThan(11)" in codes and "GreaterThan(1129)" not in codes, "two tokens"
    assert generated(capsys, tiny_cf, "--fill", "GreaterThan(____)", "--hole-tokens", "1-8", UTTERANCE) == candidates


def test_drafts_and_holes_can_be_watched(capsys, tiny_cf):
    for start in (["--draft", "Top(3)"], ["--fill", "Top(____)", "--hole-tokens", 1]):
        argv = ["generate", "--model", tiny_cf, "--num-inference-steps", 3, *start, UTTERANCE]
        status, out, err = run(capsys, *argv, "--watch")
        assert status == 0 and [int(n) for n in re.findall(r"^draft +(\d+)  ", err, flags=re.M)] == [1, 2, 3]
        assert run(capsys, *argv)[1] == out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--draft", ""], "the draft is empty"),
        (["--draft", "AND(" * 40], "the draft has 41 tokens, but a program at most 32"),
        (["--draft", "Top(\0)"], "the draft holds the character U+0000"),
        (["--draft", "Top(3)", "--fill", "Top(____)"], "argument --fill: not allowed with argument --draft"),
        (["--draft", "Top(3)", "--strength", "1.5"], "--strength must be between 0 and 1, got 1.5"),
        (["--draft", "Top(3)", "--strength", "nan"], "--strength must be between 0 and 1, got nan"),
        (["--strength", "0.5"], "--strength needs --draft"),
        (["--fill", "Top(__)"], "the template has no hole: put ____ where"),
        (["--fill", "Top(____)", "--hole", ""], "the mark of a hole is empty"),
        (["--fill", "AND(" * 40 + "____"], "the template has 42 tokens or more, but a program at most 32"),
        (["--fill", "Top(____)", "--strength", "0.5"], "--strength needs --draft"),
        (["--fill", "Top(____)", "--hole-tokens", "0"], "--hole-tokens must be a number of at least 1 or a range"),
        (["--fill", "Top(____)", "--hole-tokens", "3-2"], "--hole-tokens must be"),
        (["--fill", "____, ____", "--hole-tokens", "1-9"], "9 sizes for each of 2 holes are 81 templates"),
        (["--fill", "Top(____)", "--set", "candidate_order=mbr"], "candidate_order needs holes of one size"),
        (["--hole", "?"], "--hole needs --fill"),
        (["--hole-tokens", "2"], "--hole-tokens needs --fill"),
    ],
)
def test_unusable_drafts_and_templates(capsys, tiny_cf, options, message):
    assert message in fails(capsys, "generate", "--model", tiny_cf, *options, UTTERANCE)


# --- any parameter


def test_set_reaches_the_model(capsys, tiny_cf, monkeypatch):
    seen = []
    generate_candidates = evaluation.generate_candidates

    def spy(*args, **settings):
        seen.append(settings)
        return generate_candidates(*args, **settings)

    monkeypatch.setattr(evaluation, "generate_candidates", spy)
    chosen = {
        "num-candidates=3": 3,
        "guidance_scale=2": 2,
        "candidate_order=mbr": "mbr",
        "clamping=true": True,
        "canvas_buckets=8, 16": [8, 16],
        "max_length = 24": 24,
    }
    argv = ["generate", "--model", tiny_cf, "--num-inference-steps", 2, UTTERANCE]
    plain = run(capsys, *argv)[1]
    status, out, err = run(capsys, *argv, *(word for text in chosen for word in ("--set", text)))
    assert (status, err) == (0, "") and out != plain
    assert {name.split("=")[0].strip().replace("-", "_"): value for name, value in chosen.items()} == {
        name: value for name, value in seen[1].items() if name not in seen[0]
    }


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("num_candidates", "--set num_candidates is not of the form NAME=VALUE"),
        ("top_p=2", "unknown parameter 'top_p'; there are block_size, candidate_order, canvas_buckets, clamping"),
        ("dedupe=false", "unknown parameter 'dedupe'"),
        ("sampler=ddim", "--set sampler=ddim: use --sampler"),
        ("num-return-sequences=3", "use --num-return-sequences"),
        ("strength=0.5", "use --strength"),
        ("guidance_scale=high", "--set guidance_scale=high: the value must be a number"),
        ("guidance_scale=-1", "`guidance_scale` must be between 0 and 20, got -1"),
        ("guidance_scale=NaN", "`guidance_scale` must be between 0 and 20, got nan"),
        ("clamping=1", "--set clamping=1: the value must be true or false"),
        ("num_candidates=many", "`num_candidates` must be an integer of at least 1, got 'many'"),
        ("num_candidates=", "`num_candidates` must be an integer of at least 1, got ''"),
        ("num_candidates=2000", "`num_candidates` must be at most 1024"),
        ("candidate_order=best", "`candidate_order` must be one of logprob, mbr, seed, got 'best'"),
        ("canvas_buckets=16", "canvas_buckets"),
        ("canvas_buckets=8,x", "`canvas_buckets` must be a list of integers"),
        ("max_length=33", "`max_length` (33) must be at most 32"),
    ],
)
def test_wrong_settings(capsys, tiny_cf, setting, message):
    assert message in fails(capsys, "generate", "--model", tiny_cf, "--set", setting, UTTERANCE)


def test_a_setting_is_given_once_and_strength_goes_with_a_draft(capsys, tiny_cf, data, tmp_path):
    twice = ["--set", "eta=1", "--set", "eta=0"]
    assert "--set gives eta twice" in fails(capsys, "generate", "--model", tiny_cf, *twice, UTTERANCE)
    argv = ["predict", "--model", tiny_cf, "--data", data, "--output", tmp_path / "o"]
    assert "unknown parameter 'strength'" in fails(capsys, *argv, "--set", "strength=0.5")
    assert not (tmp_path / "o").exists()


def test_predict_goes_on_with_the_same_settings_only(capsys, tiny_cf, data, tmp_path):
    argv = ["predict", "--model", tiny_cf, "--data", data, "--output", tmp_path / "o"]
    chosen = ["--set", "num_candidates=3", "--set", "canvas_buckets=8,16"]
    assert run(capsys, *argv, *chosen)[2].endswith("5 new rows\n")
    assert run(capsys, *argv, *chosen[2:], *chosen[:2])[2].endswith("0 new rows\n")
    assert "made with other canvas_buckets:" in fails(capsys, *argv, *chosen[:2])
    assert "made with other num_candidates:" in fails(capsys, *argv, "--set", "num_candidates=4", *chosen[2:])


def test_apply_takes_settings_where_a_model_is_asked(capsys, tiny_cf, tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="workbooks need the extra `excel`")
    book = openpyxl.Workbook()
    for row in (["Sales"], [2000], [30]):
        book.active.append(row)
    book.save(tmp_path / "sales.xlsx")
    argv = ["apply", tmp_path / "sales.xlsx", "--model", tiny_cf]
    assert "without --set" in fails(capsys, *argv, "--rule", "Top(1)", "--set", "eta=1")
    assert "`eta` must be between 0 and 1" in fails(capsys, *argv, UTTERANCE, "--set", "eta=2")
    status, out, err = run(capsys, *argv, UTTERANCE, "--set", "num_candidates=3", "--json")
    assert status == 0 and json.loads(out)["candidates"]


# --- damaged checkpoints


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_missing_and_truncated_checkpoint_files(capsys, checkpoint, name):
    content = (checkpoint / name).read_bytes()
    (checkpoint / name).write_bytes(content[: len(content) // 2])
    assert f"cannot load the model in {checkpoint}" in fails(capsys, "generate", "--model", checkpoint, UTTERANCE)
    (checkpoint / name).unlink()
    assert f"{name} is missing" in fails(capsys, "generate", "--model", checkpoint, UTTERANCE)


def test_missing_weights_are_not_left_random(capsys, checkpoint):
    from safetensors.torch import load_file, save_file

    weights = load_file(checkpoint / "model.safetensors")
    lost = sorted(weights)[0]
    del weights[lost]
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    assert f"lacks 1 weights of config.json: {lost}" in fails(capsys, "generate", "--model", checkpoint, UTTERANCE)


# --- predict


def predict(capsys, tiny_cf, data, output, *options):
    return run(capsys, "predict", "--model", tiny_cf, "--data", data, "--output", output, *options)


def test_predict_answers_every_row_in_order(capsys, tiny_cf, data, tmp_path):
    outputs = {}
    for batch_size in (1, 3):
        output = tmp_path / f"{batch_size}.jsonl"
        assert predict(capsys, tiny_cf, data, output, "--batch-size", batch_size)[:2] == (0, "")
        outputs[batch_size] = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [(row["id"], row["nl"]) for row in outputs[1]] == [(row["id"], row["nl"]) for row in ROWS]
    for one, three in zip(outputs[1], outputs[3], strict=True):
        assert list(one) == ["id", "nl", "candidates"]
        codes = [candidate["code"] for candidate in one["candidates"]]
        assert len(codes) == len(set(codes)) and 1 <= len(codes) <= 5
        assert codes == [candidate["code"] for candidate in three["candidates"]]
        scores = [candidate["score"] for candidate in one["candidates"]]
        assert scores == pytest.approx([candidate["score"] for candidate in three["candidates"]], abs=1e-4)
    generated = run(capsys, "generate", "--model", tiny_cf, "--json", UTTERANCE)[1]
    assert json.loads(generated)["candidates"] == outputs[1][0]["candidates"]


def test_predict_resumes_after_an_interrupt(capsys, tiny_cf, data, tmp_path, monkeypatch):
    whole, output = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    options = ["--batch-size", 1, "--seed", 3]
    assert predict(capsys, tiny_cf, data, whole, *options)[0] == 0

    generate_candidates, calls = evaluation.generate_candidates, []

    def interrupted_at_the_third(*args, **settings):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return generate_candidates(*args, **settings)

    monkeypatch.setattr(evaluation, "generate_candidates", interrupted_at_the_third)
    status, _, err = predict(capsys, tiny_cf, data, output, *options)
    assert status == 130
    assert err.endswith(f"codefusion: interrupted; run the same command again to go on from {output}\n")
    assert output.read_bytes() == b"".join(whole.read_bytes().splitlines(keepends=True)[:2])

    # A killed process may leave half a line as well.
    with open(output, "ab") as file:
        file.write(b'{"id": "emoji", "nl": "mett')
    assert predict(capsys, tiny_cf, data, output, *options)[0] == 0
    assert output.read_bytes() == whole.read_bytes()
    assert len(calls) == 3 + 3
    assert predict(capsys, tiny_cf, data, output, *options)[2] == f"{output}: 0 new rows\n"
    assert len(calls) == 3 + 3


def test_predict_goes_on_when_rows_are_added(capsys, tiny_cf, data, tmp_path):
    lines = data.read_text().splitlines(keepends=True)
    output, first = tmp_path / "out.jsonl", tmp_path / "first.jsonl"
    first.write_text("".join(lines[:2]))
    assert predict(capsys, tiny_cf, first, output)[2].endswith(": 2 new rows\n")
    assert predict(capsys, tiny_cf, data, output)[2].endswith(": 3 new rows\n")
    assert len(output.read_text(encoding="utf-8").splitlines()) == len(ROWS)


def test_predict_never_mixes_runs(capsys, tiny_cf, checkpoint, data, tmp_path):
    output = tmp_path / "out.jsonl"
    argv = ["predict", "--data", data, "--output", output]
    assert run(capsys, *argv, "--model", tiny_cf)[0] == 0
    saved = output.read_bytes()

    assert "made with other seed:" in fails(capsys, *argv, "--model", tiny_cf, "--seed", 1)
    (checkpoint / "generation_config.json").write_text(json.dumps({"num_inference_steps": 2}))
    assert "made with other weights:" in fails(capsys, *argv, "--model", checkpoint)
    other_table = [*ROWS[:3], {**ROWS[3], "table": {"columns": ["Grade"], "rows": []}}, ROWS[4]]
    data.write_text("".join(json.dumps(row) + "\n" for row in other_table))
    assert "answers other rows than the data holds" in fails(capsys, *argv, "--model", tiny_cf)
    (tmp_path / "out.jsonl.settings.json").unlink()
    assert "out.jsonl.settings.json is not beside it" in fails(capsys, *argv, "--model", tiny_cf)
    assert output.read_bytes() == saved


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": 2, "nl": "x"', "line 3: no valid JSON"),
        ("[" * 100_000, "line 3: no valid JSON"),
        ("[1]", "line 3: expected a JSON object, got list"),
        ('{"id": 2, "text": "x"}', 'line 3: the row has no "nl"; its keys are id, text'),
        ('{"nl": "x"}', 'line 3: the row has no "id"'),
        ('{"id": 2, "nl": null}', "line 3: the utterance must be text, got NoneType"),
        ('{"id": 2, "nl": " "}', "line 3: the utterance is empty"),
        ('{"id": 2, "nl": "a\\ud800"}', "line 3: the utterance holds the character U+D800"),
        ('{"id": 2, "nl": "x", "table": {"columns": []}}', "line 3: a table needs columns"),
        ('{"id": 2, "nl": "x", "table": [["a"]]}', "line 3: a table needs columns"),
        ('{"id": 2, "nl": "x", "table": {"columns": ["a"], "rows": ["b"]}}', "line 3: row 0 of the table"),
        ('{"id": 2, "nl": "x", "table": {"columns": ["a"], "rows": [["\\u0000"]]}}', "line 3: the table holds"),
        (json.dumps({"id": 2, "nl": "word " * 10_000}), "the row with id 2: the utterance with its columns has"),
    ],
)
def test_unusable_rows_are_named(capsys, tiny_cf, tmp_path, line, message):
    data, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    data.write_text(json.dumps(ROWS[0]) + "\n\n" + line + "\n")
    argv = ["predict", "--model", tiny_cf, "--data", data, "--output", output]
    assert message in fails(capsys, *argv)
    assert not output.exists()


def test_wrong_files_and_options_of_predict(capsys, tiny_cf, data, tmp_path):
    argv = ["predict", "--model", tiny_cf]
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    missing = tmp_path / "missing"
    assert f"{missing}: No such file" in fails(capsys, *argv, "--data", missing, "--output", tmp_path / "o")
    assert "holds no rows" in fails(capsys, *argv, "--data", empty, "--output", tmp_path / "o")
    assert "there is no folder" in fails(capsys, *argv, "--data", data, "--output", missing / "o")
    assert "is the data itself" in fails(capsys, *argv, "--data", data, "--output", data)
    assert "choose another output" in fails(capsys, *argv, "--data", data, "--output", tmp_path)
    argv += ["--data", data, "--output", tmp_path / "o"]
    assert "batch_size must be >= 1, got 0" in fails(capsys, *argv, "--batch-size", 0)
    assert "dpmpp_2m" in fails(capsys, *argv, "--sampler", "euler")
    # Nothing was generated with the wrong sampler, so nothing stands in the way of the right one.
    assert run(capsys, *argv, "--sampler", "ddim")[0] == 0


# --- score


REFERENCES = [
    {"id": 1, "nl": "above 10", "code": "GreaterThan(10)"},
    {"id": 2, "nl": "the best", "code": "Top(1)", "refs": ["Top(1)", "Top(2)"]},
]
ANSWERS = [
    {"id": 2, "nl": "the best", "candidates": [{"code": "Bottom(1)"}, {"code": "top(2)"}]},
    {"id": 1, "nl": "above 10", "candidates": [{"code": "GreaterThan(10)"}, {"code": ""}]},
]


def write_rows(path, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.fixture
def score_argv(tmp_path):
    given, references = tmp_path / "out.jsonl", tmp_path / "ref.jsonl"
    write_rows(given, ANSWERS)
    write_rows(references, REFERENCES)
    return ["score", "--language", "cf", "--predictions", given, "--references", references]


def test_score_prints_per_cent_and_writes_fractions(capsys, score_argv, tmp_path):
    output = tmp_path / "results.json"
    status, out, err = run(capsys, *score_argv, "--output", output)
    assert (status, err) == (0, "")
    assert ["cf_exec_match", "50.0", "100.0", "100.0"] in [line.split() for line in out.splitlines()]
    results = json.loads(output.read_text())
    assert results["scores"]["cf_exec_match"]["top_1"] == 0.5 and results["tasks"] == 2
    assert results["predictions"]["sha256"] == hashlib.sha256((tmp_path / "out.jsonl").read_bytes()).hexdigest()
    assert run(capsys, *score_argv)[1] == out


def test_score_reads_what_predict_writes(capsys, tiny_cf, tmp_path):
    output, references = tmp_path / "out.jsonl", Path(__file__).parent / "fixtures" / "cf_pairs.jsonl"
    assert run(capsys, "predict", "--model", tiny_cf, "--data", references, "--output", output)[0] == 0
    argv = ["--predictions", output, "--references", references, "--train", references]
    status, out, err = run(capsys, "score", "--language", "cf", *argv, "--output", tmp_path / "results.json")
    assert (status, err) == (0, "")
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["scores"]["code_exact_match_normalized"]["top_1"] >= 0.95
    assert results["clean"]["tasks"] == 0 and "0 of 40 tasks" in out


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (ANSWERS[:1], "there are no predictions for the id 1"),
        ([*ANSWERS, {"id": "x", "candidates": []}], "there are no references for the id 'x'"),
        ([*ANSWERS, ANSWERS[0]], "the predictions answer the id 2 2 times, but the references have it 1 times"),
        ([ANSWERS[0], {**ANSWERS[1], "nl": "below 10"}], "the prediction for the id 1 has another utterance"),
        ([], "out.jsonl holds no rows"),
        ([{"id": 1, "candidates": "x"}], 'row 1: "candidates" must be a list'),
    ],
)
def test_predictions_that_cannot_be_scored(capsys, score_argv, tmp_path, answers, message):
    write_rows(tmp_path / "out.jsonl", answers)
    assert message in fails(capsys, *score_argv)


def test_wrong_files_and_options_of_score(capsys, score_argv, tmp_path):
    assert "invalid choice: 'klingon' (choose from" in fails(capsys, *score_argv, "--language", "klingon")
    assert "missing: No such file" in fails(capsys, *score_argv, "--predictions", tmp_path / "missing")
    assert "missing: No such file" in fails(capsys, *score_argv, "--references", tmp_path / "missing")
    assert "missing: No such file" in fails(capsys, *score_argv, "--train", tmp_path / "missing")
    assert "there is no folder" in fails(capsys, *score_argv, "--output", tmp_path / "missing" / "results.json")
    assert "it is a folder" in fails(capsys, *score_argv, "--output", tmp_path)
    write_rows(tmp_path / "ref.jsonl", [])
    assert "ref.jsonl holds no rows" in fails(capsys, *score_argv)
    write_rows(tmp_path / "ref.jsonl", [{"id": 1, "nl": "x"}])
    assert "row 1: a pair needs `nl` and `code`" in fails(capsys, *score_argv)


# --- data leakage


def test_leakage_reports_every_kind(capsys, tmp_path):
    train = write_rows(tmp_path / "train.jsonl", [{"code": "Top(2)", "nl": "ABOVE 10"}])
    pretrain = write_rows(tmp_path / "pretrain.jsonl.gz", [{"code": "greaterThan(10)", "nl": None}])
    evaluation_file, output = write_rows(tmp_path / "val.jsonl", REFERENCES), tmp_path / "report.json"
    argv = ["data", "leakage", "--train", train, pretrain, "--eval", evaluation_file, "--language", "cf"]
    status, out, err = run(capsys, *argv, "--output", output)
    assert (status, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert "train.jsonl 1 (50.0) 1 (50.0) 0 (0.0) 1 (50.0) 2 (100.0)".split() in lines
    assert "pretrain.jsonl.gz 0 (0.0) 1 (50.0) 0 (0.0) 0 (0.0) 1 (50.0)".split() in lines
    report = json.loads(output.read_text())
    assert [row["id"] for row in report["found"]] == [1, 2]
    assert report["found"][0]["code_normalized"] == ["pretrain.jsonl.gz", 1]


def test_wrong_files_and_options_of_leakage(capsys, tmp_path):
    file, blank = write_rows(tmp_path / "val.jsonl", REFERENCES), write_rows(tmp_path / "blank.jsonl", [])
    argv = ["data", "leakage", "--language", "cf"]
    assert "No such file" in fails(capsys, *argv, "--train", file, "--eval", tmp_path / "missing")
    assert "No such file" in fails(capsys, *argv, "--train", tmp_path / "missing.gz", "--eval", file)
    assert "blank.jsonl holds no rows" in fails(capsys, *argv, "--train", blank, "--eval", file)
    assert "blank.jsonl holds no rows" in fails(capsys, *argv, "--train", file, "--eval", blank)
    assert "there is no folder" in fails(
        capsys, *argv, "--train", file, "--eval", file, "--output", tmp_path / "missing" / "report.json"
    )
    assert "invalid choice: 'klingon'" in fails(capsys, *argv[:-1], "klingon", "--train", file, "--eval", file)
    assert "required: COMMAND (see codefusion data --help)" in fails(capsys, "data")
    no_gzip = tmp_path / "val.jsonl.gz"
    no_gzip.write_bytes(file.read_bytes())
    assert "gzip" in fails(capsys, *argv, "--train", no_gzip, "--eval", file)
