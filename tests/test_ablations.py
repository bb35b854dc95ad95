"""examples/run_ablations.py, run as users run it, on the tiny preset."""

import importlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from codefusion_hf import evaluation


ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "examples" / "run_ablations.py"
FIXTURES = ROOT / "tests" / "fixtures"
TRAINING = {
    "train_file": ["${pairs}"],
    "per_device_train_batch_size": 4,
    "num_warmup_steps": "10%",
    "logging_steps": 2,
    "checkpointing_steps": 2,
}
DEFINITION = {
    "language": "cf",
    "variables": {"pairs": None, "tokenizer": None},
    "seeds": [0],
    "model": {"language": "cf", "config_name": "tiny", "tokenizer_name": "${tokenizer}"},
    "stages": {
        "pretrain": {"script": "run_pretrain.py", "share": 25, "arguments": TRAINING},
        "finetune": {"script": "run_finetune.py", "share": 75, "arguments": TRAINING},
    },
    "calibration": {"rounds": 1, "warmup_steps": 2, "steps": 4, "window": 2},
    "evaluation": {
        "data": ["${pairs}"],
        "seeds": [0, 1],
        "num_inference_steps": 1,
        "num_return_sequences": 1,
        "variants": [],
    },
    "runs": {
        "codefusion": {"paper": "CodeFusion", "stages": ["pretrain", "finetune"]},
        "no-pretraining": {"stages": ["finetune"]},
        "clamping": {
            "paper": "clamping",
            "checkpoint": "codefusion",
            "evaluation": {"decode_with": "nearest", "clamping": True},
        },
    },
}


