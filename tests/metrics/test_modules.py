"""All metrics as `evaluate` modules: loaded from their folder, offline, combined, in two processes; their speed."""

import doctest
import json
import os
import re
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import evaluate
import pytest
import yaml

import codefusion_hf
from codefusion_hf import metrics
from codefusion_hf.languages import LANGUAGES
from codefusion_hf.metrics import METRICS


ROOT = Path(metrics.__file__).parent
DATA = Path(os.environ.get("CODEFUSION_DATA", Path(__file__).parents[3] / "shared" / "data"))
CF_PAIRS = Path(__file__).parents[1] / "fixtures" / "cf_pairs.jsonl"
TABLE = {"columns": ["Score"], "rows": [["5"], ["12"], ["20"]]}
PREDICTIONS = {
    "bash": [["ls -a", "ls -l"], ["find . -name x"], ["cat a | wc -l", "wc -l a", ""], []],
    "cf": [["Top(2)", "GreaterThan(10)"], ["Top(1)"], ["Blanks()", "Errors()", ""], []],
    "python": [["x.sort()", "sorted(x)"], ["f( x)"], ["a + b", "b + a", ""], []],
}
REFERENCES = {
    "bash": [["ls -l"], ["find . -name 'y'"], ["wc -l b", "grep -c a b"], ["ls"]],
    "cf": [["GreaterThan(10)"], ["GreaterThan(12)"], ["Errors()", "Unique()"], ["Top(1)"]],
    "python": [["sorted(x)"], ["f(x)"], ["b + a", "sum((a, b))"], ["x"]],
}
LANGUAGE = {"bash_template_match": "bash", "cf_exec_match": "cf"}  # the others are tested on Python


@pytest.fixture(params=METRICS)
def name(request):
    return request.param


def load(name, **kwargs):
    return evaluate.load(str(ROOT / name), **kwargs)


def inputs(name, encoder, count=None):
    """Predictions and references, and the options without which the metric cannot score them."""
    language = LANGUAGE.get(name, "python")
    options = {
        "cf_exec_match": {"tables": [TABLE] * (count or len(PREDICTIONS["cf"]))},
        "code_bertscore": {"model_name_or_path": encoder, "num_layers": 2},
        "code_diversity": {"embedding_model": encoder},
        "code_exact_match": {"normalized": True, "language": language},
        "code_validity": {"language": language},
    }
    return {"predictions": PREDICTIONS[language], "references": REFERENCES[language]}, options.get(name, {})


def test_there_is_a_folder_for_every_metric():
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert folders == set(METRICS)


def test_the_folder_is_a_space(name):
    assert {"README.md", "app.py", "requirements.txt", f"{name}.py"} <= {path.name for path in (ROOT / name).iterdir()}
    _, front, text = (ROOT / name / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    card = yaml.safe_load(front)
    assert card["sdk"] == "gradio" and re.fullmatch(r"\d+\.\d+\.\d+", str(card["sdk_version"]))
    assert card["title"] and card["description"] and card["app_file"] == "app.py" and card["license"] == "apache-2.0"
    assert {"evaluate", "metric"} <= set(card["tags"])
    assert f"# Metric: {name}\n" in text
    for heading in ("Definition", "How to use", "Limits", "Citation"):
        assert f"\n## {heading}\n" in text
    assert "@" in text.split("## Citation")[1]
    app = (ROOT / name / "app.py").read_text(encoding="utf-8")
    assert f'evaluate.load("codefusion/{name}"' in app and "launch_gradio_widget(" in app
    assert (ROOT / name / "requirements.txt").read_text().split() == ["codefusion-hf[metrics]"]


def test_examples_are_true(name):
    text = (ROOT / name / "README.md").read_text(encoding="utf-8")
    example = "\n".join(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL))
    assert "load_metric(" in example and "compute(" in example
    if name == "code_bertscore":
        pytest.skip("its example downloads an encoder")
    for source in (example, codefusion_hf.load_metric(name).inputs_description.partition("Examples:")[2]):
        test = doctest.DocTestParser().get_doctest(source, {"codefusion_hf": codefusion_hf}, name, None, 0)
        assert len(test.examples) >= 2
        assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


