"""What the model reads (an utterance and the columns of a table) and the spelling of what it writes."""

import re

from ..languages.cf.values import read_cell
from .linking import mentions


MAX_MATCHES = 2  # cell values shown for a column
PLACEHOLDER_HEADERS = ("index", "value")  # of the released CF benchmark: they name nothing


def source_text(nl: str, table: dict | None = None) -> str:
    """
    The text that conditions the model: the utterance, and for each column its reference, header, kind of values, the
    words of the utterance that name it ([`data.linking.mentions`]), and those values that the utterance mentions
    (content matching as in BRIDGE, Lin et al., 2020):

        cancelled with totals over 50 | c[0] order text c[1] status text = cancelled c[2] total number @ totals

    Args:
        nl (`str`): The utterance.
        table (`dict`, *optional*): `{"columns": [str], "rows": [[cell]]}`. A table with one column is described
            without a reference, since rules on it need none.

    Raises:
        ValueError: for a table without columns.
    """
    nl = " ".join(nl.split())
    nl = re.sub(r"[.!?…\s]+$", "", nl) or nl  # a final full stop never changes a rule
    columns = table_columns(table)
    if not columns:
        return nl
    words = _words(nl)
    named = mentions([name for name, _ in columns], nl) if len(columns) > 1 else [""]
    parts = []
    for index, (name, cells) in enumerate(columns):
        part = f"{humanise(name)} {column_kind(cells)}".strip()
        if len(columns) > 1:
            part = f"c[{index}] {part}"
        if named[index]:
            part = f"{part} @ {named[index]}"
        matches = _mentioned(cells, words)
        parts.append(f"{part} = {', '.join(matches)}" if matches else part)
    return f"{nl} | {' '.join(parts)}"


def table_columns(table: dict | None) -> list[tuple[str, list[str]]]:
    """
    The columns of a table as `(header, cells)`, all strings. In the released CF format (an `Index` column, the
    selected column `Value`, and a distractor) only the cells of the selected column mean anything.

    Raises:
        ValueError: for a table without columns, or with a row of more cells than columns.
    """
    if table is None:
        return []
    if not isinstance(table, dict) or not isinstance(table.get("columns"), list) or not table["columns"]:
        raise ValueError('a table needs columns: {"columns": ["name", ...], "rows": [[cell, ...], ...]}')
    headers = ["" if header is None else str(header) for header in table["columns"]]
    rows = table.get("rows") or []
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) > len(headers):
            raise ValueError(f"row {number} of the table must be a list of at most {len(headers)} cells")
    # Rows as short as their last filled cell are common in exports.
    cells = [["" if k >= len(row) or row[k] is None else str(row[k]) for row in rows] for k in range(len(headers))]
    if tuple(header.strip().lower() for header in headers[:2]) == PLACEHOLDER_HEADERS:
        return [("", cells[1])]
    return list(zip(headers, cells))


def humanise(header: str) -> str:
    """`unit_price`, `UnitPrice` and `unit  price` as the words `unit price` (letter case kept)."""
    header = re.sub(r"(?<=[a-z])(?=[A-Z])|[_\s]+", " ", header).replace("|", " ")
    return " ".join(header.split())[:60]


def column_kind(cells: list[str]) -> str:
    """`number`, `percent`, `date`, `text`, or `empty`, by the majority of the filled cells among the first 50."""
    kinds = [kind for kind in map(_cell_kind, cells[:50]) if kind]
    if not kinds:
        return "empty"
    best = max(sorted(set(kinds)), key=kinds.count)
    return best if kinds.count(best) * 2 > len(kinds) else "text"


def _cell_kind(cell: str) -> str | None:
    value = read_cell(cell)
    if value.kind == "number":
        return "date" if value.is_date else "percent" if value.text.strip().endswith("%") else "number"
    return None if value.kind in ("blank", "error") else "text"


def _words(text: str) -> str:
    return " ".join(["", *re.findall(r"[^\W_]+", text.lower()), ""])


def _mentioned(cells: list[str], words: str) -> list[str]:
    found = {}
    for cell in cells[:1000]:
        key = _words(cell)
        if any(c.isalpha() for c in key) and len(key) <= 60 and key in words:
            found.setdefault(key, " ".join(cell.replace("|", " ").split()))
    longest = sorted(found, key=len, reverse=True)
    kept = [key for i, key in enumerate(longest) if not any(key in other for other in longest[:i])]
    return [found[key] for key in kept[:MAX_MATCHES]]


def restore_case(code: str, nl: str, table: dict | None = None) -> str:
    """
    Gives the literals of a program the spelling of the utterance, or else of a cell of the table. The CF tokenizer
    lower-cases its text (Excel compares text without case); which rule it is does not change.

    Args:
        code (`str`): A program whose literals stand between parentheses and commas.
        nl (`str`): The utterance.
        table (`dict`, *optional*): See [`source_text`].
    """
    texts = [nl[:10_000], *(cell[:1000] for _, cells in table_columns(table) for cell in cells[:1000])]

    def spell(match: re.Match) -> str:
        literal = match.group()
        if not any(c.islower() for c in literal):
            return literal
        # Spaces around punctuation may differ too: compare without any.
        characters = r"\s*".join(re.escape(c) for c in literal if not c.isspace())
        pattern = re.compile(rf"(?<!\w){characters}(?!\w)", re.IGNORECASE)
        found = next((hit for hit in map(pattern.search, texts) if hit), None)
        return found.group() if found else literal

    # A literal stands behind "(" or ", " and is neither a column reference nor the name of a nested rule.
    return re.sub(r"(?<=\(|\s)(?!c\[)[^\s(),][^(),]*(?=[),])", spell, code)
