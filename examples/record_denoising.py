"""
An animation of what `codefusion generate --watch` prints: the drafts of a program, then its ranked candidates.

    python examples/record_denoising.py --output docs/images/denoising.gif -- \
        --num-return-sequences 3 --seed 1 --num-inference-steps 10 --set num_candidates=10 \
        --columns Name,Group,Grade,Absences "grade below 50 or absences above 10 or group is C"

Everything after `--` goes to `codefusion generate --watch` as it is. Needs the extra `plots`.
"""

import argparse
import difflib
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path


DRAFT = re.compile(r"draft +\d+  ")  # as `codefusion_hf.streaming.DraftStreamer` prints it
TOKENS = re.compile(r"\w+|[^\w\s]|\s+")
COLUMNS = 88  # of the terminal
FONT_PIXELS = 20
DRAFT_MS, RESULT_MS = 450, 4500
# A terminal of its own, so that it can be read on light and on dark pages.
BACKGROUND, TEXT, FAINT, CHANGED, VALID = "#1B1F27", "#E6EAF0", "#98A2B3", "#FFD966", "#7EE2A8"
PALETTE = [BACKGROUND, TEXT, FAINT, CHANGED, VALID]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, metavar="OUT.gif", help="The animation to write.")
    parser.add_argument("arguments", nargs="+", metavar="ARGUMENT", help="Of codefusion generate, behind `--`.")
    args = parser.parse_args()
    if not Path(args.output).parent.is_dir():
        parser.error(f"--output: there is no folder {Path(args.output).parent}")
    if Path(args.output).suffix != ".gif":
        parser.error(f"--output must end in .gif, got {args.output}")
    command = ["codefusion", "generate", "--watch", *args.arguments]
    drafts, candidates = watch(command)
    write_gif(command, drafts, candidates, args.output)
    print(f"{args.output}: {len(drafts)} drafts, {Path(args.output).stat().st_size / 1000:.0f} kB")


def watch(command: list[str]) -> tuple[list[str], list[str]]:
    """
    Runs `codefusion generate --watch ...`.

    Returns:
        `tuple[list[str], list[str]]`: The text of each draft, and the lines of the ranked candidates.

    Raises:
        ValueError: With the command's own message if it fails.
    """
    program = [sys.executable, "-m", "codefusion_hf.cli"]
    done = subprocess.run([*program, *command[1:]], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(done.stderr.strip().rpartition("\n")[2].removeprefix("codefusion: error: "))
    lines = done.stderr.splitlines()
    return [DRAFT.sub("", line) for line in lines if DRAFT.match(line)], done.stdout.splitlines()


def write_gif(command: list[str], drafts: list[str], candidates: list[str], output: str) -> None:
    """Writes one frame for each draft and a last one with the candidates; the command is in the file's comment."""
    try:
        import matplotlib
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise ValueError("animations need Pillow and matplotlib: pip install 'codefusion-hf[plots]'") from error

    fonts = Path(matplotlib.get_data_path(), "fonts", "ttf")
    font = ImageFont.truetype(fonts / "DejaVuSansMono.ttf", FONT_PIXELS)
    character, line = round(font.getlength("M")), round(1.4 * FONT_PIXELS)
    words = [shlex.quote(word).replace(" ", "\u00a0") for word in command]  # no line ends inside of an argument
    prompt = textwrap.wrap(f"$ {' '.join(words)}", COLUMNS, subsequent_indent="    ")
    label = len("draft 10  ")
    height = max(-(-len(draft) // (COLUMNS - label)) for draft in drafts)  # lines of the longest draft
    top = len(prompt) + 0.4
    rows = top + height + 0.4 + len(candidates)
    size = (COLUMNS + 3) * character, round((rows + 0.9) * line)
    palette = Image.new("P", (1, 1))
    palette.putpalette(b"".join(bytes.fromhex(color[1:]) for color in shades(PALETTE)))

    def frame(number: int, marked: list[tuple[str, str]], shown: list[str]) -> Image.Image:
        image = Image.new("RGB", size, BACKGROUND)
        draw = ImageDraw.Draw(image)

        def write(column: float, row: float, text: str, color: str) -> None:
            # Character by character, on a grid.
            for offset, symbol in enumerate(text):
                draw.text(((column + offset + 1.5) * character, (row + 0.45) * line), symbol, color, font)

        for row, text in enumerate(prompt):
            write(0, row, text, FAINT)
        write(0, top, f"draft {number:2d}", FAINT)
        for index, (symbol, color) in enumerate((s, color) for token, color in marked for s in token):
            row, column = divmod(index, COLUMNS - label)
            write(label + column, top + row, symbol, color)
        for row, text in enumerate(shown):
            write(0, top + height + 0.4 + row, text[:COLUMNS], TEXT)
            if text.endswith(" valid") and len(text) <= COLUMNS:
                write(len(text) - 5, top + height + 0.4 + row, "valid", VALID)
        return image.quantize(palette=palette, dither=Image.Dither.NONE)

    frames, before = [], []
    for number, draft in enumerate(drafts, start=1):
        tokens = TOKENS.findall(draft)
        frames.append(frame(number, mark(before, tokens), []))
        before = tokens
    frames.append(frame(len(drafts), mark(before, before), candidates))
    durations = [DRAFT_MS] * len(drafts) + [RESULT_MS]
    first, *others = frames
    comment = shlex.join(command).encode()
    first.save(
        output, save_all=True, append_images=others, duration=durations, loop=0, optimize=False, comment=comment
    )


def mark(before: list[str], tokens: list[str]) -> list[tuple[str, str]]:
    """Each token of a draft with its colour: another one if the draft before had not got it there."""
    colors = [CHANGED] * len(tokens)
    for kind, _, _, start, end in difflib.SequenceMatcher(None, before, tokens, autojunk=False).get_opcodes():
        if kind == "equal":
            colors[start:end] = [TEXT] * (end - start)
    return list(zip(tokens, colors))


def shades(colors: list[str], steps: int = 12) -> list[str]:
    """The colours, and those between each of them and the first: the soft edges of letters."""
    channels = [[int(color[start : start + 2], 16) for start in (1, 3, 5)] for color in colors]
    found = [colors[0]]
    for color in channels[1:]:
        for step in range(1, steps + 1):
            mixed = [round(a + (b - a) * step / steps) for a, b in zip(channels[0], color)]
            found.append("#{:02X}{:02X}{:02X}".format(*mixed))
    return found


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"record_denoising.py: error: {error}")
