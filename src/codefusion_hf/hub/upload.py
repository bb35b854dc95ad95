"""What goes to the Hub, and its upload."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path


@dataclass
class Upload:
    """
    What a push sends: one commit to one repository.

    Args:
        repo_id (`str`): `"organisation/name"`.
        files (`dict[str, bytes | Path]`): Content, or the file that has it, by the path in the repository.
        repo_type (`str`, *optional*, defaults to `"model"`): Or `"space"`.
        revision (`str`, *optional*, defaults to `"main"`): The branch.
        left_out (`list[str]`, *optional*): What else the folder has.
        replaces (`tuple[str, ...]`, *optional*): Patterns: a file of the branch that matches one and is not among
            `files` is deleted. transformers would load the weights that an earlier push left there.

    Raises:
        ValueError: for a `repo_id` that the Hub does not take.
    """

    repo_id: str
    files: dict[str, bytes | Path]
    repo_type: str = "model"
    revision: str = "main"
    left_out: list[str] = field(default_factory=list)
    replaces: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_repo_id(self.repo_id)

    @property
    def url(self) -> str:
        """The repository's address."""
        from huggingface_hub import constants

        prefix = "spaces/" if self.repo_type == "space" else ""
        return f"{constants.ENDPOINT}/{prefix}{self.repo_id}"

    def describe(self) -> str:
        """A line for each file with its size, then the total and where it goes."""
        sizes = {path: content_size(content) for path, content in sorted(self.files.items())}
        width = max(map(len, sizes))
        lines = [f"{path:<{width}}  {_format_size(size):>9}" for path, size in sizes.items()]
        lines.append(f"{len(sizes)} files, {_format_size(sum(sizes.values()))}: {self.url}, branch {self.revision}")
        if self.left_out:
            lines.append(f"not sent: {', '.join(self.left_out)}")
        return "\n".join(lines)


def push(upload: Upload, private: bool = False) -> str:
    """
    Makes the repository if it does not exist, and sends what differs from it in one commit: nobody loads half of it.

    Large files are stored before the commit, so after an interruption the same call sends only the rest. The token is
    that of `hf auth login` or of `HF_TOKEN`; no message has it.

    Args:
        upload ([`Upload`]): What to send.
        private (`bool`, *optional*, defaults to `False`): Makes a private repository.

    Returns:
        `str`: The commit's address, or the repository's if nothing has changed.

    Raises:
        RuntimeError: if the Hub cannot be reached, or refuses.
        ValueError: if there is no token, or `private` and the repository exists and is public.
    """
    from huggingface_hub import get_token

    token = get_token()
    if token is None:
        raise ValueError("not logged in to the Hub: run `hf auth login`, or set HF_TOKEN")
    handlers, redact = logging.getLogger("huggingface_hub").handlers, _Redact(token)
    for handler in handlers:
        handler.addFilter(redact)
    try:
        return _push(upload, private)
    except Exception as error:  # of many types, and in the message of any of them a server may repeat the token
        kind = ValueError if type(error) is ValueError else RuntimeError
        message = redact.clean(" ".join(str(error).split()) or type(error).__name__)
    finally:
        for handler in handlers:
            handler.removeFilter(redact)
    raise kind(f"cannot push to {upload.url}: {message}")  # here, so that no traceback leads to the first message


def check_repo_id(repo_id: str) -> None:
    """
    Raises:
        ValueError: unless it is `"organisation/name"` in letters that the Hub takes.
    """
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ValueError(str(error)) from None
    if "/" not in repo_id:
        raise ValueError(f"{repo_id!r} is no repository: expected ORGANISATION/NAME, or USER/NAME")


def content_size(content: bytes | Path) -> int:
    """Bytes of a content, or of the file that has it."""
    return len(content) if isinstance(content, bytes) else content.stat().st_size


class _Redact(logging.Filter):
    def __init__(self, secret: str):
        super().__init__()
        self.secret = secret

    def clean(self, text: str) -> str:
        return text.replace(self.secret, "***")

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.clean(record.getMessage()), None
        return True


def _push(upload: Upload, private: bool) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api, repository = HfApi(), {"repo_id": upload.repo_id, "repo_type": upload.repo_type}
    sdk = {"space_sdk": "gradio"} if upload.repo_type == "space" else {}
    api.create_repo(**repository, private=private or None, exist_ok=True, **sdk)
    if upload.revision != "main":
        api.create_branch(**repository, branch=upload.revision, exist_ok=True)
    before = api.repo_info(**repository, revision=upload.revision)
    if private and not before.private:
        raise ValueError("it exists and is public; make it private in its settings, or leave out --private")
    paths = {file.rfilename for file in before.siblings or []} - upload.files.keys()
    stale = sorted(path for path in paths if any(fnmatch(path, pattern) for pattern in upload.replaces))
    # One commit, unlike `upload_folder`, which may make several: a reader in between would get files that do not fit.
    operations = [CommitOperationDelete(path_in_repo=path) for path in stale]
    for path, content in sorted(upload.files.items()):
        source = content if isinstance(content, bytes) else str(content)
        operations.append(CommitOperationAdd(path_in_repo=path, path_or_fileobj=source))
    message = "Upload by codefusion-hf"
    commit = api.create_commit(**repository, operations=operations, commit_message=message, revision=upload.revision)
    return upload.url if commit.oid == before.sha else commit.commit_url


def _format_size(size: int) -> str:
    if size < 1000:
        return f"{size} B"
    return f"{size / 1e3:.1f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"
