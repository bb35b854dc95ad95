"""The demo of codefusion-hf: a sentence in, five ranked programs out, and for rules the cells that they highlight."""

import functools
import os
from pathlib import Path


os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported

import drafting  # noqa: E402
import gradio as gr  # noqa: E402
import tables  # noqa: E402
import views  # noqa: E402

import codefusion_hf  # noqa: E402
from codefusion_hf import evaluation, spreadsheets  # noqa: E402


CHECKPOINTS = {"bash": "Bash", "cf": "Excel conditional formatting", "python": "Python"}
NO_TABLE, UPLOAD, ANY_COLUMN = "None", "My file", ""
EXAMPLES = [
    ["students with a grade above 90", "Grades"],
    ["who missed more than 5 days?", "Grades"],
    ["grades between 60 and 80 in group A", "Grades"],
    ["everything cancelled", "Orders"],
    ["top 3 totals", "Orders"],
]
MAX_SEED = 2**32 - 1
# On a phone the results are below the inputs.
SHOW_STATUS = """() => {
  const status = document.getElementById("status");
  if (status.getBoundingClientRect().top > 0.8 * innerHeight) status.scrollIntoView();
}"""
HERE = Path(__file__).parent
load = functools.cache(evaluation.load)


def show_table(source, upload):
    """The chosen table, its columns to choose from, and an empty list of candidates."""
    table, text, is_error = None, "", False
    try:
        if source in tables.SAMPLES:
            table = tables.read_sample(source)
        elif source == UPLOAD and upload is not None:
            table = tables.read_upload(upload)
    except ValueError as error:
        text, is_error = str(error), True
    names = [] if table is None else [f"{letter}: {name}" for letter, name in zip(table.letters, table.headers)]
    columns = [("any: the model chooses", ANY_COLUMN), *zip(names, [] if table is None else table.letters)]
    return {
        TABLE: table,
        SHEET: "" if table is None else views.table(table),
        COLUMN: gr.Dropdown(columns, value=ANY_COLUMN, visible=table is not None),
        FILE: gr.File(visible=source == UPLOAD),
        **no_candidates(text, is_error),
    }


def generate(sentence, checkpoint, source, table, column, num_candidates, num_steps, seed):
    """Yields what changes on the page: the drafts one by one, then the candidates."""
    try:
        evaluation.check_utterance(sentence)
        if seed is None or not 0 <= seed <= MAX_SEED:
            raise ValueError(f"the seed must be a whole number from 0 to {MAX_SEED}")
        if source == UPLOAD and table is None:
            raise ValueError("upload a .csv or .xlsx file, or choose another table")
        model, tokenizer = load(checkpoint)
        settings = {"num_return_sequences": num_candidates, "seed": int(seed)}
        if model.config.block_size:
            num_steps = None  # as many as the program has blocks
        else:
            settings["num_inference_steps"] = num_steps
            settings["canvas_buckets"] = []  # one canvas: a long program would begin again on the next one
        if model.config.language != "cf":
            table = None

        def run(streamer):
            if table is None:
                example = {"nl": sentence}
                [found] = evaluation.generate_candidates(model, tokenizer, [example], streamer=streamer, **settings)
                return found
            arguments = (sentence, table, column or None, model, tokenizer)
            return spreadsheets.suggest(*arguments, streamer=streamer, **settings)

        for step, (kind, value) in enumerate(drafting.drafts_and_result(run, tokenizer), start=1):
            if kind == "draft":
                yield {STATUS: views.draft(value, step, num_steps)}
    except (TypeError, ValueError) as error:
        yield {STATUS: views.message(str(error), is_error=True)}
        return
    usable = [number for number, found in enumerate(value) if table is None or found["highlight"] is not None]
    chosen = usable[0] if usable else 0
    labels = [(views.candidate_label(found, table), str(number)) for number, found in enumerate(value)]
    yield {
        RESULTS: value,
        CANDIDATES: gr.Radio(labels, value=str(chosen), visible=True),
        **show_candidate(str(chosen), value, table),
    }


def show_candidate(chosen, results, table):
    """The program of a candidate, and the cells that it highlights."""
    found = results[int(chosen)]
    highlight, reason = found.get("highlight"), found.get("reason")
    plural = "s" if len(results) > 1 else ""
    text = f"{len(results)} candidate{plural}, best first" if reason is None else f"{found['code']}: {reason}"
    changes = {
        PROGRAM: gr.Textbox(found["code"], visible=True),
        STATUS: views.message(text, is_error=reason is not None),
    }
    return changes if table is None else {**changes, SHEET: views.table(table, highlight)}


