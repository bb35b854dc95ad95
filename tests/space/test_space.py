"""
The Space in a browser: `make test-space`. With SPACE_SCREENSHOTS=docs/images it renews the documentation's pictures.
"""

import os
import re
from pathlib import Path

import openpyxl
import pytest


pytestmark = pytest.mark.browser

SENTENCE = "students with a grade above 90"
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 740}
HOSTILE = """<b>Name</b>,"Points ""><img src=x onerror=alert(1)>",Note
<script>alert(2)</script>,7,=cmd|' /C calc'!A0
"<img src=x onerror=""alert(3)"">",12,<mark class=hit>no</mark>
&lt;i&gt;,15,"</td></table><h1>no</h1>"
"""


@pytest.fixture(scope="module")
def server():
    from browser import Server

    with Server() as server:
        yield server
        assert "Traceback" not in "".join(server.log)


@pytest.fixture(scope="module")
def chromium():
    from browser import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(server, chromium):
    """Opens the page; when the test is over, nothing may have gone wrong in it."""
    from browser import Visit

    visits = []

    def open_page(viewport=DESKTOP, scheme="light"):
        context = chromium.new_context(viewport=viewport, color_scheme=scheme)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        visits.append(Visit(context, server.url))
        return visits[-1]

    yield open_page
    for visit in visits:
        visit.page.context.close()
        assert visit.faults == []


def test_a_sentence_becomes_five_candidates_and_highlighted_cells(visit):
    space = visit()
    assert space.highlighted() == []
    space.ask(SENTENCE)

    drafts = [line.splitlines() for line in space.drafts() if line.startswith("step")]
    steps = [int(first.removeprefix("step ").removesuffix(" of 10")) for first, *_ in drafts]
    assert len(steps) >= 5 and steps == sorted(set(steps)) and 1 <= steps[0] and steps[-1] <= 10
    assert any(line.startswith("revision 1\n") for line in space.drafts())

    candidates = space.candidates()
    assert len(candidates) == 5
    assert candidates[0].splitlines() == ["GreaterThan(c[2], 90)", "✓ valid · score 0.00 · 3 of 12 cells in Grade"]
    assert space.highlighted() == ["91", "95", "100"]
    assert space.page.locator("#sheet caption").inner_text() == "3 of 12 cells highlighted in C2:C13"

    other = next(i for i, text in enumerate(candidates) if text.startswith("LessThan(c[2], 90)"))
    space.page.locator("#candidates label").nth(other).click()
    space.page.locator("#sheet caption", has_text="9 of 12").wait_for()
    assert space.highlighted() == ["75", "58", "88", "64", "82", "49", "73", "88", "67"]
    space.page.get_by_label("Copy").click()
    assert space.page.evaluate("navigator.clipboard.readText()") == "LessThan(c[2], 90)"


def test_an_example_fills_the_form_and_its_program_takes_shape(visit):
    space = visit()
    example = "grades between 60 and 80 in group A"
    space.page.get_by_role("button", name=example).click()
    space.page.wait_for_function("text => document.querySelector('input[type=text]').value === text", arg=example)
    space.ask(example)
    assert len({line.splitlines()[1] for line in space.drafts() if line.startswith("step")}) > 1
    assert space.highlighted() == ["73"]


def test_settings(visit):
    space = visit()
    space.page.get_by_role("button", name="Settings").click()
    space.page.get_by_label("number input for Candidates").fill("3")
    space.page.get_by_label("number input for Denoising steps").fill("2")
    space.page.get_by_label("Seed").fill("7")
    space.ask("who missed more than 5 days?")
    assert len(space.candidates()) == 3
    assert any(line.startswith("step 2 of 2") for line in space.drafts())
    assert space.highlighted() == ["9", "7", "12", "6"]

    space.page.get_by_label("Seed").fill("-1")
    space.type(SENTENCE)
    space.wait_for_status("the seed must be a whole number from 0 to 4294967295")


