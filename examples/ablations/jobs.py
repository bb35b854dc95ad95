"""Runs the jobs of `run_ablations.py` as subprocesses that end with it, and measures what they cost."""

import ctypes
import fcntl
import json
import math
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from safetensors import safe_open


LOG_LINES = 15  # of a failed job, shown
NOTICE_SECONDS = 30  # between signs of life where stderr is no terminal
LOCK_SECONDS = 10  # within which the processes of a killed call are gone
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


class JobFailed(Exception):
    """A job ended with an error; the message has the end of its log."""


class Interrupted(Exception):
    """Ctrl-C: the job has saved a checkpoint and stopped."""


class Workspace:
    """
    The folder of all results: one process works in it at a time.

    Args:
        out (`Path`): Is created.
        launcher (`str`): Put before the trained scripts instead of `python`, e.g. `"accelerate launch"`.

    As a context, it raises `RuntimeError` if another process works there.
    """

    def __init__(self, out: Path, launcher: str = ""):
        self.out, self.launcher = out, shlex.split(launcher)
        out.mkdir(parents=True, exist_ok=True)
        self.lock = None
        self._read_state()

    def __enter__(self):
        """Takes the lock. The jobs inherit it: what a killed call left running still holds it."""
        self.lock = open(self.out / "lock", "w")
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    message = f"another run_ablations.py, or a training that one has left, works in {self.out}"
                    raise RuntimeError(message) from None
                time.sleep(0.1)
        self._read_state()
        return self

    def __exit__(self, *_):
        self.lock.close()

    def _read_state(self) -> None:
        path = self.out / "state.json"
        self.state = read_json(path) if path.exists() else {}

    def save_state(self) -> None:
        write_json(self.out / "state.json", self.state)

    def done(self, job) -> dict | None:
        """What was recorded when the job was finished; `None` if it was not."""
        path = self.out / job.folder / "done.json"
        return read_json(path) if path.exists() else None

    def started(self, job) -> bool:
        """Whether an unfinished job has something to go on from."""
        return not self.done(job) and any((self.out / job.folder).glob("step_*"))

    def run(self, job, resolve: Callable, resumable: bool = True) -> dict:
        """
        Runs a job, or goes on with it, and records that it is done.

        Args:
            job (`Job`): What to run.
            resolve (`Callable`): `resolve(value, output)` gives an argument its variables' values.
            resumable (`bool`): Whether the script goes on with what is in its folder; otherwise that is removed.

        Raises:
            JobFailed: with the end of the log.
            Interrupted: after Ctrl-C.
        """
        folder = self.out / job.folder
        if not resumable:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        arguments = {**job.arguments, **({"resume_from_checkpoint": "latest"} if job.trained else {})}
        start = self.launcher if job.trained and self.launcher else [sys.executable]
        command = [*start, str(Path(__file__).parents[1] / job.script)]
        command += [str(part) for part in command_line(arguments, lambda value: resolve(value, resolve(job.output)))]
        started = time.perf_counter()
        status = self._watch(command, folder / "log.txt")
        if status != 0:
            raise JobFailed(f"exit status {status}, {folder / 'log.txt'} ends with:\n{log_end(folder / 'log.txt')}")
        record = {"seconds_of_last_call": round(time.perf_counter() - started, 1)}
        if job.trained:
            record |= training_cost(folder)
            record["parameters"] = count_parameters(folder)
        write_json(folder / "done.json", record)
        for path in folder.glob("step_*"):  # only for resuming, and large; a kill before this costs space, not work
            shutil.rmtree(path)
        return record

    def _watch(self, command: list[str], log: Path) -> int:
        """Runs a command; its output goes to the log and, as it comes, to the terminal. Returns its exit status."""
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=[self.lock.fileno()],
            start_new_session=True,  # so that Ctrl-C reaches it once, through us
            preexec_fn=_die_with_parent,
        )
        interrupted, last, noticed = False, b"", time.monotonic()
        with open(log, "ab") as file, process.stdout as pipe:
            file.write(f"$ {shlex.join(command)}\n".encode())
            while True:
                try:
                    if not select.select([pipe], [], [], 0.5)[0]:
                        if process.poll() is not None:
                            break
                        continue
                    chunk = os.read(pipe.fileno(), 65536)
                    if not chunk:
                        break
                    file.write(chunk)
                    file.flush()
                    if sys.stderr.isatty():
                        sys.stderr.buffer.write(chunk)
                        sys.stderr.flush()
                    else:
                        last = next((part for part in reversed(re.split(rb"[\r\n]", chunk)) if part.strip()), last)
                        if time.monotonic() - noticed > NOTICE_SECONDS:
                            noticed = time.monotonic()
                            print(" ", last.decode(errors="replace").strip(), file=sys.stderr, flush=True)
                except KeyboardInterrupt:  # the first asks for a checkpoint, a second one stops at once
                    with suppress(ProcessLookupError):  # it has just ended by itself
                        os.killpg(process.pid, signal.SIGKILL if interrupted else signal.SIGINT)
                    interrupted = True
        status = process.wait()
        if interrupted:
            raise Interrupted
        return status


def _die_with_parent() -> None:
    """In the child: no training goes on after its runner was killed (Linux)."""
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def command_line(arguments: dict, resolve: Callable = lambda value: value) -> list:
    """Options and their values: `True` stands for the bare option, lists for several values, `False` for nothing."""
    parts = []
    for name, value in arguments.items():
        if value is False:
            continue
        parts.append(f"--{name}")
        if value is not True:
            value = resolve(value)
            parts += value if isinstance(value, list) else [value]
    return parts


def log_end(path: Path) -> str:
    """The last lines of a log; of a progress bar its last state."""
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in lines if line.strip()]
    return "\n".join(f"    {line}" for line in lines[-LOG_LINES:])


def step_seconds(folder: Path) -> tuple[list[tuple[int, float]], int]:
    """
    What `log.jsonl` and `arguments.json` say about a training.

    Returns:
        `tuple`: `[(steps, seconds per step), ...]` of the logged windows, in their order, and the examples of a step.
    """
    arguments = read_json(folder / "arguments.json")
    examples = arguments["per_device_train_batch_size"] * arguments["gradient_accumulation_steps"]
    examples *= arguments.get("num_processes", 1)
    rates = {}
    for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record.get("examples_per_second"):
            rates[record["step"]] = record["examples_per_second"]  # of a step that was repeated, the last one counts
    steps = sorted(rates)
    windows = [(step - before, examples / rates[step]) for before, step in zip([0, *steps], steps)]
    if not windows:
        raise JobFailed(f"{folder / 'log.jsonl'} has no examples_per_second")
    return windows, examples


def training_cost(folder: Path) -> dict:
    """Steps, examples and seconds (of the steps alone: without start, loading and saving) of a finished training."""
    windows, examples = step_seconds(folder)
    steps = sum(count for count, _ in windows)
    seconds = sum(count * each for count, each in windows)
    return {"steps": steps, "examples": steps * examples, "training_seconds": round(seconds, 1)}


def count_parameters(folder: Path) -> int:
    """Numbers in a checkpoint's safetensors."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as weights:
            for name in weights.keys():
                total += math.prod(weights.get_slice(name).get_shape())
    return total


def read_json(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, value) -> None:
    """Writes at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)
