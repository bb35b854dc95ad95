"""
Few-shot prompting, the paper's setting for GPT-3, ChatGPT, StarCoder and CodeT5+ (appendix B.2): a prompt shows the
five training examples whose utterances are most similar, and a model that is not trained here writes the program.

    export OPENAI_API_KEY=...      # the key is read from the environment only, and is never written anywhere
    python examples/run_fewshot_baseline.py --model gpt-4o-mini --language bash --train_file bash_train.jsonl \
        --data bash_val.jsonl --output_dir fewshot
    python examples/run_fewshot_baseline.py ... --base_url http://127.0.0.1:8000/v1     # vLLM, transformers serve, ...
    python examples/run_fewshot_baseline.py ... --temperatures 0 0.5 1 --dev_file dev.jsonl   # the best one on dev
    python examples/run_fewshot_baseline.py ... --local_model starcoder                 # a folder; beam search

Written to the folder: `cache.jsonl` with every answer as soon as it is there, predictions of each file, and
`results.json`, as `run_evaluate.py` writes them. Run the same command again after an interruption: it asks only for
what the cache lacks. Another server that has another model of the same name needs another folder.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from codefusion_hf import scoring
from codefusion_hf.baselines.completions import (
    DEFAULT_BASE_URL,
    MIN_SECRET_LENGTH,
    LocalBackend,
    OpenAIBackend,
    read_api_key,
)
from codefusion_hf.baselines.fewshot import (
    APIS,
    STOP,
    CompletionCache,
    Request,
    answer,
    build_prompt,
    to_candidates,
    usable_examples,
)
from codefusion_hf.baselines.results import write_results
from codefusion_hf.baselines.retrieval import BACKENDS, ExampleRetriever
from codefusion_hf.data.benchmarks import read_benchmark, read_pairs
from codefusion_hf.data.leakage import sha256
from codefusion_hf.languages import LANGUAGES
from codefusion_hf.predictions import write_atomically


DEFAULT_TEMPERATURE = 0.7


def main():
    args = parse_arguments()
    backend = build_backend(args)
    data = {Path(path).stem: read_benchmark(path) for path in args.data}
    dev_rows = read_benchmark(args.dev_file) if args.dev_file else []

    train_rows = [row for path in args.train_file for row in read_pairs(path, args.language)]
    rows = usable_examples(train_rows, [*dev_rows, *(row for rows in data.values() for row in rows)])
    left_out = len(train_rows) - len(rows)
    print(f"{len(rows)} examples to choose from; {left_out} left out: their utterance is asked for", file=sys.stderr)
    experiment = Experiment(args, backend, ExampleRetriever(rows, backend=args.retriever))

    output = Path(args.output_dir)
    output.mkdir(parents=True, exist_ok=True)
    with CompletionCache(output / "cache.jsonl") as cache:
        try:
            results = experiment.run(cache, data, dev_rows)
        except KeyboardInterrupt:
            print(f"interrupted: the answers so far are in {cache.path}; run the same command again", file=sys.stderr)
            sys.exit(130)
        except RuntimeError as error:
            raise RuntimeError(f"{error} (the answers so far are kept in {cache.path})") from None
    files = [{"file": Path(path).name, "sha256": sha256(path)} for path in args.train_file]
    results["examples"] = {"files": files, "rows": len(rows), "left_out": left_out}
    write_atomically(output / "results.json", json.dumps(results, indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    # No abbreviations: `--api_key sk-...` must not pass for `--api_key_env`.
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--model", help="Name of a model at an OpenAI-compatible endpoint.")
    model.add_argument("--local_model", help="Folder of a causal or sequence-to-sequence model of transformers.")
    parser.add_argument("--language", required=True, choices=LANGUAGES)
    parser.add_argument("--train_file", required=True, nargs="+", help="Examples to choose from.")
    parser.add_argument("--data", required=True, nargs="+", help="What to predict: JSON lines, or the release's JSON.")
    parser.add_argument("--output_dir", required=True, help="New, or that of an interrupted run.")
    parser.add_argument("--dev_file", help="Chooses the temperature; may be a part of the training file.")
    parser.add_argument("--encoder", help="Folder or Hub id of an encoder: adds CodeBERTScore.")
    parser.add_argument("--num_layers", type=positive(int), help="Of that encoder.")
    parser.add_argument("--num_examples", type=positive(int), default=5, help="In a prompt.")
    parser.add_argument("--retriever", default="minilm", choices=BACKENDS, help="minilm: the extra `pretrained`.")
    parser.add_argument("--num_return_sequences", type=positive(int), default=5, help="Distinct programs, at most.")
    parser.add_argument(
        "--num_samples", type=positive(int), default=5, help="Answers to a prompt; 1 at temperature 0."
    )
    parser.add_argument(
        "--temperatures",
        type=float,
        nargs="+",
        help=f"Several need --dev_file. Default: {DEFAULT_TEMPERATURE}; for a local model beam search.",
    )
    parser.add_argument("--num_beams", type=positive(int), default=5, help="Of a local model without --temperatures.")
    parser.add_argument("--max_tokens", type=positive(int), default=128, help="Of an answer.")
    parser.add_argument("--seed", type=int, default=0, help="Of the samples; an endpoint need not heed it.")
    parser.add_argument("--api", choices=APIS, help="Default: chat; for a local model completions.")
    endpoint = parser.add_argument_group("endpoint")
    endpoint.add_argument("--base_url", help=f"Default: {DEFAULT_BASE_URL}")
    endpoint.add_argument("--api_key_env", default="OPENAI_API_KEY", help="Environment variable that holds the key.")
    endpoint.add_argument("--api_key", "--api-key", nargs="?", const="", help=argparse.SUPPRESS)
    endpoint.add_argument(
        "--request_options",
        type=json.loads,
        default={},
        help='JSON merged into every request; null leaves a parameter out: \'{"logprobs": null, "top_p": 0.9}\'.',
    )
    endpoint.add_argument("--requests_per_minute", type=positive(float), help="Retries included.")
    endpoint.add_argument("--num_workers", type=positive(int), default=4, help="Requests under way at the same time.")
    endpoint.add_argument("--timeout", type=positive(float), default=60, help="Seconds for a request.")
    endpoint.add_argument(
        "--max_retries", type=int, default=6, help="With exponential backoff, or as the server says."
    )
    args = parser.parse_args()

    if args.api_key is not None:
        raise ValueError("an API key is no argument, since arguments can be read by others: see --api_key_env")
    if not isinstance(args.request_options, dict):
        raise ValueError('--request_options must be a JSON object, such as {"top_p": 0.9}')
    if len({Path(path).stem for path in args.data}) < len(args.data):
        raise ValueError("the files of --data need different names")
    if args.max_retries < 0:
        raise ValueError(f"--max_retries must be at least 0, got {args.max_retries}")
    if args.local_model and (args.base_url or args.request_options or args.requests_per_minute):
        raise ValueError("--base_url, --request_options and --requests_per_minute are for --model, not --local_model")
    temperatures = args.temperatures or ([] if args.local_model else [DEFAULT_TEMPERATURE])
    if any(not 0 <= temperature <= 2 for temperature in temperatures) or len({*temperatures}) < len(temperatures):
        raise ValueError(f"--temperatures must be distinct numbers from 0 to 2, got {args.temperatures}")
    if len(temperatures) > 1 and not args.dev_file:
        raise ValueError("several --temperatures need a --dev_file to choose by: not the file that is reported")
    args.temperatures = temperatures or [None]
    args.api = args.api or ("completions" if args.local_model else "chat")
    return args


def positive(number: type):
    def parse(text: str):
        if not 0 < number(text) < float("inf"):
            raise ValueError
        return number(text)

    parse.__name__ = f"positive {number.__name__}"  # argparse: "invalid positive int value: '0'"
    return parse


def build_backend(args: argparse.Namespace) -> LocalBackend | OpenAIBackend:
    if args.local_model:
        return LocalBackend(args.local_model)
    api_key = read_api_key(args.api_key_env)
    if len(api_key) >= MIN_SECRET_LENGTH and any(api_key in argument for argument in sys.argv[1:]):
        raise ValueError("the API key stands in an argument, too, and would be written to the results")
    return OpenAIBackend(
        args.model,
        api_key,
        args.base_url or DEFAULT_BASE_URL,
        args.api,
        timeout=args.timeout,
        max_retries=args.max_retries,
        requests_per_minute=args.requests_per_minute,
        num_workers=args.num_workers,
    )


class Experiment:
    """Asks a model and scores what it answers."""

    def __init__(self, args: argparse.Namespace, backend: LocalBackend | OpenAIBackend, retriever: ExampleRetriever):
        self.args, self.backend, self.retriever = args, backend, retriever

    def run(self, cache: CompletionCache, data: dict[str, list[dict]], dev_rows: list[dict]) -> dict:
        """Chooses the temperature, predicts and scores; returns the results."""
        args = self.args
        temperature, dev = args.temperatures[0], None
        if len(args.temperatures) > 1:
            dev = self.score_temperatures(cache, dev_rows)
            # Of equally good ones the lowest.
            temperature = max(args.temperatures, key=lambda value: (dev["scores"][f"{value:g}"], -value))

        candidates, facts = [], {}
        for name, rows in data.items():
            predicted, facts[name] = self.predict(cache, rows, temperature, name)
            candidates += predicted
            # Written anew: it is the cache that an interrupted run goes on from.
            (Path(args.output_dir) / f"{name}.seed{args.seed}.jsonl").unlink(missing_ok=True)

        settings = {
            "method": "few-shot prompting",
            "base_url": getattr(self.backend, "base_url", None),
            "api": args.api,
            "num_examples": args.num_examples,
            "retriever": args.retriever,
            "temperature": temperature,
            "num_beams": args.num_beams if temperature is None else None,
            "num_samples": self.num_samples(temperature),
            "num_return_sequences": args.num_return_sequences,
            "max_tokens": args.max_tokens,
            "request_options": args.request_options,
            "seed": args.seed,
        }
        in_order = iter(candidates)  # of all files, as they are written
        results = write_results(
            *(args.output_dir, args.data, args.language, settings, lambda rows: [next(in_order) for _ in rows]),
            model=args.model or Path(args.local_model).name,
            weights=getattr(self.backend, "weights", None),
            train_files=args.train_file,
            encoder=args.encoder,
            num_layers=args.num_layers,
            seed=args.seed,
        )
        results["settings"]["dtype"] = getattr(self.backend, "dtype", None)
        for name, entry in results["data"].items():
            entry["refused"] = facts[name]["refused"]
            entry["runs"][0]["seconds_per_row"] = facts[name]["seconds_per_row"]
        return {**results, "dev": dev}

    def score_temperatures(self, cache: CompletionCache, rows: list[dict]) -> dict:
        """The top-1 score of each temperature on the development file."""
        args, scores = self.args, {}
        metric = scoring.MAIN_SCORE[args.language]
        if metric == "code_bertscore" and not args.encoder:
            metric = "chrf"
        for temperature in args.temperatures:
            candidates, _ = self.predict(cache, rows, temperature, f"dev, temperature {temperature:g}")
            codes = [[candidate["code"] for candidate in ranked] for ranked in candidates]
            scored = scoring.score(codes, rows, args.language, args.encoder, args.num_layers)
            scores[f"{temperature:g}"] = scored[metric]["top_1"]
        dev = {"file": Path(args.dev_file).name, "sha256": sha256(args.dev_file), "rows": len(rows)}
        print(f"{metric} on {dev['file']} by temperature: {scores}", file=sys.stderr)
        return {**dev, "metric": f"{metric} top_1", "scores": scores}

    def predict(
        self, cache: CompletionCache, rows: list[dict], temperature: float | None, desc: str
    ) -> tuple[list[list[dict]], dict]:
        """The candidates of each row; the number of rows that the model refused, and seconds per row."""
        started = time.perf_counter()
        requests = [self.request(row, temperature) for row in rows]
        keys = [request.key(self.backend.name) for request in requests]
        is_new = not any(cache[key] for key in keys)
        choices, refused = answer(self.backend, requests, cache, desc)
        for reason in list(refused.values())[:1]:
            print(f"{desc}: {len(refused)} prompts were refused and get no program: {reason}", file=sys.stderr)
        candidates = [to_candidates(some, self.args.language, self.args.num_return_sequences) for some in choices]
        # Not known for rows that an earlier run answered.
        seconds = round((time.perf_counter() - started) / len(rows), 4) if is_new else None
        return candidates, {"refused": sum(key in refused for key in keys), "seconds_per_row": seconds}

    def request(self, row: dict, temperature: float | None) -> Request:
        """What is asked for a row; without a temperature by beam search."""
        args = self.args
        try:
            examples = self.retriever.nearest(row["nl"], args.num_examples)
            prompt = build_prompt(row, examples, args.language, args.api)
        except ValueError as error:
            raise ValueError(f"the row with id {row['id']}: {error}") from None
        parameters = {"max_tokens": args.max_tokens}
        if temperature is None:
            parameters["num_beams"] = args.num_beams
        else:
            parameters |= {"temperature": temperature, "seed": args.seed}
        if args.model:
            parameters |= {"logprobs": True} if args.api == "chat" else {"logprobs": 1, "stop": [STOP]}
            parameters |= args.request_options
        parameters = {name: value for name, value in parameters.items() if value is not None}
        return Request(prompt, parameters, self.num_samples(temperature))

    def num_samples(self, temperature: float | None) -> int:
        """How many answers are asked for: at temperature 0 all are the same."""
        if temperature is None:
            return self.args.num_beams
        return self.args.num_samples if temperature else 1


if __name__ == "__main__":
    try:
        main()
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        sys.exit(f"run_fewshot_baseline.py: error: {error}")
