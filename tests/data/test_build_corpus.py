"""From a StackExchange dump, notebooks and files to the pre-training corpus."""

import importlib.util
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import dill
import nbformat
import pytest
from nbformat import v4

from codefusion_hf.data.extraction import stackexchange
from codefusion_hf.data.extraction.folders import (
    Block,
    detect_license,
    find_files,
    first_sentence,
    last_paragraph,
    markdown_blocks,
)
from codefusion_hf.data.extraction.programs import extract_programs, find_fault
from codefusion_hf.data.extraction.stackexchange import code_blocks, license_of, read_posts, tags_of
from codefusion_hf.data.extraction.steps import EvaluationFilter, minhash_config, share


SCRIPT = Path(__file__).parents[2] / "examples" / "build_corpus.py"
MIT = "MIT License\n\nPermission is hereby granted, free of charge, to any person\nobtaining a copy of this software"


def write_dump(path, posts):
    """A `Posts.xml` as archive.org has it: one row on each line, after a byte order mark."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for post in posts:
        attributes = " ".join(f"{key}={quoteattr(value, {chr(10): '&#xA;'})}" for key, value in post.items())
        lines.append(f"  <row {attributes} />")
    text = '\ufeff<?xml version="1.0" encoding="utf-8"?>\n<posts>\n' + "\n".join(lines) + "\n</posts>"
    path.write_text(text, encoding="utf-8")
    return path


def question(number, title, body, tags="<python><list>", **more):
    return {"Id": f"{number}", "PostTypeId": "1", "CreationDate": "2019-01-01T00:00:00.000", "Title": title} | {
        "Tags": tags,
        "Body": body,
        **more,
    }


def answer(number, parent, body, date="2019-01-02T10:00:00.000", **more):
    return {"Id": f"{number}", "PostTypeId": "2", "ParentId": f"{parent}", "CreationDate": date, "Body": body, **more}


def pre(code, hint=None):
    marks = f' class="lang-{hint} prettyprint-override"' if hint else ""
    return f"<p>Like <code>this</code>:</p>\n\n<pre{marks}><code>{escape(code)}\n</code></pre>\n"


POSTS = [
    question(1, 'How to sort a list of "words" & numbers < 10?', pre("words = sorted(words)\nprint words")),
    answer(2, 1, pre("words.sort(key=lambda word: (len(word), word < 'm'))"), "2011-04-07T23:59:59.999"),
    answer(
        3,
        1,
        "<p>In a session</p>" + pre(">>> def f(x):\n...     return x & 1\n... \n>>> f(3)\n1\n>>> f(4)\n0"),
        "2018-05-01T00:00:00.000",
    ),
    question(4, "Wie geht das in Java?", pre("n = 1 + k"), "<java>"),
    answer(5, 4, pre("numbers = sorted(numbers, reverse=True)")),
    question(
        6,
        "Count the lines of a file",
        pre("with open(path) as f:  # slow\n    n = len(f.readlines())") + "<p>Key: <pre>not code</pre></p>",
        "|python-3.x|file|",
    ),
    answer(
        7,
        6,
        pre("$.ajax(url)", "js") + pre("sum(1 for _ in open('a.txt'))", "py") + pre("['output', 3]") + pre("n += 1"),
        ContentLicense="CC BY-SA 3.0",
    ),
    answer(8, 6, pre('words.sort(key = lambda word: (len(word), word < "m"))')),  # as in 2
    answer(9, 6, pre("total = sum(1 for _ in open('b.txt'))\nprint(total, 'lines')")),
    answer(10, 6, pre("total = sum(1 for _ in open('c.txt'))\nprint(total, 'rows')")),  # literals only
    answer(11, 1, pre("import operator\nbest = max(scores.items(), key=operator.itemgetter(1))[0]")),
    answer(12, 1, pre("client = connect(token='0f3ac81b9d7e44c2a6b1')")),
    question(13, "Largest value of a dict", "<p>No code.</p>"),
    answer(14, 13, pre("largest = max(counts, key=counts.get)")),
    {"Id": "15", "PostTypeId": "5", "CreationDate": "2019-01-01T00:00:00.000", "Body": pre("wiki = True")},
]
EVAL = [
    {"id": 1, "nl": "key of the best score", "code": "best = max(scores.items(), key=operator.itemgetter(1))[0]"},
    {"id": 2, "nl": "largest value of  a dict", "code": "max(d)"},
]
SITE = "stackexchange:example.stackexchange.com"
TITLE = 'How to sort a list of "words" & numbers < 10?'
ROWS = [
    {
        "code": "words.sort(key=lambda word: (len(word), word < 'm'))",
        "nl": TITLE,
        "source": SITE,
        "license": "CC-BY-SA-2.5",
        "path": "a/2",
    },
    {
        "code": "def f(x):\n    return x & 1\nf(3)\nf(4)",
        "nl": TITLE,
        "source": SITE,
        "license": "CC-BY-SA-3.0",
        "path": "a/3",
    },
    {
        "code": "with open(path) as f:\n    n = len(f.readlines())",
        "nl": None,
        "source": SITE,
        "license": "CC-BY-SA-4.0",
        "path": "q/6",
    },
    {
        "code": "sum((1 for _ in open('a.txt')))",
        "nl": "Count the lines of a file",
        "source": SITE,
        "license": "CC-BY-SA-3.0",
        "path": "a/7",
    },
    {
        "code": "n += 1",
        "nl": "Count the lines of a file",
        "source": SITE,
        "license": "CC-BY-SA-3.0",
        "path": "a/7",
    },
    {
        "code": "total = sum((1 for _ in open('b.txt')))\nprint(total, 'lines')",
        "nl": "Count the lines of a file",
        "source": SITE,
        "license": "CC-BY-SA-4.0",
        "path": "a/9",
    },
]
DROPPED = {
    "duplicate": 1,
    "evaluation_code": 1,
    "evaluation_utterance": 1,
    "invalid": 1,
    "near_duplicate": 1,
    "no_names": 1,
    "other_language": 1,
    "secret": 1,
}


@pytest.fixture
def build(monkeypatch, capsys):
    """Runs the script in this process, as a user would from a shell, and gives what it prints."""
    spec = importlib.util.spec_from_file_location("build_corpus", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        script.main()
        return capsys.readouterr().out

    run.script = script
    return run


@pytest.fixture
def dump(tmp_path):
    return write_dump(tmp_path / "example.stackexchange.com" / "Posts.xml", POSTS)


@pytest.fixture
def evaluation(tmp_path):
    path = tmp_path / "val.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in EVAL))
    return path


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def report_of(output):
    return json.loads(output.with_name(f"{output.stem}.report.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("tasks", "workers"), [(1, 1), (3, 2), (9, -1)])
def test_dump_to_rows(build, dump, evaluation, tmp_path, tasks, workers):
    output = tmp_path / "out" / "corpus.jsonl"
    options = ("--language", "python", "--posts", dump, "--decontaminate", evaluation, "--output", output)
    printed = build(*options, "--tasks", tasks, "--workers", workers)
    assert read(output) == ROWS
    report = report_of(output)
    assert report["sources"] == {SITE: {"candidates": 14, "kept": 6, "dropped": DROPPED}}
    assert report["rows"] == 6 and report["output"] == "corpus.jsonl"
    table = [line.split() for line in printed.splitlines()]
    assert table[0] == [SITE, "all"] and ["candidates", "14", "14"] in table and ["secret", "1", "1"] in table


def test_second_run_and_changes(build, dump, evaluation, tmp_path):
    output = tmp_path / "corpus.jsonl"
    options = ("--language", "python", "--posts", dump, "--output", output)
    build(*options, "--decontaminate", evaluation)
    written, stamp = output.read_bytes(), output.stat().st_mtime_ns
    again = build(*options, "--decontaminate", evaluation)
    assert "is up to date with 6 rows: nothing to do" in again and "near_duplicate" in again
    assert output.stat().st_mtime_ns == stamp

    output.unlink()  # only the last step is done again
    logs = tmp_path / "corpus.jsonl.work" / "logs-extract" / "completions" / "00000"
    extracted = logs.stat().st_mtime_ns
    build(*options, "--decontaminate", evaluation)
    assert output.read_bytes() == written and logs.stat().st_mtime_ns == extracted

    output.write_bytes(written + b"{}\n")
    with pytest.raises(ValueError, match="corpus.jsonl is not what .*corpus.report.json reports: --overwrite"):
        build(*options, "--decontaminate", evaluation)
    with pytest.raises(ValueError, match="run with other min_chars, decontaminate, tasks: --overwrite starts again"):
        build(*options, "--min_chars", 9, "--tasks", 2)
    build(*options, "--decontaminate", evaluation, "--overwrite")
    assert output.read_bytes() == written

    write_dump(dump, POSTS[:3])
    with pytest.raises(ValueError, match="of a run with other inputs"):
        build(*options, "--decontaminate", evaluation)
    build(*options, "--decontaminate", evaluation, "--overwrite")
    assert read(output) == ROWS[:2]


def test_resumes_after_a_kill(build, tmp_path):
    posts = [question(1, "How to do it?", "")]
    for number in range(2, 500):
        posts.append(answer(number, 1, pre(f"def work_{number}(x):\n    return [x + {number} for x in range(x)]")))
        posts.append(answer(number + 5000, 1, pre(f"for k_{number} in d.values():\n    print(k_{number // 2}, 1)")))
    dump = write_dump(tmp_path / "a.stackexchange.com" / "Posts.xml", posts)
    options = ("--language", "python", "--posts", dump, "--tasks", 12, "--workers", 1)
    build(*options, "--output", tmp_path / "whole.jsonl")

    output = tmp_path / "killed.jsonl"
    command = [sys.executable, SCRIPT, *options, "--output", output]
    process = subprocess.Popen(list(map(str, command)), start_new_session=True, stderr=subprocess.DEVNULL)
    completed = tmp_path / "killed.jsonl.work" / "logs-extract" / "completions"
    while not (completed / "00002").exists():
        assert process.poll() is None, "it must be running still"
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)  # nothing has the time to clean up
    process.wait()
    done = {path.name: path.stat().st_mtime_ns for path in completed.iterdir()}
    assert 3 <= len(done) < 12 and not output.exists()

    build(*options, "--output", output)
    assert {name: (completed / name).stat().st_mtime_ns for name in done} == done, "what was complete is kept"
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert report_of(output)["sources"] == report_of(tmp_path / "whole.jsonl")["sources"]
    assert report_of(output)["rows"] > 400


def write_notebook(path, *cells, **metadata):
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [v4.new_markdown_cell(text[3:]) if text.startswith("md:") else v4.new_code_cell(text) for text in cells]
    nbformat.write(v4.new_notebook(cells=cells, metadata=metadata), path)


@pytest.fixture
def folders(tmp_path):
    books = tmp_path / "books"
    write_notebook(
        books / "a" / "one.ipynb",
        "md:# Load the data\n\nWe read the [table](x.html) with **pandas**:",
        "%matplotlib inline\nimport pandas as pd  # the library\ndf = pd.read_csv('a.csv')\ndf.head?",
        "!head -n 3 a.csv\n!pip install foo\ndf.describe()",
        "%%bash\nls -l *.csv | wc -l",
        "%%html\n<b>bold</b>",
    )
    write_notebook(books / "r.ipynb", "x <- c(1, 2)", kernelspec={"name": "ir", "language": "R", "display_name": "R"})
    write_notebook(books / ".ipynb_checkpoints" / "one.ipynb", "never = read()")
    (books / "broken.ipynb").write_text('{"cells": [')
    (books / "a" / "LICENSE").write_text(MIT)
    files = tmp_path / "files"
    (files / "sub").mkdir(parents=True)
    (files / "COPYING").write_text("Apache License\n   Version 2.0, January 2004")
    (files / "README.md").write_text(
        "# Tool\n\nCount the files:\n\n```sh\n$ ls | wc -l\n12\n$ find . -name '*.py' \\\n    -print\n```\n\n"
        "```\nls -la\n```\n\n~~~python\nprint(1 + n)\n~~~\n"
    )
    (files / "sub" / "tool.py").write_text(
        '"""A module."""\nimport os\n\n\nclass Tool:\n    def run(self):\n        """Runs the tool. Twice."""\n'
        "        return os.getcwd()\n\n\ndef size(path):\n    return os.stat(path).st_size\n"
    )
    return books, files


def test_notebooks_and_files(build, folders, tmp_path):
    books, files = folders
    output = tmp_path / "python.jsonl"
    build("--language", "python", "--notebooks", books, "--files", files, "--output", output, "--max_chars", 52)
    rows = [tuple(row.values()) for row in read(output)]
    assert rows == [
        (
            "import pandas as pd\ndf = pd.read_csv('a.csv')",
            "We read the table with pandas",
            "books",
            "MIT",
            "a/one.ipynb",
        ),
        ("df.describe()", None, "books", "MIT", "a/one.ipynb"),
        ("print(1 + n)", None, "files", "Apache-2.0", "README.md"),
        ("import os", None, "files", "Apache-2.0", "sub/tool.py"),
        ("def run(self):\n    return os.getcwd()", "Runs the tool", "files", "Apache-2.0", "sub/tool.py"),
        ("def size(path):\n    return os.stat(path).st_size", None, "files", "Apache-2.0", "sub/tool.py"),
    ]
    dropped = {name: entry["dropped"] for name, entry in report_of(output)["sources"].items()}
    assert dropped == {"books": {"no_license": 2, "other_language": 2}, "files": {"other_language": 2}}

    output = tmp_path / "bash.jsonl"
    options = ("--notebooks", books, "--files", files, "--license", "CC0-1.0", "--min_chars", 5)
    build("--language", "bash", *options, "--output", output)
    assert [(row["code"], row["nl"], row["license"]) for row in read(output)] == [
        ("head -n 3 a.csv", None, "MIT"),
        ("pip install foo", None, "MIT"),
        ("ls -l *.csv | wc -l", None, "MIT"),
        ("ls | wc -l", "Count the files", "Apache-2.0"),
        ("find . -name '*.py' -print", "Count the files", "Apache-2.0"),
    ]
    dropped = {name: entry["dropped"] for name, entry in report_of(output)["sources"].items()}
    assert dropped == {"books": {"damaged_file": 1, "other_language": 2}, "files": {"other_language": 2}}


def test_token_limits_and_tags(build, dump, tiny_cf, tmp_path):
    output = tmp_path / "corpus.jsonl"
    limits = ("--tokenizer_name", tiny_cf, "--min_tokens", 8, "--max_tokens", 30)
    elsewhere = ("--output", output, "--logging_dir", tmp_path / "logs")
    build("--language", "python", "--posts", dump, "--tags", "java", *limits, *elsewhere)
    assert (tmp_path / "logs" / "logs-merge" / "completions" / "00000").exists()
    assert [row["code"] for row in read(output)] == ["numbers = sorted(numbers, reverse=True)"]
    assert report_of(output)["sources"][SITE]["dropped"] == {"too_short": 1}


def test_powershell_is_text(build, tmp_path):
    session = "PS C:\\Users> Get-ChildItem -Recurse\n\n    Directory: C:\\\nPS C:\\Users> Get-Date"
    posts = [question(1, "List it", pre(session), "<powershell>"), answer(2, 1, pre("if ($a {"))]
    output = tmp_path / "corpus.jsonl"
    printed = build(
        "--language", "powershell", "--posts", write_dump(tmp_path / "Posts.xml", posts), "--output", output
    )
    assert "no parser for it" in printed
    assert [row["code"] for row in read(output)] == ["Get-ChildItem -Recurse", "Get-Date", "if ($a {"]


@pytest.mark.parametrize(("threshold", "kept"), [(0.8, 1), (1, 2)])
def test_near_duplicate_threshold(build, tmp_path, threshold, kept):
    commands = [
        f"find /home/me/src -type f -name '*.py' -newer stamp -size +10k -print | xargs grep -l {w}" for w in "ab"
    ]
    posts = [question(1, "x", "", "<bash>"), *(answer(2 + i, 1, pre(code)) for i, code in enumerate(commands))]
    dump, output = write_dump(tmp_path / "Posts.xml", posts), tmp_path / "corpus.jsonl"
    build("--language", "bash", "--posts", dump, "--output", output, "--near_duplicate_threshold", threshold)
    assert [row["code"] for row in read(output)] == commands[:kept]


def test_threshold_becomes_buckets():
    for threshold in (0.5, 0.7, 0.8, 0.9):
        config = minhash_config(threshold)
        buckets = config.num_buckets - 1
        assert (1 / buckets) ** (1 / config.hashes_per_bucket) == pytest.approx(threshold, abs=0.03)
    assert minhash_config(1).num_buckets == 1
    with pytest.raises(ValueError, match="from 0.5 to 1, got 0.4"):
        minhash_config(0.4)


SBATCH = """#!/bin/sh
# Takes the place of Slurm: keeps each script and the order to launch it, and says what its number is.
cd {folder}
number=$(ls *.slurm 2> /dev/null | wc -l)
echo "$@" > $number.arguments
for script in "$@"; do :; done
cp "$script" $number.slurm
echo "Submitted batch job 10$number"
"""


def test_slurm_jobs(build, dump, evaluation, tmp_path, monkeypatch):
    tools, output = tmp_path / "tools", tmp_path / "corpus.jsonl"
    tools.mkdir()
    for name, text in (("sbatch", SBATCH.format(folder=tools)), ("scontrol", "#!/bin/sh\necho node1\n")):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    options = ("--language", "python", "--posts", dump, "--decontaminate", evaluation, "--output", output)
    cluster = ("--executor", "slurm", "--partition", "cpu", "--time", "01:00:00", "--qos", "high", "--workers", 5)
    more = ("--cpus_per_task", 3, "--mem_per_cpu_gb", 7, "--env_command", "source activate-it")
    printed = build(*options, *cluster, *more, "--tasks", 2, "--near_duplicate_threshold", 1)
    assert "submitted" in printed and not output.exists()

    jobs = [
        (tools / f"{number}.slurm").read_text() for number in range(8)
    ]  # each followed by one that adds statistics
    names = ["questions", "extract", "match", "merge"]
    for name, job, array in zip(names, jobs[::2], ("0-1%5", "0-1%5", "0-0%5", "0-0%5")):
        for line in (
            "partition=cpu",
            "time=01:00:00",
            "qos=high",
            "cpus-per-task=3",
            "mem-per-cpu=7G",
            f"array={array}",
        ):
            assert f"#SBATCH --{line}\n" in job
        assert f"--job-name=corpus-{name}\n" in job and "\nsource activate-it\n" in job
        assert f"launch_pickled_pipeline {output}.work/logs-{name}/executor.pik" in job
    orders = [(tools / f"{number}.arguments").read_text() for number in range(0, 8, 2)]
    assert [order.partition("dependency=")[2].split()[:1] for order in orders] == [
        [],
        ["afterok:100"],
        ["afterok:102"],
        ["afterok:104"],
    ]

    monkeypatch.setenv("SLURM_NODELIST", "node1")  # what each task of the arrays then does
    for name, tasks in zip(names, (2, 2, 1, 1)):
        for task in range(tasks):
            monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(task))
            dill.loads((tmp_path / "corpus.jsonl.work" / f"logs-{name}" / "executor.pik").read_bytes()).run()
    assert "'c.txt'" in read(output)[-1]["code"]  # a near duplicate, kept at 1
    assert read(output)[:-1] == ROWS


def test_ray_is_named(build, dump, tmp_path, monkeypatch, capsys):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else find_spec(name))
    with pytest.raises(SystemExit):
        build("--language", "python", "--posts", dump, "--output", tmp_path / "o.jsonl", "--executor", "ray")
    assert "needs ray: pip install 'datatrove[ray]'" in capsys.readouterr().err

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "ray" or find_spec(name))
    with pytest.raises(SystemExit):
        build("--language", "python", "--posts", dump, "--output", "o", "--executor", "ray", "--time", "1:00")
    assert "--time is in seconds for --executor ray, got '1:00'" in capsys.readouterr().err
    options = ("--language", "python", "--posts", dump, "--output", "o", "--executor", "ray", "--time", 60)
    monkeypatch.setattr(
        sys, "argv", ["build_corpus.py", *map(str, options), "--workers", "8", "--mem_per_cpu_gb", "4"]
    )
    executor = build.script.make_executor(build.script.parse_args(), [], 3, str(tmp_path), None, "extract")
    assert type(executor).__name__ == "RayPipelineExecutor"  # built, not run: that takes a cluster
    assert (executor.tasks, executor.workers, executor.time, executor.mem_per_cpu_gb) == (3, 8, 60, 4)


def test_datatrove_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "codefusion_hf.data.extraction.steps")
    monkeypatch.setitem(sys.modules, "datatrove.data", None)
    with pytest.raises(ImportError, match=r"built by datatrove: pip install 'codefusion-hf\[corpus\]'"):
        importlib.import_module("codefusion_hf.data.extraction.steps")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<rows></rows>", "is no StackExchange dump: a Posts.xml begins with <posts>"),
        (b"<posts>\n<row Id='1' />\n", "is cut off: a Posts.xml ends with </posts>"),
        (b"7z\xbc\xaf\x27\x1c...", "is a 7z archive: unpack it"),
        (b"<posts>\n</posts>", "no row is left"),
    ],
)
def test_damaged_dumps(build, tmp_path, content, message):
    dump = tmp_path / "Posts.xml"
    dump.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        build("--language", "python", "--posts", dump, "--output", tmp_path / "o.jsonl")
    assert not (tmp_path / "o.jsonl").exists() or "no row" in message


def test_damaged_rows_are_counted(build, dump, tmp_path):
    text = dump.read_bytes()
    dump.write_bytes(text.replace(b"['output", b"&#x1f;"))
    build("--language", "python", "--posts", dump, "--output", tmp_path / "o.jsonl")
    assert report_of(tmp_path / "o.jsonl")["sources"][SITE]["dropped"]["damaged_row"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give --posts, --notebooks or --files"),
        (("--files", ".", "--tags", "x"), "--tags are of --posts"),
        (("--posts", "x", "--license", "MIT"), "--license is for --notebooks and --files"),
        (("--posts", "x", "--min_tokens", "3"), "--min_tokens and --max_tokens need a --tokenizer_name"),
        (("--posts", "x", "--tasks", "0"), "--tasks must be 1 or more"),
        (("--posts", "x", "--qos", "a"), "--qos is not for --executor local"),
        (("--posts", "x", "--executor", "slurm", "--time", "1"), "--executor slurm needs --partition and --time"),
    ],
)
def test_wrong_options(build, capsys, options, message):
    with pytest.raises(SystemExit):
        build("--language", "python", "--output", "never.jsonl", *options)
    assert message in capsys.readouterr().err


def test_wrong_folders(build, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "mine.work").mkdir()
    (tmp_path / "mine.work" / "thesis.tex").touch()
    options = ("--language", "python", "--output", tmp_path / "mine")
    with pytest.raises(ValueError, match="empty holds no .ipynb file"):
        build(*options, "--notebooks", tmp_path / "empty")
    with pytest.raises(ValueError, match="none is no folder"):
        build(*options, "--files", tmp_path / "none")
    (tmp_path / "empty" / "a.py").write_text("answer = 42\n")
    for more in ((), ("--overwrite",)):
        with pytest.raises(ValueError, match="mine.work is not a folder of this script"):
            build(*options, "--files", tmp_path / "empty", *more)
    assert (tmp_path / "mine.work" / "thesis.tex").exists()


def test_errors_are_one_line(tmp_path, monkeypatch):
    options = ("--language", "python", "--posts", tmp_path / "no.xml", "--output", "never.jsonl")
    monkeypatch.setattr(sys, "argv", list(map(str, (SCRIPT, *options))))
    with pytest.raises(SystemExit, match="^build_corpus.py: error: .Errno 2. No such file or directory: .*no.xml'$"):
        runpy.run_path(str(SCRIPT), run_name="__main__")


def test_shares_of_a_dump_meet(dump, monkeypatch):
    size = dump.stat().st_size
    for block in (1 << 20, 7):
        monkeypatch.setattr(stackexchange, "_BLOCK_BYTES", block)
        for parts in (1, 2, 3, 50):
            cuts = [size * part // parts for part in range(parts + 1)]
            ids = [row["Id"] for start, end in zip(cuts, cuts[1:]) for _, row in read_posts(dump, start, end)]
            assert ids == [post["Id"] for post in POSTS]
    assert [row for _, row in read_posts(dump)] == POSTS


def test_shares_of_the_input():
    pieces = [{"kind": kind, "size": size} for kind, size in (("posts", 50), ("file", 30), ("file", 5), ("posts", 15))]
    for world_size in (1, 3, 7, 200):
        parts = [part for rank in range(world_size) for part in share(pieces, rank, world_size)]
        assert [piece for piece, *_ in parts if piece["kind"] == "file"] == pieces[1:3]
        for dump in (pieces[0], pieces[3]):
            ranges = [(begin, end) for piece, begin, end in parts if piece is dump]
            assert sum(end - begin for begin, end in ranges) == dump["size"] and ranges == sorted(ranges)


def test_posts():
    assert tags_of({"Tags": "<c++><python-3.x>"}) == tags_of({"Tags": "|c++|python-3.x|"}) == {"c++", "python-3.x"}
    days = {"2011-04-07T23:59": "2.5", "2011-04-08T00:00": "3.0", "2018-05-01T12:00": "3.0", "2018-05-02T00:00": "4.0"}
    assert {day: license_of({"CreationDate": day}) for day in days} == {d: f"CC-BY-SA-{v}" for d, v in days.items()}
    body = "<pre class='lang-sh x'><code>a &amp;&amp; b\n</code></pre><code>no</code><pre><code>c&#39;</code></pre>"
    assert code_blocks(body) == [("a && b\n", "sh"), ("c'", None)]


@pytest.mark.parametrize(
    ("language", "block", "programs"),
    [
        ("python", "    x = u'a'  # tab\n    y = 2", ["x = 'a'\ny = 2"]),
        (
            "python",
            "In [3]: a = 1\n\nIn [4]: for i in a:\n   ...:     b(i)\n   ...: \nOut[4]: 7",
            ["a = 1\nfor i in a:\n    b(i)"],
        ),
        ("python", "print 'old'", ["print 'old'"]),
        ("python", "", [""]),
        ("bash", "me@host:~/src$ cd /tmp && ls\na  b\n$ echo 'x\n> y'\nx\ny", ["cd /tmp && ls", "echo 'x\ny'"]),
        ("bash", "root@host:/# apt  update\nHit:1", ["apt update"]),
        ("bash", "# all of them\nls -l  # long\ncat '# x'", ["ls -l\ncat '# x'"]),
        ("bash", "echo $HOME", ["echo $HOME"]),
        (
            "bash",
            "for i in *; do\n\n  echo $i\n\ndone\n\n" + "ls -l " + "a" * 60,
            ["for i in *; do\n\n echo $i\n\ndone", "ls -l " + "a" * 60],
        ),
        ("powershell", "PS> Get-Date\n\nMonday", ["Get-Date"]),
    ],
)
def test_programs_of_a_block(language, block, programs):
    assert [code for code, _ in extract_programs(block, language, 70)] == programs


def test_docstrings_become_utterances():
    block = 'def f(x):\n    """\n    Half of :func:`g` of ``x``.\n\n    More.\n    """\n    return g(x) / 2'
    assert list(extract_programs(block, "python", 99)) == [("def f(x):\n    return g(x) / 2", "Half of `g` of `x`")]
    assert list(extract_programs('def f():\n    """Nothing to do."""', "python", 99)) == [
        ("def f():\n    pass", "Nothing to do")
    ]


@pytest.mark.parametrize("block", ["(" * 5000, "x = " + "-" * 20_000 + "1", "\0", "\ud800", "a\\" * 999, "$ " * 999])
@pytest.mark.parametrize("language", ["bash", "powershell", "python"])
def test_hostile_blocks(language, block):
    for code, _ in extract_programs(block, language, 100):
        assert language == "powershell" or find_fault(code, language, 1, 10_000) is not None


@pytest.mark.parametrize(
    ("language", "code", "fault"),
    [
        ("python", "x", "too_short"),
        ("python", "x = 1" * 20, "too_long"),
        ("python", "print 'x'", "invalid"),
        ("python", "{'a': 1}", "no_names"),
        ("bash", "Use the following", "unknown_command"),
        ("bash", "if [ -f x ]; then", "invalid"),
        ("python", "key = 'AKIAIOSFODNN7EXAMPLE'", "secret"),
        ("python", "password = 'hunter2hunter2hunter2'", "secret"),
        ("bash", "curl -H 'Authorization: Bearer 0123456789abcdef0123'", "secret"),
        ("bash", "git clone https://me:s3cr3t@example.com/x.git", "secret"),
        ("powershell", "$x = 'ghp_0123456789abcdefghijABCDEFGHIJ456789'", "secret"),
        ("python", "password = getpass('Your password, please: ')", None),
        ("python", "token = tokenizer.tokenize(text)[0]", None),
        ("python", "tokenizer_checkpoint = 'sgugger/gpt2-like-tokenizer'", None),
        ("bash", "git clone https://example.com/x.git", None),
    ],
)
def test_faults(language, code, fault):
    assert find_fault(code, language, 6, 90) == fault


def test_evaluation_lines(evaluation):
    class Row:
        metadata = {"nl": None, "source": "s"}

    for code, fault in {
        "max(d)": "evaluation_code | s",
        "d = {}\nmax(d)": None,  # too short a line to tell
        "if x:\n    best = max(scores.items(), key=operator.itemgetter(1))[0]": "evaluation_code | s",
        "best = 1": None,
    }.items():
        row = Row()
        row.text = code
        assert EvaluationFilter([evaluation], "python").filter(row) == ((False, fault) if fault else True)


def test_texts_and_licences(tmp_path):
    assert last_paragraph("# A *heading* here") == "A *heading* here"
    assert last_paragraph("One\n\n- a `list`\n  of things.") == "a `list` of things"
    assert last_paragraph("word") is last_paragraph("") is last_paragraph("long " * 99) is None
    assert first_sentence("Does ``x``. Then y.") == "Does `x`"
    text = "Run it:\n```{.python .x}\na = 1\n```\n> ```bash\n> b\n> ```\n````md\n```\n````\n"
    assert list(markdown_blocks(text))[0] == Block("a = 1\n", "Run it", "python")
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    assert detect_license(folder, tmp_path) is None
    (tmp_path / "LICENSE.txt").write_text("This is free and unencumbered software released\ninto the public domain.")
    (folder / "COPYING").write_text("Ask me.")
    assert detect_license(folder, tmp_path) == "Unlicense"
    assert detect_license(folder, folder) is None
    (tmp_path / "a" / "LICENCE").write_text("GNU GENERAL PUBLIC LICENSE\n      Version 3, 29 June 2007")
    assert detect_license(folder, tmp_path) == "GPL-3.0"
    (folder / "x.PY").touch()
    (folder / "link.py").symlink_to("nowhere")
    assert find_files(tmp_path, (".py",)) == [folder / "x.PY"]
