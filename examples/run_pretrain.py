"""
Pre-trains CodeFusion on programs alone (paper, section 3.2): unconditional generation, in which E_s is Gaussian noise,
and continuous paragraph denoising (CPD), in which E_s is the program with identifiers and keywords masked.

    accelerate launch examples/run_pretrain.py --config_name mini-cf --tokenizer_name tokenizer --language cf \
        --train_file corpus.jsonl --output_dir pretrained --max_train_steps 2000
"""

import argparse
import sys
from pathlib import Path

from accelerate import PartialState

from codefusion_hf.data.arguments import add_dataset_arguments, check_dataset_arguments
from codefusion_hf.data.cache import cached_codes
from codefusion_hf.data.leakage import normalized_golds
from codefusion_hf.data.streaming import StreamingCodes, expand_files, open_sources
from codefusion_hf.data.tasks import (
    CPD_MASK_TOKENS,
    CPD_NOISE,
    CPD_TARGETS,
    PRETRAIN_TASKS,
    CodeDataset,
    PretrainingTask,
    select_programs,
)
from codefusion_hf.training import add_arguments, build_model, save_model, train


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, validates=False)
    add_dataset_arguments(parser)
    parser.add_argument(
        "--pretrain_tasks",
        default="both",
        choices=(*PRETRAIN_TASKS, "none"),
        help="Unconditional generation (codegen), masked programs (cpd), or both for half of the examples each; with "
        "none the weights that training would start from are saved.",
    )
    parser.add_argument("--cpd_mask_ratio", type=float, default=0.3, help="Share of a program's tokens to mask.")
    parser.add_argument(
        "--cpd_noise", default="all", choices=CPD_NOISE, help="Noise all of the program, or its masked tokens only."
    )
    parser.add_argument(
        "--cpd_target",
        default="full",
        choices=CPD_TARGETS,
        help="Mask names and denoise the full program; or, as GENIE, cut one span of any tokens and denoise that.",
    )
    parser.add_argument(
        "--cpd_mask_token", default="indexed", choices=CPD_MASK_TOKENS, help="One mask for each name, or one for all."
    )
    parser.add_argument(
        "--freeze_encoder", action="store_true", help="Leave a pre-trained encoder as it is, as the paper does."
    )
    parser.add_argument(
        "--decontaminate",
        nargs="*",
        metavar="FILE",
        help="Evaluation files whose golds, normalised, are left out of the training data; by default the validation "
        "file. Give no file to leave nothing out.",
    )
    args = parser.parse_args()

    check_dataset_arguments(args)
    model, tokenizer = build_model(args, Path(__file__).parent / "configs")
    if args.pretrain_tasks == "none":
        save_model(model, tokenizer, Path(args.output_dir), main=PartialState().is_main_process)
        print(f"--pretrain_tasks none: nothing to train, {args.output_dir} holds the weights as they are")
        return
    dataset = load_programs(args, model.config, tokenizer)
    if args.freeze_encoder:
        if model.encoder is None:
            raise ValueError("--freeze_encoder: this model has no encoder (`conditioning='infill'`)")
        model.encoder.requires_grad_(False)
    train(args, model, tokenizer, dataset)


def load_programs(args, config, tokenizer):
    """The programs of the training files, without copies and without what evaluation files hold."""
    task = PretrainingTask(
        tokenizer, args.pretrain_tasks, args.cpd_mask_ratio, args.cpd_noise, args.cpd_target, args.cpd_mask_token
    )
    evaluation_files = args.decontaminate
    if evaluation_files is None:
        evaluation_files = [args.validation_file] if args.validation_file else []
    held_out = normalized_golds(evaluation_files, args.language)
    lengths = (config.max_source_length, config.max_target_length)
    if args.streaming:
        return StreamingCodes(
            open_sources(args.train_file),
            tokenizer,
            args.language,
            task,
            *lengths,
            held_out,
            shuffle_buffer_size=args.shuffle_buffer_size,
            seed=args.seed,
            cache_dir=args.cache_dir,
        )
    files = expand_files(args.train_file)
    programs = cached_codes(files, tokenizer, args.language, args.cache_dir, args.preprocessing_num_workers)
    kept, count = select_programs(programs, held_out)
    if held_out:
        print(f"{count - len(kept)} of {count} programs are golds of evaluation files and left out")
    dataset = CodeDataset(programs, task, *lengths, seed=args.seed, indices=kept[: args.max_train_samples])
    if dataset.num_without_names:
        print(f"{dataset.num_without_names} programs have no names that could be masked and are left out")
    return dataset


if __name__ == "__main__":
    try:
        main()
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"run_pretrain.py: error: {error}")
