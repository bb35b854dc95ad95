"""Bash: spans, validity, canonical text and templates, by examples and on NL2Bash."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from codefusion_hf.evaluation import rank_candidates
from codefusion_hf.languages import bash
from codefusion_hf.languages.bash import (
    canonicalize,
    is_grounded,
    is_valid,
    literals,
    matches,
    normalize,
    spans,
    template,
)


DATA = Path(os.environ.get("CODEFUSION_DATA", Path(__file__).parents[3] / "shared" / "data"))
FIXTURES = Path(__file__).parents[1] / "fixtures"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the data pack: set CODEFUSION_DATA")


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def masked(code):
    return [(code[span.start : span.end], span.kind[0]) for span in spans(code)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("ls -la /tmp", [("ls", "k"), ("-la", "k")]),
        ("head -n5 --lines=3 f", [("head", "k"), ("-n", "k"), ("--lines", "k")]),
        ("find . -maxdepth 2 -print0", [("find", "k"), ("-maxdepth", "k"), ("-print0", "k")]),
        ('grep --include="*.c" x -', [("grep", "k"), ("--include", "k")]),
        ("find . -exec grep -l x {} \\;", [("find", "k"), ("-exec", "k"), ("grep", "k"), ("-l", "k")]),
        ("sudo -u bob xargs -n 1 rm", [("sudo", "k"), ("-u", "k"), ("xargs", "k"), ("-n", "k")]),
        ("xargs -0 rm -f", [("xargs", "k"), ("rm", "k"), ("-f", "k")]),
        ('echo "é $HOME" é; cd "$d"', [("echo", "k"), ("HOME", "i"), ("cd", "k"), ("d", "i")]),
        (
            'for f in *; do wc "$f"; done',
            [("for", "k"), ("f", "i"), ("in", "k"), ("do", "k"), ("wc", "k"), ("f", "i"), ("done", "k")],
        ),
        ("g() { echo $1 $?; }; g", [("g", "i"), ("echo", "k"), ("g", "k")]),
        ("n=$(date +%s)", [("n", "i"), ("date", "k")]),
        ("export A=1", [("export", "k"), ("A", "i")]),
        ("awk '{print $x}' f", [("awk", "k")]),
    ],
)
def test_spans_are_commands_options_reserved_words_and_names(code, expected):
    assert masked(code) == expected


def test_text_beyond_ascii_does_not_crash_the_parser():
    # tree-sitter-bash, issue 337: these and their like end the process.
    for code in (
        "{😀",
        "{\U0010ffff",
        "$\U0010ffff",
        "[[ a =~ \U0010ffff ]]",
        "${\U0010ffff}",
        "cat <<ж\nж\nж",
        "[[ -\U0010ffff",
    ):
        spans(code), template(code), normalize(code)
    # A letter that Bash takes for no blank and no name.
    assert literals("echo a\u00a0b") == ["a\u00a0b"]
    assert not matches("printf 'é'; ж", "printf 'ж'; é") and matches("echo é", "echo жж")


def test_offsets_count_characters_not_bytes():
    assert masked("cat 'ж😀' \"$y\" | wc -l") == [("cat", "k"), ("y", "i"), ("wc", "k"), ("-l", "k")]


@pytest.mark.parametrize(
    ("code", "valid", "strict"),
    [
        ("ls -l", True, True),
        ("./run.sh && $EDITOR x && ~/bin/y && /opt/z", True, True),
        ("f() { ls; }; f", True, True),
        ("python3.11 -V; gcc-12 -v; \\ls; 'ls'", True, True),
        ("x=1", True, True),
        ("[ -f x ] && [[ $y == z ]]", True, True),
        ("List all files in the directory", True, False),  # English is Bash
        ("ls | frobnicate", True, False),
        ("echo $(frobnicate)", True, False),
        ("", False, False),
        (" \n\t", False, False),
        ("\x1f", False, False),
        ("# only a comment", False, False),
        ("ls 'unclosed", False, False),
        ("if true; then ls", False, False),
        ("find . ( -name x )", False, False),
        ("ls\x00", False, False),
        ("ls \ud800", False, False),
        ("ls " + "a" * 5000, False, False),
    ],
)
def test_validity(code, valid, strict):
    assert is_valid(code) is valid
    assert is_valid(code, strict=True) is strict
    assert is_grounded(code, "list all") is strict and is_grounded(code, "") is strict
    if not valid:
        assert spans(code) == literals(code) == []
        with pytest.raises(ValueError):
            canonicalize(code)


def test_an_unknown_command_that_the_utterance_names_is_grounded():
    assert is_grounded("ls | frobnicate", "pipe the files to frobnicate")
    assert not is_grounded("ls | frobnicate | defrob", "pipe the files to frobnicate")
    programs = ["ls | frobnicate", "ls | cat", "ls |"]
    ranked = rank_candidates(programs, [-0.1, -0.2, 0.0], {"nl": "list files"}, "bash")
    assert [candidate["code"] for candidate in ranked] == ["ls | cat", "ls | frobnicate", "ls |"]


@pytest.mark.parametrize(
    ("code", "canonical", "normal"),
    [
        ("  ls   -l\t/tmp \n", "ls -l /tmp", "ls -l /tmp"),
        ("ls \\\n  -l", "ls -l", "ls -l"),
        ("echo  'a  b'  \"c  d\" e\\ \\ f", "echo 'a  b' \"c  d\" e\\ \\ f", "echo 'a  b' 'c  d' e\\ \\ f"),
        ('echo "$x  y" "it\'s" "a!" "b\\n"', 'echo "$x  y" "it\'s" "a!" "b\\n"', 'echo "$x  y" "it\'s" "a!" "b\\n"'),
        ("$ ls", "ls", "ls"),
        ("find . –name “*.c”", 'find . -name "*.c"', "find . -name '*.c'"),
        ("echo 'it’s “so”'", "echo 'it’s “so”'", "echo 'it’s “so”'"),
        ("cat <<E\n a  b\nE", "cat <<E\n a  b\nE", "cat <<E\n a  b\nE"),
        ("ls  |  wc", "ls | wc", "ls | wc"),
        ("echo ${x:-a  b}  ж", "echo ${x:-a  b} ж", "echo ${x:-a  b} ж"),
    ],
)
def test_canonical_text(code, canonical, normal):
    assert canonicalize(code) == canonical
    assert normalize(code) == normal
    assert canonicalize(canonical) == canonical and normalize(normal) == normalize(canonical) == normal
    assert matches(code, canonical) and matches(code, normal)


def test_text_that_does_not_parse_is_normalized_by_its_words():
    assert normalize(" ls  'x \n") == "ls 'x"


def test_literals_are_the_arguments():
    code = 'find /tmp -name \'*.c\' -size +10k -exec grep -n "a b" {} \\; | head -n 5 > "$out" 2> err'
    assert literals(code) == ["/tmp", "*.c", "+10k", "a b", "5", "err"]


# NL2Bash's rules, one by one: what has the same template, and what has not.
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("ls", "ls"),
        ("ls -l /tmp ~", "ls -l <arg> <arg>"),
        ("rm -rf x", "rm -r -f <arg>"),  # bundles are split as written
        ("head -n5 f", "head -n <arg> <arg>"),  # glued values are parted
        ("cut -d, -f1-3", "cut -d <arg> -f <arg>"),
        ("head -5 f", "head - <arg> <arg>"),
        ("ls --color=auto", "ls --color <arg>"),
        ("du --max-depth 1", "du --max-depth <arg>"),
        ("tail -n +2", "tail -n +<arg>"),  # signs stay
        ("chmod +x f", "chmod +<arg> <arg>"),
        ("find . -mtime -7 -size '+1M'", "find <arg> -mtime -<arg> -size <arg>"),  # if they are not quoted
        ("tar xzf a", "tar -x -z -f <arg>"),  # tar gets a dash
        ("tar -xzf a", "tar -x -z -f <arg>"),
        ("tar cfz a b", "tar -c -f -z <arg> <arg>"),
        ("ps aux", "ps -a -u -x"),
        ("sed -i.bak -e s/a/b/ f", "sed -i <arg> -e <arg> <arg>"),
        ("sed -ne p f", "sed -n -e <arg> <arg>"),
        ("kill -9 1", "kill - <arg> <arg>"),
        ("comm -12 a b", "comm -1 -2 <arg> <arg>"),
        ("dd if=/dev/zero of=x bs=1M", "dd if= <arg> of= <arg> bs= <arg>"),
        ("egrep x f | fgrep y", "grep -E <arg> <arg> | grep -F <arg>"),
        ("find -type f", "find <arg> -type f"),  # types and formats stay; a path is added
        ("find . -type 'f' -printf '%p\\n'", "find <arg> -type f -printf %p\\n"),
        ("find -L a b -name x", "find -L <arg> <arg> -name <arg>"),
        ("date -d now +%s", "date -d <arg> +%s"),
        ("od -tx1 f", "od -t x1 <arg>"),
        ("find . -name a -o -name b", "find <arg> -name <arg> -or -name <arg>"),
        ("find . -name a -a ! -name b", "find <arg> -name <arg> -and ! -name <arg>"),
        ("find . -not -name b", "find <arg> -not -name <arg>"),
        ("find . \\( -name a \\) -print", "find <arg> -name <arg> -print"),  # parentheses around one test
        ("find . ! \\( -name a -o -name b \\)", "find <arg> ! ( -name <arg> -or -name <arg> )"),
        ("find . ( -name a -o -name b )", "find <arg> ( -name <arg> -or -name <arg> )"),  # no Bash, but forgiven
        ("find . -exec rm -f '{}' ';'", "find <arg> -exec rm -f {} \\;"),
        ("find . -exec rm {} +", "find <arg> -exec rm {} +"),
        ("find . -exec rm {}", "find <arg> -exec rm {} \\;"),  # the end of -exec is added
        ("find . -newer a -newermt b", "find <arg> -newer <arg> -newermt <arg>"),
        ("xargs rm", "xargs -I {} rm {}"),  # xargs gets its replacement string
        ("xargs -0 -n1 rm -f", "xargs -I {} -0 -n <arg> rm -f {}"),
        ("xargs -I% mv % %.bak", "xargs -I {} mv {} <arg>"),
        ("xargs -i mv {} d", "xargs -I {} mv {} <arg>"),
        ("xargs", "xargs"),
        ("sudo -u bob rm x", "rm <arg>"),  # text surgery
        ("$ ls", "ls"),
        ("/usr/bin/find . –name “x”", "find <arg> -name <arg>"),
        ("/opt/bin/find .", "/opt/bin/find <arg>"),
        ("\\grep x f", "grep <arg> <arg>"),
        ("echo $(date +%Y) `pwd`", "echo $( date +%Y ) $( pwd )"),  # substitutions
        ('echo "a $(pwd) b"', "echo $( pwd )"),
        ("diff <(sort a) <(sort b)", "diff <( sort <arg> ) <( sort <arg> )"),
        ("x=$(ls | wc -l)", "= $( ls | wc -l )"),
        ("bash -c 'ls -l | wc'", "bash -c ' ls -l | wc '"),  # programs in programs
        ('ssh -p 22 h "cd /x && ls"', "ssh -p <arg> <arg> ' cd <arg> && ls '"),
        ("ssh h ls -la", "ssh <arg> ls -l -a"),
        ("watch -n 1 'ps aux | wc -l'", "watch -n <arg> ' ps -a -u -x | wc -l '"),
        ("nohup tar cf x y &", "nohup tar -c -f <arg> <arg> &"),
        ("timeout 5 sleep 9", "timeout <arg> sleep <arg>"),
        ('find . -exec sh -c \'mv "$0" "${0%.a}.b"\' {} \\;', "find <arg> -exec sh -c ' mv <arg> <arg> ' {} \\;"),
        ("git -C d commit -m x", "git -C <arg> commit -m <arg>"),  # beyond NL2Bash's utilities
        ("git status", "git status"),
        ("frobnicate -v --all=yes x", "frobnicate -v --all <arg> <arg>"),
        ("ls > a 2>&1", "ls > <arg> 2>&1"),
        ("sort < a -u", "sort -u < <arg>"),
        ("cat <<< x", "cat <<< <arg>"),
        ("cat <<E\nx\nE", "cat << <arg>"),
        ("a; b && c || d", "a ; b && c || d"),
        ("for f in a b; do rm $f; done", "for <arg> in <arg> <arg> do rm <arg> ; done"),
        ("for f in a b\ndo\n rm $f\ndone\n", "for <arg> in <arg> <arg> do rm <arg> ; done"),
        ("if [ -f x ]; then ls; fi", "if [ -f <arg> ] ; then ls ; fi"),
        ("(cd a; ls)", "( cd <arg> ; ls ; )"),
        ("ls -- x # why", "ls <arg>"),
        ("! true", "! true"),
        ("A=1 make -j4", "= <arg> make -j <arg>"),
        ("export A=$(pwd)", "export $( pwd )"),
    ],
)
def test_template(code, expected):
    assert " ".join(template(code)) == expected
    assert matches(code, code)


@pytest.mark.parametrize(
    ("prediction", "reference", "ordered", "unordered"),
    [
        ("find . -name x -type f", "find . -type f -name x", False, True),
        ("rm -fr x", "rm -r -f x", False, True),
        ("sort -k 2 -r f", "sort -r -k2 f", False, True),
        ("sort f -r", "sort -r f", False, True),
        ("find . -name x -a -type f", "find . -type f -name x", False, True),
        ("find . ! -name x -type f", "find . -type f ! -name x", False, True),
        ("find . -name x -o -type f -print", "find . -type f -print -o -name x", False, False),
        ("cp a b", "cp a", False, False),
        ("ls -l", "ls --long", False, False),
        ("find . -not -name x", "find . ! -name x", False, False),
        ("find . -type f", "find . -type d", False, False),
        ("find . -mtime +7", "find . -mtime -7", False, False),
        ("grep a b | wc", "wc | grep a b", False, False),
        ("ls 'a", "ls   'a", True, True),  # no Bash: word by word
        ("ls 'a", "ls 'b", False, False),
        ("RAW ls", "ls", False, False),
    ],
)
def test_matches(prediction, reference, ordered, unordered):
    assert matches(prediction, reference) is matches(reference, prediction) is ordered
    assert matches(prediction, reference, mode="unordered") is unordered


def test_unknown_mode():
    with pytest.raises(ValueError, match="one of ordered, unordered, got 'nl2bash'"):
        template("ls", "nl2bash")


def test_what_nests_too_deep_has_no_template():
    deep = "xargs " * 500 + "ls"
    assert is_valid(deep) and template(deep) is None and matches(deep, deep)


def test_committed_pairs():
    for row in read(FIXTURES / "bash_pairs.jsonl"):
        assert is_valid(row["code"], strict=True) or row["code"].startswith("ruby-script.rb")
        assert template(row["code"]) and spans(row["code"]), row
        assert matches(normalize(row["code"]), row["code"]), row


def test_threads_agree():
    codes = [row["code"] for row in read(FIXTURES / "bash_pairs.jsonl")] * 20
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(spans, codes)) == list(map(spans, codes))


def test_spans_are_fast():
    codes = [row["code"] for row in read(FIXTURES / "bash_pairs.jsonl")] * 50
    start = time.process_time()
    for code in codes:
        spans(code)
    assert len(codes) / (time.process_time() - start) > 1000  # 10,000 a second on an idle core


@needs_data
def test_nl2bash():
    rows = read(DATA / "prepared" / "bash_val.jsonl") + read(DATA / "prepared" / "bash_train.jsonl")[::9]
    golds, count = [row["code"] for row in rows], len(rows)
    assert count > 2000
    assert sum(map(is_valid, golds)) >= 0.985 * count
    assert sum(is_valid(gold, strict=True) for gold in golds) >= 0.98 * count
    assert sum(template(gold) is not None for gold in golds) >= 0.99 * count
    for gold in golds:
        normal = normalize(gold)
        assert matches(gold, gold) and matches(normal, gold) and normalize(normal) == normal
    # Strict validity knows sentences from commands.
    assert sum(is_valid(row["nl"]) for row in rows) > 0.9 * count
    assert sum(is_valid(row["nl"], strict=True) for row in rows) < 0.01 * count


def test_module():
    assert bash.NAME == "bash" and not bash.IGNORES_CASE and bash.ATOMS == ()
    assert len(bash.KNOWN_COMMANDS) > 1500
