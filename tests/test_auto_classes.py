"""Auto classes, remote code in a process that cannot import the package, Trainer."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM, AutoTokenizer, pipeline

import codefusion_hf
from codefusion_hf import CodeFusionForConditionalGeneration


SOURCE = Path(codefusion_hf.__file__).parent
HUB_FILES = sorted(SOURCE.glob("*_codefusion.py"))
UTTERANCE = "Style values which are In Progress"


def test_auto_classes_know_the_model(tiny_cf):
    assert type(AutoConfig.from_pretrained(tiny_cf)).__name__ == "CodeFusionConfig"
    for auto in (AutoModel, AutoModelForSeq2SeqLM):
        model = auto.from_pretrained(tiny_cf)
        assert type(model) is CodeFusionForConditionalGeneration and model.can_generate()
    tokenizer = AutoTokenizer.from_pretrained(tiny_cf)
    assert tokenizer.pad_token_id == model.config.pad_token_id == 0
    assert tokenizer.eos_token_id == model.config.eos_token_id == 2


def test_nested_config_overrides(tiny_cf):
    config = AutoConfig.from_pretrained(tiny_cf, encoder_config={"dropout_rate": 0.3})
    assert config.encoder_config.dropout_rate == 0.3 and config.encoder_config.d_model == 64


@pytest.fixture(scope="module")
def remote_folder(tiny_cf, tmp_path_factory):
    """What `push_to_hub` would upload: weights, tokenizer, and the code of the model."""
    folder = tmp_path_factory.mktemp("remote") / "codefusion-tiny"
    AutoModel.from_pretrained(tiny_cf, dtype=torch.float32).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_cf).save_pretrained(folder)
    return folder


def test_the_saved_folder_carries_its_code(remote_folder):
    saved = {path.name for path in remote_folder.glob("*.py")}
    assert saved == {path.name for path in HUB_FILES} - {"pipeline_codefusion.py"}
    auto_map = json.loads((remote_folder / "config.json").read_text())["auto_map"]
    assert auto_map == {
        "AutoConfig": "configuration_codefusion.CodeFusionConfig",
        "AutoModel": "modeling_codefusion.CodeFusionForConditionalGeneration",
        "AutoModelForSeq2SeqLM": "modeling_codefusion.CodeFusionForConditionalGeneration",
    }
    for file in remote_folder.iterdir():
        if file.suffix in (".json", ".py"):
            assert str(Path.home()) not in file.read_text()


def test_remote_code_equals_the_package(remote_folder, tiny_cf, tmp_path):
    """Run where the package cannot be imported, with a clean module cache."""
    script = f"""
import importlib.util, sys
class Block:
    def find_spec(self, name, *rest):
        if name.split(".")[0] == "codefusion_hf":
            raise ImportError(name)
sys.meta_path.insert(0, Block())
import json
from transformers import AutoModel, AutoModelForSeq2SeqLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({str(remote_folder)!r}, trust_remote_code=True)
inputs = tokenizer([{UTTERANCE!r}], return_tensors="pt")
result = []
for auto in (AutoModel, AutoModelForSeq2SeqLM):
    model = auto.from_pretrained({str(remote_folder)!r}, trust_remote_code=True).eval()
    result.append(model.generate(**inputs, num_return_sequences=5, seed=0).tolist())
assert "codefusion_hf" not in sys.modules
print(json.dumps([result, type(model.generation_config).__name__]))
"""
    environment = {**os.environ, "HF_MODULES_CACHE": str(tmp_path), "HF_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    (first, second), config_class = json.loads(done.stdout.splitlines()[-1])
    model = AutoModel.from_pretrained(tiny_cf, dtype=torch.float32).eval()
    inputs = AutoTokenizer.from_pretrained(tiny_cf)([UTTERANCE], return_tensors="pt")
    assert first == second == model.generate(**inputs, num_return_sequences=5, seed=0).tolist()
    assert config_class == "CodeFusionGenerationConfig"


def test_hub_files_import_siblings_in_the_form_that_is_copied():
    """transformers finds the files to copy by this pattern; any other relative import is silently left behind."""
    for path in HUB_FILES:
        for line in path.read_text().splitlines():
            if re.match(r"\s*(from|import)\s+\.", line):
                assert re.match(r"from \.\w+_codefusion import ", line), f"{path.name}: {line}"


def test_pipeline_by_task_name(tiny_cf):
    generate = pipeline("text-to-code", model=str(tiny_cf))
    assert generate(UTTERANCE, num_return_sequences=2)[0]["generated_code"] == "TextEquals(in progress)"


@pytest.mark.parametrize("kind", ["Trainer", "Seq2SeqTrainer"])
def test_trainers(kind, tiny_cf, tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from codefusion_hf.data.batching import Collator
    from codefusion_hf.data.tasks import PairDataset

    model, tokenizer = AutoModel.from_pretrained(tiny_cf, dtype=torch.float32), AutoTokenizer.from_pretrained(tiny_cf)
    rows = [{"nl": f"values above {n}", "code": f"GreaterThan({n})"} for n in range(16)]
    dataset = PairDataset(rows, tokenizer, 128, 32)
    extra = {"predict_with_generate": True} if kind == "Seq2SeqTrainer" else {}
    arguments = getattr(transformers, kind.replace("Trainer", "TrainingArguments"))(
        output_dir=str(tmp_path),
        max_steps=4,
        per_device_train_batch_size=8,
        per_device_eval_batch_size=8,
        remove_unused_columns=False,
        logging_steps=1,
        save_steps=2,
        report_to=[],
        use_cpu=True,
        **extra,
    )
    trainer = getattr(transformers, kind)(
        model=model,
        args=arguments,
        train_dataset=dataset,
        eval_dataset=dataset,
        data_collator=Collator(tokenizer.pad_token_id, [32], 128),
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 4 and all(0 < loss < 50 for loss in losses)
    assert 0 < trainer.evaluate()["eval_loss"] < 50
    prediction = trainer.predict(dataset)
    assert prediction.predictions.shape[0] == 16
    assert (tmp_path / "checkpoint-4" / "model.safetensors").exists()
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert trainer.state.global_step == 4
