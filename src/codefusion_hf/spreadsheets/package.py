"""
Adding a conditional format to a workbook file without touching anything else in it.

Loading and saving a workbook with openpyxl loses what it does not know: sparklines, slicers, form controls, threaded
comments. Here two XML parts get a few characters more, the sheet and the list of styles; every other part of the file,
macros, charts and pictures included, stays as it was, byte for byte.
"""

from __future__ import annotations

import codecs
import mmap
import os
import posixpath
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from xml.etree import ElementTree
from xml.parsers import expat


if TYPE_CHECKING:
    from openpyxl.formatting.rule import Rule
    from openpyxl.styles.differential import DifferentialStyle

MAX_UNCOMPRESSED_BYTES = 1 << 29  # of all parts of a workbook together; 100,000 rows x 20 columns have a fifth of it
MAX_PARTS = 10_000
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_STRICT = "http://purl.oclc.org/ooxml/"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
# Where a new element goes: behind these children of the root, before all others (ECMA-376, CT_Worksheet and
# CT_Stylesheet).
_BEFORE_FORMATS = frozenset(
    (
        "sheetPr dimension sheetViews sheetFormatPr cols sheetData sheetCalcPr sheetProtection protectedRanges "
        "scenarios autoFilter sortState dataConsolidate customSheetViews mergeCells phoneticPr conditionalFormatting"
    ).split()
)
_BEFORE_DXFS = frozenset("numFmts fonts fills borders cellStyleXfs cellXfs cellStyles".split())


def check_package(path: str | Path) -> None:
    """
    Raises `ValueError`, with what to do, for a file that is no workbook in the format of .xlsx, is encrypted, or would
    fill the memory.
    """
    with open(path, "rb") as file:
        start = file.read(8)
        if start == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":  # an OLE container: Excel before 2007, or an encrypted file
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                is_encrypted = content.find("EncryptedPackage".encode("utf-16-le")) >= 0
            if is_encrypted:
                raise ValueError(f"{path} is protected by a password: save a copy without one")
            raise ValueError(f"{path} has the format of Excel before 2007 (.xls): save it as .xlsx")
    if not start:
        raise ValueError(f"{path} is empty")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is no .xlsx workbook: save it as .xlsx in a spreadsheet program")
    with _open(path) as archive:
        parts = archive.infolist()
        names = {part.filename for part in parts}
        if "xl/workbook.bin" in names:
            raise ValueError(f"{path} has the binary format .xlsb: save it as .xlsx")
        if "[Content_Types].xml" not in names or "_rels/.rels" not in names:
            raise ValueError(f"{path} is no .xlsx workbook: save it as .xlsx in a spreadsheet program")
        size = sum(part.file_size for part in parts)
        if size > MAX_UNCOMPRESSED_BYTES or len(parts) > MAX_PARTS or len(names) < len(parts):
            raise ValueError(
                f"{path} is refused: {len(parts)} parts with {size / 2**20:.0f} MiB when unpacked; at most "
                f"{MAX_PARTS} different ones with {MAX_UNCOMPRESSED_BYTES >> 20} MiB are read"
            )
        for part in parts:
            with archive.open(part) as content:
                # Entities can make a small file huge, and no spreadsheet program writes any.
                if _declares_document_type(content):
                    raise ValueError(f"{path} is refused: {part.filename} declares a document type")


