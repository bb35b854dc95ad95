"""Publishing, and loading what was published, by the real client over HTTP: see `loopback_hub.py`."""

import ast
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from loopback_hub import Fault
from transformers import AutoModel

import codefusion_hf
from codefusion_hf.hub import checkpoint_upload, metric_upload
from codefusion_hf.metrics import METRICS


ROOT = Path(__file__).parents[1]
SOURCE = Path(codefusion_hf.__file__).parent
TINY = ROOT / "tests" / "fixtures" / "tiny-cf"
CODE = {path.name for path in SOURCE.glob("*_codefusion.py")}
UTTERANCE = "Style values which are In Progress"
# Before a script that must do without the package.
WITHOUT_PACKAGE = """
import sys
class Block:
    def find_spec(self, name, *rest):
        if name.split(".")[0] == "codefusion_hf":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
"""


@pytest.fixture(autouse=True)
def in_order(hub):
    yield
    hub.faults.clear()
    hub.lfs.clear()


def run(hub, home, *command, **variables):
    """A command with this Hub, logged in, and caches of its own in `home`."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **hub.environment(home), **variables}
    home.mkdir(exist_ok=True)
    return subprocess.run(
        list(map(str, command)),
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def python(hub, home, script, **variables):
    """What the script's last line printed, as JSON."""
    done = run(hub, home, sys.executable, "-c", script, **variables)
    assert done.returncode == 0, done.stderr[-3000:]
    assert hub.token not in done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def codefusion(hub, home, *arguments, **variables):
    done = run(hub, home, Path(sys.executable).with_name("codefusion"), *arguments, **variables)
    assert hub.token not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def pushed(hub, home, *arguments):
    """Output of a push that must work."""
    done = codefusion(hub, home, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(hub, home, *arguments, **variables):
    """The one line of a push that must fail; progress bars may stand before it."""
    done = codefusion(hub, home, *arguments, **variables)
    assert done.returncode == 2, done.stdout
    *bars, line = done.stderr.splitlines()
    assert line.startswith("codefusion: error: ") and not [bar for bar in bars if bar and "%|" not in bar], done.stderr
    return line


@pytest.fixture
def checkpoint(tmp_path):
    """A copy of the tiny checkpoint, to be changed."""
    return Path(shutil.copytree(TINY, tmp_path / "checkpoint"))


# --- what a push sends


def test_the_files_of_a_checkpoint(checkpoint):
    for name in ("arguments.json", "optimizer.bin", ".env", "train_log.jsonl"):
        (checkpoint / name).write_text("private")
    (checkpoint / "step_100").mkdir()
    upload = checkpoint_upload(checkpoint, "org/name")
    assert set(upload.files) == CODE | {"README.md", *(path.name for path in TINY.iterdir())}
    assert upload.left_out == [".env", "arguments.json", "optimizer.bin", "step_100/", "train_log.jsonl"]
    for name, content in upload.files.items():
        if name not in CODE | {"config.json", "README.md"}:
            assert content == checkpoint / name  # as it is: weights in fp16 stay so
    assert not any(str(checkpoint) in str(content) for content in upload.files.values() if isinstance(content, bytes))


def test_the_config_is_the_one_that_transformers_writes(tmp_path, checkpoint):
    from transformers import pipeline

    config = json.loads((checkpoint / "config.json").read_text())
    config["_name_or_path"] = config["encoder_config"]["_name_or_path"] = str(tmp_path)
    (checkpoint / "config.json").write_text(json.dumps(config))
    upload = checkpoint_upload(checkpoint, "org/name")
    pipeline("text-to-code", model=str(TINY)).save_pretrained(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "config.json").read_text())
    sent = json.loads(upload.files["config.json"])
    for key in ("auto_map", "custom_pipelines"):
        assert sent.pop(key) == saved[key]
    assert sent == json.loads((TINY / "config.json").read_text())
    assert {path.name for path in (tmp_path / "saved").glob("*.py")} == CODE


