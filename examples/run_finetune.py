"""
Trains CodeFusion on (utterance, program) pairs, from a pre-trained checkpoint or from scratch, and samples from the
validation file as it goes.

    accelerate launch examples/run_finetune.py --model_name_or_path pretrained --train_file corpus.jsonl \
        --validation_file cf_val.jsonl --output_dir finetuned --max_train_steps 10000
"""

import argparse
import sys
from pathlib import Path

from codefusion_hf.data.arguments import add_dataset_arguments, check_dataset_arguments
from codefusion_hf.data.benchmarks import read_pairs
from codefusion_hf.data.cache import cached_pairs
from codefusion_hf.data.streaming import StreamingPairs, expand_files, open_sources
from codefusion_hf.data.tasks import PairDataset
from codefusion_hf.evaluation import check_examples, generate_candidates
from codefusion_hf.scoring import match_scores
from codefusion_hf.training import add_arguments, build_model, train


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    add_dataset_arguments(parser)
    parser.add_argument("--cond_dropout", type=float, default=0.0, help="Share of utterances replaced by noise.")
    args = parser.parse_args()

    check_dataset_arguments(args)
    if not 0 <= args.cond_dropout <= 1:
        raise ValueError(f"--cond_dropout must be from 0 to 1, got {args.cond_dropout}")
    model, tokenizer = build_model(args, Path(__file__).parent / "configs")
    dataset = load_pairs(args, model.config, tokenizer)
    validate = None
    if args.validation_file:
        rows = read_pairs(args.validation_file, args.language)[: args.max_eval_samples]
        # Now, not after an hour of training.
        check_examples(model, tokenizer, rows)
        names = match_scores([[] for _ in rows], rows, args.language)
        if args.early_stopping_patience and args.metric_for_best_model not in names:
            raise ValueError(f"--metric_for_best_model must be one of {', '.join(names)}")

        def validate(averaged_model):
            candidates = generate_candidates(
                averaged_model, tokenizer, rows, seed=args.seed, num_inference_steps=args.num_inference_steps
            )
            return match_scores(candidates, rows, args.language)

    train(args, model, tokenizer, dataset, validate)


def load_pairs(args, config, tokenizer):
    """The (utterance, program) pairs of the training files."""
    options = {"cond_dropout": args.cond_dropout, "seed": args.seed}
    lengths = (config.max_source_length, config.max_target_length)
    if args.streaming:
        options |= {"shuffle_buffer_size": args.shuffle_buffer_size, "cache_dir": args.cache_dir}
        return StreamingPairs(open_sources(args.train_file), tokenizer, *lengths, **options)
    files = expand_files(args.train_file)
    pairs = cached_pairs(files, tokenizer, args.cache_dir, args.preprocessing_num_workers)
    return PairDataset(pairs, tokenizer, *lengths, indices=range(len(pairs))[: args.max_train_samples], **options)


if __name__ == "__main__":
    try:
        main()
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"run_finetune.py: error: {error}")
