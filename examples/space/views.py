"""What the Space shows, as HTML. Everything that a user, a file or the model wrote is escaped."""

from html import escape
from typing import Any

from codefusion_hf.spreadsheets import Highlight, SheetTable


NUM_ROWS, NUM_COLUMNS, NUM_CHARACTERS = 100, 20, 60  # that are shown of a table, and of a cell
FILL = "FFC7CE"  # Excel's light red


def message(text: str, is_error: bool = False) -> str:
    """A line below the button."""
    return f'<p class="message{" error" if is_error else ""}">{escape(" ".join(text.split()))}</p>'


def draft(text: str, step: int, num_steps: int | None) -> str:
    """
    One draft, and how far it has gone, if it is known how far it will go. Hidden from screen readers: it changes too
    fast to be read out.
    """
    if num_steps is None:
        progress, stage = "<progress></progress>", f"step {step}"
    else:
        progress = f'<progress max="{num_steps}" value="{step}"></progress>'
        stage = f"step {step} of {num_steps}" if step <= num_steps else f"revision {step - num_steps}"
    code = f"<code>{escape(text) or '…'}</code>"
    return f'<p class="draft" aria-hidden="true">{progress} {stage}<br>{code}</p>'


def candidate_label(candidate: dict[str, Any], table: SheetTable | None) -> str:
    """A candidate in two lines of plain text: the program; whether it is valid, its score, and what it highlights."""
    valid = {True: "✓ valid", False: "✗ invalid", None: "not checked"}[candidate["valid"]]
    parts = [valid, f"score {round(candidate['score'], 2) or 0.0:.2f}".replace("-", "−")]
    if table is not None:
        highlight = candidate["highlight"]
        if highlight is None:
            parts.append("cannot be applied here")
        else:
            parts.append(f"{highlight.num_cells} of {table.num_rows} cells in {table.headers[highlight.column][:30]}")
    return f"{' '.join(candidate['code'].split())}\n{' · '.join(parts)}"


def table(table: SheetTable, highlight: Highlight | None = None) -> str:
    """The first rows of a table, and the first highlighted ones, as a region that scrolls."""
    hits = [] if highlight is None else [row for row, hit in enumerate(highlight.mask) if hit]
    colors = [None] * table.num_rows if highlight is None else highlight.colors(FILL)
    rows = sorted({*range(min(NUM_ROWS, table.num_rows)), *hits[:NUM_ROWS]})
    columns = list(range(min(NUM_COLUMNS, len(table.cells))))
    if highlight is not None and highlight.column not in columns:
        columns[-1] = highlight.column
    lines, before = [], -1
    for row in rows:
        if row > before + 1:
            lines.append(f'<tr><td colspan="{len(columns) + 1}">⋮</td></tr>')
        cells = []
        for column in columns:
            text = escape(_cut(table.display(column, row)))
            if highlight is not None and column == highlight.column and colors[row]:
                cells.append(f'<td class="hit" style="background:#{colors[row]}"><mark>{text}</mark></td>')
            else:
                cells.append(f"<td>{text}</td>")
        lines.append(f'<tr><th scope="row">{table.first_row + row}</th>{"".join(cells)}</tr>')
        before = row
    header = "".join(f'<th scope="col">{escape(_cut(table.headers[column]))}</th>' for column in columns)
    left_out = [
        f"{number} more {kind}{'s' if number > 1 else ''}"
        for kind, number in [("row", table.num_rows - len(rows)), ("column", len(table.cells) - len(columns))]
        if number
    ]
    return (
        f'<div class="sheet" role="region" aria-label="Table" tabindex="0"><table>'
        f"<caption>{escape(_caption(table, highlight))}</caption>"
        f"<thead><tr><td></td>{header}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
        + (f'<p class="left-out">{" and ".join(left_out)} not shown</p>' if left_out else "")
    )


def _caption(table: SheetTable, highlight: Highlight | None) -> str:
    if highlight is None:
        return f"{table.num_rows} rows, nothing highlighted"
    return f"{highlight.num_cells} of {table.num_rows} cells highlighted in {highlight.range}"


def _cut(text: str) -> str:
    return text if len(text) <= NUM_CHARACTERS else text[: NUM_CHARACTERS - 1] + "…"