def test_every_shipped_checkpoint_can_be_pushed():
    for name in codefusion_hf.available_checkpoints():
        upload = checkpoint_upload(name, f"org/{name}")
        own = (SOURCE / "checkpoints" / name / "README.md").read_text()
        assert upload.files["README.md"].decode().startswith(own.rstrip()) and upload.left_out == []


def damage(folder, name, change):
    (folder / name).write_bytes(change((folder / name).read_bytes()))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "has no config.json"),
        (lambda f: (f / "generation_config.json").unlink(), "has no generation_config.json"),
        (lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer.json: save its tokenizer there, too"),
        (lambda f: (f / "model.safetensors").unlink(), "has no model.safetensors"),
        (lambda f: damage(f, "model.safetensors", lambda data: data[:1000]), "model.safetensors is damaged: "),
        (lambda f: damage(f, "model.safetensors", lambda data: data[:-10]), "model.safetensors is damaged: "),
        (lambda f: damage(f, "config.json", lambda data: data[:50]), "config.json is damaged: "),
        (lambda f: (f / "config.json").write_text('{"model_type": "t5"}'), "is no CodeFusion model"),
    ],
)
def test_an_incomplete_checkpoint_is_not_sent(checkpoint, spoil, message):
    spoil(checkpoint)
    with pytest.raises(ValueError, match=message):
        checkpoint_upload(checkpoint, "org/name")


@pytest.mark.parametrize("repo", ["name", "a/b/c", "org/na me", "org/..", "", "/name"])
def test_wrong_repository_names(repo):
    with pytest.raises(ValueError, match="epo"):
        checkpoint_upload(TINY, repo)


def test_unknown_checkpoints_and_metrics():
    with pytest.raises(ValueError, match=r"no checkpoint 'nowhere': neither a folder nor a shipped model \(.*cf"):
        checkpoint_upload("nowhere", "org/name")
    with pytest.raises(ValueError, match="unknown metric 'bleu'; available: bash_template_match"):
        metric_upload("bleu", "org")


# --- the card


def results_of(folder, **changes):
    """A results.json of this checkpoint, shaped as `run_evaluate.py` shapes it."""
    from codefusion_hf.evaluation import weights_digest

    scores = {
        "cf_exec_match": {"top_1": 0.79343, "top_3": 0.88, "top_5": 0.9, "strict_top_1": 0.7, "unparsable": 0},
        "code_validity": {"validity": 1.0, "validity_top_1": 1.0, "num_candidates": 355},
        "code_diversity": {"ngram_1": 0.4},
    }
    spread = {metric: dict.fromkeys(values, 0.006) for metric, values in scores.items()}
    entry = {"file": "val.jsonl", "sha256": "ab", "rows": 71, "mean": scores, "sd": spread}
    entry["clean"] = {"tasks": 18, "mean": {**scores, "cf_exec_match": {"top_1": 0.5}}}
    settings = {"num_return_sequences": 5, "num_inference_steps": None, "seeds": [0, 1], "dtype": "float32"}
    results = {"weights": weights_digest(AutoModel.from_pretrained(folder)), "settings": settings}
    return results | {"data": {"val": entry}} | changes


def card_of(upload):
    text = upload.files["README.md"].decode()
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def test_a_card_from_the_template(checkpoint):
    front, body = card_of(checkpoint_upload(checkpoint, "org/codefusion-python", revision="v2"))
    assert front["pipeline_tag"] == "text-generation" and "codefusion" in front["tags"] and "model-index" not in front
    assert body.lstrip().startswith("# codefusion-python\n") and "Not evaluated yet." in body
    assert not re.search(r"\{\w+\}", body)
    blocks = re.findall(r"```python\n(.*?)```", body, re.DOTALL)
    assert len(blocks) == 2 and all('"org/codefusion-python"' in block for block in blocks)
    assert 'revision="v2"' in blocks[1]
    for block in blocks:
        ast.parse(block)


