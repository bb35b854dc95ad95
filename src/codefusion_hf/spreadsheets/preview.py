"""What a workbook will look like: the table with its highlighted cells, as a page or a picture."""

from __future__ import annotations

import html
import warnings
from pathlib import Path

from .formats import DEFAULT_FORMAT, CellFormat
from .highlights import Highlight


FORMATS = (".html", ".png")
NUM_ROWS = {".html": 100, ".png": 25}  # the first so many, and the first so many highlighted ones
NUM_COLUMNS = 10
MAX_CHARACTERS = 60  # of a cell
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 1rem; color: #111; background: #fff; overflow-x: auto }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ border: 1px solid #ccc; padding: .2rem .5rem; text-align: left; white-space: pre }}
th {{ background: #eee; font-weight: 600 }}
</style></head><body>
<p><code>{rule}</code> highlights {count} of {total} cells in {place}</p>
<table>
{rows}
</table>
{rest}</body></html>
"""


def write_preview(highlight: Highlight, path: str | Path, cell_format: CellFormat | None = None) -> None:
    """
    Writes a picture or a page of the table with its highlighted cells: the first rows, and the first highlighted ones.

    Args:
        highlight (`Highlight`): As returned by [`prepare`].
        path (`str` or `Path`): Ends in `.html` or `.png`, which needs matplotlib.
        cell_format (`CellFormat`, *optional*): How highlighted cells look; light red with dark red text by default.

    Raises:
        ValueError: For another ending.
        ImportError: If matplotlib is not installed.
        OSError: If the file cannot be written.
    """
    path, cell_format = Path(path), cell_format or DEFAULT_FORMAT
    check_preview(path)
    write = _write_html if path.suffix.lower() == ".html" else _write_png
    write(highlight, path, cell_format, _rows(highlight, NUM_ROWS[path.suffix.lower()]), _columns(highlight))


def check_preview(path: str | Path) -> None:
    """Raises `ValueError` unless [`write_preview`] knows the ending and there is such a folder."""
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"a preview must end in {' or '.join(FORMATS)}, got {path}")
    if not path.parent.is_dir():
        raise ValueError(f"cannot write {path}: there is no folder {path.parent}")


def _rows(highlight: Highlight, limit: int) -> list[int]:
    highlighted = [row for row, shown in enumerate(highlight.mask) if shown]
    return sorted({*range(min(limit, len(highlight.mask))), *highlighted[:limit]})


def _columns(highlight: Highlight) -> list[int]:
    first = list(range(min(NUM_COLUMNS, len(highlight.table.cells))))
    return first if highlight.column in first else [*first[:-1], highlight.column]


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


def _write_html(
    highlight: Highlight, path: Path, cell_format: CellFormat, rows: list[int], columns: list[int]
) -> None:
    table = highlight.table
    colors = highlight.colors(cell_format.fill or "FFFFFF")
    style = "" if highlight.is_visual else _css(cell_format)
    lines = ["<tr><th></th>" + "".join(f"<th>{html.escape(_cut(table.headers[k]))}</th>" for k in columns) + "</tr>"]
    before = -1
    for row in rows:
        if row > before + 1:
            lines.append(f'<tr><td colspan="{len(columns) + 1}">⋮</td></tr>')
        cells = [f"<th>{table.first_row + row}</th>"]
        for k in columns:
            painted = k == highlight.column and colors[row]
            look = f' style="background: #{colors[row]}{style}"' if painted else ""
            cells.append(f"<td{look}>{html.escape(_cut(table.display(k, row)))}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
        before = row
    left_out = table.num_rows - len(rows)
    page = _PAGE.format(
        title=html.escape(f"{table.package.path.name}: {highlight.rule}"),
        rule=html.escape(highlight.rule),
        count=highlight.num_cells,
        total=table.num_rows,
        place=html.escape(f"{table.sheet}, {highlight.range}"),
        rows="\n".join(lines),
        rest=f"<p>{left_out} more rows</p>\n" if left_out else "",
    )
    # A lone surrogate or a control character in a cell must not stop the preview.
    path.write_text(page, encoding="utf-8", errors="replace")


def _css(cell_format: CellFormat) -> str:
    lines = [name for name, on in [("underline", cell_format.underline), ("line-through", cell_format.strike)] if on]
    parts = [
        f"color: #{cell_format.font}" if cell_format.font else "",
        "font-weight: bold" if cell_format.bold else "",
        "font-style: italic" if cell_format.italic else "",
        f"text-decoration: {' '.join(lines)}" if lines else "",
    ]
    return "".join(f"; {part}" for part in parts if part)


def _write_png(highlight: Highlight, path: Path, cell_format: CellFormat, rows: list[int], columns: list[int]) -> None:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("a picture needs matplotlib: pip install 'codefusion-hf[plots]'") from None
    table, colors = highlight.table, highlight.colors(cell_format.fill or "FFFFFF")
    # A dollar sign would start a formula.
    texts = [[_cut(table.display(k, row)).replace("$", r"\$") for k in columns] for row in rows]
    headers = [_cut(table.headers[k]).replace("$", r"\$") for k in columns]
    backgrounds = [
        [f"#{colors[row]}" if k == highlight.column and colors[row] else "#FFFFFF" for k in columns] for row in rows
    ]
    figure = Figure(figsize=(1 + 1.6 * len(columns), 0.8 + 0.28 * len(rows)), dpi=120)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    drawn = axes.table(
        cellText=texts,
        colLabels=headers,
        rowLabels=[str(table.first_row + row) for row in rows],
        cellColours=backgrounds,
        colColours=["#EEEEEE"] * len(columns),
        cellLoc="left",
        loc="upper center",
    )
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(9)
    drawn.auto_set_column_width(list(range(-1, len(columns))))
    for line, row in enumerate(rows, start=1):
        if highlight.mask[row] and not highlight.is_visual:
            text = drawn[line, columns.index(highlight.column)].get_text()
            text.set_color(f"#{cell_format.font or '000000'}")
            text.set_weight("bold" if cell_format.bold else "normal")
            text.set_style("italic" if cell_format.italic else "normal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that matplotlib's font lacks
        canvas.draw()
        extent = drawn.get_window_extent(canvas.get_renderer()).transformed(figure.dpi_scale_trans.inverted())
        figure.savefig(path, bbox_inches=extent.padded(0.1))
