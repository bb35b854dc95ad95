"""
Conditional formats: what a rule is in a workbook, and what the highlighted cells look like.

A rule becomes the kind of rule that a spreadsheet's own menu makes of it where that one means exactly the same, on
this column, in Excel and in LibreOffice; else a formula.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..languages.cf import Column, Node
from ..languages.cf.values import Value, read_cell
from .formulas import ESCAPE, Area, formula, literal, period_formula, quoted


if TYPE_CHECKING:
    from openpyxl.formatting.rule import Rule

FLAGS = ("bold", "italic", "underline", "strike")
COLOR_SCALE = ("F8696B", "FFEB84", "63BE7B")  # Excel's own red, yellow and green
DATA_BAR = "638EC6"
_OPERATORS = {
    "Equals": "equal",
    "NotEquals": "notEqual",
    "GreaterThan": "greaterThan",
    "GreaterThanEqual": "greaterThanOrEqual",
    "LessThan": "lessThan",
    "LessThanEqual": "lessThanOrEqual",
    "Between": "between",
    "NotBetween": "notBetween",
}


@dataclass(frozen=True)
class CellFormat:
    """
    How highlighted cells look: colours as `RRGGBB`. The default is Excel's light red with dark red text.

    Args:
        fill, font (`str`, *optional*): colours of the background and of the text.
        bold, italic, underline, strike (`bool`): of the text.

    Raises:
        ValueError: for what is no colour.
    """

    fill: str | None = None
    font: str | None = None
    bold: bool = False
    italic: bool = False
    underline: bool = False
    strike: bool = False

    def __post_init__(self) -> None:
        for name in ("fill", "font"):
            color = getattr(self, name)
            if color is not None and not re.fullmatch("[0-9A-Fa-f]{6}", color):
                raise ValueError(f"{name} must be a colour as RRGGBB, got {color!r}")

    @classmethod
    def parse(cls, text: str) -> CellFormat:
        """
        Reads `"fill=FFC7CE,font=9C0006,bold"`.

        Raises:
            ValueError: with what is allowed, for anything else.
        """
        settings: dict[str, str | bool] = {}
        for part in (part.strip() for part in text.split(",")):
            name, _, color = part.partition("=")
            if name in settings:
                raise ValueError(f"the format names {name} twice: {text!r}")
            if part in FLAGS:
                settings[part] = True
            elif name in ("fill", "font") and re.fullmatch("#?[0-9A-Fa-f]{6}", color):
                settings[name] = color.removeprefix("#").upper()
            else:
                raise ValueError(
                    f"unknown format {part!r}; allowed, with commas between: fill=RRGGBB, font=RRGGBB, "
                    f"{', '.join(FLAGS)}; for example fill=FFC7CE,font=9C0006,bold"
                )
        return cls(**settings)

    def openpyxl_style(self):
        """The `openpyxl.styles.differential.DifferentialStyle` of this format."""
        from openpyxl.styles import Font, PatternFill
        from openpyxl.styles.differential import DifferentialStyle

        # In a conditional format the colour of a solid fill is its background colour.
        fill = PatternFill(bgColor=f"FF{self.fill}", fill_type="solid") if self.fill else None
        font = {flag: True for flag in ("bold", "italic", "strike") if getattr(self, flag)}
        font |= {"underline": "single"} if self.underline else {}
        font |= {"color": f"FF{self.font}"} if self.font else {}
        return DifferentialStyle(font=Font(**font) if font else None, fill=fill)


DEFAULT_FORMAT = CellFormat(fill="FFC7CE", font="9C0006")


def conditional_format(node: Node, area: Area, values: Sequence[Value], spellings: Sequence[str]) -> Rule:
    """
    The conditional format over the selected column that highlights what `node` says.

    Args:
        node (`Node`): the rule.
        area (`Area`): where its table lies.
        values (`Sequence[Value]`): the cells of the selected column, which decide whether a native kind will do.
        spellings (`Sequence[str]`): their text, with its letter case.

    Returns:
        `openpyxl.formatting.rule.Rule`: without a format of its own.

    Raises:
        ValueError: if a workbook cannot say it, see [`formulas.formula`].
    """
    from openpyxl.formatting.rule import Rule

    if node.signature.group == "visual":
        return _visual(node)
    text = formula(node, area)  # also where a native kind will do: its limits hold for both
    rule = native_rule(node, area) if native_is_exact(node, values, spellings) else None
    return rule or Rule(type="expression", formula=[text])


def native_rule(node: Node, area: Area) -> Rule | None:
    """The rule that Excel's menu makes of a single rule on its own column; `None` if it has none."""
    from openpyxl.formatting.rule import Rule

    if node.column not in (None, area.selected) or any(not isinstance(arg, str) for arg in node.args):
        return None
    group, cell = node.signature.group, area.cell(None).removeprefix("$")
    if group == "compare":
        values = [literal(arg, area) for arg in node.args]
        return Rule(type="cellIs", operator=_OPERATORS[node.name], formula=values)
    if group == "text":
        return _native_text(node, cell)
    if group == "rank":
        if node.args:
            bottom, percent = node.name.startswith("Bottom"), node.name.endswith("Percent")
            return Rule(type="top10", rank=int(node.args[0]), bottom=bottom or None, percent=percent or None)
        return Rule(type="aboveAverage", aboveAverage=node.name == "AboveAverage")
    if group == "set":
        return Rule(type="duplicateValues" if node.name == "Duplicates" else "uniqueValues")
    if group == "date":
        period = node.name[0].lower() + node.name[1:]
        return Rule(type="timePeriod", timePeriod=period, formula=[period_formula(node.name, f"FLOOR({cell},1)")])
    if node.name == "Blanks":
        return Rule(type="containsBlanks", formula=[f"LEN(TRIM({cell}))=0"])
    if node.name == "Errors":
        return Rule(type="containsErrors", formula=[f"ISERROR({cell})"])
    return None


