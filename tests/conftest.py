import os
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
def hub():
    """A Hub on this machine, for the processes that a test starts with `hub.environment(home)`."""
    from loopback_hub import LoopbackHub

    with LoopbackHub() as server:
        yield server