def test_a_table_is_optional_and_a_column_can_be_chosen(visit):
    space = visit()
    space.choose_table("None")
    space.page.locator("#sheet table").wait_for(state="detached")
    space.ask("highlight cells above 10")
    assert space.candidates()[0].startswith("GreaterThan(10)\n✓ valid · score ")

    space.choose_table("Orders")
    space.page.locator("#sheet table").wait_for()
    assert space.candidates() == []
    space.page.get_by_role("combobox", name="Column").click()
    space.page.get_by_role("option", name="D: Total").click()
    space.ask("highlight cells above 1129")
    assert space.highlighted() == ["1290.5", "2210.99", "1750"]


def test_the_keyboard_is_enough_on_a_phone(visit):
    space = visit(PHONE)
    press = space.page.keyboard.press

    def tab_to(name, limit=30):
        for _ in range(limit):
            press("Tab")
            focused = space.focused()
            if focused["name"].startswith(name):
                assert focused["outline"] != "none", f"the focus on {name} cannot be seen"
                return
        raise AssertionError(f"Tab does not lead to {name}")

    tab_to("Sentence")
    press("Control+A")
    space.page.keyboard.type(SENTENCE)
    press("Enter")
    space.wait_for_status("5 candidates, best first")
    assert space.highlighted() == ["91", "95", "100"]
    # The results have come into view by themselves.
    assert space.page.locator("#status").bounding_box()["y"] < PHONE["height"] / 2
    assert space.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]

    tab_to("GreaterThan(c[2], 90)")
    press("ArrowDown")
    second = space.candidates()[1].splitlines()[0]
    space.page.wait_for_function("code => document.querySelector('#program textarea').value === code", arg=second)
    tab_to("Copy")
    press("Enter")
    space.page.wait_for_timeout(200)
    assert space.page.evaluate("navigator.clipboard.readText()") == second
    tab_to("Table")  # the table scrolls by the arrow keys
    tab_to("Sentence")
    tab_to("Orders") if space.focused()["name"] == "Orders" else tab_to("Grades")
    press("ArrowRight")
    space.page.locator("#sheet caption", has_text="10 rows").wait_for()
    tab_to("Settings")
    press("Enter")
    tab_to("Seed")
    tab_to("Generate")
    press("Enter")
    space.wait_for_status("5 candidates, best first")


def test_names_for_screen_readers(visit):
    space = visit()
    assert space.page.evaluate("document.documentElement.lang") == "en"
    assert space.page.title() == "CodeFusion"
    space.ask(SENTENCE)
    for role, name in [
        ("heading", "CodeFusion"),
        ("textbox", "Sentence"),
        ("radiogroup", "Language"),
        ("radiogroup", "Table"),
        ("combobox", "Column"),
        ("button", "Generate"),
        ("radiogroup", "Candidates"),
        ("button", "Copy"),
        ("region", "Table"),
        ("rowheader", "13"),
    ]:
        assert space.page.get_by_role(role, name=name, exact=True).count() == 1, (role, name)
    assert space.page.get_by_role("columnheader").all_inner_texts() == [
        "Name",
        "Group",
        "Grade",
        "Absences",
        "Enrolled",
    ]
    assert space.page.get_by_role("status").get_by_text("5 candidates").count() == 1
    settings = space.page.get_by_role("button", name="Settings")
    assert settings.get_attribute("aria-expanded") == "false"
    settings.click()
    space.page.locator("[aria-expanded=true]", has_text="Settings").wait_for()


