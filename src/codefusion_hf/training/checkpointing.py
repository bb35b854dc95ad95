"""What a run leaves in its folder, so that it can be killed at any moment and go on exactly."""

import json
import os
import shutil
import signal
import sys
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm.auto import tqdm


PROGRESS = "progress.json"


@dataclass
class Progress:
    """
    Where a run is.

    Args:
        step (`int`): Updates of the weights so far.
        epoch, update (`int`): The epoch, and the updates of it that are done.
        sums (`dict[str, float]`), count (`int`): Of this process's losses since the last line of the log.
        best_score (`float`, *optional*), best_step (`int`), waited (`int`):
            Of early stopping: the best score, where it was reached, and validations since then.
        stopped (`bool`): Whether early stopping has ended the run.
    """

    step: int = 0
    epoch: int = 0
    update: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0
    best_score: float | None = None
    best_step: int = 0
    waited: int = 0
    stopped: bool = False

    def better(self, score: float) -> bool:
        """Takes note of a validation's score; returns whether it is the best one so far."""
        if self.best_score is None or score > self.best_score:
            self.best_score, self.best_step, self.waited = score, self.step, 0
            return True
        self.waited += 1
        return False


def checkpoints(output: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first."""
    found = [path for path in output.glob("step_*") if path.name[5:].isdigit()]
    return sorted(found, key=lambda path: int(path.name[5:]))


def save_checkpoint(accelerator: Accelerator, output: Path, progress: Progress, limit: int) -> None:
    """
    Saves all that a resumed run needs as `step_N/`, then removes the oldest checkpoints over the limit. The folder
    gets its name when it is complete: a half-written one is never resumed from.
    """
    folder, final = output / "unfinished", output / f"step_{progress.step}"
    if accelerator.is_main_process:
        shutil.rmtree(folder, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(folder))
    sums = gather_object([{"sums": progress.sums, "count": progress.count}])
    if accelerator.is_main_process:
        (folder / PROGRESS).write_text(json.dumps({**asdict(progress), "processes": sums}) + "\n")
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        shutil.rmtree(final, ignore_errors=True)
        os.replace(folder, final)
        for old in checkpoints(output)[:-limit]:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()


def find_checkpoint(output: Path, name: str | None) -> Path | None:
    """
    The checkpoint that `--resume_from_checkpoint` names, if there is one.

    Raises:
        ValueError: for anything but `"latest"` or a folder `step_N`; or where there are checkpoints of another run.
    """
    found = checkpoints(output)
    if not name:
        if found:
            raise ValueError(
                f"{output} holds checkpoints of another run: choose another --output_dir, or go on with it by "
                "--resume_from_checkpoint latest"
            )
        return None
    if name == "latest":
        return found[-1] if found else None
    path = Path(name)
    if found and path.resolve().parent != output.resolve():
        raise ValueError(f"{output} holds checkpoints of another run than {name}: choose another --output_dir")
    if not path.is_dir() or not path.name.startswith("step_") or not path.name[5:].isdigit():
        raise ValueError(f"--resume_from_checkpoint must be 'latest' or a folder step_N, got {name!r}")
    return path


def drop_later(output: Path, step: int) -> None:
    """
    Removes the checkpoints after the one that a run goes on from, as [`JsonLog`] does with the lines: they are of
    another course of the run, and `latest` would mean them.
    """
    for path in checkpoints(output):
        if int(path.name[5:]) > step:
            tqdm.write(f"removed {path}: the run goes on from step {step}", file=sys.stderr)
            shutil.rmtree(path)


def load_progress(path: Path, num_processes: int, process_index: int, updates_per_epoch: int | None) -> Progress:
    """Where the run was; from the step alone for a checkpoint of version 0.1, which kept nothing else."""
    if not (path / PROGRESS).is_file():
        step = int(path.name[5:])
        epoch, update = divmod(step, updates_per_epoch or step + 1)
        return Progress(step=step, epoch=epoch, update=update)
    values = json.loads((path / PROGRESS).read_text())
    processes = values.pop("processes")
    values |= {"sums": {}, "count": 0}
    if len(processes) == num_processes:
        values |= processes[process_index]
    elif process_index == 0:  # the number of processes has changed: what they had summed up is kept in one place
        names = {name for part in processes for name in part["sums"]}
        values["sums"] = {name: sum(part["sums"].get(name, 0.0) for part in processes) for name in names}
        values["count"] = sum(part["count"] for part in processes)
    return Progress(**values)


class JsonLog:
    """
    `log.jsonl`: one JSON object per line, also shown.

    Args:
        path (`Path`): Of the file.
        step (`int`): Where the run starts; later lines, of a run that was killed, are dropped.
    """

    def __init__(self, path: Path, step: int = 0):
        self.path = path
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines() if step and path.exists() else []:
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except ValueError:
                break  # killed while writing it
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(kept), encoding="utf-8")
        os.replace(temporary, path)

    def write(self, record: dict) -> None:
        """Appends a line."""
        line = json.dumps(record)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(line + "\n")
        tqdm.write(line, file=sys.stderr)


class StopOnInterrupt:
    """Ctrl-C asks for a stop after the current step instead of tearing an update apart; a second one stops at once."""

    def __enter__(self):
        self.requested = False
        self.main_thread = threading.current_thread() is threading.main_thread()
        if self.main_thread:
            self.previous = signal.signal(signal.SIGINT, self._request)
        return self

    def _request(self, *_):
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(self, *_):
        if self.main_thread:
            signal.signal(signal.SIGINT, self.previous)
