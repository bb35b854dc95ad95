"""The parts of the Space that need neither gradio nor a browser."""

import datetime
import re
import sys
from pathlib import Path

import pytest

import codefusion_hf
from codefusion_hf import evaluation, spreadsheets


SPACE = Path(__file__).parents[2] / "examples" / "space"


@pytest.fixture(scope="module", autouse=True)
def space_modules():
    sys.path.insert(0, str(SPACE))
    yield
    sys.path.remove(str(SPACE))


@pytest.fixture
def read(tmp_path):
    """Reads a table from the text or the bytes of a file."""
    import tables

    def read(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tables.read_upload(path)

    return read


def test_samples_are_tables_that_rules_can_read():
    import tables

    grades, orders = tables.read_sample("Grades"), tables.read_sample("Orders")
    assert grades.headers == ["Name", "Group", "Grade", "Absences", "Enrolled"] and grades.num_rows == 12
    assert spreadsheets.prepare("GreaterThan(c[2], 90)", grades).num_cells == 3
    assert spreadsheets.prepare("LessThan(c[5], 2024-05-10)", orders).num_cells == 3
    assert spreadsheets.prepare("Blanks(c[3])", orders).num_cells == 1


def test_cells_of_a_csv_file_have_their_types(read):
    table = read("a;b;c\n1,290.50;50%;2024-05-03\n007;TRUE;1899-12-31\n\n=1+1;#N/A;\n -2e3 ;x\x00y;'t\n")
    assert table.cells[0] == [1290.5, 7, "=1+1", -2000]
    assert table.cells[1] == [0.5, True, "#N/A", "x\ufffdy"]
    assert table.cells[2] == [datetime.datetime(2024, 5, 3), "1899-12-31", None, "'t"]
    assert table.display(1, 0) == "50%" and table.display(2, 0) == "2024-05-03"
    assert spreadsheets.prepare("Errors(c[1])", table).mask == [False, False, True, False]


def test_a_formula_in_a_csv_file_stays_text(read):
    table = read("=A1,b\n=cmd|' /C calc'!A0,+1+1\n@SUM(1),-x\n")
    assert table.headers == ["=A1", "b"]
    assert table.cells == [["=cmd|' /C calc'!A0", "@SUM(1)"], ["+1+1", "-x"]]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("", "a.csv", "a.csv names no columns in its first row"),
        (" , \n1,2\n", "a.csv", "a.csv names no columns in its first row"),
        ("a,b\n", "a.csv", "a.csv has no row below the names of its columns"),
        ("a,b\n1,2\n1,2,3\n", "a.csv", "a.csv, row 3: 3 cells, but the header names 2 columns"),
        ("a\n" + "1\n" * 100_000, "a.csv", "a.csv is too large: at most 100000 cells are read here"),
        ("é".encode("latin-1"), "a.csv", "a.csv is no CSV file in UTF-8: save it as one, or as .xlsx"),
        ("a\n" + "x" * 200_000, "a.csv", "a.csv is no CSV file in UTF-8: save it as one, or as .xlsx"),
        ("a,b\n", "a.txt", "a.txt is neither .csv nor .xlsx: save the table as one of these"),
        ("a,b\n", "a.xlsx", "a.xlsx is no .xlsx workbook: save it as .xlsx in a spreadsheet program"),
        ("", "a.XLSX", "a.XLSX is empty"),
    ],
)
def test_bad_files_are_named_without_their_folder(read, content, name, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read(content, name)


def test_a_file_that_is_gone():
    import tables

    with pytest.raises(ValueError, match="^gone.csv cannot be read: No such file or directory$"):
        tables.read_upload(SPACE / "gone.csv")


def test_all_text_is_escaped(read):
    import views

    evil = "<img src=x onerror=alert(1)>"
    table = read(f'"{evil}",b\n"{evil}",1\n')
    highlight = spreadsheets.prepare(f"TextEquals(c[0], '{evil}')", table)
    assert highlight.num_cells == 1
    for page in (
        views.table(table),
        views.table(table, highlight),
        views.message(evil),
        views.draft(evil, step=1, num_steps=2),
    ):
        assert "<img" not in page and "&lt;img src=x onerror=alert(1)&gt;" in page


def test_a_long_and_wide_table_shows_the_highlighted_cells(read):
    import views

    header, rows = [f"h{k}" for k in range(30)], [["x" * 80] * 29 + [str(n)] for n in range(1000)]
    table = read("\n".join(map(",".join, [header, *rows])))
    page = views.table(table, spreadsheets.prepare("GreaterThan(c[29], 997)", table))
    assert re.findall(r'<td class="hit" [^>]*><mark>(\d+)</mark></td>', page) == ["998", "999"]
    assert re.findall(r'<th scope="row">(\d+)', page) == [*map(str, range(2, 102)), "1000", "1001"]
    assert page.count("⋮") == 1 and "x" * 59 + "…" in page and "x" * 60 not in page
    assert "898 more rows and 10 more columns not shown" in page


def test_colour_scales_keep_their_own_colours(read):
    import views

    page = views.table(table := read("a\n1\n2\n3\n"), spreadsheets.prepare("ColorScale()", table))
    assert re.findall(r"background:#(\w+)", page) == ["F8696B", "FFEB84", "63BE7B"]


def test_candidates_have_their_marks(read):
    import views

    table = read("a,b\n1,2\n")
    candidates = [
        {"code": "GreaterThan(c[0], 0)", "score": -0.001, "valid": True},
        {"code": "Top(", "score": -1.25, "valid": False},
    ]
    first, second = spreadsheets.assess(candidates, table, [0, 1])
    assert views.candidate_label(first, table) == "GreaterThan(c[0], 0)\n✓ valid · score 0.00 · 1 of 1 cells in a"
    assert views.candidate_label(second, table) == "Top(\n✗ invalid · score −1.25 · cannot be applied here"
    unknown = {"code": "a\nb", "score": -2.0, "valid": None}
    assert views.candidate_label(unknown, None) == "a b\nnot checked · score −2.00"


def test_drafts_come_before_the_result_and_change_nothing(tiny_cf):
    import drafting

    model, tokenizer = evaluation.load(str(tiny_cf))
    examples = [{"nl": "highlight cells above 10"}]

    def generate(streamer=None):
        return evaluation.generate_candidates(model, tokenizer, examples, num_inference_steps=4, streamer=streamer)

    *drafts, result = drafting.drafts_and_result(generate, tokenizer)
    assert [kind for kind, _ in drafts] == ["draft"] * 4 and all(isinstance(text, str) for _, text in drafts)
    assert result == ("result", generate())


def test_errors_of_the_thread_reach_the_caller(tiny_cf):
    import drafting

    def generate(streamer):
        raise ValueError("too long")

    with pytest.raises(ValueError, match="^too long$"):
        list(drafting.drafts_and_result(generate, tokenizer=None))


def test_the_card_and_the_requirements_fit_this_package():
    card = (SPACE / "README.md").read_text(encoding="utf-8").split("---")[1]
    settings = dict(re.findall(r"^(\w+): (.*)$", card, re.MULTILINE))
    requirements = (SPACE / "requirements.txt").read_text(encoding="utf-8")
    assert (SPACE / settings["app_file"]).is_file() and settings["sdk"] == "gradio"
    assert len(settings["short_description"]) <= 60  # the Hub's limit
    major, minor, _ = settings["sdk_version"].split(".")
    assert f"gradio>={major}.{minor},<{int(major) + 1}\n" in requirements
    minor = codefusion_hf.__version__.rpartition(".")[0]
    assert f"codefusion-hf[excel]~={minor}.0\n" in requirements
