"""
`examples/run_fewshot_baseline.py` against `transformers serve` with a tiny model, and against a server of the standard
library that fails as servers do.
"""

import itertools
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from codefusion_hf.baselines import completions, fewshot
from codefusion_hf.data.benchmarks import read_benchmark
from codefusion_hf.data.prompts import source_text
from codefusion_hf.scoring import read_predictions


ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "examples" / "run_fewshot_baseline.py"
FIXTURES = ROOT / "tests" / "fixtures"
TRAIN = FIXTURES / "bash_pairs.jsonl"
KEY = "sk-test-5f0c1b7e9d3a4e62"
CHAT_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


class Stub(ThreadingHTTPServer):
    """
    A server that answers with the programs of the prompt's examples, most similar first, and counts its requests.

    Args:
        failures (`list`): What the first requests get instead: a function of the stub, the handler and the request.
        delay (`float`): Seconds before an answer.
        samples (`int`): Answers to a request, at most, whatever `n` says.
        refuse (`str`): Questions with this text get status 400.
    """

    daemon_threads = True

    def __init__(self, failures=(), delay=0.0, samples=5, refuse=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.failures, self.delay, self.samples, self.refuse = list(failures), delay, samples, refuse
        self.bodies, self.times, self.keys = [], [], set()
        self.answered = self.under_way = self.most_under_way = 0
        self.hold_at = None  # that many are answered, the others wait
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that was killed or gave up is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        stub = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with stub.lock:
            stub.times.append(time.monotonic())
            stub.bodies.append(body)
            stub.keys.add(self.headers["Authorization"])
            failure = stub.failures.pop(0) if stub.failures else None
            stub.under_way += 1
            stub.most_under_way = max(stub.most_under_way, stub.under_way)
        try:
            if failure:
                failure(self)
            elif stub.refuse and stub.refuse in body["messages"][-1]["content"]:
                self.send(400, {"error": {"message": f"filtered, {self.headers['Authorization']}"}})
            else:
                time.sleep(stub.delay)
                while stub.hold_at is not None and stub.answered >= stub.hold_at:
                    time.sleep(0.01)
                self.send(200, {"choices": list(itertools.islice(answers(body, self.path), stub.samples))})
                stub.answered += 1
        finally:
            stub.under_way -= 1

    def send(self, status, content, headers=()):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **dict(headers)}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def answers(body, path):
    """The choices of an answer, as many as `n` says; the seed tells where they start."""
    chat = path.endswith("/chat/completions")
    if chat:
        codes = [message["content"] for message in body["messages"] if message["role"] == "assistant"][::-1]
    else:
        codes = [part.split("\nCode: ")[1] for part in body["prompt"].split("\n\nDescription: ")[1:-1]][::-1]
    for i in range(body.get("seed", 0), body.get("seed", 0) + body.get("n", 1)):
        code, logprob = codes[i % len(codes)], -0.5 - i
        if chat:
            logprobs = {"content": [{"token": "a", "logprob": logprob}, {"token": "b", "logprob": logprob - 1}]}
            yield {"message": {"content": f"```bash\n{code}\n```"}, "logprobs": logprobs if body["logprobs"] else None}
        else:
            yield {"text": f" {code}", "logprobs": {"token_logprobs": [None, logprob, logprob - 1]}}


@pytest.fixture
def run_script(monkeypatch, capfd, tmp_path):
    """Runs the script in this process; returns what it printed to stdout and to stderr, the error last."""

    def run(*arguments, output=tmp_path / "out", key=KEY, language="bash"):
        monkeypatch.setenv("OPENAI_API_KEY", key) if key is not None else monkeypatch.delenv("OPENAI_API_KEY", False)
        monkeypatch.syspath_prepend(str(SCRIPT.parent))
        options = ["--language", language, "--train_file", TRAIN, "--output_dir", output, "--retriever", "tfidf"]
        monkeypatch.setattr(sys, "argv", list(map(str, [SCRIPT, *options, *arguments])))
        error = ""
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as stop:
            error = f"{stop.code}"
        out, err = capfd.readouterr()
        return out, err + error

    return run


@pytest.fixture
def rows(tmp_path) -> Path:
    """Twenty utterances that the training file does not have: its own, in other words."""
    changed = [{**row, "nl": f"please {row['nl'].lower()} now"} for row in read_benchmark(TRAIN)[:20]]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in changed))
    return path


