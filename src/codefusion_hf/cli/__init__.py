"""
The `codefusion` command: one module for each subcommand, which parses arguments, calls the package and prints.

torch and transformers take seconds to import, so the subcommands that need them import them where they run: `--help`
and `env` answer at once.
"""

import argparse
import os
import sys
from typing import NoReturn

from . import apply, data, env, generate, predict, push, score
from .arguments import Parser, fail


# In the order of `codefusion --help`.
COMMANDS = (generate, predict, score, data, push, apply, env)


def main(argv: list[str] | None = None) -> int:
    """
    Runs the command line.

    Args:
        argv (`list[str]`, *optional*): The arguments, without the program's name; those of the process by default.

    Returns:
        `int`: The exit status: 0, 2 after an error (one line on stderr), 130 after Ctrl-C.
    """
    args = _build_parser().parse_args(argv)
    try:
        args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"codefusion: interrupted{args.interrupted.format_map(vars(args))}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader, such as `head`, has all it wants. Python would complain when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        return fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except (ImportError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        return fail(str(error) or type(error).__name__)
    return 0


def console() -> NoReturn:
    """What the `codefusion` command runs: [`main`], then the end of the process without tearing torch down first."""
    status = main()
    sys.stderr.flush()
    os._exit(status)  # the interpreter would spend half a second on freeing what the system frees anyway


def _build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="codefusion",
        description="Turns a sentence into a program by denoising all of its tokens at once.",
        epilog=generate.EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for command in COMMANDS:
        command.add_to(commands)
    return parser
