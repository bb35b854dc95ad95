"""Literals that an utterance shares with its program are replaced on both sides, and nothing else changes."""

import random

from codefusion_hf.data.augmentation import LiteralSwapper, Paraphraser, shared_literals


PAIRS = [
    ("Find all *.txt files in /home/anna older than 30 days", "find /home/anna -name '*.txt' -mtime +30"),
    ("Print the first 5 lines of notes.md", "head -n 5 notes.md"),
    ('Replace "foo" by "bar" in ./src/main.c', "sed -i 's/foo/bar/' ./src/main.c"),
    ("Search *.py under /var/log for 'ERROR'", "grep -r --include='*.py' 'ERROR' /var/log"),
    ("Copy setup.cfg to /tmp/backup", "cp setup.cfg /tmp/backup"),
]


def test_shared_literals_and_their_kinds():
    assert shared_literals(*PAIRS[0]) == {"*.txt": "glob", "/home/anna": "path", "30": "number"}
    assert shared_literals(*PAIRS[1]) == {"5": "number", "notes.md": "file"}
    assert shared_literals("Search for 'ERROR'", "grep error") == {}
    assert shared_literals("Keep 2 of the 2 newest", "ls -t 2>/dev/null | head -n 2") == {}


def test_swaps_are_consistent_and_repeatable():
    swap = LiteralSwapper(PAIRS, probability=1.0)
    changed = 0
    for nl, code in PAIRS * 20:
        seed = random.Random(changed)
        new_nl, new_code = swap(nl, code, seed)
        assert (new_nl, new_code) == swap(nl, code, random.Random(changed))
        changed += (new_nl, new_code) != (nl, code)
        # As many literals are shared as before, each of its kind.
        assert sorted(shared_literals(new_nl, new_code).values()) == sorted(shared_literals(nl, code).values())
    assert changed > 80  # the small stock sometimes offers what stands in the pair already


def test_nothing_shared_nothing_changed():
    assert LiteralSwapper(PAIRS)("list all files", "ls -a", random.Random(0)) == ("list all files", "ls -a")


def test_paraphrases_keep_what_is_quoted_and_what_the_program_has():
    paraphrase, changed = Paraphraser(swap_probability=1.0, drop_probability=1.0), set()
    for seed in range(20):
        pair = 'Remove all "empty files" under the /tmp/files.d', 'find /tmp/files.d -name "empty files"'
        nl = paraphrase(*pair, random.Random(seed))
        assert '"empty files"' in nl and nl.endswith("/tmp/files.d")
        changed.add(nl)
    assert len(changed) > 1 and all("Remove" not in nl and "under the" not in nl for nl in changed)


def test_phrases_are_swapped_for_one_of_their_group():
    paraphrase = Paraphraser(swap_probability=1.0, drop_probability=0.0)
    for seed in range(20):
        nl = paraphrase("Delete files", "rm *", random.Random(seed))
        assert nl in {f"{verb} regular files" for verb in ("Remove", "Erase", "Get rid of")}
    assert Paraphraser(0.0, 0.0)("Delete  files", "rm *", random.Random(0)) == "Delete files"
    assert Paraphraser(0.0, 1.0)("the of", "rm *", random.Random(0)) == "the of"  # never nothing at all
