"""From a block of code as people paste it to programs in the canonical form of the corpora; nothing is ever run."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator

from ...languages import bash, python
from ...languages.bash.syntax import parse_valid, walk
from .folders import first_sentence


LANGUAGES = ("bash", "powershell", "python")  # with tags in the paper; powershell has no parser here
MAX_FILE_CHARS = 500_000

_PYTHON_PROMPT = re.compile(r"\s*(?:>>>|In \[\d*\]:)(?: (.*)|$)")
_PYTHON_CONTINUED = re.compile(r"\s*\.{3,}:?(?: (.*)|\s*$)")
_SHELL_PROMPTS = {
    # `$ ls`, `~/src$ ls`, `bash-5.2$ ls`, `[me@host src]$ ls`, `root@host:~# ls`
    "bash": re.compile(r"\s*(?:\[?\w[\w.-]*@[^$#]{1,60}[$#]|[\w.~/:-]{0,40}\$) +(\S.*)"),
    "powershell": re.compile(r"\s*PS(?: [^>]*)?> ?(\S.*)"),
}
_MAGIC = re.compile(r"^[ \t]*[%!?].*$|^.*[\w)\]]\?{1,2}[ \t]*$", re.MULTILINE)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DOCUMENTED = (*_FUNCTIONS, ast.ClassDef, ast.Module)
_NAME_FIRST = re.compile(r"[^\W\d]\w*(?![\w'\"])")
_SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{30,}|\bgithub_pat_\w{30,}"
    r"|\bglpat-[\w-]{20,}|\bxox[abprs]-[\w-]{10,}|\bsk-[\w-]{20,}|\b[sr]k_live_\w{16,}|\bhf_[A-Za-z0-9]{30,}"
    r"|\bAIza[\w-]{35}|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}|\bBearer +[\w.~+/-]{20,}|://[^/\s:@'\"]+:[^/\s:@'\"$<{]{3,}@"
    # a name that says secret and, of 16 characters or more with a digit, a value that looks like one
    r"|(?i:secret|token(?!i)|passw(?:or)?d|(?:api|access)_?key)\w*['\"]?\]? ?[=:] ?"
    r"['\"](?=[^'\"]*\d)[\w+/=.-]{16,}['\"]"
)


def extract_programs(block: str, language: str, max_chars: int) -> Iterator[tuple[str, str | None]]:
    """
    The programs of a block. Prompts are taken off and the output between them is left out; each command of a shell
    session is a program, a Python session is one. Python is printed by `ast.unparse`, without comments, docstrings
    and the magics of notebooks, and what is longer than `max_chars` is cut between statements: a function or class is
    a program, a class that is too long gives its methods, other statements stay together as far as they fit. Bash is
    canonical and without comments; what is too long is cut at blank lines. What does not parse comes as it is.

    Args:
        block (`str`): Text of a post, a cell or a file.
        language (`str`): One of `LANGUAGES`.
        max_chars (`int`): Length from which on a program is cut.

    Yields:
        `tuple[str, str or None]`: A program, and the first sentence of its docstring if it has one.
    """
    block = textwrap.dedent(block.replace("\r\n", "\n").replace("\u00a0", " ")).strip("\n")
    if language == "python":
        yield from _python_programs(_python_session(block), max_chars)
        return
    for program in _shell_session(block, language):
        if language == "powershell":
            yield program.strip(), None
            continue
        for part in [program] if len(program) <= max_chars else _valid_paragraphs(program, max_chars):
            yield _canonical_bash(part), None


def find_fault(code: str, language: str, min_chars: int, max_chars: int) -> str | None:
    """
    Why a program does not belong in a corpus.

    Returns:
        `str` or `None`: `"too_short"`, `"too_long"`, `"invalid"`, `"unknown_command"` (Bash: English sentences parse),
        `"no_names"` (literals only, such as printed output), `"secret"` (a key or a password); `None` for no fault.
    """
    if len(code) < min_chars:
        return "too_short"
    if len(code) > max_chars:
        return "too_long"
    if language != "powershell":
        module = bash if language == "bash" else python
        if not module.is_valid(code):
            return "invalid"
        if language == "bash" and not bash.is_valid(code, strict=True):
            return "unknown_command"
        if not _NAME_FIRST.match(code) and not module.spans(code):  # which takes ten times as long as the rest
            return "no_names"
    return "secret" if _SECRET.search(code) else None


def normal_form(code: str, language: str) -> str:
    """What two spellings of an extracted program share; those of Python are normalised already."""
    return bash.normalize(code) if language == "bash" else code


def _python_session(block: str) -> str:
    """What was typed after `>>>` and `...`, without what was printed; a block without prompts as it is."""
    lines = block.split("\n")
    if not any(map(_PYTHON_PROMPT.match, lines)):
        return block
    typed, open_statement = [], False
    for line in lines:
        found = _PYTHON_PROMPT.match(line) or (open_statement and _PYTHON_CONTINUED.match(line))
        open_statement = bool(found)
        if found:
            typed.append(found[1] or "")
    return "\n".join(typed)


def _shell_session(block: str, language: str) -> list[str]:
    """The commands after the prompts, with the lines that continue them; a block without prompts as it is."""
    prompt, lines = _SHELL_PROMPTS[language], block.split("\n")
    if not any(map(prompt.match, lines)):
        return [block]
    commands: list[str] = []
    is_open = False  # whether the last line was a command that may go on
    for line in lines:
        if found := prompt.match(line):
            commands.append(found[1])
            is_open = True
        elif is_open and (commands[-1].endswith("\\") or (line.startswith("> ") and not bash.is_valid(commands[-1]))):
            commands[-1] += "\n" + line.removeprefix("> ")
        else:
            is_open = False
    return commands


def _python_programs(text: str, max_chars: int) -> Iterator[tuple[str, str | None]]:
    tree = _parse(text) or _parse(_MAGIC.sub("", text))
    if tree is None:
        yield text.strip(), None
        return
    sentences = {}
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED):
            sentences[id(node)] = first_sentence(ast.get_docstring(node) or "")
            body = [child for child in node.body if not _is_text(child)]  # of attributes, too
            node.body = body or ([] if isinstance(node, ast.Module) else [ast.Pass()])
        elif isinstance(node, ast.Constant):
            node.kind = None  # u'' of Python 2
    try:
        for part in [tree.body] if len(ast.unparse(tree)) <= max_chars else _cut(tree.body, max_chars):
            nl = sentences.get(id(part[0])) if len(part) == 1 else None
            yield ast.unparse(ast.Module(part, [])), nl
    except python.PARSE_ERRORS:  # too deep to be printed
        yield text.strip(), None


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a string alone: a docstring, or a comment in its form."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _parse(text: str) -> ast.Module | None:
    """The syntax tree; `None` for what is no program, holds no statement or is longer than `MAX_FILE_CHARS`."""
    if len(text) > MAX_FILE_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip())
    except python.PARSE_ERRORS:
        return None
    return tree if tree.body else None


def _cut(body: list[ast.stmt], max_chars: int) -> Iterator[list[ast.stmt]]:
    """Runs of statements, each at most `max_chars` long unless one statement alone is longer."""
    together: list[ast.stmt] = []
    length = 0
    for node in body:
        chars = len(ast.unparse(node)) + 1
        alone = isinstance(node, (*_FUNCTIONS, ast.ClassDef))
        if together and (alone or length + chars > max_chars):
            yield together
            together, length = [], 0
        if isinstance(node, ast.ClassDef) and chars > max_chars:
            yield from ([member] for member in node.body if isinstance(member, _FUNCTIONS))
        elif alone:
            yield [node]
        else:
            together, length = [*together, node], length + chars
    if together:
        yield together


def _valid_paragraphs(text: str, max_chars: int) -> Iterator[str]:
    """The shortest runs of paragraphs that are valid Bash; what never becomes valid within `max_chars` as it is."""
    run = ""
    for paragraph in re.split(r"\n\s*\n", text):
        if run and len(run) + len(paragraph) > max_chars:
            yield run
            run = ""
        run = f"{run}\n\n{paragraph}" if run else paragraph
        if bash.is_valid(run):
            yield run
            run = ""
    if run:
        yield run


def _canonical_bash(text: str) -> str:
    """Canonical and without comments; what does not parse is only stripped."""
    try:
        code = text.strip()
        for node, _ in reversed(list(walk(parse_valid(code)))):
            if node.type == "comment":
                begin, end = node.start_byte, node.end_byte
                line = code.rfind("\n", 0, begin) + 1
                if not code[line:begin].strip():  # the comment is the whole line
                    begin, end = line, end + 1
                code = code[:begin].rstrip(" ") + code[end:] if begin != line else code[:begin] + code[end:]
        return bash.canonicalize(code)
    except ValueError:
        return text.strip()
