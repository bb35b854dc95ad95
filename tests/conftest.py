import os
from pathlib import Path

import pytest


# Nothing that the tests load comes from the network. Read by huggingface_hub when it is imported.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def tiny_cf() -> Path:
    """The committed checkpoint: a real model of the CF language, small enough to run in milliseconds."""
    return Path(__file__).parent / "fixtures" / "tiny-cf"
