"""The text-to-code pipeline on the committed tiny checkpoint."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, pipeline

import codefusion_hf  # noqa: F401  (registers the auto classes and the task)
from codefusion_hf.pipeline_codefusion import CodeFusionPipeline


CHECKPOINT = Path(__file__).parent / "fixtures" / "tiny-cf"
SENTENCES = ["highlight cells above 10", "color the cells that contain the text done", "values below 3"]


@pytest.fixture(scope="module")
def pipe():
    model = AutoModelForSeq2SeqLM.from_pretrained(CHECKPOINT)
    return CodeFusionPipeline(model=model, tokenizer=AutoTokenizer.from_pretrained(CHECKPOINT), device="cpu")


def codes(candidates):
    return [candidate["generated_code"] for candidate in candidates]


def scores(candidates):
    return [candidate["score"] for candidate in candidates]


def test_one_sentence_gives_ranked_candidates(pipe):
    candidates = pipe(SENTENCES[0], num_return_sequences=5, num_inference_steps=4)
    assert len(candidates) == 5
    for candidate in candidates:
        assert set(candidate) == {"generated_code", "score"}
        assert type(candidate["generated_code"]) is str and type(candidate["score"]) is float
        assert not any(token in candidate["generated_code"] for token in pipe.tokenizer.all_special_tokens)
    assert candidates[0]["score"] == max(scores(candidates))


def test_results_are_those_of_generate(pipe):
    encoded = pipe.tokenizer([SENTENCES[0]], return_tensors="pt")
    output = pipe.model.generate(
        **encoded, num_return_sequences=3, num_inference_steps=4, seed=[5], return_dict_in_generate=True
    )
    candidates = pipe(SENTENCES[0], num_return_sequences=3, num_inference_steps=4, seed=5)
    assert codes(candidates) == pipe.tokenizer.batch_decode(output.sequences, skip_special_tokens=True)
    assert scores(candidates) == pytest.approx(output.sequences_scores.tolist())


@pytest.mark.parametrize("batch_size", [2, 3])
def test_results_do_not_depend_on_the_batch(pipe, batch_size):
    kwargs = {"num_return_sequences": 4, "num_inference_steps": 4, "seed": 1}
    together = pipe(SENTENCES, batch_size=batch_size, **kwargs)
    for sentence, candidates in zip(SENTENCES, together):
        alone = pipe(sentence, **kwargs)
        assert codes(candidates) == codes(alone)
        assert scores(candidates) == pytest.approx(scores(alone), abs=1e-4)


def test_seed_steps_and_sampler_reach_the_model(pipe):
    def run(**kwargs):
        kwargs = {"seed": 0, "num_inference_steps": 4, "sampler": "dpmpp_2m", **kwargs}
        return scores(pipe(SENTENCES[1], num_return_sequences=4, **kwargs))

    reference = run()
    assert run() == reference
    assert scores(pipe(SENTENCES[1], num_return_sequences=4, num_inference_steps=4)) == reference  # seed 0 by default
    assert run(seed=1) != reference
    assert run(num_inference_steps=1) != reference
    assert run(num_revisions=2) != reference
    assert run(sampler="ddpm") != reference
    with pytest.raises(ValueError, match="sampler"):
        run(sampler="euler")


def test_the_global_random_state_is_left_alone(pipe):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    pipe(SENTENCES[0], num_inference_steps=2)
    assert torch.rand(1) == expected


def test_settings_of_the_constructor_are_defaults_of_the_call(pipe):
    small = CodeFusionPipeline(model=pipe.model, tokenizer=pipe.tokenizer, device="cpu", num_return_sequences=3)
    assert len(small(SENTENCES[0], num_inference_steps=2)) == 3
    assert len(small(SENTENCES[0], num_inference_steps=2, num_return_sequences=2)) == 2
    with pytest.raises(TypeError, match="top_k"):
        CodeFusionPipeline(model=pipe.model, tokenizer=pipe.tokenizer, device="cpu", top_k=3)


def test_lists_generators_and_nothing(pipe):
    expected = pipe(SENTENCES, num_inference_steps=2)
    assert len(expected) == 3 and all(isinstance(candidates, list) for candidates in expected)
    assert list(pipe((sentence for sentence in SENTENCES), num_inference_steps=2)) == expected
    assert pipe([]) == []


def test_the_task_is_registered(pipe):
    registered = pipeline("text-to-code", model=str(CHECKPOINT), device="cpu")
    assert type(registered) is CodeFusionPipeline
    assert registered(SENTENCES[0], num_inference_steps=1) == pipe(SENTENCES[0], num_inference_steps=1)


@pytest.mark.parametrize("blank", ["", "  \n\t"])
def test_a_blank_sentence_is_refused(pipe, blank):
    with pytest.raises(ValueError, match="must not be blank"):
        pipe(blank)
    with pytest.raises(ValueError, match="must not be blank"):
        pipe([SENTENCES[0], blank])


def test_a_sentence_at_the_limit_is_read_and_a_longer_one_refused(pipe):
    limit, words = pipe.model.config.max_source_length, 0
    while len(pipe.tokenizer("a" + " a" * (words + 1), verbose=False).input_ids) <= limit:
        words += 1
    assert pipe("a" + " a" * words, num_inference_steps=1)
    with pytest.raises(ValueError, match=rf"at most {limit} \(`model.config.max_source_length`\)"):
        pipe("a" + " a" * (words + 1))


@pytest.mark.parametrize("value", [None, 3, ["nested"], b"bytes"])
def test_input_that_is_not_text_is_refused(pipe, value):
    with pytest.raises(TypeError, match="A sentence must be a string"):
        pipe([value])


def test_unknown_arguments_are_refused(pipe):
    with pytest.raises(TypeError, match="temperature"):
        pipe(SENTENCES[0], temperature=0.5)