def native_is_exact(node: Node, values: Sequence[Value], spellings: Sequence[str]) -> bool:
    """
    Whether the native kind of a single rule highlights what the rule says on a column of these cells, see
    [`conditional_format`]. docs/cf-semantics.md lists where it does not: with blanks, errors and booleans, on cells of
    several kinds, and more.
    """
    group, name = node.signature.group, node.name
    if group in ("kind", "date"):
        return True
    kinds = {value.kind for value in values}
    if not kinds or kinds & {"blank", "error", "bool"} or any(isinstance(arg, Column) for arg in node.args):
        return False
    constants = [read_cell(arg) for arg in node.args]
    if group == "compare":
        return len(kinds | {constant.kind for constant in constants}) == 1
    if group == "text":
        text = node.args[0]
        if any(value.is_date for value in values) or not text.strip():
            return False
        if re.search(rf"[*?~\x00-\x1f]|{ESCAPE}", text) or len(text) > 100:
            return False
        return name != "TextEquals" or (constants[0].kind == "text" and kinds == {"text"})
    if group == "rank":
        return kinds == {"number"} and ("Percent" not in name or int(node.args[0]) * len(values) >= 100)
    if group == "set":
        # Excel counts text that looks like a number as that number, LibreOffice tells letter case apart.
        if kinds == {"text"} and any(read_cell(value.text).kind != "text" for value in values):
            return False
        return len(kinds) == 1 and len(set(spellings)) == len({text.casefold() for text in spellings})
    return False


def cell_colors(node: Node, values: Sequence[Value], mask: Sequence[bool], fill: str) -> list[str | None]:
    """The background of each cell in a preview, as `RRGGBB`; `None` where the rule changes nothing."""
    if node.signature.group != "visual":
        return [fill if highlighted else None for highlighted in mask]
    numbers = sorted(value.data for value in values if value.kind == "number")
    if not numbers:
        return [None] * len(values)
    low, high = numbers[0], numbers[-1]
    stops = {"DataBar": ("FFFFFF", DATA_BAR)}.get(node.name, COLOR_SCALE)
    points = [low, high]
    if node.name == "ColorScale":
        points = [low, (numbers[(len(numbers) - 1) // 2] + numbers[len(numbers) // 2]) / 2, high]
    colors: list[str | None] = []
    for value in values:
        if value.kind != "number":
            colors.append(None)
        elif node.name == "IconSet":
            share = (value.data - low) / (high - low) if high > low else 1.0
            colors.append(COLOR_SCALE[(share >= 0.33) + (share >= 0.67)])
        else:
            colors.append(_blend(value.data, points, stops))
    return colors


def _blend(number: float, points: Sequence[float], stops: Sequence[str]) -> str:
    """The colour at `number`, where the colour at `points[i]` is `stops[i]`."""
    k = 0 if len(points) == 2 or number <= points[1] else 1
    width = points[k + 1] - points[k]
    share = (number - points[k]) / width if width > 0 else 1.0
    pairs = zip(bytes.fromhex(stops[k]), bytes.fromhex(stops[k + 1]))
    return bytes(round(first + share * (second - first)) for first, second in pairs).hex().upper()


def _native_text(node: Node, cell: str) -> Rule:
    from openpyxl.formatting.rule import Rule

    text = node.args[0]
    if node.name == "TextEquals":
        return Rule(type="cellIs", operator="equal", formula=[quoted(text)])
    kind, operator, test = {
        "TextContains": ("containsText", "containsText", f"NOT(ISERROR(SEARCH({quoted(text)},{cell})))"),
        "TextNotContains": ("notContainsText", "notContains", f"ISERROR(SEARCH({quoted(text)},{cell}))"),
        "TextStartsWith": ("beginsWith", "beginsWith", f"LEFT({cell},LEN({quoted(text)}))={quoted(text)}"),
        "TextEndsWith": ("endsWith", "endsWith", f"RIGHT({cell},LEN({quoted(text)}))={quoted(text)}"),
    }[node.name]
    return Rule(type=kind, operator=operator, text=text, formula=[test])


def _visual(node: Node) -> Rule:
    from openpyxl.formatting.rule import ColorScaleRule, DataBarRule, IconSetRule

    if node.name == "ColorScale":
        low, middle, high = (f"FF{color}" for color in COLOR_SCALE)
        kinds = {"start_type": "min", "mid_type": "percentile", "mid_value": 50, "end_type": "max"}
        return ColorScaleRule(**kinds, start_color=low, mid_color=middle, end_color=high)
    if node.name == "DataBar":
        return DataBarRule("min", None, "max", None, color=f"FF{DATA_BAR}")
    return IconSetRule("3TrafficLights1", "percent", [0, 33, 67])