def test_uploaded_tables_are_read_and_never_become_part_of_the_page(visit, tmp_path):
    space = visit()
    (tmp_path / "hostile.csv").write_text(HOSTILE, encoding="utf-8")
    space.upload(tmp_path / "hostile.csv")
    space.page.locator("#sheet caption", has_text="3 rows").wait_for()
    space.page.get_by_role("combobox", name="Column").click()
    space.page.get_by_role("option", name="B: Points").click()
    space.ask("points above 10")
    count = space.page.locator("#sheet caption").inner_text().split(" of 3 cells highlighted in B2:B4")[0]
    assert len(space.highlighted()) == int(count)
    cells = space.page.locator("#sheet tbody td").all_inner_texts()
    assert cells[0] == "<script>alert(2)</script>" and cells[2] == "=cmd|' /C calc'!A0"
    assert cells[5] == "<mark class=hit>no</mark>" and cells[6] == "&lt;i&gt;"
    space.ask('name is <img src=x onerror="alert(3)">')
    assert space.page.locator(":is(#sheet, #candidates, #status) :is(img, script, b, i, h1)").count() == 0

    book = openpyxl.Workbook()
    for row in [["Item", "Price"], ["pen", 2.5], ["desk", 180], ["lamp", 40]]:
        book.active.append(row)
    book.save(tmp_path / "prices.xlsx")
    space.upload(tmp_path / "prices.xlsx")
    space.page.get_by_role("columnheader", name="Price").wait_for()
    space.ask("price above 30")
    assert space.highlighted() == ["180", "40"]


def test_what_cannot_be_done_is_said_in_one_line(visit, tmp_path):
    space = visit()
    space.type("  ")
    space.wait_for_status("the utterance is empty: say in a sentence what the program should do")
    space.type("very " * 500 + "long")
    space.wait_for_status("tokens")
    assert space.page.locator("#status .error").count() == 1

    files = {
        "picture.csv": (
            b"\x89PNG\r\n\x1a\n\xff\xfe",
            "picture.csv is no CSV file in UTF-8: save it as one, or as .xlsx",
        ),
        "ragged.csv": (b"a,b\n1,2,3\n", "ragged.csv, row 2: 3 cells, but the header names 2 columns"),
        "header.csv": (b"a,b\n", "header.csv has no row below the names of its columns"),
        "text.xlsx": (b"no workbook", "text.xlsx is no .xlsx workbook: save it as .xlsx in a spreadsheet program"),
        "notes.txt": (b"a,b\n1,2\n", "notes.txt is neither .csv nor .xlsx: save the table as one of these"),
    }
    for name, (content, message) in files.items():
        (tmp_path / name).write_bytes(content)
        space.upload(tmp_path / name)
        space.wait_for_status(message)
        space.type("highlight duplicates")
        space.wait_for_status("upload a .csv or .xlsx file, or choose another table")
    space.choose_table("Grades")
    space.page.locator("#sheet caption", has_text="12 rows").wait_for()
    space.ask(SENTENCE)
    assert len(space.candidates()) == 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_can_be_chosen_is_easy_to_see(visit, scheme):
    space = visit(DESKTOP, scheme)
    space.ask(SENTENCE)
    colors = space.page.evaluate("""() => {
      const style = getComputedStyle, radios = [...document.querySelectorAll("input[type=radio]:not(:checked)")];
      return radios.map(radio => [style(radio).borderTopColor, style(radio.closest("label")).backgroundColor]);
    }""")
    assert len(colors) >= 7
    for ring, behind in colors:
        assert contrast(ring, behind) >= 3  # WCAG 2.2, 1.4.11


def contrast(*colors):
    """The contrast ratio of two colours as CSS prints them, after WCAG 2.2."""
    found = []
    for color in colors:
        channels = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
        found.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)
    return max(found) / min(found)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_screenshots(visit, tmp_path, device, scheme):
    space = visit({"desktop": DESKTOP, "phone": PHONE}[device], scheme)
    space.ask(SENTENCE)
    background = space.page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = max(int(part) for part in background.strip("rgba()").split(",")[:3])
    assert (brightness < 60) == (scheme == "dark")

    picture = Path(os.environ.get("SPACE_SCREENSHOTS", tmp_path)) / f"space-{device}-{scheme}.png"
    space.page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    space.page.wait_for_timeout(500)
    space.page.screenshot(path=picture, full_page=True)
    from PIL import Image

    with Image.open(picture) as image:
        assert image.width == {"desktop": DESKTOP, "phone": PHONE}[device]["width"]
        small = image.convert("RGB").quantize(128)
    small.save(picture, optimize=True)
    assert picture.stat().st_size < 200_000
