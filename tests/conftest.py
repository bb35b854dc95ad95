import importlib.util
import os
import sys
import tempfile
from pathlib import Path

import pytest


# Nothing that the tests load comes from the network. Read by huggingface_hub when it is imported.
os.environ["HF_HUB_OFFLINE"] = "1"
# What the scripts prepare is kept no longer than the tests run.
_cache = tempfile.TemporaryDirectory(prefix="codefusion-tests-")
os.environ["HF_DATASETS_CACHE"] = _cache.name


@pytest.fixture(scope="session")
def tiny_cf() -> Path:
    """The committed checkpoint: a real model of the CF language, small enough to run in milliseconds."""
    return Path(__file__).parent / "fixtures" / "tiny-cf"


@pytest.fixture(scope="module")
def model(tiny_cf):
    """That checkpoint's model, in fp32."""
    from transformers import AutoModel

    return AutoModel.from_pretrained(tiny_cf, dtype="float32").eval()


@pytest.fixture(scope="module")
def tokenizer(tiny_cf):
    """That checkpoint's tokenizer."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_cf)


@pytest.fixture
def load_script(monkeypatch):
    """A script of examples/ as a module, with its arguments; what an earlier one told accelerate is forgotten."""
    from accelerate.state import AcceleratorState

    def load(name: str, *arguments: object):
        AcceleratorState._reset_state(reset_partial_state=True)
        path = Path(__file__).parents[1] / "examples" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        monkeypatch.setattr(sys, "argv", [path.name, *map(str, arguments)])
        return script

    yield load
    AcceleratorState._reset_state(reset_partial_state=True)


def trimmed(sequences) -> list[list[int]]:
    """The rows of `generate` without their padding."""
    return [[token for token in row if token] for row in sequences.tolist()]


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory) -> str:
    """Folder of a tiny random RoBERTa of three layers, with windows of 64 tokens."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from tokenizers.processors import RobertaProcessing
    from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

    path = tmp_path_factory.mktemp("tiny_encoder")
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe = ByteLevelBPETokenizer()
    texts = ["x.sort()", "x = [i + 1 for i in range(10)]", "def f(a, b):\n    return a * b"]
    bpe.train_from_iterator(texts, vocab_size=320, special_tokens=special, show_progress=False)
    bpe._tokenizer.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = dict(zip(("cls_token", "pad_token", "sep_token", "unk_token", "mask_token"), special))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, model_max_length=64, **names)
    tokenizer.bos_token, tokenizer.eos_token = "<s>", "</s>"
    tokenizer.save_pretrained(path)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=66,
        initializer_range=0.2,  # tokens differ: at 0.02 any two cosines are about 1
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        RobertaModel(config).save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def hub():
    """A Hub on this machine, for the processes that a test starts with `hub.environment(home)`."""
    from loopback_hub import LoopbackHub

    with LoopbackHub() as server:
        yield server
