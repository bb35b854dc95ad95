"""
Pre-trains CodeFusion on programs alone (paper, section 3.2): unconditional generation, in which E_s is Gaussian noise,
and continuous paragraph denoising (CPD), in which E_s is the program with identifiers and keywords masked.

    accelerate launch examples/run_pretrain.py --config_name mini-cf --tokenizer_name tokenizer \
        --train_file corpus.jsonl --output_dir pretrained --max_train_steps 2000
"""

import argparse
import sys
from pathlib import Path

from codefusion_hf.data.benchmarks import read_codes
from codefusion_hf.data.leakage import normalized_golds
from codefusion_hf.data.tasks import PRETRAIN_TASKS, CodeDataset
from codefusion_hf.languages import get_language
from codefusion_hf.training import add_arguments, build_model, train


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--pretrain_tasks", default="both", choices=PRETRAIN_TASKS)
    parser.add_argument("--cpd_mask_ratio", type=float, default=0.3)
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

    language = get_language(args.language)
    model, tokenizer = build_model(args, Path(__file__).parent / "configs")
    codes = [code for file in args.train_file for code in read_codes(file)]
    codes = list(dict.fromkeys(language.canonicalize(code) for code in codes if language.is_valid(code)))
    evaluation_files = args.decontaminate
    if evaluation_files is None:
        evaluation_files = [args.validation_file] if args.validation_file else []
    held_out = normalized_golds(evaluation_files, args.language)
    kept = [code for code in codes if language.normalize(code) not in held_out]
    if held_out:
        print(f"{len(codes) - len(kept)} of {len(codes)} programs are golds of evaluation files and left out")
    codes = kept[: args.max_train_samples]
    dataset = CodeDataset(
        codes,
        tokenizer,
        model.config.max_source_length,
        model.config.max_target_length,
        language.spans,
        tasks=args.pretrain_tasks,
        mask_ratio=args.cpd_mask_ratio,
        seed=args.seed,
    )
    if args.freeze_encoder:
        model.encoder.requires_grad_(False)
    train(args, model, tokenizer, dataset)


if __name__ == "__main__":
    try:
        main()
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"run_pretrain.py: error: {error}")