def choose_language(checkpoint):
    """An empty list of candidates; tables are for rules alone, steps for models without blocks."""
    config = load(checkpoint)[0].config
    has_table = config.language == "cf"
    return {
        TABLES: gr.Column(visible=has_table),
        SHEET: gr.HTML(visible=has_table),
        STEPS: gr.Slider(visible=not config.block_size),
        **no_candidates(),
    }


def no_candidates(text="", is_error=False):
    """What an empty list of candidates looks like, with a message in their place."""
    return {
        RESULTS: [],
        CANDIDATES: gr.Radio([], value=None, visible=False),
        PROGRAM: gr.Textbox("", visible=False),
        STATUS: views.message(text, is_error),
    }


with gr.Blocks(title="CodeFusion") as demo:
    TABLE, RESULTS = gr.State(), gr.State([])
    gr.Markdown("# CodeFusion\nSay what you want: the program takes shape out of noise.")
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            SENTENCE = gr.Textbox(
                EXAMPLES[0][0], label="Sentence", placeholder="highlight cells above 10", lines=1, max_lines=1
            )
            names = codefusion_hf.available_checkpoints()
            CHECKPOINT = gr.Radio([(CHECKPOINTS.get(n, n), n) for n in names], value="cf", label="Language")
            with gr.Column() as TABLES:
                SOURCE = gr.Radio([*tables.SAMPLES, UPLOAD, NO_TABLE], value="Grades", label="Table")
                FILE = gr.File(label="Your table: .csv or .xlsx, names in the first row", visible=False, height=140)
                COLUMN = gr.Dropdown([("any: the model chooses", ANY_COLUMN)], value=ANY_COLUMN, label="Column")
            with gr.Accordion("Settings", open=False):
                NUM = gr.Slider(1, 10, value=5, step=1, label="Candidates")
                STEPS = gr.Slider(1, 50, value=10, step=1, label="Denoising steps")
                SEED = gr.Number(0, label="Seed", precision=0)
            BUTTON = gr.Button("Generate", variant="primary")
            labels = [sentence for sentence, _ in EXAMPLES]
            gr.Examples(EXAMPLES, [SENTENCE, SOURCE], label="Try", example_labels=labels, cache_examples=False)
        with gr.Column(scale=3, min_width=300):
            STATUS = gr.HTML(elem_id="status", padding=False)
            CANDIDATES = gr.Radio([], label="Candidates", visible=False, elem_id="candidates")
            PROGRAM = gr.Textbox(label="Chosen", visible=False, buttons=["copy"], elem_id="program", max_lines=4)
            SHEET = gr.HTML(elem_id="sheet", padding=False)

    inputs = [SENTENCE, CHECKPOINT, SOURCE, TABLE, COLUMN, NUM, STEPS, SEED]
    shown = [STATUS, RESULTS, CANDIDATES, PROGRAM, SHEET]
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    starts = [SENTENCE.submit, BUTTON.click]
    gr.on(starts, generate, inputs, shown, concurrency_limit=1, **quiet)
    gr.on(starts, None, js=SHOW_STATUS)
    CANDIDATES.input(show_candidate, [CANDIDATES, RESULTS, TABLE], [PROGRAM, SHEET, STATUS], **quiet)
    gr.on(
        [demo.load, SOURCE.change, FILE.change],
        show_table,
        [SOURCE, FILE],
        [TABLE, COLUMN, FILE, *shown],
        trigger_mode="always_last",  # the default drops a change that comes while the one before is answered
        **quiet,
    )
    CHECKPOINT.change(choose_language, CHECKPOINT, [TABLES, STEPS, *shown], **quiet)


if __name__ == "__main__":
    load("cf")
    # No fonts from elsewhere; white on the default orange is hard to read, and the default rings of the radio buttons
    # are hard to see.
    theme = gr.themes.Default(
        primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    ).set(
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
    )
    demo.queue(max_size=20).launch(
        css_paths=HERE / "style.css",
        js=HERE.joinpath("page.js").read_text(encoding="utf-8"),
        theme=theme,
        footer_links=[],
        max_file_size="5mb",
        ssr_mode=False,
    )
