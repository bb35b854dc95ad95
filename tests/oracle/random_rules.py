"""Random rules on random tables, drawn so that a rule often has something to highlight."""

import datetime
import random

from spreadsheet import Case

from codefusion_hf.languages.cf import SIGNATURES, Column, Node, unparse


TODAY = datetime.date(2024, 5, 15)
KINDS = ("numeric", "text", "date", "mixed")
ERRORS = ("#N/A", "#DIV/0!")
WORDS = (
    "apple Apple pineapple banana BANANA Yes yes no N/A open closed Élan élan Zürich zurich naïve ab abc abcd aab a.b "
    "a-b x_y x+y =sum =1+1 +3a 'quoted 50%off A1 a2 a10 T-1000 app*le wh?t ti~de (net) #tag e-mail@x.org $cash"
).split() + ["New York", "new york city", "in progress", "a b", "O'Brien", 'say"hi"']
GROUPS = {
    "numeric": ("compare", "compare", "text", "rank", "rank", "set", "kind"),
    "text": ("compare", "compare", "compare", "text", "text", "text", "rank", "set", "kind"),
    "date": ("compare", "compare", "text", "date", "date", "rank", "set", "kind"),
    "mixed": ("compare", "compare", "text", "rank", "date", "set", "kind"),
}
NAMES = {
    group: [name for name, signature in SIGNATURES.items() if signature.group == group]
    for group in ("compare", "text", "rank", "set", "kind", "date")
}


def random_case(kind: str, draw: random.Random) -> Case:
    """One rule on a table of one to three columns of `kind`; the selected column and 8 to 16 rows."""
    width, height = draw.choice((1, 1, 1, 2, 3)), draw.randint(8, 16)
    columns = [_column(kind, height, draw) for _ in range(width)]
    table = {
        "columns": [f"h{index}" for index in range(width)],
        "rows": [list(row) for row in zip(*columns)],
        "column": draw.randrange(width),
    }
    return Case(unparse(_rule(kind, columns, table["column"], draw, depth=draw.choice((1, 1, 1, 2, 2, 3)))), table)


def _column(kind: str, height: int, draw: random.Random) -> list[str]:
    pool = [_cell(kind, draw) for _ in range(draw.randint(height // 2, 2 * height))]
    return [draw.choice(pool) for _ in range(height)]


def _cell(kind: str, draw: random.Random) -> str:
    if draw.random() < 0.08:
        return ""
    if kind == "mixed":
        kind = draw.choice(("numeric", "numeric", "text", "text", "date", "error"))
    if kind == "error":
        return draw.choice(ERRORS)
    if kind == "date":
        return str(TODAY + datetime.timedelta(days=round(draw.gauss(0, 25))))
    return draw.choice(WORDS) if kind == "text" else _number(draw)


def _number(draw: random.Random) -> str:
    number = draw.choice((draw.randint(-9, 30), draw.randint(-500, 2000), draw.uniform(-5, 5), draw.gauss(0, 1000)))
    return f"{round(number, draw.choice((1, 2, 3))):.15g}"


def _rule(kind: str, columns: list[list[str]], selected: int, draw: random.Random, depth: int) -> Node:
    if depth > 1:
        name = draw.choice(("AND", "OR", "NOT"))
        operands = 1 if name == "NOT" else draw.choice((2, 2, 3))
        return Node(name, tuple(_rule(kind, columns, selected, draw, depth - 1) for _ in range(operands)))
    column = draw.randrange(len(columns)) if len(columns) > 1 and draw.random() < 0.5 else None
    cells = columns[selected if column is None else column]
    group = draw.choice(GROUPS[kind])
    name = draw.choice(NAMES[group])
    if group == "rank":
        limit = 100 if name.endswith("Percent") else 12
        return Node(name, (str(draw.randint(1, limit)),) if SIGNATURES[name].values else (), column)
    values = []
    for _ in range(SIGNATURES[name].values):
        other = draw.randrange(len(columns))
        if column is not None and len(columns) > 1 and draw.random() < 0.3:
            values.append(Column(other))
        else:
            values.append(_pattern(cells, draw) if group == "text" else _constant(kind, cells, draw))
    return Node(name, tuple(values), column)


def _constant(kind: str, cells: list[str], draw: random.Random) -> str:
    own = [cell for cell in cells if cell and cell not in ERRORS]
    if own and draw.random() < 0.6:
        return draw.choice(own)
    if draw.random() < 0.1:
        kind = draw.choice(KINDS)
    return _cell("text" if kind == "error" else kind, draw).replace("#N/A", "0").replace("#DIV/0!", "0") or "0"


def _pattern(cells: list[str], draw: random.Random) -> str:
    """A cell or a piece of one, sometimes in another case or with wildcards."""
    own = [cell for cell in cells if cell and cell not in ERRORS]
    text = draw.choice(own) if own and draw.random() < 0.8 else draw.choice(WORDS)
    start = draw.randrange(len(text))
    text = draw.choice((text, text[start:], text[: start + 1], text[start : start + 3]))
    text = draw.choice((text, text, text.upper(), text.lower()))
    if draw.random() < 0.25:
        spot = draw.randrange(len(text) + 1)
        text = text[:spot] + draw.choice(("*", "?", "~*", "~?")) + text[spot + draw.choice((0, 1)) :]
    return text