def test_results_fill_the_card(checkpoint, tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(results_of(checkpoint)))
    upload = checkpoint_upload(
        checkpoint, "org/name", results=tmp_path / "results.json", benchmarks={"val": ("org/cf-benchmark", "rules")}
    )
    front, body = card_of(upload)
    assert "| `cf_exec_match` top_1 | 79.3 ± 0.6 |" in body and "ngram" not in body
    [model] = front["model-index"]
    [result] = model["results"]
    assert result["dataset"]["name"] == "val.jsonl" and result["dataset"]["args"] == {"rows": 71, "sha256": "ab"}
    values = {metric["name"]: metric["value"] for metric in result["metrics"]}
    assert values["cf_exec_match top_1, per cent"] == 79.34 and "code_validity num_candidates, per cent" not in values
    assert result["metrics"][0]["type"] == "cf_exec_match"
    [benchmark] = yaml.safe_load(upload.files[".eval_results/cf-benchmark.yaml"])
    assert benchmark["dataset"] == {"id": "org/cf-benchmark", "task_id": "rules"} and benchmark["value"] == 79.34
    assert (
        benchmark["notes"] == "cf_exec_match top_1, mean of 2 seeds; 50.00 on the 18 tasks that training did not have"
    )
    assert benchmark["source"]["url"].endswith("/org/name")
    with pytest.raises(ValueError, match="no results of 'test'; there are: val"):
        checkpoint_upload(checkpoint, "org/name", results=tmp_path / "results.json", benchmarks={"test": ("a/b", "c")})
    with pytest.raises(ValueError, match="comes from a results file"):
        checkpoint_upload(checkpoint, "org/name", benchmarks={"val": ("a/b", "c")})


def test_the_own_card_of_a_checkpoint_stays(checkpoint, tmp_path):
    (checkpoint / "README.md").write_text("---\nlicense: mit\ntags: [mine]\n---\n\n# Mine\n\nWhat I know of it.\n")
    (tmp_path / "results.json").write_text(json.dumps(results_of(checkpoint)))
    front, body = card_of(checkpoint_upload(checkpoint, "org/name", results=tmp_path / "results.json"))
    assert (front["license"], front["tags"]) == ("mit", ["mine"]) and front["model-index"][0]["name"] == "name"
    assert body.startswith("\n# Mine\n\nWhat I know of it.\n\n## Load it by name\n")
    (checkpoint / "README.md").write_text("# Mine\n\nLoad it as `org/name`.\n")
    upload = checkpoint_upload(checkpoint, "org/name")
    assert upload.files["README.md"] == (checkpoint / "README.md").read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lambda folder: json.dumps(results_of(folder, weights="0123")), "is about other weights or settings"),
        (lambda folder: "[]", "is no results.json of examples/run_evaluate.py"),
        (lambda folder: "{", "is no results.json of examples/run_evaluate.py"),
        (lambda folder: json.dumps(results_of(folder, data={"val": {}})), "is no results.json"),
    ],
)
def test_results_of_something_else_are_refused(checkpoint, tmp_path, text, message):
    (tmp_path / "results.json").write_text(text(checkpoint))
    with pytest.raises(ValueError, match=message):
        checkpoint_upload(checkpoint, "org/name", results=tmp_path / "results.json")


# --- codefusion push


@pytest.mark.parametrize("command", ["push", "push-metrics"])
def test_help_shows_an_example(hub, tmp_path, command):
    out = pushed(hub, tmp_path / "home", command, "--help")
    assert re.search(rf"example:\n  codefusion {command} ", out) and "--dry-run" in out


def test_a_dry_run_lists_the_files_and_uses_no_network(hub, tmp_path, checkpoint):
    (checkpoint / "arguments.json").write_text("private")
    before = len(hub.requests)
    out = pushed(hub, tmp_path / "home", "push", "--checkpoint", checkpoint, "--repo", "org/dry", "--dry-run")
    lines = out.splitlines()
    sizes = dict(line.rsplit("  ", 1) for line in lines[:-3])
    assert {name.strip() for name in sizes} == CODE | {"README.md", *(path.name for path in TINY.iterdir())}
    size = (checkpoint / "model.safetensors").stat().st_size
    assert next(line.split() for line in lines if line.startswith("model.saf"))[1:] == [f"{size / 1e3:.1f}", "kB"]
    assert lines[-3].endswith(f"{hub.url}/org/dry, branch main") and lines[-2] == "not sent: arguments.json"
    assert lines[-1].startswith("dry run: nothing was sent.")
    out = pushed(hub, tmp_path / "home", "push-metrics", "--namespace", "org", "--dry-run")
    assert all(f"{hub.url}/spaces/org/{name}, branch main" in out for name in METRICS)
    assert len(hub.requests) == before


