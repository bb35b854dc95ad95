"""The ONNX export on the tiny checkpoint: onnxruntime and NumPy find what torch finds."""

import importlib
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import trimmed

from codefusion_hf import CodeFusionForConditionalGeneration
from codefusion_hf.sampling_codefusion import CandidateNoise


for package in ("onnx", "onnxruntime", "onnxscript"):
    pytest.importorskip(package)

ROOT = Path(__file__).parents[1]
PAIRS = ROOT / "tests" / "fixtures" / "cf_pairs.jsonl"
UTTERANCES = [
    "Style values which are In Progress",
    "highlight B column for first 30 rows where values is > 100",
    'For Organization make Green color if value id "FNS"',
    "duplicates",
]
# An exported folder must run where there is no torch.
WITHOUT_TORCH = """
import runpy, sys
for name in ("torch", "transformers", "codefusion_hf"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def examples():
    """`export_onnx` and `onnx_generate`, which stand beside each other."""
    sys.path.insert(0, str(ROOT / "examples"))
    try:
        yield [importlib.import_module(name) for name in ("export_onnx", "onnx_generate")]
    finally:
        sys.path.remove(str(ROOT / "examples"))


@pytest.fixture(scope="module")
def exported(tiny_cf, tmp_path_factory):
    """The folder that the script writes, and what it prints: once, it takes a while."""
    folder = tmp_path_factory.mktemp("onnx")
    data = folder / "data.jsonl"
    data.write_text("".join(PAIRS.read_text(encoding="utf-8").splitlines(keepends=True)[:10]), encoding="utf-8")
    command = [sys.executable, ROOT / "examples" / "export_onnx.py", "--model", tiny_cf, "--output_dir", folder]
    command += ["--int8", "--data", data, "--num_threads", 1, "--num_inference_steps", 4, "--num_revisions", 1]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, json.loads(done.stdout)


SETTINGS = {"num_inference_steps": 4, "num_revisions": 1}


def test_the_same_seed_finds_the_same_programs(exported, examples, model, tokenizer):
    onnx_model = examples[1].OnnxCodeFusion(exported[0])
    inputs = tokenizer(UTTERANCES, return_tensors="pt", padding=True)
    input_ids, attention_mask = onnx_model.encode(UTTERANCES)
    assert np.array_equal(input_ids, inputs["input_ids"]) and np.array_equal(attention_mask, inputs["attention_mask"])
    for seed in (0, 1):
        output = model.generate(**inputs, seed=seed, num_return_sequences=3, return_dict_in_generate=True, **SETTINGS)
        found = onnx_model.sample(input_ids, attention_mask, 3, seed)
        assert trimmed(np.concatenate([rows for rows, _ in found])) == trimmed(output.sequences)
        np.testing.assert_allclose(np.concatenate([s for _, s in found]), output.sequences_scores, atol=2e-3)
    many = {"num_return_sequences": 25, "return_dict_in_generate": True}  # more than are sampled by default
    expected = model.generate(**inputs, seed=0, **many, **SETTINGS).sequences_scores.view(-1, 25)
    for (rows, scores), theirs in zip(onnx_model.sample(input_ids, attention_mask, 25), expected):
        assert len(set(map(tuple, rows.tolist()))) == len(scores) == 25 and (np.diff(scores) <= 0).all()
        np.testing.assert_allclose(scores, theirs, atol=2e-2)


def test_given_noise(exported, examples, model, tokenizer):
    onnx_model = examples[1].OnnxCodeFusion(exported[0], num_threads=1)
    inputs = tokenizer(UTTERANCES, return_tensors="pt", padding=True)
    seeds = [5, 6, 7, 8]
    draw = CandidateNoise(seeds, 10, (model.config.max_target_length, model.config.embedding_dim), "cpu").draw
    noise = np.stack([draw().numpy() for _ in range(2)])
    expected = model.generate(**inputs, seed=seeds, num_return_sequences=3, **SETTINGS)
    found = onnx_model.sample(*onnx_model.encode(UTTERANCES), 3, noise=noise)
    assert trimmed(np.concatenate([rows for rows, _ in found])) == trimmed(expected)


@pytest.mark.parametrize(("candidates", "length", "utterances"), [(1, 1, 1), (2, 7, 3), (10, 32, 2)])
def test_every_graph_equals_torch_at_every_size(exported, examples, model, tokenizer, candidates, length, utterances):
    onnx_model = examples[1].OnnxCodeFusion(exported[0])
    texts = UTTERANCES[-utterances:]
    latents = torch.randn(
        utterances * candidates, length, model.config.embedding_dim, generator=torch.Generator().manual_seed(0)
    )
    previous = latents.flip(0)
    memory = onnx_model.memory(*onnx_model.encode(texts), candidates)
    with torch.no_grad():
        reference = model.encode(**tokenizer(texts, return_tensors="pt", padding=True))
        hidden = reference.hidden_states.repeat_interleave(candidates, dim=0)
        np.testing.assert_allclose(memory["hidden_states"], hidden, atol=1e-4)
        for timestep in (1199, 3):
            timesteps = torch.full((len(latents),), timestep)
            denoised = model.denoise(latents, timesteps, reference, previous)
            found = onnx_model.denoise(latents.numpy(), timestep, previous.numpy(), memory)
            np.testing.assert_allclose(found, denoised, atol=1e-4)
        logits = model.decode(latents, reference)[1]
    found, tokens, scores = onnx_model.decode(latents.numpy(), memory, "logits", "top_tokens", "top_scores")
    # Where the copy gate is all but closed or open, one bit of it is a percent of what an unlikely token has left.
    np.testing.assert_allclose(np.exp(found), logits.exp(), atol=1e-5)
    np.testing.assert_allclose(found, logits, atol=0.05)
    assert np.array_equal(tokens[..., 0], logits.argmax(-1))
    np.testing.assert_allclose(scores[..., 0], logits.log_softmax(-1).amax(-1), atol=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        {"num_inference_steps": 1},
        {"num_inference_steps": 6, "sampler": "ddim"},
        {"num_inference_steps": 6, "sampler": "ddim", "eta": 0.5, "num_revisions": 2, "revision_strength": 0.5},
        {"num_inference_steps": 9, "sampler": "ddpm", "variance_type": "fixed_large"},
        {"num_inference_steps": 9, "timestep_spacing": "logsnr", "num_candidates": 4},
    ],
    ids=str,
)
def test_the_samplers_are_numbers(exported, examples, model, tokenizer, tmp_path, settings):
    folder = tmp_path / "other"
    shutil.copytree(exported[0], folder, ignore=shutil.ignore_patterns("int8"))
    (folder / "sampling.json").write_text(json.dumps(examples[0].sampling_settings(model, **settings)))
    onnx_model = examples[1].OnnxCodeFusion(folder)
    expected = model.generate(
        **tokenizer(UTTERANCES, return_tensors="pt", padding=True), seed=3, num_return_sequences=2, **settings
    )
    found = onnx_model.sample(*onnx_model.encode(UTTERANCES), 2, 3)
    assert trimmed(np.concatenate([rows for rows, _ in found])) == trimmed(expected)


@pytest.mark.parametrize("shape", [(32, 32), (5, 10), (17,)], ids=str)
def test_noise_is_torchs(examples, shape):
    for seed in (0, 12345, 4294967295 * 1_000_003 + 9):
        generator = torch.Generator().manual_seed(seed)
        expected = [torch.randn(shape, generator=generator) for _ in range(3)]
        drawn = list(itertools.islice(examples[1].torch_randn(seed, shape), 3))
        np.testing.assert_allclose(drawn, torch.stack(expected), atol=2e-6)
    with pytest.raises(ValueError, match="fewer than 16"):
        next(examples[1].torch_randn(0, (3, 5)))


def test_it_runs_without_torch(exported, examples, model, tokenizer):
    command = [sys.executable, "-c", WITHOUT_TORCH, ROOT / "examples" / "onnx_generate.py", "--model", exported[0]]
    command += ["--num_return_sequences", 3, "--seed", 4, "--num_threads", 1, *UTTERANCES]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["nl"] for line in printed] == UTTERANCES
    inputs = tokenizer(UTTERANCES, return_tensors="pt", padding=True)
    sequences = model.generate(**inputs, seed=4, num_return_sequences=3, **SETTINGS)
    texts = tokenizer.batch_decode(sequences, skip_special_tokens=True)
    assert [candidate["generated_code"] for line in printed for candidate in line["candidates"]] == texts


def test_the_report(exported, examples):
    folder, report = exported
    fp32, int8 = report["fp32"], report["int8"]
    assert fp32["rows"] == fp32["same_first"] == fp32["same_all"] == 10
    assert fp32["largest_score_difference"] < 2e-3
    assert int8["size_mb"] < 0.7 * fp32["size_mb"] and int8["rows"] == 10
    assert int8["same_first"] >= 7
    assert fp32["latency_ms_1_threads"] > 0 and int8["latency_ms_1_threads"] > 0
    assert str(ROOT).encode() not in b"".join(path.read_bytes() for path in folder.rglob("*.onnx"))
    assert 0 < examples[1].time_onnx(folder, repeats=3, warmup=1) < 10_000


def test_special_tokens_in_an_utterance_are_text(exported, examples, tokenizer):
    onnx_model = examples[1].OnnxCodeFusion(exported[0])
    text = "cells with </s> or <pad> or Ünïcode ☃"
    assert onnx_model.encode([text])[0].tolist() == [tokenizer(text)["input_ids"]]


def test_errors(exported, examples, model, tmp_path):
    export_onnx, onnx_generate = examples
    for setting in ({"guidance_scale": 2.0}, {"clamping": True}, {"decode_with": "nearest"}):
        with pytest.raises(ValueError, match=f"needs `{next(iter(setting))}`="):
            export_onnx.sampling_settings(model, **setting)
    onnx_model = onnx_generate.OnnxCodeFusion(exported[0])
    for utterances, message in (([], "at least one"), (["a", " "], "blank"), (["a " * 300], "at most 128")):
        with pytest.raises(ValueError, match=message):
            onnx_model.generate(utterances)
    with pytest.raises(ValueError, match="num_return_sequences"):
        onnx_model.generate(["a"], num_return_sequences=0)
    with pytest.raises(ValueError, match="seed"):
        onnx_model.generate(["a"], seed=-1)
    with pytest.raises(ValueError, match="`num_threads` must be at least 1, got 0"):
        onnx_generate.OnnxCodeFusion(exported[0], num_threads=0)
    for name in ("sampling.json", "tokenizer.json", "decoder.onnx"):
        damaged = shutil.copytree(exported[0], tmp_path / name, ignore=shutil.ignore_patterns("int8"))
        (damaged / name).write_text("{")
        with pytest.raises(ValueError, match=f"{damaged} is damaged: "):
            onnx_generate.OnnxCodeFusion(damaged)
    for name, arguments in (
        ("onnx_generate.py", ["--model", tmp_path, "x"]),
        ("export_onnx.py", ["--model", tmp_path, "--output_dir", tmp_path / "out"]),
    ):
        command = [sys.executable, ROOT / "examples" / name, *arguments]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr.startswith(f"{name}: error: "), done.stderr
        assert "Traceback" not in done.stderr


def test_what_only_saves_time_is_left_out(examples, model, capsys):
    settings = {"canvas_buckets": [8, 16], "stability_threshold": 2}
    plain = examples[0].sampling_settings(model)
    assert examples[0].sampling_settings(model, **settings) == plain
    assert "canvas_buckets, stability_threshold" in capsys.readouterr().err


def test_what_the_graphs_cannot_do_is_refused(examples, tiny_cf, tmp_path):
    model = CodeFusionForConditionalGeneration.from_pretrained(tiny_cf, block_size=4)
    with pytest.raises(ValueError, match="one timestep for all tokens"):
        examples[0].export(model, None, tmp_path / "graphs")
    assert not (tmp_path / "graphs").exists()