class Package:
    """
    The parts of a workbook file.

    Args:
        path (`str` or `Path`): a file that [`check_package`] accepts.

    Attributes:
        sheets (`dict[str, str]`): name to part of each worksheet, in order.
        other_sheets (`list[str]`): names of what is no worksheet: charts, dialogs.
        active (`str`): the worksheet that is shown when the file is opened, or the first.

    Raises:
        ValueError: if the file is damaged, or has no worksheet.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        with _open(path) as archive:
            self._read(archive)
        if not self.sheets:
            raise ValueError(f"{path} has no worksheet")

    def _read(self, archive: zipfile.ZipFile) -> None:
        root = _relations(archive, "")
        [workbook] = [target for kind, target in root.values() if kind.endswith("/officeDocument")][:1] or [""]
        if not workbook:
            raise KeyError("no part of it is the workbook")
        relations = _relations(archive, workbook)
        tree = ElementTree.fromstring(archive.read(workbook))
        if tree.tag.startswith("{" + _STRICT):
            raise ValueError(f'{self.path} is a "Strict Open XML" workbook: save it as an ordinary .xlsx')
        self.sheets, self.other_sheets = {}, []
        entries = tree.findall(f"{{{_MAIN}}}sheets/{{{_MAIN}}}sheet")
        for entry in entries:
            kind, target = relations.get(entry.get(f"{{{_RELATIONS}}}id", ""), ("", ""))
            if kind.endswith("/worksheet") and target in archive.namelist():
                self.sheets[entry.get("name", "")] = target
            else:
                self.other_sheets.append(entry.get("name", ""))
        view = tree.find(f"{{{_MAIN}}}bookViews/{{{_MAIN}}}workbookView")
        number = (view.get("activeTab") if view is not None else None) or "0"
        name = entries[int(number)].get("name") if number.isdecimal() and int(number) < len(entries) else None
        self.active = name if name in self.sheets else next(iter(self.sheets), "")
        self.styles = next((target for kind, target in relations.values() if kind.endswith("/styles")), None)
        self.is_signed = any(kind.endswith("/digital-signature/origin") for kind, _ in root.values())

    def scan(self, sheet: str) -> SheetScan:
        """Reads the structure of a worksheet; raises `ValueError` if its XML is damaged."""
        with _open(self.path) as archive:
            return SheetScan(archive.read(self.sheets[sheet]), f"{self.path}, sheet {sheet!r}")

    def add_format(self, sheet: str, cells: str, rule: Rule, style: DifferentialStyle | None, output: Path) -> None:
        """
        Writes a copy of the workbook with one more conditional format, behind those that the sheet has.

        Args:
            sheet (`str`): the name of a worksheet.
            cells (`str`): its range, such as `B2:B11`.
            rule (`openpyxl.formatting.rule.Rule`): what is highlighted.
            style (`openpyxl.styles.differential.DifferentialStyle`, *optional*): how; `None` if the rule says it.
            output (`Path`): appears when it is complete, and may be the workbook itself.

        Raises:
            ValueError: if a part of the workbook is damaged.
            OSError: if the output cannot be written.
        """
        from openpyxl.formatting.formatting import ConditionalFormatting

        with _open(self.path) as archive:
            part = self.sheets[sheet]
            content = archive.read(part)
            scan = SheetScan(content, f"{self.path}, sheet {sheet!r}")
            changed = {}
            if style is not None:
                if self.styles is None or self.styles not in archive.namelist():
                    raise ValueError(f"{self.path} has no list of styles: save it once in a spreadsheet program")
                styles = archive.read(self.styles)
                rule.dxfId, changed[self.styles] = _add_style(styles, style, f"{self.path}, {self.styles}")
            rule.priority = scan.last_priority + 1
            element = _print(ConditionalFormatting(cells, cfRule=[rule]).to_tree(), scan.prefix)
            changed[part] = content[: scan.insert_at] + element + content[scan.insert_at :]
            self._write(archive, changed, output)

    def _write(self, archive: zipfile.ZipFile, changed: dict[str, bytes], output: Path) -> None:
        output = Path(os.path.realpath(output))  # a link keeps pointing at the file
        handle, temporary = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
        try:
            with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as copy:
                for info in archive.infolist():
                    with archive.open(info) as source, copy.open(_like(info), "w") as target:
                        if info.filename in changed:
                            target.write(changed[info.filename])
                        else:
                            shutil.copyfileobj(source, target, 1 << 20)
            shutil.copymode(output if output.exists() else self.path, temporary)
            os.replace(temporary, output)
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)


class SheetScan:
    """
    What the XML of a worksheet says beside the values of its cells.

    Attributes:
        insert_at (`int`): the byte where a conditional format goes.
        last_priority (`int`): of the conditional formats that are there.
        merged (`list[str]`): the merged ranges.
        formulas (`set[str]`): the cells with a formula whose saved value, if there is one, is not text.
    """

    def __init__(self, content: bytes, name: str):
        self.last_priority, self.merged, self.formulas = 0, [], set()
        self._cell: dict[str, str] = {}
        outline = _Outline(content, name, _BEFORE_FORMATS, self._element)
        if outline.root != "worksheet":
            raise ValueError(f"{name} is no worksheet")
        self.insert_at, self.prefix = outline.insert_at, outline.prefix

    def _element(self, name: str, attributes: dict[str, str]) -> None:
        if name == "c":
            self._cell = attributes
        elif name == "f" and self._cell.get("t") != "str":
            self.formulas.add(self._cell.get("r", ""))
        elif name == "cfRule" and attributes.get("priority", "").isdecimal():
            self.last_priority = max(self.last_priority, int(attributes["priority"]))
        elif name == "mergeCell":
            self.merged.append(attributes.get("ref", ""))


class _Outline:
    """
    The children of the root of an XML part.

    Attributes:
        root, prefix (`str`): the root's name, and the prefix of its namespace with the colon, or "".
        children (`dict[str, tuple[int, int, int]]`): name to the bytes where the child's start and end tag begin,
            and the number of its own children.
        insert_at (`int`): the byte of the first child that must stand behind a new one, or of the root's end.
    """

    def __init__(self, content: bytes, name: str, before: frozenset[str], visit: Callable[..., None] | None = None):
        self.root, self.prefix, self.insert_at = "", "", -1
        self.children: dict[str, tuple[int, int, int]] = {}
        parser = expat.ParserCreate()
        path: list[str] = []
        begin = grandchildren = 0

        def start(tag: str, attributes: dict[str, str]) -> None:
            nonlocal begin, grandchildren
            prefix, _, local = tag.rpartition(":")
            if not path:
                self.root, self.prefix = local, prefix + ":" if prefix else ""
            elif len(path) == 1:
                begin, grandchildren = parser.CurrentByteIndex, 0
                if self.insert_at < 0 and local not in before:
                    self.insert_at = begin
            elif len(path) == 2:
                grandchildren += 1
            path.append(local)
            if visit:
                visit(local, attributes)

        def end(tag: str) -> None:
            local = path.pop()
            if len(path) == 1:
                self.children[local] = begin, parser.CurrentByteIndex, grandchildren
            elif not path and self.insert_at < 0:
                self.insert_at = parser.CurrentByteIndex

        def refuse(*_: Any) -> None:
            raise ValueError(f"{name} declares a document type")

        def check_encoding(version: str, encoding: str | None, standalone: int) -> None:
            if (encoding or "utf-8").lower() not in ("utf-8", "us-ascii"):
                raise ValueError(f"{name} is written in {encoding}, expected UTF-8")

        parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.StartDoctypeDeclHandler, parser.XmlDeclHandler = refuse, check_encoding
        if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):  # needs no declaration
            raise ValueError(f"{name} is written in UTF-16, expected UTF-8")
        try:
            parser.Parse(content, True)
        except expat.ExpatError as error:
            raise ValueError(f"{name} is damaged: {error}") from None
        if not self.children:
            raise ValueError(f"{name} is damaged: it holds nothing")


def _add_style(content: bytes, style: DifferentialStyle, name: str) -> tuple[int, bytes]:
    """The number of a new format for conditional formats, and the list of styles with it."""
    outline = _Outline(content, name, _BEFORE_DXFS)
    at, end, count = outline.children.get("dxfs", (outline.insert_at, outline.insert_at, 0))
    opening = f'<{outline.prefix}dxfs count="{count + 1}">'.encode()
    element, closing = _print(style.to_tree("dxf"), outline.prefix), f"</{outline.prefix}dxfs>".encode()
    if "dxfs" not in outline.children:
        return count, content[:at] + opening + element + closing + content[at:]
    behind = content.index(b">", at) + 1  # the start tag has one attribute, a number
    if content[behind - 2 : behind] == b"/>":
        return count, content[:at] + opening + element + closing + content[behind:]
    return count, content[:at] + opening + content[behind:end] + element + content[end:]


def _print(tree: ElementTree.Element, prefix: str) -> bytes:
    for element in tree.iter():
        element.tag = prefix + element.tag.rpartition("}")[2]
    return ElementTree.tostring(tree, encoding="us-ascii")  # ASCII: a declaration of the encoding cannot be wrong


def _declares_document_type(content: IO[bytes]) -> bool:
    """Whether a part is XML with a DOCTYPE, in any encoding and behind any comment; reads up to the root."""
    found: list[bool] = []
    size = 4096
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = lambda *_: found.append(True)
    parser.StartElementHandler = lambda *_: found.append(False)
    try:
        while not found and (piece := content.read(size)):
            parser.Parse(piece)
            size *= 2  # a long comment is read anew with each piece: the time stays linear
    except (expat.ExpatError, LookupError, ValueError):  # a picture, macros, or damaged, which its reader will say
        pass
    return found[:1] == [True]


@contextmanager
def _open(path: str | Path) -> Iterator[zipfile.ZipFile]:
    with reading(path), zipfile.ZipFile(path) as archive:
        yield archive


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turns what zipfile, ElementTree and openpyxl raise for a damaged file into a `ValueError` that says so."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, ElementTree.ParseError, LookupError, AttributeError) as error:
        fault = error
    except (TypeError, ArithmeticError, UnicodeDecodeError, NotImplementedError, RuntimeError) as error:
        fault = error
    except OSError as error:
        if error.errno is not None:  # a fault of the disk, not of the file
            raise
        fault = error
    except ValueError as error:
        if str(path) in str(error):  # says it all
            raise
        fault = error
    else:
        return
    raise ValueError(f"{path} is damaged: {' '.join(str(fault).split()) or type(fault).__name__}")


def _like(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    copy = zipfile.ZipInfo(info.filename, info.date_time)
    copy.compress_type, copy.external_attr = zipfile.ZIP_DEFLATED, info.external_attr
    return copy


def _relations(archive: zipfile.ZipFile, part: str) -> dict[str, tuple[str, str]]:
    """The relations of a part, "" being the package: id to kind and target."""
    folder, name = posixpath.split(part)
    relations = {}
    for entry in ElementTree.fromstring(archive.read(posixpath.join(folder, "_rels", f"{name}.rels"))):
        target = entry.get("Target", "")
        target = target[1:] if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
        relations[entry.get("Id", "")] = entry.get("Type", ""), target
    return relations