def test_a_second_push_sends_what_has_changed(hub, tmp_path, checkpoint):
    arguments = ("push", "--checkpoint", checkpoint, "--repo", "org/twice")
    out = pushed(hub, tmp_path / "home", *arguments)
    assert out.splitlines()[-1] == f"pushed: {hub.url}/org/twice/commit/{hub.head('org/twice')}"
    upload, sent = checkpoint_upload(checkpoint, "org/twice"), hub.files("org/twice")
    assert set(sent) == {*upload.files, ".gitattributes"}
    for name, content in upload.files.items():
        assert sent[name] == (content if isinstance(content, bytes) else content.read_bytes())
    history = hub.repositories["model", "org/twice"].history
    assert pushed(hub, tmp_path / "home", *arguments).splitlines()[-1] == f"nothing has changed: {hub.url}/org/twice"
    assert len(history) == 2
    (checkpoint / "README.md").write_text("# Mine\n")
    pushed(hub, tmp_path / "home", *arguments)
    assert history[2:] == [["README.md"]]
    assert not any(
        hub.token.encode() in file.read_bytes() for file in (tmp_path / "home").rglob("*") if file.is_file()
    )


def test_an_interrupted_push_goes_on(hub, tmp_path, checkpoint):
    hub.lfs.append("*.safetensors")
    model = AutoModel.from_pretrained(checkpoint)
    (checkpoint / "model.safetensors").unlink()
    model.save_pretrained(checkpoint, max_shard_size="250KB")
    weights = [path.name for path in checkpoint.glob("*.safetensors")]
    assert len(weights) >= 3
    hub.faults.append(Fault("PUT /storage", 403, times=1))
    arguments = ("push", "--checkpoint", checkpoint, "--repo", "org/interrupted")
    message = refused(hub, tmp_path / "home", *arguments)
    assert re.search(r"cannot push to .*/org/interrupted: Error while uploading 'model-0000\d-of", message)
    assert list(hub.files("org/interrupted")) == [".gitattributes"], "half of the files would be a broken model"
    stored = len(hub.objects)
    assert 0 < stored < len(weights)
    hub.requests.clear()
    pushed(hub, tmp_path / "home", *arguments)
    assert sum(request.startswith("PUT /storage") for request in hub.requests) == len(weights) - stored
    assert set(weights) <= set(hub.files("org/interrupted"))


def test_a_push_is_stopped_by_ctrl_c_and_goes_on(hub, tmp_path, checkpoint):
    hub.lfs.append("*.safetensors")
    hub.faults.append(Fault("PUT /storage", "wait", times=1))
    home, arguments = tmp_path / "home", ("push", "--checkpoint", checkpoint, "--repo", "org/stopped")
    home.mkdir()
    command = [str(Path(sys.executable).with_name("codefusion")), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **hub.environment(home)}
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=home, env=environment, preexec_fn=heed, **pipes) as process:
        assert hub.waiting.wait(120), "the upload has begun"
        process.send_signal(signal.SIGINT)
        hub.go_on.set()  # the client ends the transfer that is under way, and makes no commit
        error = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert error.endswith("codefusion: interrupted; run the same command again to go on\n")
    assert list(hub.files("org/stopped")) == [".gitattributes"]
    hub.requests.clear()
    pushed(hub, home, *arguments)
    assert "model.safetensors" in hub.files("org/stopped")
    assert sum(request.startswith("PUT /storage") for request in hub.requests) == 0, "it had arrived"


def test_weights_of_an_earlier_push_do_not_stay(hub, tmp_path, checkpoint):
    hub.put("org/stale", {"model-00001-of-00002.safetensors": b"old", "old_codefusion.py": b"", "notes.txt": b"mine"})
    pushed(hub, tmp_path / "home", "push", "--checkpoint", checkpoint, "--repo", "org/stale")
    names = set(hub.files("org/stale"))
    assert {"notes.txt", "model.safetensors"} <= names
    assert not {"model-00001-of-00002.safetensors", "old_codefusion.py"} & names