def test_load_metric_scores_as_evaluate_and_the_function_do(name, tiny_encoder):
    data, options = inputs(name, tiny_encoder)
    metric = codefusion_hf.load_metric(name)
    assert isinstance(metric, evaluate.Metric)
    result = metric.compute(**data, **options)
    assert load(name).compute(**data, **options) == result
    function = getattr(import_module(f"codefusion_hf.metrics.{name}.{name}"), name)
    arguments = data if name not in ("code_diversity", "code_validity") else {"predictions": data["predictions"]}
    assert function(**arguments, **options) == result
    assert all(-1 <= value <= 1 for value in result.values() if isinstance(value, float))


def test_flat_nested_and_mixed_lists_are_equal(name, tiny_encoder):
    data, options = inputs(name, tiny_encoder)
    options.pop("tables", None)
    flat = {key: [task[0] for task in tasks if task] for key, tasks in data.items()}
    flat["references"] = flat["references"][: len(flat["predictions"])]
    nested = {key: [[text] for text in texts] for key, texts in flat.items()}
    mixed = {key: [texts[0], *([text] for text in texts[1:])] for key, texts in flat.items()}
    expected = load(name).compute(**nested, **options)
    assert load(name).compute(**flat, **options) == expected
    assert load(name).compute(**mixed, **options) == expected
    one_by_one, in_batches = load(name), load(name)
    for prediction, reference in zip(flat["predictions"], flat["references"]):
        one_by_one.add(prediction=prediction, reference=reference)
        in_batches.add_batch(predictions=[[prediction]], references=[reference])
    assert one_by_one.compute(**options) == expected
    assert in_batches.compute(**options) == expected


def test_per_item(name, tiny_encoder):
    data, options = inputs(name, tiny_encoder)
    plain, result = (load(name).compute(**data, **options, per_item=flag) for flag in (False, True))
    items = result.pop("per_item")
    strict = result.pop("strict_per_item", items)
    assert plain == result and len(items) == len(strict) == len(data["predictions"])
    if name == "code_diversity":
        assert [item is None for item in items] == [len(task) < 2 for task in data["predictions"]]
    else:
        assert [len(item) for item in items] == [len(task) for task in data["predictions"]]
        key = "validity_top_1" if name == "code_validity" else "top_1"
        assert result[key] == pytest.approx(sum(item[0] for item in items if item) / len(items))


HOSTILE = ["\ud800 a", "a\0b", "", " \n", "x " * 5000, "(" * 20_000, "\u202e\U0001f600", "a\r\nb"]


def test_hostile_candidates_score_and_blank_ones_never_match(name, tiny_encoder):
    data, options = inputs(name, tiny_encoder)
    options.pop("tables", None)
    gold = data["references"][0][0]
    result = load(name).compute(predictions=[HOSTILE, [gold]], references=[[gold], [gold]], **options)
    blank = load(name).compute(predictions=[["", " "]], references=[[gold]], **options)
    key = {"code_diversity": "ngram_1", "code_validity": "validity"}.get(name, "top_5")
    assert result[key] > 0
    assert not blank[key]


def test_wrong_calls_say_what_is_wrong_and_do_no_harm(name, tiny_encoder):
    data, options = inputs(name, tiny_encoder)
    metric = load(name)
    expected = metric.compute(**data, **options)
    for wrong, error in (
        ({**data, "predictions": "a"}, TypeError),
        ({**data, "predictions": [["a", None]] * 4}, TypeError),
        ({**data, "predictions": []}, ValueError),
        ({**data, "unknown_option": 1}, TypeError),
    ):
        with pytest.raises(error):
            metric.compute(**(options | wrong))
    if name not in ("code_diversity", "code_validity"):
        with pytest.raises(ValueError):
            metric.compute(predictions=["a", "b"], references=["a"])
        with pytest.raises(ValueError, match="`k` must be"):
            metric.compute(**data, **options, k=[0])
    assert metric.compute(**data, **options) == expected


def test_combine():
    data = {"predictions": PREDICTIONS["python"], "references": REFERENCES["python"]}
    names = ["code_exact_match", "code_validity", "code_diversity"]
    together = evaluate.combine([load(name, config_name="python") for name in names])
    result = together.compute(**data)
    for name in names:
        assert load(name, config_name="python").compute(**data).items() <= result.items()
    match = evaluate.combine([str(ROOT / "code_exact_match"), str(ROOT / "bash_template_match")])
    for prediction, reference in zip(PREDICTIONS["bash"], REFERENCES["bash"]):
        match.add(prediction, reference)
    result = match.compute()
    data = {"predictions": PREDICTIONS["bash"], "references": REFERENCES["bash"]}
    for name in ("code_exact_match", "bash_template_match"):
        assert result[f"{name}_top_1"] == load(name).compute(**data)["top_1"]


