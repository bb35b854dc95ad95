"""
Fine-tunes and evaluates the paper's autoregressive baselines: T5, CodeT5 (encoder-decoder) and CodeGen (causal).

    accelerate launch examples/run_seq2seq_baseline.py --model_name_or_path Salesforce/codet5-small --language bash \
        --train_file bash_train.jsonl --validation_file bash_val.jsonl --output_dir codet5

The control of equal size trains from scratch: an encoder-decoder with the encoder, width, tokenizer and (to a layer)
number of parameters of one of our presets.

    python examples/run_seq2seq_baseline.py --config_name mini-cf --tokenizer_name tokenizer --language cf \
        --train_file corpus.jsonl --validation_file cf_val.jsonl --output_dir t5 --max_train_steps 4500

Then predicts the validation files by beam search and writes `results.json`, as `run_evaluate.py` does.
`--model_name_or_path t5 --max_train_steps 0` does only that. The defaults are the paper's (appendix B.1) for a
pre-trained model, and those of `run_finetune.py` from scratch.
"""

import argparse
import sys
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import set_seed
from transformers import AutoTokenizer

from codefusion_hf.baselines import seq2seq
from codefusion_hf.baselines.results import write_results
from codefusion_hf.data.benchmarks import read_pairs, read_training_pairs
from codefusion_hf.languages import LANGUAGES
from codefusion_hf.scoring import match_scores
from codefusion_hf.training import check_ranges, default_attention, load_preset, load_pretrained_encoder


PRESETS = Path(__file__).parent / "configs"


def main():
    args = parse_arguments()
    is_complete = args.max_train_steps == 0 or run_training(args)
    if is_complete and args.validation_file:
        evaluate(args, args.model_name_or_path if args.max_train_steps == 0 else args.output_dir)
    PartialState().destroy_process_group()  # a process that leaves this to its exit may abort there


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    model = parser.add_argument_group("model")
    model.add_argument("--model_name_or_path", help="Folder or Hub id: t5-large, Salesforce/codegen-350M-mono, ...")
    model.add_argument("--config_name", help="From scratch, of the size of this preset in examples/configs/.")
    model.add_argument("--tokenizer_name", help="Folder of the tokenizer, for --config_name.")
    model.add_argument("--encoder_name_or_path", help="With --config_name: a pre-trained encoder, as run_finetune.py.")
    model.add_argument("--num_encoder_layers", type=int, help="Keep only the first layers of that encoder.")
    model.add_argument("--dropout", type=float, default=0.0, help="With --config_name: of the fresh parts.")
    model.add_argument(
        "--attn_implementation", choices=("eager", "sdpa"), help="By default eager on CPU, and sdpa elsewhere."
    )
    data = parser.add_argument_group("data")
    data.add_argument("--train_file", nargs="+", default=[], help="JSON lines, or .gz of them.")
    data.add_argument("--validation_file", nargs="+", help="Predicted at the end; the first one also while training.")
    data.add_argument("--language", required=True, choices=LANGUAGES)
    data.add_argument("--max_source_length", type=int, help="Tokens; by default the preset's, or 256.")
    data.add_argument("--max_target_length", type=int, help="Tokens; by default the preset's, or 128 (paper).")
    data.add_argument("--max_train_samples", type=int)
    data.add_argument("--max_eval_samples", type=int, default=200, help="Of the evaluation while training.")
    optim = parser.add_argument_group("optimisation")
    optim.add_argument("--output_dir", required=True)
    optim.add_argument("--seed", type=int, default=0)
    optim.add_argument("--per_device_train_batch_size", type=int, default=64)
    optim.add_argument("--gradient_accumulation_steps", type=int, default=1)
    optim.add_argument("--num_train_epochs", type=int, help="By default 100, as in the paper.")
    optim.add_argument("--max_train_steps", type=int, help="Instead of --num_train_epochs; 0: only evaluate.")
    optim.add_argument("--learning_rate", type=float, help="By default 1e-4, and 5e-4 from scratch.")
    optim.add_argument("--encoder_learning_rate", type=float, help="For the encoder; by default --learning_rate.")
    optim.add_argument("--weight_decay", type=float, default=0.0)
    optim.add_argument("--num_warmup_steps", type=int, help="By default 200, and at most a tenth of the run.")
    optim.add_argument("--max_grad_norm", type=float, default=1.0)
    optim.add_argument("--ema_decay", type=float, help="By default 0 (none), and 0.999 from scratch.")
    optim.add_argument("--mixed_precision", choices=("no", "bf16", "fp16"), help="As for run_finetune.py.")
    optim.add_argument("--gradient_checkpointing", action="store_true", help="Less memory for more time.")
    loop = parser.add_argument_group("loop")
    loop.add_argument("--logging_steps", type=int, default=50)
    loop.add_argument("--eval_steps", type=int, default=1000)
    loop.add_argument("--checkpointing_steps", type=int, default=1000)
    loop.add_argument("--checkpoints_total_limit", type=int, default=2)
    loop.add_argument("--resume_from_checkpoint", help="Folder of a checkpoint, or 'latest'.")
    loop.add_argument("--stop_after_steps", type=int, help="Save and stop here; the schedule is that of the full run.")
    search = parser.add_argument_group("predictions")
    search.add_argument("--num_beams", type=int, default=5)
    search.add_argument("--num_return_sequences", type=int, default=5)
    search.add_argument("--per_device_eval_batch_size", type=int, default=16)
    search.add_argument("--valid_first", action="store_true", help="Rank programs that parse first, as our models do.")
    args = parser.parse_args()

    if bool(args.model_name_or_path) == bool(args.config_name):
        raise ValueError("give either --model_name_or_path or --config_name")
    if args.config_name and not args.tokenizer_name:
        raise ValueError("--config_name needs --tokenizer_name (examples/train_tokenizer.py makes one)")
    if args.tokenizer_name and not args.config_name:
        raise ValueError("--tokenizer_name goes with --config_name: a pre-trained model has its own")
    if args.encoder_name_or_path and not args.config_name:
        raise ValueError("--encoder_name_or_path starts a new model: it goes with --config_name")
    if args.num_encoder_layers and not args.encoder_name_or_path:
        raise ValueError("--num_encoder_layers shortens the encoder of --encoder_name_or_path: give that, too")
    if not 1 <= args.num_return_sequences <= args.num_beams:
        raise ValueError(f"--num_return_sequences must be from 1 to --num_beams, got {args.num_return_sequences}")
    check_ranges(args, may_be_0="max_train_steps")
    if args.max_train_steps and args.num_train_epochs:
        raise ValueError("give --max_train_steps or --num_train_epochs, not both")
    if args.max_train_steps == 0 and not (args.model_name_or_path and args.validation_file):
        raise ValueError(
            "--max_train_steps 0 evaluates a saved model: give --model_name_or_path and --validation_file"
        )
    if args.max_train_steps != 0 and not args.train_file:
        raise ValueError("give --train_file, or --max_train_steps 0 to evaluate only")
    preset = load_preset(args.config_name, PRESETS) if args.config_name else None
    args.attn_implementation = args.attn_implementation or default_attention()
    defaults = {"max_source_length": 256, "max_target_length": 128, "learning_rate": 1e-4, "ema_decay": 0.0}
    if preset:
        lengths = {"max_source_length": preset.max_source_length, "max_target_length": preset.max_target_length}
        defaults = {**lengths, "learning_rate": 5e-4, "ema_decay": 0.999}
    for name, value in defaults.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args