def test_private_repositories_and_branches(hub, tmp_path, checkpoint):
    arguments = ("push", "--checkpoint", checkpoint, "--repo", "org/secret", "--private", "--revision", "v2")
    out = pushed(hub, tmp_path / "home", *arguments)
    repository = hub.repositories["model", "org/secret"]
    assert repository.private and "branch v2" in out
    assert "config.json" in hub.files("org/secret", revision="v2") and "config.json" not in hub.files("org/secret")
    hub.put("org/open", {})
    message = refused(hub, tmp_path / "home", "push", "--checkpoint", checkpoint, "--repo", "org/open", "--private")
    assert "it exists and is public" in message and hub.files("org/open") == {}


def test_the_token_is_in_no_message(hub, tmp_path, checkpoint):
    arguments = ("push", "--checkpoint", checkpoint, "--repo", "org/echo")
    hub.faults.append(Fault("/preupload/", "echo"))
    done = codefusion(hub, tmp_path / "home", *arguments)
    warning, error = done.stderr.splitlines()  # the client shows what the server warns of
    assert warning == "no rights for Bearer ***"
    assert error.startswith("codefusion: error: cannot push to ") and "no rights for Bearer ***" in error
    script = f"""
import json, sys, traceback
sys.argv[0] = "codefusion"  # as in the command, the package is imported without transformers
from codefusion_hf.hub import checkpoint_upload, push
try:
    push(checkpoint_upload({str(checkpoint)!r}, "org/echo"))
except RuntimeError:
    print(json.dumps(traceback.format_exc()))
"""
    assert "no rights for Bearer ***" in python(hub, tmp_path / "home", script)


def test_refusals_are_one_clear_line(hub, tmp_path, checkpoint):
    arguments = ("push", "--checkpoint", checkpoint, "--repo", "org/refused")
    home = tmp_path / "home"
    assert "not logged in to the Hub: run `hf auth login`" in refused(hub, home, *arguments, HF_TOKEN="")
    assert "401" in refused(hub, home, *arguments, HF_TOKEN="hf_wrong")
    nobody = "http://127.0.0.1:9"
    assert f"cannot push to {nobody}/org/refused: " in refused(hub, home, *arguments, HF_ENDPOINT=nobody)
    assert "offline mode" in refused(hub, home, *arguments, HF_HUB_OFFLINE="1")
    assert "is not of the form DATA=ORG/DATASET:TASK" in refused(hub, home, *arguments, "--benchmark", "val")
    assert ("model", "org/refused") not in hub.repositories


# --- the push_to_hub of transformers, and loading by name


PUSH = """
import copy, json, torch, codefusion_hf
from transformers import AutoModel, AutoTokenizer, Trainer, TrainingArguments, pipeline
from codefusion_hf.data.batching import Collator
from codefusion_hf.data.tasks import PairDataset

path, name = PATH, "org/codefusion-python"
model, tokenizer = AutoModel.from_pretrained(path, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(path)
inputs = tokenizer([UTTERANCE], return_tensors="pt")
facts = {}
commit = model.push_to_hub(name)
facts["old"] = tokenizer.push_to_hub(name).oid
facts["old_ids"] = model.generate(**inputs, num_return_sequences=5, seed=0).tolist()
pipeline("text-to-code", model=path).push_to_hub("org/piped")

rows = [{"nl": f"values above {n}", "code": f"GreaterThan({n})"} for n in range(16)]
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        output_dir="trained", hub_model_id="org/trained", max_steps=2, per_device_train_batch_size=8, use_cpu=True,
        learning_rate=0.01, remove_unused_columns=False, report_to=[], save_strategy="no", disable_tqdm=True,
    ),
    train_dataset=PairDataset(rows, tokenizer, 128, 32),
    data_collator=Collator(tokenizer.pad_token_id, [32], 128),
    processing_class=tokenizer,
)
trainer.train()
trainer.push_to_hub()
facts["new"] = model.eval().push_to_hub(name).oid
facts["new_ids"] = model.generate(**inputs, num_return_sequences=5, seed=0).tolist()
model.push_to_hub(name, revision="experiment")
print(json.dumps(facts))
"""

