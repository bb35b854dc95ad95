"""
Docstrings in the style of transformers, as Markdown: griffe's parser for Google's style takes neither several
parameters under one description nor types in backquotes.
"""

import re
import textwrap

import griffe


REFERENCE = re.compile(r"\[`~?\.?([^`\]]+)`\](?![\[(])")  # [`~step`]: a link of Hugging Face's doc-builder
TITLES = {
    "Args:": "Arguments",
    "Attributes:": "Attributes",
    "Returns:": "Returns",
    "Yields:": "Yields",
    "Raises:": "Raises",
    "Example:": "Example",
}
PARENTHESES = r"\((?:[^()]|\([^()]*\))*\)"
PARAMETER = rf"\*{{0,2}}`?[\w.]+`?(?: {PARENTHESES})?"
HEAD = re.compile(rf"{PARAMETER}(?:,\s+{PARAMETER})*(?=:)")
NAME = re.compile(rf"{PARENTHESES}|\*{{0,2}}`?([\w.]+)`?")


class HuggingFaceDocstrings(griffe.Extension):
    """Rewrites every docstring before it is rendered."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)


def to_markdown(docstring: str) -> str:
    """The docstring with a bold title and, for arguments and errors, a list for each section."""
    blocks, title = [[]], [None]
    for line in docstring.splitlines():
        if line in TITLES:
            blocks.append([])
            title.append(line)
        else:
            blocks[-1].append(line)
    text = "\n".join(blocks[0])
    for name, lines in zip(title[1:], blocks[1:]):
        body = textwrap.dedent("\n".join(lines)).strip("\n")
        text += f"\n\n**{TITLES[name]}**\n\n{_items(body) if name in ('Args:', 'Attributes:', 'Raises:') else body}\n"
    return REFERENCE.sub(r"`\1`", text)


def _items(body: str) -> str:
    """One list item for each line that is not indented and does not continue a list of names."""
    items: list[str] = []
    for line in body.splitlines():
        if items and (line[:1] in (" ", "") or items[-1].endswith(",") and ":" not in items[-1].split(")")[-1]):
            items[-1] += f"\n{line.strip()}"
        else:
            items.append(line)
    return "\n".join("- " + textwrap.indent(_item(item), "    ").lstrip() for item in items)


def _item(item: str) -> str:
    head = HEAD.match(item)
    if not head:
        return item
    names = NAME.sub(lambda match: f"`{match[1]}`" if match[1] else match[0], head[0])
    return f"{names}: {item[head.end() + 1 :].lstrip()}"
