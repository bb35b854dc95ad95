"""
Puts a trained model into the package, as `checkpoint_path(NAME)` will find it (fp16 on disk):

    python examples/ship_checkpoint.py --source runs/finetuned --name cf --num_inference_steps 1 --num_revisions 1
"""

import argparse
import sys
from pathlib import Path

from transformers import AutoModel, AutoTokenizer

import codefusion_hf
from codefusion_hf.hub import save_for_release


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, help="Folder that run_finetune.py wrote.")
    parser.add_argument("--name", required=True)
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
        if setting not in ("source", "name") and value is not None:
            setattr(model.generation_config, setting, value)
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
