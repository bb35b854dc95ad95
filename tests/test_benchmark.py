"""The benchmark prints what it promises, and its floor counts every matrix product."""

import json
from pathlib import Path

import pytest
import torch


FILE = Path(__file__).parent / "fixtures" / "cf_dev.jsonl"


def test_a_quick_run_prints_the_figures_as_one_json_object(load_script, tiny_cf, tmp_path, capsys):
    output, data = tmp_path / "benchmark.json", tmp_path / "rows.jsonl"
    data.write_text("".join(FILE.read_text().splitlines(keepends=True)[:4]))  # of the 64 utterances of a batch
    arguments = ["--model", tiny_cf, "--data", data, "--repeats", "1", "--quick", "--json", "--output", output]
    load_script("run_benchmark", *arguments).main()
    results = json.loads(capsys.readouterr().out)
    assert results == json.loads(output.read_text())
    ratios = "vs_paper_sampler vs_t5_beam5 vs_t5_beam5_batch64 fraction_of_floor fraction_of_floor_batch64".split()
    for name in [*ratios, "latency_ms", "first_draft_ms", "size_on_disk_mb"]:
        assert results[name] > 0, name
    assert results["peak_memory_mb_batch64"] >= results["peak_memory_mb"] > 50
    assert results["vs_paper_sampler"] == round(results["paper_sampler_ms"] / results["latency_ms"], 1)
    assert results["vs_t5_beam5"] == round(results["t5_beam5_ms"] / results["latency_ms"], 2)
    # The same number of parameters, within a twentieth.
    assert results["t5_parameters"] == pytest.approx(results["parameters"], rel=0.05)
    assert 0 < results["fraction_of_floor"] < 1.5


def test_wrong_arguments_name_what_is_allowed(load_script, capsys):
    with pytest.raises(ValueError, match="unknown preset 'huge': presets are .*mini-cf"):
        load_script("run_benchmark", "--preset", "huge").main()
    with pytest.raises(SystemExit):
        load_script("run_benchmark", "--repeats", "0").main()
    assert "--repeats must be at least 1" in capsys.readouterr().err


def test_the_recorder_sees_every_product(load_script):
    script = load_script("run_benchmark")
    a, b = torch.randn(3, 4, 5), torch.randn(3, 5, 6)
    layer = torch.nn.Linear(5, 2, bias=False)
    with script.Recorder(layer) as recorder, torch.no_grad():
        layer(torch.randn(7, 5))
        torch.matmul(a, b)
        torch.nn.functional.scaled_dot_product_attention(*(torch.randn(1, 2, 8, 4) for _ in range(3)))
        torch.relu(a)
    assert recorder.products[0][1].data_ptr() == layer.weight.data_ptr(), "weights are kept, all else made up again"
    shapes = [tuple(tuple(getattr(x, "shape", x[0])) for x in pair) for pair in recorder.products]
    assert shapes[:2] == [((7, 5), (5, 2)), ((3, 4, 5), (3, 5, 6))]
    assert len(shapes) == 4, "attention counts as two products"
    recorder.replay()()


def test_int8_gives_programs(load_script, tiny_cf):
    from codefusion_hf.evaluation import load

    model, tokenizer = load(str(tiny_cf))
    variant = load_script("run_benchmark").quantized(model)
    assert any(type(module).__module__.startswith("torch.ao") for module in variant.modules())
    inputs = tokenizer(["top 3 values"], return_tensors="pt")
    programs = tokenizer.batch_decode(variant.generate(**inputs, num_return_sequences=5, seed=0))
    assert len(set(programs)) == 5
    assert all(p is not q for p, q in zip(model.parameters(), variant.parameters()))