def test_every_metric_is_called_by_its_name(name):
    assert load(name).name == name  # `combine` puts it before the figures that several metrics have


WORKER = """
import json, sys

def offline(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise RuntimeError(f"network: {event} {arguments}")

sys.addaudithook(offline)
import codefusion_hf, evaluate
from pathlib import Path
from codefusion_hf import metrics

index, jobs, cache = int(sys.argv[1]), json.load(open(sys.argv[2])), sys.argv[3]
results = {}
for name, (data, options) in jobs.items():
    assert codefusion_hf.load_metric(name).name
    metric = evaluate.load(
        str(Path(metrics.__file__).parent / name), num_process=2, process_id=index, cache_dir=cache, experiment_id=name
    )
    half = slice(0, 2) if index == 0 else slice(2, None)
    metric.add_batch(**{key: tasks[half] for key, tasks in data.items()})
    results[name] = metric.compute(**options)
print(json.dumps(results))
"""


def test_two_processes_without_network_give_the_result_of_one(tmp_path, tiny_encoder):
    jobs = {name: inputs(name, tiny_encoder) for name in METRICS}
    expected = {name: load(name).compute(**data, **options) for name, (data, options) in jobs.items()}
    (tmp_path / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
    command = [sys.executable, "-c", WORKER]
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    arguments = [str(tmp_path / "jobs.json"), str(tmp_path / "cache")]
    workers = [
        subprocess.Popen([*command, str(index), *arguments], stdout=subprocess.PIPE, env=environment, text=True)
        for index in (0, 1)
    ]
    outputs = [worker.communicate(timeout=540)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert json.loads(outputs[0]) == json.loads(json.dumps(expected))
    assert json.loads(outputs[1]) == dict.fromkeys(METRICS)


def test_load_metric_refuses_unknown_names():
    for unknown in ("bleu", "", "../metrics/code_validity", None):
        with pytest.raises(
            ValueError, match="unknown metric .*; available: bash_template_match, cf_exec_match, code_"
        ):
            codefusion_hf.load_metric(unknown)


def test_load_metric_names_the_extra_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "evaluate", None)  # what Python finds if it is not installed
    with pytest.raises(ImportError, match=r"pip install 'codefusion-hf\[metrics\]'"):
        codefusion_hf.load_metric("code_validity")


def benchmark(language):
    """Golds of a language with their tables: of the data pack if it is there."""
    path = DATA / "prepared" / f"{language}_train.jsonl"
    if path.exists():
        rows = [json.loads(line) for _, line in zip(range(1000), path.open(encoding="utf-8"))]
    elif language == "cf":
        rows = [json.loads(line) for line in CF_PAIRS.open(encoding="utf-8")]
    else:
        rows = [{"code": code} for task in REFERENCES[language] for code in task]
    codes = [row["code"] for row in rows]
    tables = [row.get("table") or row.get("data") or None for row in rows]
    return [codes[i % len(codes)] for i in range(1000)], [tables[i % len(tables)] for i in range(1000)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_thousand_tasks_take_less_than_twenty_seconds(language):
    golds, tables = benchmark(language)
    predictions = [[golds[(i + step) % 1000] for step in (3, 1, 0, 2, 4)] for i in range(1000)]
    references = [[gold] for gold in golds]
    own = {"bash": [("bash_template_match", {})], "cf": [("cf_exec_match", {"tables": tables})], "python": []}
    jobs = [
        *own[language],
        ("code_exact_match", {}),
        ("code_exact_match", {"normalized": True, "language": language}),
        ("code_validity", {"language": language}),
        ("code_diversity", {"language": language}),
    ]
    start = time.process_time()  # not wall time: other tests may share the cores
    results = [load(name).compute(predictions=predictions, references=references, **options) for name, options in jobs]
    assert time.process_time() - start < 20
    assert all(result["top_5"] > 0.9 for result in results if "top_5" in result)