def command(folder: Path, definition: dict, *options: object) -> list[str]:
    config, pairs = folder / "tiny.yaml", folder / "pairs.jsonl"
    config.write_text(yaml.safe_dump(definition, sort_keys=False))
    if not pairs.exists():
        lines = (FIXTURES / "cf_pairs.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        pairs.write_text("".join(lines[:8]), encoding="utf-8")
    variables = (f"pairs={pairs}", f"tokenizer={FIXTURES / 'tiny-cf'}")
    options = ("--config", config, "--output_dir", folder / "out", "--set", *variables, *options)
    return [sys.executable, str(SCRIPT), *map(str, options)]


def run(folder: Path, definition: dict, *options: object, status: int = 0) -> subprocess.CompletedProcess:
    done = subprocess.run(command(folder, definition, *options), capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def ablations(module: str):
    """A module of the script's folder."""
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        return importlib.import_module(f"ablations.{module}")
    finally:
        sys.path.remove(str(SCRIPT.parent))


def results(folder: Path) -> dict[str, dict]:
    return {row["name"]: row for row in json.loads((folder / "out" / "results.json").read_text())["runs"]}


def changed(**runs) -> dict:
    return {**DEFINITION, "runs": {**DEFINITION["runs"], **runs}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """All runs, within a budget of a few seconds."""
    folder = tmp_path_factory.mktemp("ablations")
    printed = run(folder, DEFINITION, "--budget_minutes", 0.05).stdout
    assert "timing finetune of codefusion, round 1 of 1" in printed and "6 jobs to do" in printed
    return folder


def test_the_table_has_scores_costs_and_commands(finished):
    rows, state = results(finished), json.loads((finished / "out" / "state.json").read_text())
    assert [row["status"] for row in rows.values()] == ["done"] * 3
    # Two trainings share three seconds; pre-training gets a quarter of the first one's.
    timed = {entry["stage"]: entry["seconds_per_step"] for entry in state["calibration"].values()}
    assert state["shares"]["0.05"] == {"trainings": 2, "seconds": 1.5}
    for name, share in (("pretrain", 0.25), ("finetune", 0.75)):
        assert state["steps"]["codefusion"][name] == max(1, round(1.5 * share / timed[f"{name} of codefusion"]))
    assert state["steps"]["no-pretraining"] == {"finetune": max(1, round(1.5 / timed["finetune of codefusion"]))}
    codefusion, clamping = rows["codefusion"], rows["clamping"]
    assert [stage["steps"] for stage in codefusion["training"]] == list(state["steps"]["codefusion"].values())
    assert codefusion["examples"] == 4 * sum(state["steps"]["codefusion"].values())
    assert codefusion["training"] == clamping["training"] and codefusion["parameters"] == clamping["parameters"]
    assert [len(values) for values in codefusion["scores"]["top-1"]["values"]] == [2]
    assert codefusion["scores"]["top-1"]["sd_training"] is None
    assert (codefusion["paper"], clamping["paper"], rows["no-pretraining"]["paper"]) == (72.8, 64.4, None)
    assert "--decode_with nearest --clamping" in clamping["commands"][-1]
    table = (finished / "out" / "table.md").read_text()
    assert "| codefusion | 72.8 | " in table and "**" in table
    assert "Budget: 0.05 minutes of training for the table" in table and "num_inference_steps=1" in table
    assert str(finished) not in table + (finished / "out" / "results.json").read_text(), "no machine paths"
    assert "python examples/run_evaluate.py --data ${pairs} --seeds 0 1 --num_inference_steps 1" in table
    assert (finished / "out" / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert not list((finished / "out").glob("*/step_*")), "checkpoints of finished jobs are only in the way"


def test_a_second_call_does_nothing_and_a_change_runs_what_it_concerns(finished):
    table = (finished / "out" / "table.md").read_text()
    assert "3 runs, 0 jobs to do" in run(finished, DEFINITION).stdout  # the budget is that of the first call
    assert (finished / "out" / "table.md").read_text() == table
    assert "codefusion      to do, not timed yet" in run(finished, DEFINITION, "--recalibrate", "--list").stdout

    other = changed(clamping={"checkpoint": "codefusion", "evaluation": {"clamping": True, "seeds": [0]}})
    listed = run(finished, other, "--list").stdout
    assert "codefusion      done\nno-pretraining  done\nclamping        2 of 3 jobs done; changed: evaluate." in listed
    printed = run(finished, other).stdout
    assert "clamping: changed since it last ran (evaluate.seeds: 0 1 -> 0" in printed
    assert "decode_with: nearest -> not given" in printed and "3 runs, 1 jobs to do" in printed
    assert [len(values) for values in results(finished)["clamping"]["scores"]["top-1"]["values"]] == [1]


def test_a_killed_call_goes_on_and_ends_with_the_same_scores(finished, tmp_path):
    # The steps are those of the finished table: they are in the state.
    (tmp_path / "out").mkdir()
    shutil.copy(finished / "out" / "state.json", tmp_path / "out")
    only = ("--only", "no-pretraining")
    process = subprocess.Popen(command(tmp_path, DEFINITION, *only), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list((tmp_path / "out").glob("finetune-*/step_2")) and time.monotonic() < deadline:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list((tmp_path / "out").glob("*/done.json"))
    done = run(tmp_path, DEFINITION, *only)
    assert "finetune of no-pretraining" in done.stdout and "goes on" in done.stdout
    before, after = results(finished)["no-pretraining"], results(tmp_path)["no-pretraining"]
    for row in (before, after):
        for stage in row["training"]:
            stage.pop("minutes")
    assert after == before
    [weights] = tmp_path.glob("out/finetune-*/model.safetensors")
    assert weights.read_bytes() == (finished / weights.relative_to(tmp_path)).read_bytes()
    assert results(tmp_path)["codefusion"]["status"] == "to do"


def test_a_failing_run_is_reported_and_the_others_go_on(finished):
    broken = changed(
        broken={"stages": ["finetune"], "arguments": {"finetune": {"ema_decay": 7}}},
        dependent={"checkpoint": "broken"},
    )
    done = run(finished, broken, "--only", "broken", "dependent", "codefusion", status=1)
    assert "broken failed: timing its stage finetune: exit status 1" in done.stderr
    assert "run_finetune.py: error: `ema_decay` must be in [0, 1), got 7" in done.stderr
    assert "failed: broken, dependent; run the same command again" in done.stderr
    rows = results(finished)
    assert (rows["codefusion"]["status"], rows["broken"]["status"], rows["broken"]["scores"]) == ("done", "failed", {})
    assert "| broken |  | failed |" in (finished / "out" / "table.md").read_text()


def test_one_process_works_in_a_folder(tmp_path, monkeypatch):
    jobs = ablations("jobs")
    monkeypatch.setattr(jobs, "LOCK_SECONDS", 0.2)
    with jobs.Workspace(tmp_path), pytest.raises(RuntimeError, match="another run_ablations.py, or a training"):
        with jobs.Workspace(tmp_path):
            pass
    with jobs.Workspace(tmp_path):
        pass


def test_a_finished_job_is_finished_whatever_a_kill_left(tmp_path):
    workspace = ablations("jobs").Workspace(tmp_path)
    job = ablations("plan").Job("finetune", "run_finetune.py", {}, trained=True, digest="0")
    (tmp_path / job.folder / "step_3").mkdir(parents=True)
    assert workspace.started(job)
    (tmp_path / job.folder / "done.json").write_text('{"steps": 3}')
    assert workspace.done(job) == {"steps": 3} and not workspace.started(job)


def test_overrides_and_shares_become_arguments(tmp_path):
    definition = changed(small={"stages": ["finetune"], "config_overrides": {"encoder_config": {"num_layers": 1}}})
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(definition, sort_keys=False))
    variables = {"pairs": str(FIXTURES / "cf_pairs.jsonl"), "tokenizer": str(FIXTURES / "tiny-cf")}
    plan = ablations("plan").Plan(config, variables, tmp_path / "out", "")
    job = plan.training(plan.run("small"), {"finetune": 50}, seed=3)
    assert (job.arguments["num_warmup_steps"], job.arguments["max_train_steps"], job.arguments["seed"]) == (5, 50, 3)
    derived = json.loads(Path(plan.resolve(job.arguments["config_name"])).read_text())
    preset = json.loads((ROOT / "examples" / "configs" / "tiny.json").read_text())
    assert derived == {**preset, "encoder_config": {**preset["encoder_config"], "num_layers": 1}}
    # Another content of a file is another job; another place or another way to watch it is not.
    moved, other = (shutil.copy(FIXTURES / "cf_pairs.jsonl", tmp_path / name) for name in ("a.jsonl", "b.jsonl"))
    other.write_text(other.read_text().replace("a", "b", 1))
    digests = []
    for pairs in (moved, other):
        made = ablations("plan").Plan(config, {**variables, "pairs": str(pairs)}, tmp_path / "out", "")
        made.stages["finetune"]["arguments"]["checkpointing_steps"] = 7
        digests.append(made.training(made.run("small"), {"finetune": 50}, seed=3).digest)
    assert digests[0] == job.digest != digests[1]
    launched = ablations("plan").Plan(config, variables, tmp_path / "out", "accelerate launch")
    assert launched.training(launched.run("small"), {"finetune": 50}, seed=3).digest != job.digest


def test_files_are_prepared_once_or_given(tmp_path):
    step = {"script": "train_tokenizer.py", "arguments": {"train_file": ["${pairs}"], "output_dir": "${output}"}}
    definition = {**DEFINITION, "variables": {"pairs": None}, "prepare": {"tokenizer": step}}
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(definition, sort_keys=False))
    variables = {"pairs": str(FIXTURES / "cf_pairs.jsonl")}
    plan = ablations("plan").Plan(config, variables, tmp_path / "out", "")
    job = plan.training(plan.run("codefusion"), {"pretrain": 1, "finetune": 1}, seed=0)
    assert [one.name for one in job.chain()] == ["tokenizer", "pretrain", "finetune"]
    assert job.parents[0].arguments["tokenizer_name"] == plan.prepared["tokenizer"].output
    given = ablations("plan").Plan(config, {**variables, "tokenizer": str(FIXTURES / "tiny-cf")}, tmp_path, "")
    job = given.training(given.run("codefusion"), {"pretrain": 1, "finetune": 1}, seed=0)
    assert [one.name for one in job.chain()] == ["pretrain", "finetune"]
    packaged = {**definition, "variables": {"pairs": None, "x": "package:no_such_package/model"}}
    config.write_text(yaml.safe_dump(packaged, sort_keys=False))
    with pytest.raises(ValueError, match="no_such_package is not installed: pip install"):
        ablations("plan").Plan(config, variables, tmp_path / "out", "")


def test_the_launcher_comes_before_trained_scripts(tmp_path):
    jobs, plan = ablations("jobs"), ablations("plan")
    job = plan.Job("train", "render_card.py", {"max_train_steps": 1}, trained=True, digest="0")
    with jobs.Workspace(tmp_path, f"nice -n 1 {sys.executable}") as workspace, pytest.raises(jobs.JobFailed) as error:
        workspace.run(job, lambda value, output="": value)
    log = (tmp_path / "train-0" / "log.txt").read_text()
    assert log.startswith(f"$ nice -n 1 {sys.executable} {ROOT / 'examples' / 'render_card.py'} --max_train_steps 1")
    assert "exit status 2" in str(error.value) and "the following arguments are required" in str(error.value)


def test_scores_of_seeds_and_where_the_full_model_loses():
    report = ablations("report")

    def result(*top_1: float) -> dict:
        runs = [
            {"scores": {"cf_exec_match": {f"{p}top_{k}": v for p in ("", "strict_") for k in (1, 3, 5)}}}
            for v in top_1
        ]
        for run in runs:
            run["scores"] |= {"code_exact_match_normalized": {"top_1": 0.5}, "code_validity": {"validity_top_1": 1.0}}
        return {"data": {"cf_val": {"runs": runs}}}

    summary = report.summarize([result(0.5, 0.7), result(0.7, 0.7)], "cf")
    assert summary["top-1"]["mean"] == 65.0 and summary["top-1"]["values"] == [[50.0, 70.0], [70.0, 70.0]]
    assert summary["top-1"]["sd_training"] == pytest.approx(50**0.5, abs=1e-3)  # of 60 and 70
    assert summary["top-1"]["sd_sampling"] == pytest.approx(10.0)  # of variances 200 and 0
    assert report.cell(summary["top-1"], 65.0) == "**65.0** ± 7.1 / 10.0"
    alone = report.summarize([result(0.8)], "cf")
    assert report.cell(alone["top-1"], 90.0) == "80.0 ± – / –"
    lines = report.losses([{"name": "full", "scores": summary}, {"name": "t5", "scores": alone}])
    assert lines[2] == "- top-1: full (65.0) is below t5 (80.0)." and not any("exact" in line for line in lines)
    assert report.find_paper_score("GENIE", "bash") == 60.0 and report.find_paper_score("-CPD", "python") == 76.7


def test_decoding_switches_are_recorded_and_change_predictions(tiny_cf, tmp_path, monkeypatch):
    model, tokenizer = evaluation.load(str(tiny_cf))
    rows = [{"id": number, "nl": f"highlight cells above {number}"} for number in range(3)]
    settings = {"num_return_sequences": 1, "num_inference_steps": 1}
    out = tmp_path / "out.jsonl"
    assert evaluation.predict_rows(model, tokenizer, rows, out, decode_with="nearest", clamping=True, **settings) == 3
    recorded = json.loads((tmp_path / "out.jsonl.settings.json").read_text())["settings"]
    assert (recorded["decode_with"], recorded["clamping"]) == ("nearest", True)
    with pytest.raises(ValueError, match="was made with other decode_with:"):
        evaluation.predict_rows(model, tokenizer, rows, out, decode_with="head", clamping=True, **settings)
    with pytest.raises(ValueError, match="was made with other clamping, decode_with:"):
        evaluation.predict_rows(model, tokenizer, rows, out, **settings)
    given = []
    monkeypatch.setattr(type(model), "generate", spy(type(model).generate, given))
    evaluation.generate_candidates(model, tokenizer, rows, decode_with="nearest", clamping=True, **settings)
    evaluation.generate_candidates(model, tokenizer, rows, **settings)
    assert [(call.get("decode_with"), call.get("clamping")) for call in given] == [("nearest", True), (None, None)]
    with pytest.raises(ValueError, match="`decode_with` must be one of head, nearest"):
        evaluation.generate_candidates(model, tokenizer, rows, decode_with="argmax", **settings)


def spy(function, calls: list[dict]):
    """The function, which remembers its keywords."""

    def wrapped(*args, **kwargs):
        calls.append(kwargs)
        return function(*args, **kwargs)

    return wrapped


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampler": "ddim"}, "unknown 'sampler': allowed are language, variables, "),
        ({"language": "cobol"}, "language must be one of bash, cf, python, got 'cobol'"),
        ({"seeds": [0, 0]}, "seeds must be a list of different whole numbers"),
        (
            {"model": {**DEFINITION["model"], "tokenizer_name": "${tokeniser}"}},
            "unknown variable ${tokeniser}: variables are pairs, tokenizer",
        ),
        (
            {
                "variables": {"pairs": None, "tokenizer": None, "x": None},
                "model": {**DEFINITION["model"], "a": "${x}"},
            },
            "give --set x=PATH",
        ),
        ({"stages": {"s": {"script": "nothing.py"}}}, "script must be a file in examples/, got 'nothing.py'"),
        ({"runs": {"a": {"stages": ["pretrain"], "papr": "T5"}}}, "a: unknown 'papr': allowed are stages, "),
        ({"runs": {"a": {"stages": ["pretrain"], "paper": "T6"}}}, "no row 'T6': it has -CodeGen, -CPD, grounding"),
        ({"runs": {"a": {"stages": ["warmup"]}}}, "unknown 'warmup': allowed are pretrain, finetune"),
        ({"runs": {"a": {}}}, "give either `stages` or `checkpoint`"),
        ({"runs": {"a": {"checkpoint": "b"}, "c": {"stages": ["pretrain"]}}}, "trained runs are c"),
        ({"runs": {"a": {"stages": ["pretrain"], "config_overrides": {"depth": 1}}}}, "unknown 'depth': allowed are"),
        ({"calibration": {"rounds": 1, "steps": 6, "window": 5}}, "its steps must fill 2 windows after the warm-up"),
        (
            {"runs": {"a": {"stages": ["pretrain"], "evaluation": {"data": ["${pairs}", "${pairs}"]}}}},
            "run 'a': evaluation: data must be one file",
        ),
    ],
)
def test_a_wrong_definition_is_named_with_what_is_allowed(tmp_path, change, message):
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump({**DEFINITION, **change}, sort_keys=False))
    variables = {"pairs": str(FIXTURES / "cf_pairs.jsonl"), "tokenizer": str(FIXTURES / "tiny-cf")}
    with pytest.raises(ValueError) as error:
        ablations("plan").Plan(config, variables, tmp_path / "out", "")
    assert message in str(error.value)