LOAD = (
    WITHOUT_PACKAGE
    + """
import json, os
from huggingface_hub import snapshot_download
from transformers import AutoModel, AutoModelForSeq2SeqLM, AutoTokenizer, pipeline

name, trust = "org/codefusion-python", {"trust_remote_code": True}
tokenizer = AutoTokenizer.from_pretrained(name, **trust)  # without, it would ask and wait
inputs = tokenizer([UTTERANCE], return_tensors="pt")

def generate(model):
    model.eval()
    return [model.generate(**inputs, num_return_sequences=5, seed=0).tolist(), type(model).__module__]

facts = {
    "old": generate(AutoModel.from_pretrained(name, revision=OLD, **trust)),
    "new": generate(AutoModel.from_pretrained(name, **trust)),
    "branch": generate(AutoModelForSeq2SeqLM.from_pretrained(name, revision="experiment", **trust)),
    "trained": generate(AutoModel.from_pretrained("org/trained", **trust)),
}
for key in ("org/piped", "org/cli"):
    facts[key] = pipeline(model=key, **trust)(UTTERANCE, num_return_sequences=2, seed=0)
try:
    AutoModel.from_pretrained(name, trust_remote_code=False)
except ValueError as error:
    facts["without trust"] = str(error)
folder = snapshot_download(name, revision=OLD)
facts["files"] = {file: os.path.getsize(os.path.join(folder, file)) for file in os.listdir(folder)}
assert "codefusion_hf" not in sys.modules
print(json.dumps(facts))
"""
)


LOAD_OFFLINE = (
    WITHOUT_PACKAGE
    + """
import json
from transformers import AutoModel, AutoTokenizer

name, pinned = "org/codefusion-python", {"revision": OLD, "trust_remote_code": True}
model, tokenizer = AutoModel.from_pretrained(name, **pinned).eval(), AutoTokenizer.from_pretrained(name, **pinned)
inputs = tokenizer([UTTERANCE], return_tensors="pt")
print(json.dumps(model.generate(**inputs, num_return_sequences=5, seed=0).tolist()))
"""
)


def fill(script, **values):
    for name, value in {"UTTERANCE": UTTERANCE, "PATH": str(TINY), **values}.items():
        script = script.replace(name, repr(value))
    return script


@pytest.fixture(scope="module")
def published(hub, tmp_path_factory):
    """What the `push_to_hub` of model, tokenizer, pipeline and Trainer put on the Hub: two versions of one model."""
    home = tmp_path_factory.mktemp("publisher")
    pushed(hub, home, "push", "--checkpoint", TINY, "--repo", "org/cli")
    return python(hub, home, fill(PUSH))


def test_transformers_pushes_the_code_with_the_model(hub, published):
    autos = {"AutoConfig", "AutoModel", "AutoModelForSeq2SeqLM"}
    for name in ("org/codefusion-python", "org/piped", "org/trained"):
        files = hub.files(name)
        code = CODE if name == "org/piped" else CODE - {"pipeline_codefusion.py"}
        assert {file for file in files if file.endswith(".py")} == code
        assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= set(files)
        assert set(json.loads(files["config.json"])["auto_map"]) == autos
        for content in files.values():
            assert hub.token.encode() not in content and str(ROOT).encode() not in content


def test_loading_by_name_without_the_package(hub, published, tmp_path):
    old, new = published["old"], published["new"]
    loaded = python(hub, tmp_path, fill(LOAD, OLD=old))
    assert loaded["new"][0] == loaded["branch"][0] == loaded["trained"][0] == published["new_ids"]
    # An old revision keeps its weights and its code.
    assert loaded["old"][0] == published["old_ids"] != published["new_ids"]
    assert old in loaded["old"][1] and new in loaded["new"][1]
    for name in ("org/piped", "org/cli"):
        assert [list(candidate) for candidate in loaded[name]] == [["generated_code", "score"]] * 2
        assert loaded[name][0]["generated_code"] == "TextEquals(in progress)"
    assert "trust_remote_code=True" in loaded["without trust"]
    files = hub.files("org/codefusion-python", revision=old)
    assert loaded["files"] == {name: len(content) for name, content in files.items()}
    # What was loaded once works offline.
    before = len(hub.requests)
    assert python(hub, tmp_path, fill(LOAD_OFFLINE, OLD=old), HF_HUB_OFFLINE="1") == published["old_ids"]
    assert len(hub.requests) == before


