"""CPD masks names and nothing else: real programs of the three languages, three kinds of tokenizers, any draw."""

import ast
import gzip
import itertools
import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from codefusion_hf.data.corruption import cut_paragraph, mask_code, token_spans
from codefusion_hf.data.encoding import encode_programs, sentinel_ids
from codefusion_hf.data.tokenization import train_tokenizer
from codefusion_hf.languages import get_language


FIXTURES = Path(__file__).parents[1] / "fixtures"
DATA = Path(os.environ.get("CODEFUSION_DATA", Path(__file__).parents[3] / "shared" / "data")) / "prepared"
HARD = {
    "python": [
        "class A(B):\n    def __init__(self, x_1):\n        self.__x__ = x_1.__class__.__name__[x_1:-1]",
        "größe = 'größe' + ñ(é, 'é')\nñ = b'x'",
        "print(x, 'x', f'{x}', \"x\")  # x",
        "x=1if y else 0xf\r\nlambda *args, **kw: (args, kw)",
        "async def f(): return [i async for i in g() if not i]",
    ],
    "bash": [
        'FOO__=5 && echo "$FOO__" ${FOO__}/x "a $FOO__.txt" $FOO__"b"',
        "find . -name '*.c' -exec grep --max-count=5 -n10 main {} \\; | xargs -0 sudo rm -rf",
        "for i in $(ls é*); do echo $i; done",
        "f() { local größe=1; }; f",
    ],
    "cf": ["TextEquals(c[25], Top)", "AND(Top(3), NOT(TextContains(c[1], and not top)))", "ColorScale(c[0])"],
}


def fixture_codes(language: str) -> list[str]:
    if language == "python":  # the standard library: real programs on every machine
        files = sorted(Path(ast.__file__).parent.glob("*.py"))[:8]
        parts = [part.strip() for file in files for part in file.read_text(encoding="utf-8").split("\n\n\n")]
        codes = [part for part in parts if 20 < len(part) < 1500]
    else:
        rows = (FIXTURES / f"{language}_pairs.jsonl").read_text(encoding="utf-8").splitlines()
        codes = [json.loads(row)["code"] for row in rows]
    module = get_language(language)
    return [code for code in HARD[language] + codes if module.spans(code)][:80]


