"""Rebuilds tests/fixtures/tiny-cf: the `tiny` preset, overfitted to tests/fixtures/cf_pairs.jsonl (about a minute)."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from transformers import AutoTokenizer

from codefusion_hf import CodeFusionForConditionalGeneration
from codefusion_hf.hub import save_for_release


ROOT = Path(__file__).parents[1]
PAIRS = ROOT / "tests/fixtures/cf_pairs.jsonl"
TARGET = ROOT / "tests/fixtures/tiny-cf"


def main():
    with tempfile.TemporaryDirectory() as folder:
        tokenizer, trained = f"{folder}/tokenizer", f"{folder}/trained"
        run("train_tokenizer.py", "--train_file", PAIRS, "--vocab_size", "512", "--output_dir", tokenizer)
        run(
            *("run_finetune.py", "--config_name", "tiny", "--tokenizer_name", tokenizer, "--train_file", PAIRS),
            *("--output_dir", trained, "--max_train_steps", "600", "--per_device_train_batch_size", "32"),
            *("--learning_rate", "3e-3", "--num_warmup_steps", "50", "--ema_decay", "0.99", "--logging_steps", "100"),
        )
        shutil.rmtree(TARGET, ignore_errors=True)
        model = CodeFusionForConditionalGeneration.from_pretrained(trained)
        save_for_release(model, AutoTokenizer.from_pretrained(trained), TARGET)


def run(script: str, *arguments: object):
    subprocess.run([sys.executable, str(ROOT / "examples" / script), *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