def test_loading_by_name_with_the_package(hub, published, tmp_path):
    """No code of the repository runs, and nobody is asked; only the repository's own pipeline must be trusted."""
    script = """
import json, sys, codefusion_hf
from transformers import AutoModel, AutoModelForSeq2SeqLM, AutoTokenizer, pipeline
name = "org/codefusion-python"
tokenizer = AutoTokenizer.from_pretrained(name, revision=OLD)
models = [auto.from_pretrained(name, revision=OLD).eval() for auto in (AutoModel, AutoModelForSeq2SeqLM)]
inputs = tokenizer([UTTERANCE], return_tensors="pt")
ids = [model.generate(**inputs, num_return_sequences=5, seed=0).tolist() for model in models]
try:
    pipeline("text-to-code", model="org/cli")
except ValueError as error:
    refusal = str(error)
pipe = pipeline("text-to-code", model="org/cli", pipeline_class=codefusion_hf.CodeFusionPipeline)
best = pipe(UTTERANCE)[0]["generated_code"]
assert "transformers_modules" not in sys.modules
print(json.dumps([ids, refusal, best]))
"""
    ids, refusal, best = python(hub, tmp_path / "home", fill(script, OLD=published["old"]))
    assert ids == [published["old_ids"]] * 2
    assert "trust_remote_code=True" in refusal and best == "TextEquals(in progress)"


# --- metrics


def test_metrics_by_name(hub, tmp_path):
    out = pushed(hub, tmp_path / "home", "push-metrics", "--namespace", "someone", "--metric", "code_validity")
    assert out.count("pushed: ") == 1
    out = pushed(hub, tmp_path / "home", "push-metrics", "--namespace", "codefusion")
    assert out.count("pushed: ") == len(METRICS)
    for name in METRICS:
        files = hub.files(f"codefusion/{name}", "space")
        assert set(files) == {".gitattributes", "README.md", "app.py", "requirements.txt", f"{name}.py"}
        assert hub.repositories["space", f"codefusion/{name}"].sdk == "gradio"
    app = hub.files("someone/code_validity", "space")["app.py"].decode()
    assert 'evaluate.load("someone/code_validity"' in app
    script = (
        WITHOUT_PACKAGE
        + """
import evaluate, json
try:
    evaluate.load("codefusion/cf_exec_match")
except ImportError as error:
    needs = str(error)
sys.meta_path.pop(0)
names = [evaluate.load(f"codefusion/{name}").name for name in NAMES]
result = evaluate.load("codefusion/cf_exec_match").compute(
    predictions=[["Top(2)", "GreaterThan(10)"]],
    references=[["GreaterThan(11)"]],
    tables=[{"columns": ["Points"], "rows": [["9"], ["12"], ["15"]]}],
)
print(json.dumps([needs, names, result]))
"""
    )
    needs, names, result = python(hub, tmp_path / "other", script.replace("NAMES", repr(list(METRICS))))
    assert "codefusion_hf" in needs
    assert names == list(METRICS)
    assert (result["top_1"], result["strict_top_1"]) == (1.0, 0.0)


# --- broken downloads


BROKEN = (
    WITHOUT_PACKAGE
    + """
import json, os
from pathlib import Path
from transformers import AutoModel

facts = {}
for case in ("short", "dropped", "down", "code-down", "nowhere", "no-weights", "no-code", "cut", "good"):
    revision = "no-such-branch" if case == "good" else None
    cache = Path(os.environ["HF_HOME"], "hub", f"models--org--{case}")
    messages = []
    for attempt in range(2):
        try:
            AutoModel.from_pretrained(f"org/{case}", revision=revision, trust_remote_code=True)
            messages.append(None)
        except Exception as error:
            weights = [str(path) for path in cache.rglob("snapshots/*/*.safetensors")]
            messages.append([type(error).__name__, str(error), weights])
    facts[case] = messages
print(json.dumps(facts))
"""
)