def codet5_like(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level pieces that cross from words into signs, and a token in front of every text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "</s>", "<pad>", *(f"<extra_id_{k}>" for k in range(6))]
    crossing = ['x.__init__() y.__z__ a__() b__.c "$FOO__" __.txt'] * 50
    tokenizer.train_from_iterator(
        texts + crossing, trainers.BpeTrainer(vocab_size=900, special_tokens=special, initial_alphabet=alphabet)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


CODES = {language: fixture_codes(language) for language in HARD}
CASES = [(language, kind) for language in HARD for kind in ("own", "codet5")]


@pytest.fixture(scope="module")
def tokenizers(tiny_cf):
    own = {language: train_tokenizer(CODES[language], 900, num_sentinels=8) for language in ("python", "bash")}
    own["cf"] = AutoTokenizer.from_pretrained(tiny_cf)
    other = codet5_like([*itertools.chain.from_iterable(CODES.values())])
    return {(language, kind): own[language] if kind == "own" else other for language, kind in CASES}


def visible(text: str) -> str:
    """What must stay of a text: a masked token may take blanks and parentheses along."""
    return "".join(text.split()).replace("(", "").replace(")", "")


def check(code: str, language: str, tokenizer, rng: random.Random, ratio: float) -> float | None:
    """Masks a program and checks it against its text; returns the share of masked tokens, `None` without names."""
    module = get_language(language)
    spans = module.spans(code)
    encoded = encode_programs([code], tokenizer, module.spans)
    tokens, flat = encoded["tokens"][0], encoded["spans"][0]
    assert tokens == tokenizer(code)["input_ids"]
    found = list(zip(flat[::3], flat[1::3], flat[2::3]))
    if not found:
        return None
    sentinels = sentinel_ids(tokenizer)
    source, noised = mask_code(tokens, found, sentinels, rng, ratio)

    # Reversible: each sentinel stands for the same tokens wherever it is, up to how the name's first token is written.
    meaning, starts = {}, {start: (end, name) for start, end, name in found}
    position, rebuilt = 0, []
    for token in source:
        if token in sentinels:
            end, name = starts[position]
            assert all(noised[position:end])
            assert meaning.setdefault(token, name) == name
            rebuilt += tokens[position:end]
            position = end
        else:
            assert not noised[position]
            rebuilt.append(token)
            position += 1
    assert not noised[-1] and source[-1] == tokenizer.eos_token_id
    assert source[0] == tokens[0] or tokens[0] != tokenizer.bos_token_id
    assert rebuilt == tokens and len(set(meaning.values())) == len(meaning)
    assert [token for token in dict.fromkeys(source) if token in sentinels] == sentinels[: len(meaning)]

    # By the text: the program without the hidden names at all of their occurrences, and nothing else missing.
    order = iter([token for token in source if token in sentinels])
    texts: dict[str, str] = {}
    for span, (_, _, name) in zip([s for s in spans if (s.start, s.end) in positions(code, spans, encoded)], found):
        texts.setdefault(code[span.start : span.end], name)
    hidden = {text: token for text, name in texts.items() for token, other in meaning.items() if other == name}
    assert len(hidden) == len(meaning)
    pieces, end = [], 0
    for span in spans:
        if (text := code[span.start : span.end]) in hidden:
            pieces.append(code[end : span.start])
            end = span.end
            assert next(order) == hidden[text]
    pieces.append(code[end:])
    assert next(order, None) is None
    whole = visible(tokenizer.decode(tokens, skip_special_tokens=True))
    if whole == visible(code):  # a CF tokenizer writes some literals in another way
        kept = [token for token in source if token not in sentinels]
        assert visible(tokenizer.decode(kept, skip_special_tokens=True)) == visible("".join(pieces))
    return sum(noised) / len(noised)


def positions(code: str, spans, encoded) -> set[tuple[int, int]]:
    """The spans that can be masked: those of names of which each occurrence can."""
    count = {}
    for span in spans:
        count.setdefault(code[span.start : span.end], []).append((span.start, span.end))
    names = encoded["spans"][0][2::3]
    order = list(count)
    return {place for number in set(names) for place in count[order[number]]}


@pytest.mark.parametrize(("language", "kind"), CASES)
def test_only_names_are_masked_in_real_programs(tokenizers, language, kind):
    shares = []
    for number, code in enumerate(CODES[language]):
        for ratio in (0.05, 0.3, 1.0):
            share = check(code, language, tokenizers[language, kind], random.Random(number), ratio)
            shares += [share] if ratio == 0.3 and share is not None else []
    assert len(shares) >= 0.9 * len(CODES[language])
    assert 0.1 < sum(shares) / len(shares) < 0.4


NAMES = st.from_regex(r"[^\W\d]\w{0,6}", fullmatch=True).filter(str.isidentifier)
LITERALS = st.text(st.characters(exclude_characters="'\\\"$`!\n\r\0", exclude_categories=["Cs", "Cc"]), max_size=8)


@settings(max_examples=120, deadline=None)
@given(names=st.lists(NAMES, min_size=4, max_size=4), literal=LITERALS, seed=st.integers(0, 1000))
def test_only_names_are_masked_in_made_up_programs(tokenizers, names, literal, seed):
    a, b, c, d = names
    programs = {
        "python": f"{a}.{b}('{literal}',{c})\nif {d}[{a}]:{b}+='{literal}{a}'",
        "bash": f"{a}_x=1; echo '{literal}{a}' \"${{{a}_x}}{literal}\" --{c} {d}|grep -i {b}",
    }
    for (language, _), tokenizer in tokenizers.items():
        if language in programs:
            check(programs[language], language, tokenizer, random.Random(seed), 0.5)


@pytest.mark.parametrize("language", HARD)
def test_only_names_are_masked_in_the_corpora(tokenizers, language):
    files = list(DATA.glob(f"{language}_pretrain.jsonl*"))
    if not files:
        pytest.skip("needs the data pack")
    opener = gzip.open if files[0].suffix == ".gz" else open
    with opener(files[0], "rt", encoding="utf-8") as file:
        codes = [json.loads(line)["code"] for line in itertools.islice(file, 0, 3000, 4)]
    masked = 0
    for number, code in enumerate(codes):
        for kind in ("own", "codet5"):
            masked += check(code, language, tokenizers[language, kind], random.Random(number), 0.3) is not None
    assert masked > 1.8 * len(codes)


def test_a_name_that_cannot_be_cut_out_is_never_masked():
    # Tokens: `x`, `.__`, `a`, ` + `, `__b`. The second holds a dot and a part of the name `__a`.
    code = "x.__a + __b"
    spans = get_language("python").spans(code)
    offsets = [(0, 0), (0, 1), (1, 4), (4, 5), (5, 8), (8, 11), (0, 0)]
    assert token_spans(code, spans, offsets) == [(1, 2, 0), (5, 6, 2)]
    # One occurrence that cannot be hidden shows the name: it is not hidden elsewhere.
    code = "__a = x.__a"
    offsets = [(0, 3), (3, 6), (6, 7), (7, 10), (10, 11)]
    assert token_spans(code, get_language("python").spans(code), offsets) == [(2, 3, 1)]


def test_tokens_may_take_blanks_and_parentheses_along():
    code = "f (x)"
    spans = get_language("python").spans(code)
    assert token_spans(code, spans, [(0, 3), (3, 5)]) == [(0, 1, 0), (1, 2, 1)]
    # Two names in one token: neither can be hidden alone.
    assert token_spans(code, spans, [(0, 5)]) == []


def test_a_space_that_a_normalizer_put_behind_a_sign_does_not_count():
    code = "(x)"
    spans = get_language("python").spans(code)
    assert token_spans(code, spans, [(0, 1), (0, 2), (2, 3)]) == [(1, 2, 0)]
    # The two bytes of é in two tokens, the second with a dot: a part of the name would stay.
    code = "é.x"
    spans = get_language("python").spans(code)
    assert token_spans(code, spans, [(0, 1), (0, 2), (2, 3)]) == [(2, 3, 1)]


def test_the_share_of_masked_tokens():
    tokens, spans = list(range(100)), [(start, start + 2, start) for start in range(0, 100, 2)]
    for ratio in (0.1, 0.3, 0.7, 1.0):
        noised = mask_code(tokens, spans, range(1000, 1100), random.Random(0), ratio)[1]
        assert sum(noised) == 100 * ratio
    assert sum(mask_code(tokens, spans, [1000, 1001], random.Random(0), 0.3)[1]) == 4, "as many names as sentinels"
    assert sum(mask_code(tokens, spans, [1000], random.Random(0), 0.3, same_sentinel=True)[1]) == 30
    assert mask_code([7, 8], [(0, 2, 0)], [9], random.Random(0), 0.1) == ([9], [True, True]), "at least one name"


def test_a_paragraph_is_contiguous_and_lies_anywhere():
    starts = set()
    for seed in range(200):
        rest, cut = cut_paragraph(list(range(10)), 99, random.Random(seed))
        start = rest.index(99)
        starts.add(start)
        assert rest[:start] + cut + rest[start + 1 :] == list(range(10)) and len(cut) == 3
    assert starts == set(range(8))
    assert cut_paragraph([5], 99, random.Random(0)) == ([99], [5])
