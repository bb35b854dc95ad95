"""The options of the training scripts that say how their data are prepared, named as in transformers' scripts."""

import argparse


def add_dataset_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds `--cache_dir`, `--preprocessing_num_workers`, `--streaming` and `--shuffle_buffer_size`."""
    group = parser.add_argument_group("preparation of the data")
    group.add_argument(
        "--cache_dir",
        help="Where tokenised data are kept; by default with what `datasets` caches (HF_DATASETS_CACHE).",
    )
    group.add_argument("--preprocessing_num_workers", type=int, default=1, help="Processes that tokenise the data.")
    group.add_argument(
        "--streaming",
        action="store_true",
        help="Tokenise rows as they are needed and store nothing. --train_file may then also name folders with a "
        "dataset, and datasets of the Hub as hf://datasets/OWNER/NAME[@REVISION][/PATTERN].",
    )
    group.add_argument(
        "--shuffle_buffer_size",
        type=int,
        default=10_000,
        help="Rows among which --streaming draws the next one; 1 keeps the order of the files.",
    )


def check_dataset_arguments(args: argparse.Namespace) -> None:
    """
    Finds what does not fit together.

    Raises:
        ValueError: naming the option and what to do.
    """
    if args.streaming and args.max_train_samples is not None:
        raise ValueError("--max_train_samples does not go with --streaming: give --max_train_steps")
