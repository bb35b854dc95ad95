"""
A Hub on 127.0.0.1, for the real `huggingface_hub` client: repositories with commits, branches and tags in memory.

The client reads its settings when it is imported, so it runs in a process of its own:

    with LoopbackHub() as hub:
        subprocess.run([...], env={**os.environ, **hub.environment(tmp_path)})
        hub.files("org/name")["config.json"]
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit


ERROR_CODES = {"repository": "RepoNotFound", "revision": "RevisionNotFound", "file": "EntryNotFound"}


@dataclass
class Repository:
    """One repository: `commits` maps a hash to the files of that commit, `refs` a branch or a tag to a hash."""

    kind: str
    name: str
    private: bool = False
    sdk: str | None = None
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    history: list[list[str]] = field(default_factory=list)  # what each commit sent or deleted, oldest first
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str, changed: list[str]) -> str:
        """Adds a commit with these files to a branch and returns its hash."""
        self.history.append(changed)
        commit = hashlib.sha1(repr((self.kind, self.name, len(self.history))).encode()).hexdigest()
        self.commits[commit], self.refs[branch] = files, commit
        return commit


@dataclass
class Fault:
    """
    What happens to the next requests of which `"METHOD /path"` matches the pattern.

    Args:
        pattern (`str`): A regular expression, searched.
        action (`int` or `str`): An HTTP status; `"echo"`, a refusal that repeats the token, also as a warning;
            `"drop"`, the connection ends in the middle of the file; `"short"`, half of the file, as if that were all;
            `"wait"`, the answer comes when `LoopbackHub.go_on` is set.
        times (`int`, *optional*): How often; for ever by default.
    """

    pattern: str
    action: int | str
    times: int | None = None


class LoopbackHub:
    """
    The server: a context manager, listening on a free port while it is open.

    Attributes:
        token (`str`): The one token that may write.
        lfs (`list[str]`): Patterns of the files that are uploaded apart from the commit, as large files are.
        requests (`list[str]`): Every request so far, as `"METHOD /path"`.
        faults (`list[Fault]`): What goes wrong, see [`Fault`].
        waiting, go_on (`threading.Event`): A request waits, and may go on.
    """

    def __init__(self):
        self.token = "hf_" + "loopback" * 4
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.objects: dict[str, bytes] = {}  # large files, by SHA-256
        self.lfs: list[str] = []
        self.requests: list[str] = []
        self.faults: list[Fault] = []
        self.waiting, self.go_on = threading.Event(), threading.Event()
        self.lock = threading.RLock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "LoopbackHub":
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exception) -> None:
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()

    def environment(self, home: Path) -> dict[str, str]:
        """Variables for a process that uses this Hub, logged in, with its caches in the folder `home`."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_MODULES_CACHE": str(home / "modules"),
            "HF_TOKEN": self.token,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",  # another protocol, which this server does not speak
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def files(self, name: str, kind: str = "model", revision: str = "main") -> dict[str, bytes]:
        """The files of a repository."""
        repository = self.repositories[kind, name]
        return repository.commits[repository.refs.get(revision, revision)]

    def head(self, name: str, kind: str = "model", revision: str = "main") -> str:
        """The hash of a branch's last commit."""
        return self.repositories[kind, name].refs[revision]

    def put(self, name: str, files: dict[str, bytes], kind: str = "model") -> str:
        """Makes a repository with these files, without a client, and returns the hash of its commit."""
        repository = self.repositories.setdefault((kind, name), Repository(kind, name))
        return repository.commit(dict(files), "main", sorted(files))


