"""What the subcommands share: parsers, the options of generation, checks and output."""

import argparse
import json
import os
import sys
from typing import Any, NoReturn


# Parameters of CodeFusionGenerationConfig that mean nothing here: candidates are always distinct, states never shown.
_UNUSED = {"dedupe", "output_denoising_states", "denoising_state_interval"}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Ends the program with one line instead of argparse's usage block."""
        self.exit(fail(f"{message} (see {self.prog} --help)"))


def add_command(
    commands: Any, name: str, run: Any, summary: str, epilog: str, interrupted: str = ""
) -> argparse.ArgumentParser:
    """
    Adds a subcommand.

    Args:
        commands: Returned by `add_subparsers`.
        name (`str`): Of the subcommand.
        run (`Callable`): Called with the parsed arguments; `None` for a group of subcommands.
        summary (`str`): One line of help.
        epilog (`str`): An example.
        interrupted (`str`): What is said after Ctrl-C; `{output}` stands for the option `--output`.
    """
    command = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.set_defaults(run=run, interrupted=interrupted)
    return command


def add_generation_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds `--model` and the options that [`generation_settings`] reads."""
    parser.add_argument(
        "--model", default="cf", metavar="NAME_OR_PATH", help="a shipped model or a folder (default: cf)"
    )
    parser.add_argument(
        "--num-return-sequences", type=int, default=5, metavar="K", help="programs per sentence (default: 5)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the initial noise (default: 0)")
    parser.add_argument(
        "--num-inference-steps", type=int, metavar="N", help="denoising steps (default: the model's own number)"
    )
    parser.add_argument("--sampler", metavar="NAME", help="the sampler (default: the model's own)")
    parser.add_argument(
        "--num-revisions", type=int, metavar="N", help="looks back at the draft (default: the model's own number)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other parameter of CodeFusionGenerationConfig, such as num_candidates=20, guidance_scale=2, "
        "candidate_order=mbr or canvas_buckets=16,24; may be repeated",
    )


def generation_settings(args: argparse.Namespace) -> dict[str, Any]:
    """
    The arguments of [`evaluation.generate_candidates`] that the options of [`add_generation_arguments`] give.

    Raises:
        ValueError: If `--set` names no parameter, one twice, or one with an option of its own, or if a value is wrong.
    """
    from ..generation_config_codefusion import CodeFusionGenerationConfig

    defaults = CodeFusionGenerationConfig._get_default_generation_params()
    names = {*CodeFusionGenerationConfig._own, "max_length", "num_beams", "temperature"}
    names -= {*_UNUSED, "strength", *vars(args)}
    chosen: dict[str, Any] = {}
    for setting in args.set:
        name, equals, text = setting.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise ValueError(f"--set {setting} is not of the form NAME=VALUE")
        if name not in names and name in vars(args):
            raise ValueError(f"--set {setting}: use --{name.replace('_', '-')}")
        if name not in names:
            raise ValueError(f"--set {setting}: unknown parameter {name!r}; there are {', '.join(sorted(names))}")
        if name in chosen:
            raise ValueError(f"--set gives {name} twice")
        chosen[name] = _read_value(text.strip(), defaults.get(name), setting)
    try:  # before the model is loaded, which takes seconds
        CodeFusionGenerationConfig(**chosen)
    except TypeError:
        raise ValueError(f"--set: a value is of the wrong type: {' '.join(args.set)}") from None
    return {
        "num_return_sequences": args.num_return_sequences,
        "seed": args.seed,
        "num_inference_steps": args.num_inference_steps,
        "sampler": args.sampler,
        "num_revisions": args.num_revisions,
        **chosen,
    }


def _read_value(text: str, default: Any, setting: str) -> Any:
    """A value as JSON, numbers with commas between as a list; of the default's type, if there is a default."""
    if isinstance(default, str):
        return text
    try:
        value = json.loads(f"[{text}]" if "," in text and not text.startswith("[") else text)
    except ValueError:
        value = text
    kinds = {bool: "true or false", int: "an integer", float: "a number"}
    fits = type(value) is type(default) or type(default) is float and type(value) is int
    if default is not None and not fits:
        raise ValueError(f"--set {setting}: the value must be {kinds[type(default)]}")
    return value


def import_evaluation() -> Any:
    """The module `evaluation`, with transformers kept quiet and told of CodeFusion."""
    # Their progress bars and warnings would stand between the lines that this command promises.
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    from .. import evaluation, register

    register()  # left out when the package was imported for this command, so that `--help` answers at once
    return evaluation


def check_output(path: str | None) -> None:
    """Raises `ValueError` if a file cannot be written: before the work, not after it."""
    if path and not os.path.isdir(os.path.dirname(path) or "."):
        raise ValueError(f"cannot write {path}: there is no folder {os.path.dirname(path)}")
    if path and os.path.isdir(path):
        raise ValueError(f"cannot write {path}: it is a folder")


def write_json(path: str | None, content: dict[str, Any]) -> None:
    """Writes a JSON file, if there is a path."""
    if path:
        with open(path, "w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=2) + "\n")


def fail(message: str) -> int:
    """Prints an error as one line and returns the exit status."""
    print(f"codefusion: error: {' '.join(message.split())}", file=sys.stderr)
    return 2
