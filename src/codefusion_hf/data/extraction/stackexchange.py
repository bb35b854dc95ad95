"""
Posts of a StackExchange dump: `Posts.xml` as archive.org has it, `<posts>` with one `<row Id= PostTypeId= .../>` each.
A dump is read row by row, in shares of bytes, so neither its size nor the number of processes matters.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree


QUESTION, ANSWER = "1", "2"  # PostTypeId
# The paper's tags, with the version tags that stand beside them.
TAGS = {
    "python": ("python", "python-2.7", "python-3.x"),
    "bash": ("bash", "sh", "shell"),
    "powershell": ("powershell",),
}
# From when on which version of CC BY-SA holds for new posts: stackoverflow.com/help/licensing.
LICENSES = (("2018-05-02", "CC-BY-SA-4.0"), ("2011-04-08", "CC-BY-SA-3.0"), ("", "CC-BY-SA-2.5"))

Row = dict[str, str]  # the attributes of a post

_BLOCK_BYTES = 1 << 20
# A bare "<" cannot stand in an attribute, so this is where a row begins, whatever the posts are about.
_ROW = re.compile(rb"<row\s")
_HINT = re.compile(r"\blang-([\w+#-]+)")


def check_dump(path: str | Path) -> None:
    """
    Reads both ends of a dump.

    Raises:
        ValueError: if the file is no unpacked `Posts.xml`, or ends too early.
        OSError: if it cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(4096)
        file.seek(max(0, Path(path).stat().st_size - 4096))
        tail = file.read()
    if head.startswith(b"7z\xbc\xaf\x27\x1c"):
        raise ValueError(f"{path} is a 7z archive: unpack it and give its Posts.xml")
    if b"<posts" not in head:
        raise ValueError(f"{path} is no StackExchange dump: a Posts.xml begins with <posts>")
    if b"</posts>" not in tail and b"<posts/>" not in head:
        raise ValueError(f"{path} is cut off: a Posts.xml ends with </posts>")


def read_posts(
    path: str | Path, start: int = 0, end: int | None = None
) -> Iterator[tuple[int, dict[str, str] | None]]:
    """
    The rows that begin in a range of bytes. Shares that meet give every row once; memory is that of one block.

    Args:
        path (`str` or `Path`): The dump.
        start (`int`): First byte of the range.
        end (`int`, *optional*): The byte after it; `None` for the end of the file.

    Yields:
        `tuple[int, dict or None]`: Where the row begins, in bytes, and its attributes; `None` if it is no XML.

    Raises:
        OSError: if the file cannot be read.
    """
    end = Path(path).stat().st_size if end is None else end
    with open(path, "rb") as file:
        file.seek(start)
        offset, text = start, b""  # `text` is the file from byte `offset` on
        while offset < end:
            block = file.read(_BLOCK_BYTES)
            text += block
            if not block:
                text = text.partition(b"</posts>")[0]
            begins = [found.start() for found in _ROW.finditer(text)]
            ends = begins[1:] if block else [*begins[1:], len(text)]  # the last row may go on in the next block
            for begin, stop in zip(begins, ends):
                if offset + begin >= end:
                    return
                try:
                    attributes = ElementTree.fromstring(text[begin:stop]).attrib
                except ElementTree.ParseError:
                    attributes = None
                yield offset + begin, attributes
            if not block:
                return
            keep = begins[-1] if begins else max(0, len(text) - 4)  # or the marker itself is cut in two
            offset, text = offset + keep, text[keep:]


def tags_of(row: dict[str, str]) -> set[str]:
    """The tags of a question: `<python><pandas>`, or `|python|pandas|` in newer dumps."""
    return set(re.findall(r"[^<>|]+", row.get("Tags", "")))


def license_of(row: dict[str, str]) -> str:
    """SPDX name of a post's licence: `ContentLicense`, which dumps have since 2020, or by the day of its creation."""
    if named := row.get("ContentLicense"):
        return named.replace(" ", "-")
    created = row.get("CreationDate", "")
    return next(name for day, name in LICENSES if created >= day)


def code_blocks(body: str) -> list[tuple[str, str | None]]:
    """
    The blocks of code in a post, `<pre><code>`; code within a sentence is no block.

    Returns:
        `list[tuple[str, str or None]]`: Each with the language that its author named (`class="lang-py"`), if any.
    """
    parser = _CodeBlocks()
    parser.feed(body)
    parser.close()
    return parser.blocks


class _CodeBlocks(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.blocks: list[tuple[str, str | None]] = []
        self._hint: str | None = None
        self._in_pre, self._text = False, None

    def handle_starttag(self, tag, attrs):
        if tag in ("pre", "code") and (found := _HINT.search(dict(attrs).get("class") or "")):
            self._hint = found[1].lower()
        if tag == "pre":
            self._in_pre = True
        elif tag == "code" and self._in_pre:
            self._text = []

    def handle_endtag(self, tag):
        if tag == "code" and self._text is not None:
            self.blocks.append(("".join(self._text), self._hint))
            self._text = None
        elif tag == "pre":
            self._in_pre, self._hint = False, None

    def handle_data(self, data):
        if self._text is not None:
            self._text.append(data)


def write_questions(path: str | Path, questions: Iterator[tuple[int, int, str]]) -> None:
    """Writes `(dump, id, title)` of questions for [`Questions`]; an older file is replaced."""
    Path(path).unlink(missing_ok=True)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")  # a file that was cut off is written anew
        database.execute("CREATE TABLE questions (dump INT, id INT, title TEXT, PRIMARY KEY (dump, id)) WITHOUT ROWID")
        database.executemany("INSERT OR REPLACE INTO questions VALUES (?, ?, ?)", questions)
    database.close()


class Questions:
    """
    The questions of a language, kept on disk: an answer has no tags of its own, its question has them.

    Args:
        folder (`str` or `Path`): Of the `.sqlite` files of [`write_questions`], one for each share of the dumps.
    """

    def __init__(self, folder: str | Path):
        self._parts = []
        for path in sorted(Path(folder).glob("*.sqlite")):
            database = sqlite3.connect(path.resolve().as_uri() + "?mode=ro", uri=True)
            ranges = database.execute("SELECT dump, MIN(id), MAX(id) FROM questions GROUP BY dump")
            self._parts.append((database, {dump: (first, last) for dump, first, last in ranges}))

    def title(self, dump: int, question: int) -> str | None:
        """The title of a question; `None` if it is not of the language."""
        for database, ranges in self._parts:
            first, last = ranges.get(dump, (1, 0))
            if first <= question <= last:
                query = "SELECT title FROM questions WHERE dump = ? AND id = ?"
                if found := database.execute(query, (dump, question)).fetchone():
                    return found[0]
        return None