def run_training(args: argparse.Namespace) -> bool:
    """Whether training is complete."""
    set_seed(args.seed)  # fresh weights
    rows = [row for file in args.train_file for row in read_training_pairs(file)][: args.max_train_samples]
    if args.config_name:
        tokenizer = AutoTokenizer.from_pretrained(args.tokenizer_name)
        encoder = None
        if args.encoder_name_or_path:
            encoder = load_pretrained_encoder(args.encoder_name_or_path, tokenizer, args.num_encoder_layers)
        config = load_preset(args.config_name, PRESETS)
        model, target = seq2seq.from_scratch(config, tokenizer, encoder, args.dropout, args.attn_implementation)
        size = seq2seq.count_parameters(model)
        print(
            f"{type(model).__name__} from scratch: {size:,} parameters; CodeFusion {args.config_name} with this "
            f"tokenizer: {target:,} ({100 * size / target - 100:+.1f} %)"
        )
    else:
        model, tokenizer = seq2seq.load(args.model_name_or_path, args.attn_implementation)
        lost = seq2seq.add_lost_characters(model, tokenizer, [row["code"] for row in rows])
        print(f"characters added to the tokenizer, which had lost them: {' '.join(map(repr, lost)) or 'none'}")
    if args.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    causal = not model.config.is_encoder_decoder
    dataset = seq2seq.PairDataset(rows, tokenizer, causal, args.max_source_length, args.max_target_length)

    validate = None
    if args.validation_file:
        evaluated = read_pairs(args.validation_file[0], args.language)[: args.max_eval_samples]

        def validate(averaged_model):
            candidates, size = [], args.per_device_eval_batch_size
            for start in range(0, len(evaluated), size):
                candidates += candidates_of(args, averaged_model, tokenizer, evaluated[start : start + size])
            return match_scores(candidates, evaluated, args.language)

    return seq2seq.train(args, model, tokenizer, dataset, validate)


def evaluate(args: argparse.Namespace, source: str) -> None:
    """Predicts and scores with the weights as they were saved."""
    state = PartialState()
    model, tokenizer = seq2seq.load(source, args.attn_implementation)
    model = model.to(state.device).eval()
    settings = {
        "method": "beam search",
        "num_beams": args.num_beams,
        "num_return_sequences": args.num_return_sequences,
        "max_target_length": args.max_target_length,
        "valid_first": args.valid_first,
    }
    write_results(
        *(args.output_dir, args.validation_file, args.language, settings),
        lambda rows: candidates_of(args, model, tokenizer, rows),
        model=args.model_name_or_path or f"{type(model).__name__} from scratch, size of {args.config_name}",
        weights=seq2seq.weights_digest(source),
        train_files=args.train_file,
        batch_size=args.per_device_eval_batch_size,
        state=state,
    )


def candidates_of(args, model, tokenizer, rows):
    return seq2seq.generate_candidates(
        *(model, tokenizer, rows, args.language, args.num_return_sequences, args.num_beams, args.max_target_length),
        valid_first=args.valid_first,
    )


if __name__ == "__main__":
    try:
        main()
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        sys.exit(f"run_seq2seq_baseline.py: error: {error}")
