"""
Generates programs with a model that `export_onnx.py` wrote. Needs numpy, onnxruntime and tokenizers, but no torch:

    python examples/onnx_generate.py --model runs/cf-onnx "Color cells that have value greater than 1129"

This is `model.generate` at the settings the model was exported with: the same seed draws the same noise and finds the
same programs. This file and the exported folder are all that an application needs.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np


GRAPHS = ("encoder", "denoiser", "decoder")
UTTERANCE = "Color cells that have value greater than 1129"


class OnnxCodeFusion:
    """
    An exported model.

    Args:
        folder (`str` or `Path`): Written by `export_onnx.py`.
        num_threads (`int`, *optional*): Of each operation; onnxruntime's choice (all cores) by default.

    Raises:
        ImportError: without onnxruntime.
        ValueError: for a folder that holds no exported model, or a damaged one, and for no threads.
    """

    def __init__(self, folder: str | Path, num_threads: int | None = None):
        try:
            import onnxruntime
        except ImportError:
            raise ImportError("running ONNX graphs needs onnxruntime: pip install 'codefusion-hf[onnx]'") from None
        import tokenizers

        if num_threads is not None and num_threads < 1:
            raise ValueError(f"`num_threads` must be at least 1, got {num_threads}")
        folder = Path(folder)
        for name in ("sampling.json", "tokenizer.json", *(f"{graph}.onnx" for graph in GRAPHS)):
            if not (folder / name).is_file():
                raise ValueError(f"{folder} has no {name}: it is no folder that export_onnx.py wrote")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = num_threads or 0
        try:
            self.settings = json.loads((folder / "sampling.json").read_text(encoding="utf-8"))
            self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
            cpu = ["CPUExecutionProvider"]
            self.sessions = {
                name: onnxruntime.InferenceSession(folder / f"{name}.onnx", options, cpu) for name in GRAPHS
            }
        except Exception as error:  # neither library has a type for it
            raise ValueError(f"{folder} is damaged: {' '.join(str(error).split())}") from None
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.tokenizer.encode_special_tokens = True  # "</s>" in an utterance is text
        self.inputs = {name: [i.name for i in session.get_inputs()] for name, session in self.sessions.items()}

    def generate(self, utterances: list[str], num_return_sequences: int = 5, seed: int = 0) -> list[list[dict]]:
        """
        Args:
            utterances (`list[str]`): One or more; the result for one does not depend on the others.
            num_return_sequences (`int`, defaults to 5): Programs for each, at least 1.
            seed (`int`, defaults to 0): Of the noise.

        Returns:
            For each utterance a list of `{"generated_code": str, "score": float}`, best first; the score is the mean
            log-probability of the tokens, in nats.

        Raises:
            ValueError: for no or blank utterances, ones that are too long, and numbers out of range.
        """
        input_ids, attention_mask = self.encode(utterances)
        results = []
        for sequences, scores in self.sample(input_ids, attention_mask, num_return_sequences, seed):
            texts = self.tokenizer.decode_batch([row.tolist() for row in sequences], skip_special_tokens=True)
            results.append([{"generated_code": t, "score": float(s)} for t, s in zip(texts, scores)])
        return results

    def encode(self, utterances: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Token ids and attention mask, int64 of shape `(batch_size, source_length)`."""
        if isinstance(utterances, str) or not utterances or not all(u.strip() for u in utterances):
            raise ValueError("utterances must be a list of at least one sentence, none of them blank")
        rows = [encoding.ids for encoding in self.tokenizer.encode_batch(utterances)]
        longest, limit = max(map(len, rows)), self.settings["max_source_length"]
        if longest > limit:
            raise ValueError(f"an utterance has {longest} tokens, but the model reads at most {limit}: shorten it")
        pad = self.settings["pad_token_id"]
        input_ids = np.array([row + [pad] * (longest - len(row)) for row in rows], dtype=np.int64)
        return input_ids, np.array([[1] * len(row) + [0] * (longest - len(row)) for row in rows], dtype=np.int64)

    def sample(
        self,
        input_ids: np.ndarray,
        attention_mask: np.ndarray,
        num_return_sequences: int = 5,
        seed: int = 0,
        noise: np.ndarray | None = None,
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """
        As [`generate`], on token ids.

        Args:
            input_ids, attention_mask (`np.ndarray` of shape `(batch_size, source_length)`): int64.
            noise (`np.ndarray` of shape `(num_draws, batch_size * num_candidates, max_length, latent_dim)`,
                *optional*): Used instead of the seed's, fp32.

        Returns:
            For each utterance its sequences, `(num_return_sequences, length)`, and their scores.
        """
        settings = self.settings
        if num_return_sequences < 1:
            raise ValueError(f"`num_return_sequences` must be at least 1, got {num_return_sequences}")
        num_candidates = max(settings["num_candidates"], num_return_sequences)
        if noise is None:
            noise = (np.tile(draw, (len(input_ids), 1, 1)) for draw in self.noise(seed, num_candidates))
        draws = iter(noise)
        memory = self.memory(input_ids, attention_mask, num_candidates)

        latents = next(draws)
        denoised = np.zeros_like(latents)
        for step in settings["steps"]:
            previous, denoised = denoised, self.denoise(latents, step["timestep"], denoised, memory)
            of_latents, of_denoised, of_previous, of_noise = map(np.float32, step["coefficients"])
            latents = of_latents * latents + of_denoised * denoised + of_previous * previous
            if settings["is_stochastic"]:
                latents += of_noise * next(draws)
        revision = settings["revision"]
        for _ in range(revision["num_revisions"]):
            (clean,) = self.decode(latents, memory, "embeddings")
            latents = np.float32(revision["alpha"]) * clean + np.float32(revision["sigma"]) * next(draws)
            latents = self.denoise(latents, revision["timestep"], np.zeros_like(latents), memory)

        tokens, scores = self.decode(latents, memory, "top_tokens", "top_scores")
        tokens, scores = (x.reshape(len(input_ids), num_candidates, *x.shape[1:]) for x in (tokens, scores))
        ends = (settings["pad_token_id"], settings["eos_token_id"])
        return [rank(*pair, num_return_sequences, *ends) for pair in zip(tokens, scores)]

    def noise(self, seed: int, num_candidates: int) -> Iterator[np.ndarray]:
        """One utterance's draws, each `(num_candidates, max_length, latent_dim)`, as torch would make them."""
        if not 0 <= seed < 2**32:
            raise ValueError(f"`seed` must be from 0 to 2**32 - 1, got {seed}")
        shape = (self.settings["max_length"], self.settings["latent_dim"])
        rows = [torch_randn(seed * 1_000_003 + candidate, shape) for candidate in range(num_candidates)]
        return map(np.stack, zip(*rows))

    def memory(self, input_ids: np.ndarray, attention_mask: np.ndarray, num_candidates: int) -> dict[str, np.ndarray]:
        """All that denoiser and decoder read of the utterances, one row for each candidate."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        session = self.sessions["encoder"]
        memory = dict(zip((o.name for o in session.get_outputs()), session.run(None, inputs)))
        memory |= {"input_ids": input_ids, "can_copy": attention_mask.astype(bool)}
        return {name: value.repeat(num_candidates, axis=0) for name, value in memory.items()}

    def denoise(self, latents: np.ndarray, timestep: int, previous: np.ndarray, memory: dict) -> np.ndarray:
        """x0 from x_t, both `(rows, length, latent_dim)`, and the previous x0 (zeros at first)."""
        values = {"latents": latents, "timestep": np.array(timestep, dtype=np.int64), "previous": previous, **memory}
        return self.sessions["denoiser"].run(None, {name: values[name] for name in self.inputs["denoiser"]})[0]

    def decode(self, latents: np.ndarray, memory: dict, *outputs: str) -> list[np.ndarray]:
        """Of `logits`, `top_tokens`, `top_scores` and `embeddings` (of the most probable program) the named ones."""
        values = {"latents": latents, **memory}
        inputs = {name: values[name] for name in self.inputs["decoder"]}
        return self.sessions["decoder"].run(list(outputs), inputs)


def torch_randn(seed: int, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """
    What one call after the other of `torch.randn(shape, generator=torch.Generator().manual_seed(seed))` gives, fp32:
    both libraries have the Mersenne twister, torch makes 8 pairs of normals at a time of it (Box-Muller;
    ATen/native/cpu/DistributionTemplates.h, `normal_fill`). Equal to the last bits, which depend on torch's logarithm.
    """
    size = int(np.prod(shape))
    if size < 16:
        raise ValueError(f"torch draws fewer than 16 numbers in another way, got shape {shape}")
    generator = np.random.RandomState(seed % 2**32)

    def bits(count: int) -> np.ndarray:
        return generator.randint(0, 2**32, size=count, dtype=np.uint32)

    def normals(raw: np.ndarray) -> np.ndarray:
        uniform = ((raw & np.uint32(2**24 - 1)).astype(np.float32) / np.float32(2**24)).reshape(-1, 2, 8)
        radius = np.sqrt(np.float32(-2) * np.log(1 - uniform[:, 0]))
        angle = np.float32(2 * np.pi) * uniform[:, 1]
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()

    whole = size // 16 * 16
    while True:
        drawn = np.empty(size, dtype=np.float32)
        drawn[:whole] = normals(bits(size)[:whole])
        if whole < size:  # the last 16, of which some are there already, are drawn anew
            drawn[-16:] = normals(bits(16))
        yield drawn.reshape(shape)


def rank(
    top_tokens: np.ndarray, top_scores: np.ndarray, wanted: int, pad: int, eos: int
) -> tuple[np.ndarray, np.ndarray]:
    """
    The `wanted` best distinct programs of one utterance, by mean log-probability (`ranking_codefusion.rank`). If there
    are fewer, the most probable ones that differ in one token from a sampled one fill up.

    Args:
        top_tokens, top_scores (`np.ndarray` of shape `(num_candidates, length, choices)`).

    Returns:
        Sequences `(wanted, length)`, padded behind their end, and scores `(wanted,)`.
    """
    tokens = top_tokens[..., 0]
    ended = np.cumsum((tokens == pad) | (tokens == eos), axis=-1) > 0
    tokens = np.where(ended, pad, tokens)
    lengths = (~ended).sum(-1)
    scored = np.arange(tokens.shape[1]) < (lengths + 1)[:, None]  # the token that ends the program counts
    counts = scored.sum(-1)
    means = (top_scores[..., 0] * scored).sum(-1) / counts
    distinct: dict[tuple, tuple[float, int]] = {}
    for row in np.argsort(-means, kind="stable").tolist():
        distinct.setdefault(tuple(tokens[row].tolist()), (float(means[row]), row))
    picked = list(distinct.items())[:wanted]
    if len(picked) < wanted:
        options = []
        for key, (score, row) in picked:
            for position in range(lengths[row]):
                best, *others = top_scores[row, position].tolist()
                for token, other in zip(top_tokens[row, position, 1:].tolist(), others):
                    if token not in (pad, eos):
                        changed = (*key[:position], token, *key[position + 1 :])
                        options.append((changed, (score + (other - best) / int(counts[row]), row)))
        for key, found in sorted(options, key=lambda option: -option[1][0]):
            if len(distinct) < wanted:
                distinct.setdefault(key, found)
        picked = sorted(distinct.items(), key=lambda candidate: -candidate[1][0])
    picked += [picked[-1]] * (wanted - len(picked))  # a vocabulary or canvas too small for that many programs
    return np.array([key for key, _ in picked]), np.array([score for _, (score, _) in picked], dtype=np.float32)


def time_onnx(
    folder: str | Path, num_return_sequences: int = 5, num_threads: int = 1, repeats: int = 15, warmup: int = 3
) -> float:
    """Median milliseconds for one utterance, tokenisation to text, after warm-up."""
    model = OnnxCodeFusion(folder, num_threads)
    times = []
    for _ in range(warmup + repeats):
        started = time.perf_counter()
        model.generate([UTTERANCE], num_return_sequences)
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times[warmup:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="Folder that export_onnx.py wrote.")
    parser.add_argument("--num_return_sequences", type=int, default=5, help="Programs for each utterance.")
    parser.add_argument("--seed", type=int, default=0, help="Of the noise.")
    parser.add_argument("--num_threads", type=int, help="All cores by default.")
    parser.add_argument("utterances", nargs="+", metavar="UTTERANCE")
    args = parser.parse_args()
    model = OnnxCodeFusion(args.model, args.num_threads)
    found = model.generate(args.utterances, args.num_return_sequences, args.seed)
    for utterance, candidates in zip(args.utterances, found):
        print(json.dumps({"nl": utterance, "candidates": candidates}, ensure_ascii=False))


if __name__ == "__main__":
    try:
        main()
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f"onnx_generate.py: error: {error}")
