"""Pages link to files of the repository by relative paths, as GitHub needs; on the site these lead to GitHub."""

import posixpath
import re
from pathlib import Path


REPOSITORY = "https://github.com/codefusion/codefusion-hf/blob/main/"
OUTSIDE = re.compile(r"\]\((\.\./[^)\s#]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown, page, config, files):
    """Replaces links that leave docs/; a link to a file that does not exist stays, for `--strict` to find."""
    root = Path(config["docs_dir"]).parent

    def absolute(match):
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.file.src_uri), match[1]))
        if path.startswith(("docs/", "..")) or not (root / path).exists():
            return match[0]
        return f"]({REPOSITORY}{path}{match[2] or ''})"

    return OUTSIDE.sub(absolute, markdown)