MESSAGES = {
    "short": "Consistency check failed: file should be of size 629618 but has size 314809",
    "down": "org/down.*\n.*500 Internal Server Error.*/model.safetensors",
    "code-down": "org/code-down.*\n.*500 Internal Server Error.*/modeling_codefusion.py",
    "nowhere": "org/nowhere is not a local folder and is not a valid model identifier",
    "no-weights": "org/no-weights does not appear to have a file named .*model.safetensors",
    "no-code": "org/no-code does not appear to have a file named scheduling_codefusion.py",
    "cut": "incomplete metadata, file not fully covered",
    "good": "no-such-branch is not a valid git identifier",
}


def test_broken_downloads(hub, tmp_path):
    upload = checkpoint_upload(TINY, "org/good")
    files = {name: data if isinstance(data, bytes) else data.read_bytes() for name, data in upload.files.items()}
    for case in ("short", "dropped", "down", "code-down", "no-weights", "no-code", "cut", "good"):
        hub.put(f"org/{case}", files)
    del hub.files("org/no-weights")["model.safetensors"]
    del hub.files("org/no-code")["scheduling_codefusion.py"]
    hub.files("org/cut")["model.safetensors"] = files["model.safetensors"][:300_000]
    hub.faults += [
        Fault("GET /org/short/.*/model.safetensors", "short", times=1),
        Fault("GET /org/dropped/.*/model.safetensors", "drop", times=1),
        Fault("GET /org/down/.*/model.safetensors", 500),
        Fault("GET /org/code-down/.*/modeling_codefusion.py", 500),
    ]
    facts = python(hub, tmp_path / "home", BROKEN)
    first = {case: attempts[0] for case, attempts in facts.items()}
    second = {case: attempts[1] for case, attempts in facts.items()}
    assert first.pop("dropped") is None, "a broken connection is taken up again where it ended"
    assert second["short"] is None, "the next attempt loads the whole file"
    for case, (kind, message, weights) in first.items():
        assert kind == ("SafetensorError" if case == "cut" else "OSError"), case
        assert re.search(MESSAGES[case], message), message
        # The repository of `cut` has this file as it is: the download is complete.
        assert bool(weights) == (case == "cut"), case
        assert case == "short" or second[case] is not None


# --- fine-tune, push, load


def test_a_fine_tuned_model_reaches_a_reader(hub, tmp_path):
    pushed(hub, tmp_path / "home", "push", "--checkpoint", TINY, "--repo", "org/start")
    done = run(
        *(hub, tmp_path / "home", sys.executable, ROOT / "examples" / "run_finetune.py"),
        *("--model_name_or_path", "org/start", "--train_file", ROOT / "tests" / "fixtures" / "cf_pairs.jsonl"),
        *("--max_train_steps", 2, "--max_train_samples", 8, "--per_device_train_batch_size", 4),
        *("--output_dir", "finetuned", "--push_to_hub", "--hub_model_id", "org/finetuned"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    files = hub.files("org/finetuned")
    assert CODE - {"pipeline_codefusion.py"} <= set(files)
    assert not [name for name, data in files.items() if str(tmp_path).encode() in data or hub.token.encode() in data]
    script = (
        WITHOUT_PACKAGE
        + """
import json
from transformers import AutoModel, AutoTokenizer
model = AutoModel.from_pretrained("org/finetuned", trust_remote_code=True).eval()
tokenizer = AutoTokenizer.from_pretrained("org/finetuned", trust_remote_code=True)
ids = model.generate(**tokenizer([UTTERANCE], return_tensors="pt"), seed=0)
print(json.dumps(tokenizer.batch_decode(ids, skip_special_tokens=True)))
"""
    )
    [program] = python(hub, tmp_path / "reader", fill(script))
    assert program == "TextEquals(in progress)"
