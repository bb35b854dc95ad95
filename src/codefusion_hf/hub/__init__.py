"""Publishing: checkpoints and metrics as repositories of the Hub."""

from .repositories import checkpoint_upload, metric_upload, save_for_release
from .upload import Upload, push


__all__ = ["Upload", "checkpoint_upload", "metric_upload", "push", "save_for_release"]