class _Refused(Exception):
    def __init__(self, status: int, message: str, code: str | None = None):
        super().__init__(message)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments) -> None:
        pass

    def _handle(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline(), 16):
                self.body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        with self.hub.lock:
            self.hub.requests.append(f"{self.command} {url.path}")
            fault = self._fault()
        if fault == "wait":
            self.hub.waiting.set()
            self.hub.go_on.wait()
        with self.hub.lock:
            try:
                if isinstance(fault, int):
                    raise _Refused(fault, "out of order")
                if fault == "echo":
                    raise _Refused(403, f"no rights for {self.headers['Authorization']}")
                self._answer(parts, parse_qs(url.query), fault)
            except _Refused as error:
                extra = {"X-Error-Message": str(error)} | ({"X-Error-Code": error.code} if error.code else {})
                extra |= {"X-HF-Warning": f"echo; {error}"} if fault == "echo" else {}
                self._send(json.dumps({"error": str(error)}).encode(), error.status, extra)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle

    def _fault(self) -> int | str | None:
        for fault in self.hub.faults:
            if fault.times != 0 and re.search(fault.pattern, f"{self.command} {unquote(urlsplit(self.path).path)}"):
                fault.times = None if fault.times is None else fault.times - 1
                return fault.action
        return None

    def _answer(self, parts: list[str], query: dict, fault: str | None) -> None:
        if self.command in ("POST", "PUT", "DELETE") and parts[0] != "storage":
            self._authorized()
        if parts == ["api", "repos", "create"]:
            self._create(json.loads(self.body))
        elif parts == ["api", "validate-yaml"]:
            self._send_json({"errors": [], "warnings": []})
        elif parts == ["api", "whoami-v2"]:
            self._authorized()
            self._send_json({"type": "user", "name": "someone", "orgs": [], "auth": {"type": "access_token"}})
        elif parts[0] == "storage":  # where large files are put; the address is the permission, as on the Hub
            if hashlib.sha256(self.body).hexdigest() != parts[1]:
                raise _Refused(400, "the content does not fit its hash")
            self.hub.objects[parts[1]] = self.body
            self._send_json({})
        elif parts[0] == "api" and parts[1] in ("models", "datasets", "spaces") and len(parts) >= 4:
            repository = self._repository(parts[1].removesuffix("s"), "/".join(parts[2:4]))
            self._api(repository, parts[4:], query)
        else:
            kind = parts.pop(0).removesuffix("s") if parts[0] in ("datasets", "spaces") else "model"
            repository = self._repository(kind, "/".join(parts[:2]).removesuffix(".git"))
            if parts[2] == "resolve":
                self._resolve(repository, parts[3], "/".join(parts[4:]), fault)
            elif parts[2:] == ["info", "lfs", "objects", "batch"]:
                self._batch(json.loads(self.body))
            else:
                raise _Refused(404, f"no such address: {self.path}")

    def _authorized(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            raise _Refused(401, "Invalid username or password.")

    def _repository(self, kind: str, name: str) -> Repository:
        repository = self.hub.repositories.get((kind, name))
        if repository is None:
            raise _Refused(404, "Repository not found", ERROR_CODES["repository"])
        if repository.private:
            self._authorized()
        return repository

    def _commit(self, repository: Repository, revision: str) -> str:
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            raise _Refused(404, f"Invalid rev id: {revision}", ERROR_CODES["revision"])
        return commit

    def _create(self, wanted: dict) -> None:
        kind, name = wanted.get("type") or "model", f"{wanted.get('organization') or 'someone'}/{wanted['name']}"
        prefix = "" if kind == "model" else f"{kind}s/"
        known = (kind, name) in self.hub.repositories
        if not known:
            private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
            repository = Repository(kind, name, private, wanted.get("sdk"))
            repository.commit({".gitattributes": b""}, "main", [".gitattributes"])
            self.hub.repositories[kind, name] = repository
        self._send_json({"url": f"{self.hub.url}/{prefix}{name}", "name": name}, 409 if known else 200)

    def _api(self, repository: Repository, parts: list[str], query: dict) -> None:
        action = parts[0] if parts else "revision"
        if action == "revision":
            commit = self._commit(repository, parts[1] if parts else "main")
            self._send_json(
                {
                    "id": repository.name,
                    "sha": commit,
                    "siblings": [{"rfilename": path} for path in repository.commits[commit]],
                    "private": repository.private,
                    "gated": False,
                    "tags": [],
                    "sdk": repository.sdk,
                }
            )
        elif action == "preupload":
            files = repository.commits[self._commit(repository, parts[1])]
            modes = [self._mode(file["path"], files) for file in json.loads(self.body)["files"]]
            self._send_json({"files": modes})
        elif action == "commit":
            self._add_commit(repository, parts[1])
        elif action in ("branch", "tag") and self.command == "POST":
            start = json.loads(self.body or b"{}").get("startingPoint") or "main"
            name = parts[1] if action == "branch" else json.loads(self.body)["tag"]
            if name in repository.refs:
                raise _Refused(409, f"Reference already exists: {name}")
            repository.refs[name] = self._commit(repository, start if action == "branch" else parts[1])
            self._send_json({})
        elif action == "refs":
            branches = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": c} for n, c in repository.refs.items()]
            self._send_json({"branches": branches, "converts": [], "tags": []})
        elif action == "tree":
            files = repository.commits[self._commit(repository, parts[1])]
            folder = "/".join(parts[2:])
            inside = {path: data for path, data in files.items() if not folder or path.startswith(f"{folder}/")}
            if folder and not inside:
                raise _Refused(404, f"{folder} does not exist", ERROR_CODES["file"])
            self._send_json([self._entry(path, data) for path, data in inside.items()])
        elif action == "paths-info":
            files = repository.commits[self._commit(repository, parts[1])]
            paths = parse_qs(self.body.decode()).get("paths", [])
            self._send_json([self._entry(path, files[path]) for path in paths if path in files])
        else:
            raise _Refused(404, f"no such address: {self.path}")

    def _is_large(self, path: str) -> bool:
        return any(fnmatch(path, pattern) for pattern in self.hub.lfs)

    def _oid(self, path: str, data: bytes) -> str:
        if self._is_large(path):
            return hashlib.sha256(data).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def _entry(self, path: str, data: bytes) -> dict:
        entry = {"type": "file", "path": path, "size": len(data), "oid": self._oid(path, data)}
        if self._is_large(path):
            entry["lfs"] = {"oid": entry["oid"], "size": len(data), "pointerSize": 130}
        return entry

    def _mode(self, path: str, files: dict[str, bytes]) -> dict:
        oid = self._oid(path, files[path]) if path in files else None
        mode = "lfs" if self._is_large(path) else "regular"
        return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _batch(self, wanted: dict) -> None:
        objects = []
        for item in wanted["objects"]:
            if item["oid"] not in self.hub.objects:
                item["actions"] = {"upload": {"href": f"{self.hub.url}/storage/{item['oid']}"}}
            objects.append(item)
        self._send_json({"transfer": "basic", "objects": objects})

    def _add_commit(self, repository: Repository, branch: str) -> None:
        files = dict(repository.commits[self._commit(repository, branch)])
        changed = []
        for line in self.body.splitlines():
            item = json.loads(line)
            key, value = item["key"], item["value"]
            if key == "header":
                continue
            changed.append(value["path"])
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                if value["oid"] not in self.hub.objects:
                    raise _Refused(400, f"{value['path']} was not uploaded")
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif key == "deletedFile":
                files.pop(value["path"])
            else:
                raise _Refused(400, f"unknown operation {key}")
        commit = repository.commit(files, branch, changed)
        prefix = "" if repository.kind == "model" else f"{repository.kind}s/"
        self._send_json(
            {"commitOid": commit, "commitUrl": f"{self.hub.url}/{prefix}{repository.name}/commit/{commit}"}
        )

    def _resolve(self, repository: Repository, revision: str, path: str, fault: str | None) -> None:
        commit = self._commit(repository, revision)
        files = repository.commits[commit]
        if path not in files:
            raise _Refused(404, f"{path} does not exist on {revision}", ERROR_CODES["file"])
        data, status = files[path], 200
        headers = {"X-Repo-Commit": commit, "ETag": f'"{self._oid(path, data)}"', "Accept-Ranges": "bytes"}
        if (wanted := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))) is not None:
            start, status = int(wanted[1]), 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            data = data[start:]
        if fault == "short" and self.command == "GET":
            data = data[: len(data) // 2]
        self._send(data, status, headers, sent=len(data) // 2 if fault == "drop" else None)

    def _send_json(self, content: object, status: int = 200) -> None:
        self._send(json.dumps(content).encode(), status)

    def _send(self, data: bytes, status: int = 200, headers: dict | None = None, sent: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data if sent is None else data[:sent])
            self.close_connection = self.close_connection or sent is not None
