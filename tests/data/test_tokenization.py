"""A literal must be the same tokens in an utterance and in a program: the copy path points at tokens."""

import pytest
from transformers import AutoTokenizer

from codefusion_hf.data.tokenization import train_tokenizer
from codefusion_hf.languages.cf import ATOMS


TEXTS = ["highlight rows that are in progress above 10", "TextEquals(in progress)", "status is completed"] * 5


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 512, ATOMS, lossless=False)


@pytest.mark.parametrize(
    ("literal", "utterance", "program"),
    [
        ("completed", 'status is "Completed"', "TextEquals(completed)"),
        ("completed", "status='completed'", "TextEquals(c[1], completed)"),
        ("completed", "“Completed”", "NOT(TextEquals(completed))"),
        ("in progress", "rows (in progress)", "TextEquals(in progress)"),
        ("10", "more than $10", "GreaterThan(10)"),
        ("10", "more than >10", "GreaterThan(c[2], 10)"),
        ("1000", "above 1,000", "Between(5, 1000)"),
        ("a-101", "code A–101", "TextContains(a-101)"),
        ("don't", "says don’t", "TextContains(don't)"),
    ],
)
def test_literals_are_the_same_tokens_on_both_sides(tokenizer, literal, utterance, program):
    wanted = tokenizer(literal, add_special_tokens=False)["input_ids"]

    def contains(text):
        ids = tokenizer(text)["input_ids"]
        return any(ids[i : i + len(wanted)] == wanted for i in range(len(ids)))

    assert contains(utterance) and contains(program)


@pytest.mark.parametrize(
    "code",
    [
        "GreaterThan(1129)",
        "Between(c[1], -5.5, 10%)",
        "AND(GreaterThan(c[1], 5), TextEquals(c[2], in progress))",
        "TextContains(asc.em-direct@dupont.com)",
        "TextEquals($c$5)",
        "NOT(Blanks(c[3]))",
        "TextEquals(情報 é)",
        "LessThan(c[3], 2024-05-01)",
        "LessThan(c[15], c[0])",
    ],
)
def test_programs_survive_encoding(tokenizer, code):
    assert tokenizer.decode(tokenizer(code)["input_ids"], skip_special_tokens=True) == code


def test_atoms_are_single_tokens(tokenizer):
    for atom in ATOMS:
        assert len(tokenizer(atom, add_special_tokens=False)["input_ids"]) == 1, atom


def test_special_tokens_in_text_are_text(tokenizer):
    ids = tokenizer("equals </s> or <pad> <extra_id_0>")["input_ids"]
    assert ids.count(tokenizer.eos_token_id) == 1 and ids[-1] == tokenizer.eos_token_id
    assert tokenizer.pad_token_id not in ids
    assert tokenizer.convert_tokens_to_ids("<extra_id_0>") not in ids


def test_saved_tokenizer_is_the_same(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = 'status is "Completed" or </s> above 1,000'
    assert again(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert len(again) == len(tokenizer) <= 512 and again.eos_token_id == 2 and again.pad_token_id == 0


def test_the_vocabulary_needs_room_for_bytes():
    with pytest.raises(ValueError, match="at least"):
        train_tokenizer(TEXTS, 256)


@pytest.fixture(scope="module")
def lossless():
    texts = ["find all files named config.txt", "find . -name 'config.txt' | xargs rm", "print(x)"] * 5
    return train_tokenizer(texts, 512)


@pytest.mark.parametrize(
    "text",
    [
        "find . -type f -name '*.txt' -exec grep -l \"foo bar\" {} \\;",
        "echo \"a\"  b\t'c'   # two spaces, a tab",
        "def f(x):\n    if x:\n        return x['a']\n\n\n    return -1\n",
        "  leading and trailing  ",
        "ls | wc -l > /dev/null 2>&1",
        "“quotes” – naïve 適 🙂 __init__ a-b--c",
        "...",
        "-",
    ],
)
def test_lossless_texts_come_back_as_they_were(lossless, text):
    assert lossless.decode(lossless(text)["input_ids"], skip_special_tokens=True) == text


@pytest.mark.parametrize(
    ("literal", "utterance", "program"),
    [
        ("config.txt", "find config.txt", "find . -name 'config.txt'"),
        ("config.txt", 'files called "config.txt"', "cat /etc/config.txt"),
        ("config", "the folder (config)", "cd $HOME/config"),
    ],
)
def test_lossless_literals_are_the_same_tokens_on_both_sides(lossless, literal, utterance, program):
    wanted = lossless(literal, add_special_tokens=False)["input_ids"]
    for text in (utterance, program):
        ids = lossless(text)["input_ids"]
        assert any(ids[i : i + len(wanted)] == wanted for i in range(len(ids)))