def texts_of(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.iterdir()))


def predictions(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "rows.seed0.jsonl").read_text().splitlines()]


def seconds_per_row(folder: Path) -> float | None:
    return json.loads((folder / "results.json").read_text())["data"]["rows"]["runs"][0]["seconds_per_row"]


# The real server.


@pytest.fixture(scope="module")
def tiny_lm(tmp_path_factory) -> Path:
    """A random chat model that transformers can load, with the tokenizer of the tiny checkpoint."""
    path = tmp_path_factory.mktemp("tiny-lm")
    tokenizer = AutoTokenizer.from_pretrained(FIXTURES / "tiny-cf")
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=1024,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
    model = LlamaForCausalLM(config)
    model.generation_config.do_sample = True
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def server(tiny_lm, tmp_path_factory):
    """The URL of `transformers serve`, on a free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["transformers", "serve", str(tiny_lm), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    command[:1] = [sys.executable, "-m", "transformers.cli.transformers"]
    log = tmp_path_factory.mktemp("serve") / "log"
    with open(log, "wb") as file:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            try:
                opener.open(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1", log
    finally:
        process.kill()
        process.wait()


def test_transformers_serve(server, tiny_lm, rows, tmp_path, run_script):
    url, log = server
    output = tmp_path / "out"
    options = ("--data", rows, "--base_url", url, "--model", tiny_lm, "--num_samples", 2, "--max_tokens", 8)
    out, err = run_script(*options)
    assert "rows.seed0.jsonl against rows.jsonl (bash): 20 tasks" in out, err
    assert [row["id"] for row in predictions(output)] == [row["id"] for row in read_benchmark(rows)]
    assert all(1 <= len(row["candidates"]) <= 2 for row in predictions(output))
    # This server gives one sample to a request, whatever `n` says.
    assert log.read_text().count("POST /v1/chat/completions HTTP/1.1") == 40
    results = json.loads((output / "results.json").read_text())
    assert results["data"]["rows"]["rows"] == 20 and results["settings"]["base_url"] == url
    assert "20/20" in err and "request/s" in err
    assert KEY not in out + err + texts_of(output) + log.read_text()


def test_transformers_serve_completions(server, tiny_lm, rows, tmp_path, run_script):
    url, log = server
    options = ("--data", rows, "--base_url", url, "--model", tiny_lm, "--num_samples", 1, "--max_tokens", 4)
    _, err = run_script(*options, "--api", "completions")
    assert len(read_predictions(tmp_path / "out" / "rows.seed0.jsonl")) == 20, err
    assert log.read_text().count("POST /v1/completions HTTP/1.1") == 20


# Interruptions.


def interrupted(stub: Stub, output: Path, rows: Path, number: int, signum: int) -> subprocess.CompletedProcess:
    """Runs the script until the stub has given so many answers."""
    options = ["--language", "bash", "--train_file", TRAIN, "--retriever", "tfidf", "--num_workers", 2]
    options += ["--output_dir", output, "--data", rows, "--base_url", stub.url, "--model", "m"]
    process = subprocess.Popen(
        list(map(str, [sys.executable, SCRIPT, *options])),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPENAI_API_KEY": KEY, "OMP_NUM_THREADS": "1"},
        # A shell's background jobs, and what they start, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    end, stub.hold_at = time.monotonic() + 200, number
    while stub.answered < number and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signum)
    time.sleep(3)  # to react in, beside other work
    stub.hold_at = None
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def test_resumes_after_kill_and_ctrl_c(rows, tmp_path, run_script):
    output, cache = tmp_path / "out", tmp_path / "out" / "cache.jsonl"
    with Stub(delay=0.1) as stub:
        killed = interrupted(stub, output, rows, 6, signal.SIGKILL)
        assert killed.returncode == -signal.SIGKILL
        assert not (output / "rows.seed0.jsonl").exists()
        saved = cache.read_bytes().count(b"\n")
        assert stub.answered - 2 <= saved <= stub.answered < 20  # no more is lost than was under way
        with open(cache, "ab") as file:
            file.write(b'{"key": "half a li')

        asked, stub.answered = len(stub.bodies), 0
        stopped = interrupted(stub, output, rows, 6, signal.SIGINT)
        assert stopped.returncode == 130
        assert "interrupted" in stopped.stderr and "run the same command again" in stopped.stderr
        assert "Traceback" not in stopped.stderr
        saved_by_two = cache.read_bytes().count(b"\n")
        assert saved < saved_by_two < 20
        assert saved_by_two - saved <= len(stub.bodies) - asked <= saved_by_two - saved + 2

        stub.delay, asked = 0, len(stub.bodies)
        options = ("--data", rows, "--base_url", stub.url, "--model", "m")
        _, err = run_script(*options)
        assert len(stub.bodies) - asked == 20 - saved_by_two, err
        run_script(*options)
        assert len(stub.bodies) - asked == 20 - saved_by_two, "a complete run asks for nothing"
    assert seconds_per_row(output) is None
    with Stub() as stub:
        run_script("--data", rows, "--base_url", stub.url, "--model", "m", output=tmp_path / "whole")
        assert len(stub.bodies) == 20
    assert 0 < seconds_per_row(tmp_path / "whole") < 10
    name = "rows.seed0.jsonl"
    assert (output / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert KEY not in killed.stdout + killed.stderr + stopped.stdout + stopped.stderr + texts_of(output)


def test_cache(tmp_path):
    path = tmp_path / "cache.jsonl"
    with fewshot.CompletionCache(path) as cache:
        cache.add("a", [{"text": "ls\ud800\n", "score": None}])
        assert path.read_bytes().count(b"\n") == 1, "written at once"
        cache.add("b", [{"text": "é", "score": -1.5}])
        cache.add("a", [{"text": "ls -a", "score": None}])
    path.write_bytes(path.read_bytes() + b'{"key": "c", "choi')
    with fewshot.CompletionCache(path) as cache:
        assert [choice["text"] for choice in cache["a"]] == ["ls\ud800\n", "ls -a"]
        assert cache["c"] == [] and cache["b"] == [{"text": "é", "score": -1.5}]
        cache.add("c", [])
    assert path.read_bytes().endswith(b'{"key": "c", "choices": []}\n')
    path.write_text('{"key": "a"}\n')
    with pytest.raises(ValueError, match="line 1: no answer of a model"):
        fewshot.CompletionCache(path)


# The key.


def test_no_key(rows, run_script, monkeypatch):
    arguments = ("--data", rows, "--base_url", "http://127.0.0.1:9/v1", "--model", "m")
    for key in (None, "", " \n"):
        out, err = run_script(*arguments, key=key)
        message = "run_fewshot_baseline.py: error: no API key: set the environment variable OPENAI_API_KEY"
        assert out == "" and err.startswith(message) and "\n" not in err
    monkeypatch.setenv("OTHER_KEY", "two words")
    _, err = run_script(*arguments, "--api_key_env", "OTHER_KEY", key=None)
    assert "OTHER_KEY holds no API key" in err and "two words" not in err
    with Stub() as stub:
        monkeypatch.setenv("OTHER_KEY", f" {KEY}\n")
        run_script("--data", rows, "--base_url", stub.url, "--model", "m", "--api_key_env", "OTHER_KEY", key=None)
        assert stub.keys == {f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--api_key", KEY], "is no argument"),
        ([f"--api-key={KEY}"], "is no argument"),
        (["--api_key_env", KEY], "give its name"),
        (["--base_url", f"http://127.0.0.1/{KEY}"], "stands in an argument"),
        (["--base_url", f"http://user:{KEY[:-1]}@127.0.0.1/v1"], "a key belongs in the environment"),
        (["--base_url", f"http://127.0.0.1/v1?key={KEY[:-1]}"], "a key belongs in the environment"),
    ],
)
def test_key_in_an_argument(arguments, message, rows, tmp_path, run_script):
    out, err = run_script("--data", rows, "--model", "m", *arguments)
    assert message in err and "\n" not in err
    assert KEY[:-1] not in out + err and not (tmp_path / "out").exists()


def echo(status: int, content_type: str = "application/json", content: bytes = b'{"error": {"message": "%s"}}'):
    """A failure whose text holds the key of the request."""

    def failure(handler):
        key = handler.headers["Authorization"].encode()
        handler.send(status, content % key, {"Content-Type": content_type, "x-should-retry": "false"})

    return failure


@pytest.mark.parametrize(
    "failure",
    [
        echo(401),
        echo(403, "text/html", b"<p>" + 290 * b"x" + b"%s</p>"),  # cut in the middle of the key
        echo(500),
        echo(200),
        echo(200, "text/plain", b'{"choices": "%s"}'),
    ],
)
def test_error_that_echoes_the_key(failure, rows, tmp_path, run_script):
    with Stub([failure]) as stub:
        arguments = ("--data", rows, "--base_url", stub.url, "--model", "m", "--num_workers", 1, "--max_retries", 0)
        out, err = run_script(*arguments)
    assert stub.keys == {f"Bearer {KEY}"} and len(stub.bodies) == 1
    last = err.splitlines()[-1]
    assert last.startswith("run_fewshot_baseline.py: error: ") and stub.url in last
    assert "Traceback" not in err and "cache.jsonl" in last
    assert KEY not in out + err + texts_of(tmp_path / "out")
    assert KEY[:12] not in err
    assert ("; check the API key" in last) == ("answers 401" in last or "answers 403" in last)


def test_answer_that_echoes_the_key(rows, tmp_path, run_script):
    content = json.dumps({"choices": [{"message": {"content": "curl -H '%s'"}}]}).encode()
    with Stub([echo(200, content=content)]) as stub:
        out, err = run_script("--data", rows, "--base_url", stub.url, "--model", "m", "--num_samples", 1)
    texts = out + err + texts_of(tmp_path / "out")
    assert KEY not in texts and "Bearer [key]" in texts


def test_short_keys_are_placeholders():
    assert completions.redact("python x.py", "x") == "python x.py"


# Failures of the server.


def status(code: int, **headers):
    return lambda handler: handler.send(code, {"error": {"message": "no"}}, headers)


def text(content: bytes, content_type: str = "application/json"):
    return lambda handler: handler.send(200, content, {"Content-Type": content_type})


def requests(number: int, **options) -> list[fewshot.Request]:
    """Requests for the stub, of one sample each by default."""
    options = {"num_samples": 1, "parameters": {"logprobs": True, "temperature": 1, "seed": 0}, **options}
    examples = [{"nl": f"list {i}", "code": f"ls {i}"} for i in range(5)]
    return [
        fewshot.Request(fewshot.build_prompt({"nl": f"row {i}"}, examples, "bash"), **options) for i in range(number)
    ]


def ask(stub: Stub, tmp_path: Path, asked: list[fewshot.Request], **options):
    backend = completions.OpenAIBackend("m", KEY, stub.url, **options)
    with fewshot.CompletionCache(tmp_path / "cache.jsonl") as cache:
        return fewshot.answer(backend, asked, cache)


def test_retries(tmp_path):
    failures = [
        status(429, **{"Retry-After": "1"}),
        status(500),
        text(b'{"choices": [{"mess'),
        text(b"<html>busy</html>", "text/html"),
        lambda handler: time.sleep(1.5),  # longer than the time-out, and then the connection closes
        lambda handler: handler.connection.shutdown(socket.SHUT_RDWR),
    ]
    with Stub(failures) as stub:
        [[choice]], refused = ask(stub, tmp_path, requests(1), timeout=1, max_retries=3)
    assert choice == {"text": "```bash\nls 0\n```", "score": -1.0} and refused == {}
    assert len(stub.bodies) == 7
    assert stub.times[1] - stub.times[0] >= 1, "Retry-After"
    assert all(0.2 < after - before < 10 for before, after in itertools.pairwise(stub.times[1:])), "backoff"


def test_retry_after_a_date(tmp_path):
    with Stub([lambda handler: status(429, **{"Retry-After": formatdate(time.time() + 3)})(handler)]) as stub:
        ask(stub, tmp_path, requests(1))
    assert stub.times[1] - stub.times[0] >= 1.5  # dates have whole seconds


@pytest.mark.parametrize(
    ("failure", "timeout", "message"),
    [
        (status(429, **{"Retry-After": "0.1"}), 30, "answers 429"),
        (text(b"no JSON"), 30, "gives no usable answer (tried 2 times): Expecting value"),
        (text(b'{"choices": []}'), 30, 'no completion: {"choices": []}'),
        (lambda handler: time.sleep(0.5), 0.2, "gives no answer within 0.2 s (tried 2 times)"),
    ],
)
def test_lasting_failures(failure, timeout, message, tmp_path):
    with Stub([failure] * 9) as stub, pytest.raises(RuntimeError) as error:
        ask(stub, tmp_path, requests(1), timeout=timeout, max_retries=1)
    assert message in str(error.value) and len(stub.bodies) == 2


def test_wrong_base_url(rows, run_script):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"  # nobody listens
        arguments = ("--data", rows, "--base_url", url, "--model", "m", "--max_retries", 1)
        _, err = run_script(*arguments)
    assert f"error: cannot reach {url} (tried 2 times): " in err.splitlines()[-1] and "Traceback" not in err
    with Stub([status(404)] * 4) as stub:
        _, err = run_script("--data", rows, "--base_url", stub.url, "--model", "m")
    assert "answers 404" in err and "check the base URL (it usually ends in /v1) and the model" in err


def test_refused_rows(rows, tmp_path, run_script):
    refused = read_benchmark(rows)[3]
    with Stub(refuse=source_text(refused["nl"])) as stub:
        arguments = ("--data", rows, "--base_url", stub.url, "--model", "m", "--num_workers", 1)
        _, err = run_script(*arguments)
        assert "1 prompts were refused and get no program: " in err and "filtered, Bearer [key]" in err
        assert len(stub.bodies) == 20
        assert [row["id"] for row in predictions(tmp_path / "out") if not row["candidates"]] == [refused["id"]]
        assert json.loads((tmp_path / "out" / "results.json").read_text())["data"]["rows"]["refused"] == 1
        run_script(*arguments)
        assert len(stub.bodies) == 21, "a refused row is asked again"
    with Stub(refuse="e") as stub:
        _, err = run_script("--data", rows, "--base_url", stub.url, "--model", "m", output=tmp_path / "none")
        assert "error: " in err and "answers 400" in err, "nothing was ever answered: the request is wrong"


def test_rate_limit_and_workers(tmp_path):
    with Stub([status(500)]) as stub:
        ask(stub, tmp_path, requests(7), requests_per_minute=240, num_workers=3)
    assert len(stub.times) == 8 and stub.times[-1] - stub.times[0] > 1.4  # 0.25 s apart, the retry included
    with Stub(delay=0.3) as stub:
        ask(stub, tmp_path, requests(9, parameters={"logprobs": True}), num_workers=3)
    assert stub.most_under_way == 3


def test_samples(tmp_path):
    with Stub(samples=2) as stub:
        [choices], _ = ask(stub, tmp_path, requests(1, num_samples=5))
        assert [(body.get("n", 1), body["seed"]) for body in stub.bodies] == [(5, 0), (3, 2), (1, 4)]
        assert [choice["text"][8:12] for choice in choices] == ["ls 0", "ls 1", "ls 2", "ls 3", "ls 4"]
        [fewer, same], _ = ask(stub, tmp_path, 2 * requests(1, num_samples=3))
        assert fewer == same == choices[:3] and len(stub.bodies) == 3, "fewer samples are in the cache"
        ask(stub, tmp_path, requests(1, num_samples=6))
        assert len(stub.bodies) == 4 and "n" not in stub.bodies[3], "one more is asked for"
        other = {"logprobs": False, "temperature": 0}
        [[choice]], _ = ask(stub, tmp_path, requests(1, parameters=other))
        assert choice["score"] is None and "seed" not in stub.bodies[4]


def test_completions_api(rows, tmp_path, run_script):
    with Stub() as stub:
        options = ("--request_options", '{"seed": null, "top_p": 0.9, "max_tokens": 7}', "--temperatures", "0.3")
        options += ("--api", "completions", "--num_examples", 3, "--requests_per_minute", 1200, "--timeout", 30)
        out, _ = run_script("--data", rows, "--base_url", stub.url, "--model", "m", *options)
    assert stub.times[-1] - stub.times[0] > 0.7, "20 requests, 0.05 s apart"
    body = stub.bodies[0]
    assert {name: value for name, value in body.items() if name != "prompt"} == {
        **{"model": "m", "temperature": 0.3, "max_tokens": 7, "top_p": 0.9, "n": 5},
        **{"logprobs": 1, "stop": ["\nDescription:"]},
    }
    assert body["prompt"].count("\n\nDescription: ") == 4 and body["prompt"].endswith("\nCode:")
    first = predictions(tmp_path / "out")[0]["candidates"]
    assert len(first) == 3 and first[0]["score"] == -1.0 and first[0]["valid"] is True
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["settings"]["temperature"] == 0.3 and results["settings"]["api"] == "completions"
    # Each row's own program stands in the prompt, with the row in other words.
    assert results["data"]["rows"]["mean"]["bash_template_match"]["top_1"] == 1
    assert results["data"]["rows"]["clean"]["tasks"] == 0 and "bash_template_match" in out


def test_temperature_of_dev(rows, tmp_path, run_script):
    # A part of the training file: its rows must not stand in a prompt, either.
    dev = tmp_path / "dev.jsonl"
    dev.write_text("".join(TRAIN.read_text().splitlines(keepends=True)[20:24]))
    asked = {row["nl"].rstrip(".") for row in read_benchmark(dev)}

    with Stub() as stub:
        arguments = ("--data", rows, "--base_url", stub.url, "--model", "m", "--temperatures", "0.5", "0")
        _, err = run_script(*arguments, "--dev_file", dev)
    temperatures = [body["temperature"] for body in stub.bodies]
    assert temperatures == [0.5] * 4 + [0] * 24, "equally good: the lower one"
    assert {body.get("n", 1) for body in stub.bodies if body["temperature"] == 0} == {1}
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["settings"]["temperature"] == 0 and set(results["dev"]["scores"]) == {"0", "0.5"}
    assert results["dev"]["metric"] == "bash_template_match top_1" and results["examples"]["left_out"] == 4
    assert "4 left out" in err
    for body in stub.bodies:
        examples = {message["content"].split("\n\n")[-1] for message in body["messages"][:-1:2]}
        assert len(examples) == 5 and not examples & asked


def test_python_with_an_encoder(tmp_path, run_script, tiny_encoder):
    files = {"train": range(6), "rows": range(6, 8), "dev": range(8, 10)}
    for name, numbers in files.items():
        rows = [{"id": i, "nl": f"assign {i} to x", "code": f"x = {i}"} for i in numbers]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with Stub() as stub:
        arguments = ["--data", tmp_path / "rows.jsonl", "--base_url", stub.url, "--model", "m", "--num_layers", 1]
        arguments += ["--train_file", tmp_path / "train.jsonl", "--dev_file", tmp_path / "dev.jsonl"]
        arguments += ["--temperatures", 0.5, 1, "--num_return_sequences", 2]
        for options, metric in (([], "chrf"), (["--encoder", tiny_encoder], "code_bertscore")):
            _, err = run_script(*arguments, *options, language="python")
            results = json.loads((tmp_path / "out" / "results.json").read_text())
            assert results["dev"]["metric"] == f"{metric} top_1", err
            assert ("code_bertscore" in results["data"]["rows"]["mean"]) == bool(options)
    assert [len(row["candidates"]) for row in predictions(tmp_path / "out")] == [2, 2], "of five"


# Prompts and answers.


def test_evaluation_rows_are_no_examples():
    train = [{"nl": nl, "code": "ls"} for nl in ("List files", "list  FILES.", "list all files")]
    assert fewshot.usable_examples(train, [{"nl": "list files!"}]) == train[2:]


def test_validation_rows_never_stand_in_a_prompt(tmp_path, run_script):
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(TRAIN.read_text().splitlines(keepends=True)[:8]))
    with Stub() as stub:
        _, err = run_script("--data", data, "--base_url", stub.url, "--model", "m")
    assert "8 left out: their utterance is asked for" in err and len(stub.bodies) == 8
    asked = {body["messages"][-1]["content"] for body in stub.bodies}
    shown = {message["content"].split("\n\n")[-1] for body in stub.bodies for message in body["messages"][:-1:2]}
    assert len(asked) == 8 and len(shown) > 5 and not asked & shown


def test_prompts():
    table = {"columns": ["Order", "Status"], "rows": [[1, "Open"]]}
    examples = [{"nl": "near.", "code": "Top(1)", "table": table}, {"nl": "far", "code": "Top(2)"}]
    messages = fewshot.build_prompt({"nl": "all open orders", "table": table}, examples, "cf")
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert messages[0]["content"] == f"{fewshot.INSTRUCTIONS['cf']}\n\nfar"
    assert [message["content"] for message in messages[2:]] == [
        "near | c[0] Order number c[1] Status text",
        "Top(1)",
        "all open orders | c[0] Order number @ orders c[1] Status text = Open",
    ]
    prompt = fewshot.build_prompt({"nl": "q"}, examples[1:], "python", "completions")
    assert prompt == f"{fewshot.INSTRUCTIONS['python']}\n\nDescription: far\nCode: Top(2)\n\nDescription: q\nCode:"
    with pytest.raises(ValueError, match="`api` must be one of chat, completions, got 'text'"):
        fewshot.build_prompt({"nl": "q"}, [], "bash", "text")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("ls -l", "ls -l"),
        ("  ls -l\n", "ls -l"),
        ("```bash\nls -l\n```", "ls -l"),
        ("Here it is:\n\n```sh\nls \\\n  -l\n```\nIt lists `files`.", "ls \\\n  -l"),
        ("```\nls -l", "ls -l"),  # cut by max_tokens
        ("`ls -l`", "ls -l"),
        ("``ls -l``", "ls -l"),
        ("The command is: `ls -l`.", "ls -l"),
        ("Code: ls -l", "ls -l"),
        ("echo `date`", "echo `date`"),
        ("x=`date`; echo $x", "x=`date`; echo $x"),
        ("ls -l\nDescription: next\nCode: cat", "ls -l"),
        ("<think>maybe `cat`?</think>\nls -l", "ls -l"),
        ("l\x00s\ud800 -l", "ls -l"),
        ("", ""),
        ("``````", "``````"),
        ("```", "```"),
    ],
)
def test_extract_code(answer, code):
    assert fewshot.extract_code(answer, "bash") == code


def test_extract_code_of_other_languages():
    assert fewshot.extract_code("Top(3)\nThis is the rule.", "cf") == "Top(3)"
    assert fewshot.extract_code("```python\ndef f():\n    return 1\n```", "python") == "def f():\n    return 1"


def test_candidates():
    choices = [("top(3)", -2.0), ("Top(3)", -1.0), ("", -0.1), ("Top(", -0.5), ("Unique()", -3.0)]
    choices = [{"text": text, "score": score} for text, score in choices]
    assert fewshot.to_candidates(choices, "cf") == [
        {"code": "Top(", "score": -0.5, "valid": False},
        {"code": "Top(3)", "score": -1.0, "valid": True},
        {"code": "Unique()", "score": -3.0, "valid": True},
    ]
    choices[0]["score"] = None
    ranked = fewshot.to_candidates(choices, "cf", 2)
    assert [candidate["code"] for candidate in ranked] == ["Top(3)", "Top("], "as they came"
    assert fewshot.mean_log_probability([-1.0, -2.0]) == -1.5
    assert fewshot.mean_log_probability([]) is fewshot.mean_log_probability([float("-inf")]) is None


# Models of this machine.


@pytest.fixture(scope="module")
def tiny_t5(tiny_lm, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tiny-t5")
    tokenizer = AutoTokenizer.from_pretrained(tiny_lm)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
        **ends,
    )
    T5ForConditionalGeneration(config).save_pretrained(path)
    return path


@pytest.mark.parametrize("decoding", [[], ["--temperatures", "0"], ["--temperatures", "0.8", "--num_samples", "3"]])
@pytest.mark.parametrize("model", ["tiny_lm", "tiny_t5"])
def test_local_model(model, decoding, request, rows, tmp_path, run_script):
    path = request.getfixturevalue(model)
    state = torch.random.get_rng_state()
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[:2]))
    arguments = ("--local_model", path, "--data", rows, "--max_tokens", 6, "--num_beams", 4, *decoding)
    _, err = run_script(*arguments, key=None)
    assert torch.equal(state, torch.random.get_rng_state()), "the global generator is put back"
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    expected = {(): 4, "0": 1, "0.8": 3}[decoding[1] if decoding else ()]
    assert results["model"] == path.name and results["settings"]["num_samples"] == expected and results["weights"]
    choices = [json.loads(line)["choices"] for line in (tmp_path / "out" / "cache.jsonl").read_text().splitlines()]
    assert [len(some) for some in choices] == [expected] * 2, err
    assert all(choice["score"] < 0 for some in choices for choice in some)
    cache = (tmp_path / "out" / "cache.jsonl").read_bytes()
    run_script(*arguments, key=None)
    assert (tmp_path / "out" / "cache.jsonl").read_bytes() == cache, "the cache answers"
    run_script(*arguments, key=None, output=tmp_path / "again")
    assert (tmp_path / "again" / "cache.jsonl").read_bytes() == cache, "the seed decides"


def test_scores_of_a_local_model(tiny_lm, tmp_path):
    # Greedy search: the score must be that of a forward pass over prompt and answer.
    backend = completions.LocalBackend(str(tiny_lm))
    asked = fewshot.Request("Description: a\nCode:", {"max_tokens": 5, "temperature": 0}, 1)
    with fewshot.CompletionCache(tmp_path / "cache.jsonl") as cache:
        [[choice]], _ = fewshot.answer(backend, [asked], cache)
    ids = backend.tokenizer(asked.prompt, return_tensors="pt").input_ids
    total, count = 0.0, 0
    with torch.no_grad():
        for _ in range(5):
            value, token = backend.model(ids).logits[0, -1].log_softmax(-1).max(-1)
            total, count = total + value.item(), count + 1
            ids = torch.cat([ids, token.view(1, 1)], 1)
            if token == backend.tokenizer.eos_token_id:
                break
    assert choice["score"] == pytest.approx(total / count, abs=1e-4)


def test_local_chat(tiny_lm, tiny_t5, rows, tmp_path, run_script):
    rows.write_text(rows.read_text().splitlines(keepends=True)[0])
    arguments = ("--data", rows, "--api", "chat", "--max_tokens", 3)
    _, err = run_script("--local_model", tiny_lm, *arguments, key=None)
    assert len(predictions(tmp_path / "out")) == 1, err
    _, err = run_script("--local_model", tiny_t5, *arguments, key=None)
    assert "error: the tokenizer has no chat template: use the API completions" in err


# Bad input.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "m", "--temperatures", "0", "1"], "several --temperatures need a --dev_file"),
        (["--model", "m", "--temperatures", "3"], "distinct numbers from 0 to 2, got [3.0]"),
        (["--model", "m", "--temperatures", "1", "1"], "distinct numbers from 0 to 2"),
        (["--model", "m", "--request_options", "[1]"], "--request_options must be a JSON object"),
        (["--model", "m", "--max_retries", "-1"], "--max_retries must be at least 0, got -1"),
        (["--model", "m", "--base_url", "127.0.0.1:8000"], "the base URL must look like http://127.0.0.1:8000/v1"),
        (["--model", "m", "--base_url", "http://127.0.0.1:x/v1"], "the base URL must look like"),
        (["--model", "m", "--data", "a/rows.jsonl", "b/rows.jsonl"], "the files of --data need different names"),
        (["--local_model", "missing"], "missing is no folder: load the model first"),
        (["--local_model", str(FIXTURES)], "cannot load the model in"),
        (["--local_model", "m", "--base_url", "http://a/v1"], "are for --model, not --local_model"),
    ],
)
def test_bad_input(arguments, message, rows, run_script):
    out, err = run_script("--data", rows, *arguments)
    assert err.startswith("run_fewshot_baseline.py: error: ") and message in err and "\n" not in err and not out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of the arguments --model --local_model is required"),
        (["--model", "m", "--num_samples", "0"], "argument --num_samples: invalid positive int value: '0'"),
        (["--model", "m", "--timeout", "inf"], "argument --timeout: invalid positive float value: 'inf'"),
        (["--model", "m", "--retriever", "x"], "invalid choice: 'x'"),
    ],
)
def test_bad_options(arguments, message, rows, run_script):
    _, err = run_script("--data", rows, *arguments)
    assert message in err


def test_too_long_prompt(tiny_lm, rows, run_script):
    _, err = run_script("--local_model", tiny_lm, "--data", rows, "--max_tokens", 1020, key=None)
    assert "the model reads at most 1024: use fewer examples" in err
