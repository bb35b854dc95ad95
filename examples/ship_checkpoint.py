"""
Puts a trained model into the package, as `checkpoint_path(NAME)` will find it (fp16 on disk):

    python examples/ship_checkpoint.py --source runs/finetuned --name cf --num_inference_steps 1 --num_revisions 1

With `--mix_with`, the weights are between those of two models: where the one that was trained on forgot something that
the one before it knew, their mean often knows both (WiSE-FT, Wortsman et al., 2022).
"""

import argparse
import sys
from pathlib import Path

from transformers import AutoModel, AutoTokenizer

import codefusion_hf
from codefusion_hf.hub import save_for_release
from codefusion_hf.training import lengthen_canvas, resolve_checkpoint


OWN_ARGUMENTS = ("source", "name", "mix_with", "mix_share")


def mix(model, other, share: float) -> None:
    """
    Moves the weights of `model` by `share` towards those of `other`, on whose canvas it may have grown.

    Raises:
        ValueError: for a share that is not from 0 to 1, or models of different sizes.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"--mix_share must be from 0 to 1, got {share}")
    if other.config.max_target_length < model.config.max_target_length:
        other = lengthen_canvas(other, model.config.max_target_length)
    weights, others = model.state_dict(), other.state_dict()
    if {name: x.shape for name, x in weights.items()} != {name: x.shape for name, x in others.items()}:
        raise ValueError("--mix_with needs a model of the same sizes")
    for name, weight in weights.items():
        weight.lerp_(others[name].to(weight), share)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, help="Folder that run_finetune.py wrote.")
    parser.add_argument("--name", required=True)
    parser.add_argument("--mix_with", help="Another model, mostly the one that training began with.")
    parser.add_argument("--mix_share", type=float, default=0.5, help="How much of that other one there will be.")
    parser.add_argument("--num_inference_steps", type=int, help="The model's default from now on, as all below.")
    parser.add_argument("--num_revisions", type=int)
    parser.add_argument("--revision_strength", type=float)
    parser.add_argument("--num_candidates", type=int)
    parser.add_argument("--canvas_buckets", type=int, nargs="*", help="None after it: no shorter canvases.")
    parser.add_argument("--block_size", type=int, help="Of a model that was trained with blocks.")
    parser.add_argument("--temperature", type=float, help="With blocks.")
    parser.add_argument("--num_beams", type=int, help="With blocks.")
    args = parser.parse_args()

    model, tokenizer = AutoModel.from_pretrained(args.source), AutoTokenizer.from_pretrained(args.source)
    for setting, value in vars(args).items():
        if setting not in OWN_ARGUMENTS and value is not None:
            setattr(model.generation_config, setting, value)
    if args.mix_with:
        mix(model, AutoModel.from_pretrained(resolve_checkpoint(args.mix_with), dtype=model.dtype), args.mix_share)
    model.generation_config.validate()
    target = Path(codefusion_hf.__file__).parent / "checkpoints" / args.name
    save_for_release(model, tokenizer, target)
    size = sum(file.stat().st_size for file in target.iterdir())
    print(f"{size / 1e6:.1f} MB in {target}")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"ship_checkpoint.py: error: {error}")
