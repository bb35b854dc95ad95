"""Models that answer few-shot prompts: behind an OpenAI-compatible endpoint, or in a folder of this machine."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tqdm.auto import tqdm

from .fewshot import APIS, STOP, CompletionCache, Request, mean_log_probability


if TYPE_CHECKING:
    import openai

DEFAULT_BASE_URL = "https://api.openai.com/v1"
MIN_SECRET_LENGTH = 6  # a shorter key is a placeholder for a server that asks for none, and may stand in a program
MAX_ERROR_LENGTH = 300
# Statuses by which a server refuses one request, such as a prompt that is too long or filtered.
REFUSALS = (400, 413, 422)


def read_api_key(name: str = "OPENAI_API_KEY", environ: Mapping[str, str] = os.environ) -> str:
    """
    The API key, from an environment variable.

    Raises:
        ValueError: If `name` is no name of a variable, or the variable holds no key. The message never has the value.
    """
    # A key that was given in place of the name has other characters than a name, and must not be repeated.
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
        raise ValueError("the API key is read from an environment variable: give its name, such as OPENAI_API_KEY")
    key = environ.get(name, "").strip()
    if not key:
        raise ValueError(
            f"no API key: set the environment variable {name} (to any word, for a server that asks for none)"
        )
    if not re.fullmatch(r"[!-~]+", key) or re.search(r"[\"'\\]", key):
        raise ValueError(f"the environment variable {name} holds no API key: a key is one word of ASCII characters")
    return key


def redact(text: str, secret: str) -> str:
    """The text with `[key]` for each occurrence of a secret of at least `MIN_SECRET_LENGTH` characters."""
    return text.replace(secret, "[key]") if len(secret) >= MIN_SECRET_LENGTH else text


class OpenAIBackend:
    """
    A model behind an OpenAI-compatible endpoint, asked through the `openai` client. Failures that may pass (429, 409,
    408, 5xx, connections, time-outs, answers that are no JSON) are retried with exponential backoff, or after the time
    that the server names in `Retry-After`.

    Args:
        model (`str`): Its name at the endpoint.
        api_key (`str`): See [`read_api_key`]. Is sent to the endpoint and nowhere else: where the server repeats it,
            it is replaced.
        base_url (`str`, defaults to that of OpenAI): Usually ends in `/v1`.
        api (`str`, defaults to `"chat"`): `"chat"` or `"completions"`.
        timeout (`float`, defaults to 60): Seconds for one request.
        max_retries (`int`, defaults to 6): Of each request.
        requests_per_minute (`float`, *optional*): Requests are this far apart, retries included.
        num_workers (`int`, defaults to 4): Requests under way at the same time.

    Raises:
        ValueError: If the URL or the API is unusable.
        ImportError: If the extra `baselines` is not installed.
    """

    def __init__(
        self,
        model: str,
        api_key: str,
        base_url: str = DEFAULT_BASE_URL,
        api: str = "chat",
        timeout: float = 60,
        max_retries: int = 6,
        requests_per_minute: float | None = None,
        num_workers: int = 4,
    ):
        try:
            import openai  # noqa: F401
        except ImportError:
            raise ImportError("an endpoint needs openai: pip install 'codefusion-hf[baselines]'") from None
        if api not in APIS:
            raise ValueError(f"`api` must be one of {', '.join(APIS)}, got {api!r}")
        self.name = model
        self.base_url = _check_base_url(base_url)
        self.api = api
        self.timeout = timeout
        self.max_retries = max_retries
        self.interval = 60 / requests_per_minute if requests_per_minute else 0.0
        self.num_workers = num_workers
        self._api_key = api_key

    def complete(self, requests: Sequence[Request], cache: CompletionCache, progress: tqdm) -> dict[str, str]:
        """
        See [`fewshot.Backend`]. Servers may give fewer samples than they are asked for: the rest is asked for again,
        with the next seed.

        Raises:
            RuntimeError: If the endpoint cannot be reached, or refuses what every request has: the key, the model, or,
                as long as there is no answer at all, the request.
        """
        return asyncio.run(self._complete(requests, cache, progress))

    async def _complete(self, requests: Sequence[Request], cache: CompletionCache, progress: tqdm) -> dict[str, str]:
        import openai

        keys = [request.key(self.name) for request in requests]
        todo = iter([pair for pair in zip(keys, requests) if len(cache[pair[0]]) < pair[1].num_samples])
        refused: dict[str, str] = {}
        next_turn = 0.0

        async def wait_turn(_: object) -> None:  # called for retries, too
            nonlocal next_turn
            now = asyncio.get_running_loop().time()
            turn = max(now, next_turn)
            next_turn = turn + self.interval
            await asyncio.sleep(turn - now)

        async def work(client: openai.AsyncOpenAI) -> None:
            for key, request in todo:
                try:
                    while (count := len(cache[key])) < request.num_samples:
                        cache.add(key, await self._ask(client, request, count))
                except openai.APIStatusError as error:
                    reason = f"{self.base_url} answers {self._one_line(error)}"
                    if error.status_code not in REFUSALS or not any(cache[other] for other in keys):
                        raise RuntimeError(reason + _hint(error.status_code)) from None
                    refused[key] = reason
                progress.update()

        http_client = openai.DefaultAsyncHttpxClient(event_hooks={"request": [wait_turn]}, timeout=self.timeout)
        async with openai.AsyncOpenAI(
            api_key=self._api_key,
            base_url=self.base_url,
            timeout=self.timeout,
            max_retries=self.max_retries,
            http_client=http_client,
        ) as client:
            await asyncio.gather(*(work(client) for _ in range(self.num_workers)))
        return refused

    async def _ask(self, client: openai.AsyncOpenAI, request: Request, count: int) -> list[dict[str, Any]]:
        """The answers to one HTTP request, `count` of those wanted being there already."""
        import openai

        body = {**request.parameters, "n": request.num_samples - count}
        if isinstance(body.get("seed"), int):
            body["seed"] += count
        if body["n"] == 1:  # the default, and not every server knows the parameter
            del body["n"]
        attempts = self.max_retries + 1
        for attempt in range(attempts):
            try:
                if self.api == "chat":
                    create = client.chat.completions.with_raw_response.create
                    raw = await create(model=self.name, messages=request.prompt, extra_body=body)
                else:
                    create = client.completions.with_raw_response.create
                    raw = await create(model=self.name, prompt=request.prompt, extra_body=body)
                choices = _choices(json.loads(raw.http_response.content), self.api)
                return [{**choice, "text": redact(choice["text"], self._api_key)} for choice in choices]
            except openai.APIStatusError:
                raise
            except openai.APITimeoutError:
                reason = f"{self.base_url} gives no answer within {self.timeout:g} s"
                raise RuntimeError(f"{reason} (tried {attempts} times)") from None
            except openai.APIConnectionError as error:
                reason = self._one_line(error.__cause__ or error)
                raise RuntimeError(f"cannot reach {self.base_url} (tried {attempts} times): {reason}") from None
            except openai.OpenAIError as error:
                raise RuntimeError(f"{self.base_url}: {self._one_line(error)}") from None
            except (ValueError, RecursionError) as error:  # the client retries the failures above, but not these
                fault = self._one_line(error)
            if attempt < self.max_retries:
                await asyncio.sleep(min(0.5 * 2**attempt, 8))
        raise RuntimeError(f"{self.base_url} gives no usable answer (tried {attempts} times): {fault}")

    def _one_line(self, error: BaseException) -> str:
        text = " ".join(redact(str(error), self._api_key).split()).removeprefix("Error code: ")
        return text[:MAX_ERROR_LENGTH] or type(error).__name__


class LocalBackend:
    """
    A causal or sequence-to-sequence model of transformers, with beam search (StarCoder and CodeT5+ in the paper) or
    sampling. On the GPU if torch sees one. One prompt at a time, so that no result depends on other prompts.

    Args:
        path (`str`): A folder with config, weights and tokenizer.

    Raises:
        ValueError: If there is no such folder, or it holds no such model.
    """

    def __init__(self, path: str):
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

        from ..evaluation import weights_digest

        if not os.path.isdir(path):
            raise ValueError(f"{path} is no folder: load the model first, with `hf download NAME --local-dir FOLDER`")
        try:
            self.is_encoder_decoder = AutoConfig.from_pretrained(path, local_files_only=True).is_encoder_decoder
            auto_class = AutoModelForSeq2SeqLM if self.is_encoder_decoder else AutoModelForCausalLM
            self.model = auto_class.from_pretrained(path, local_files_only=True).eval()
            self.tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        except Exception as error:  # damaged files raise many types
            raise ValueError(f"cannot load the model in {path}: {' '.join(str(error).split())}") from error
        self.model.to("cuda" if torch.cuda.is_available() else "cpu")
        self.name = self.weights = weights_digest(self.model)
        self.dtype = str(self.model.dtype).removeprefix("torch.")

    def complete(self, requests: Sequence[Request], cache: CompletionCache, progress: tqdm) -> dict[str, str]:
        """
        See [`fewshot.Backend`]; no request is refused. Parameters of a request: `max_tokens`, and `num_beams` or
        `temperature` and `seed`.

        Raises:
            ValueError: If a prompt with its answer is longer than the model's context, or is a chat and the tokenizer
                has no template for it.
        """
        for request in requests:
            key = request.key(self.name)
            if len(cache[key]) < request.num_samples:
                cache.add(key, self._generate(request)[len(cache[key]) :])
                progress.update()
        return {}

    def _generate(self, request: Request) -> list[dict[str, Any]]:
        import torch

        inputs = self._tokenize(request).to(self.model.device)
        settings, seed = dict(request.parameters), request.parameters.get("seed", 0)
        settings.pop("seed", None)
        temperature = settings.pop("temperature", 0)
        settings["do_sample"] = temperature > 0
        if temperature:
            settings |= {"temperature": temperature, "top_k": 0, "top_p": 1.0}  # as endpoints have it
        beam_search = settings.get("num_beams", 1) > 1
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        # `generate` draws from the global generator, which is put back afterwards.
        with torch.random.fork_rng(devices), torch.inference_mode():
            torch.manual_seed(seed)
            output = self.model.generate(
                **inputs,
                max_new_tokens=settings.pop("max_tokens"),
                num_return_sequences=request.num_samples,
                stop_strings=None if isinstance(request.prompt, list) else [STOP],
                tokenizer=self.tokenizer,
                pad_token_id=self._pad_token_id(),
                return_dict_in_generate=True,
                output_scores=beam_search,
                output_logits=not beam_search,
                **settings,
            )
        # What follows the prompt; a decoder starts with a token of its own.
        start = 1 if self.is_encoder_decoder else inputs["input_ids"].shape[1]
        texts = self.tokenizer.batch_decode(output.sequences[:, start:], skip_special_tokens=True)
        scores = output.sequences_scores.tolist() if beam_search else self._mean_log_probabilities(output)
        return [{"text": text, "score": score} for text, score in zip(texts, scores)]

    def _tokenize(self, request: Request) -> Any:
        if isinstance(request.prompt, list):
            if not self.tokenizer.chat_template:
                raise ValueError("the tokenizer has no chat template: use the API completions")
            inputs = self.tokenizer.apply_chat_template(
                request.prompt, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
        else:
            inputs = self.tokenizer(request.prompt, return_tensors="pt", verbose=False)
        inputs.pop("token_type_ids", None)
        length = inputs["input_ids"].shape[1] + (0 if self.is_encoder_decoder else request.parameters["max_tokens"])
        limit = getattr(self.model.config, "max_position_embeddings", None)
        if limit and length > limit:
            raise ValueError(
                f"a prompt with its answer has {length} tokens, the model reads at most {limit}: use fewer examples"
            )
        return inputs

    def _pad_token_id(self) -> int | None:
        pad, eos = self.tokenizer.pad_token_id, self.model.generation_config.eos_token_id
        return pad if pad is not None else eos[0] if isinstance(eos, list) else eos

    def _mean_log_probabilities(self, output: Any) -> list[float | None]:
        scores = self.model.compute_transition_scores(output.sequences, output.logits, normalize_logits=True)
        generated = output.sequences[:, -scores.shape[1] :]
        eos = self.model.generation_config.eos_token_id
        ends = set(eos if isinstance(eos, list) else [eos]) | {self._pad_token_id()}
        means = []
        for tokens, values in zip(generated.tolist(), scores.tolist()):
            # The end counts once; what pads the shorter rows does not.
            length = next((i + 1 for i, token in enumerate(tokens) if token in ends), len(tokens))
            means.append(mean_log_probability(values[:length]))
        return means


def _check_base_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    # Neither is repeated: they may hold a key.
    if not usable:
        raise ValueError("the base URL must look like http://127.0.0.1:8000/v1")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError(
            "the base URL must have no user, password, query or fragment: a key belongs in the environment"
        )
    return url.rstrip("/")


def _choices(body: Any, api: str) -> list[dict[str, Any]]:
    """The choices of a server's answer; `ValueError` for one that has none."""
    choices = []
    try:
        for choice in body["choices"]:
            logprobs = choice.get("logprobs") or {}
            if api == "chat":
                text = choice["message"].get("content") or ""  # null for an answer that was filtered
                values = [token["logprob"] for token in logprobs.get("content") or []]
            else:
                text = choice["text"]
                values = [value for value in logprobs.get("token_logprobs") or [] if value is not None]
            if not isinstance(text, str):
                raise TypeError(text)
            choices.append({"text": text, "score": mean_log_probability(values)})
    except (AttributeError, KeyError, TypeError):
        choices = []
    if not choices:
        raise ValueError(f"no completion: {json.dumps(body)}")
    return choices


def _hint(status: int) -> str:
    if status in (401, 403):
        return "; check the API key"
    return "; check the base URL (it usually ends in /v1) and the model" if status == 404 else ""
