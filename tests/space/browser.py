"""The Space, served on this machine, in a headless Chromium."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, sync_playwright


ROOT = Path(__file__).parents[2]
TIMEOUT_S = 600  # nothing takes as long, unless the machine is busy with other things
GRADIO_WARNING = "Method not implemented."  # gradio's client, when it stops following the progress of an upload
# Counts what a user sees of the drafts, as they come and go.
_WATCH_STATUS = """() => {
  window.seen = [];
  new MutationObserver(() => {
    const text = document.getElementById("status").innerText.trim();
    if (text && text !== window.seen.at(-1)) window.seen.push(text);
  }).observe(document.getElementById("status"), { childList: true, subtree: true, characterData: true });
}"""


class Server:
    """
    `python examples/space/app.py`, offline: every way out of this machine leads to a closed port.

    Attributes:
        url (`str`): Where it answers.
        log (`list[str]`): What it has printed.
    """

    def __enter__(self) -> "Server":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        nowhere = dict.fromkeys(["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"], "http://127.0.0.1:9")
        environment = {"no_proxy": "127.0.0.1,localhost", "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}
        self.url, self.log, started = f"http://127.0.0.1:{port}", [], time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "examples" / "space" / "app.py"],
            env=os.environ | nowhere | environment | {"GRADIO_SERVER_PORT": str(port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=lambda: self.log.extend(self.process.stdout), daemon=True).start()
        while not any("Running on" in line for line in self.log):
            if self.process.poll() is not None or time.monotonic() - started > TIMEOUT_S:
                self.__exit__()
                raise RuntimeError("the Space did not start:\n" + "".join(self.log))
            time.sleep(0.1)
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait(30)


@contextmanager
def chromium():
    """A headless browser: Debian's, or the one that CHROMIUM names."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise RuntimeError("Chromium is missing: install Debian's `chromium`, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """
    A page of the Space, as one user sees it.

    Attributes:
        page (`Page`): The page.
        faults (`list[str]`): Errors and warnings in the console, failed requests, and requests to other machines.
    """

    def __init__(self, context: BrowserContext, url: str):
        context.set_default_timeout(TIMEOUT_S * 1000)
        self.faults: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self._request(request.url, url))
        self.page.on("response", self._response)
        self.page.goto(url)
        self.page.wait_for_selector("#sheet table")
        self.page.evaluate(_WATCH_STATUS)

    def _console(self, message) -> None:
        if message.type in ("error", "warning") and message.text != GRADIO_WARNING:
            self.faults.append(f"console: {message.text}")

    def _request(self, asked: str, url: str) -> None:
        if not asked.startswith((url, "data:", "blob:")):
            self.faults.append(f"request: {asked}")

    def _response(self, response) -> None:
        if response.status >= 400:
            self.faults.append(f"status {response.status}: {response.url}")

    def ask(self, sentence: str) -> None:
        """Types a sentence over the one that is there, presses Enter, and waits for the candidates."""
        self.page.evaluate("window.seen = []")
        self.type(sentence)
        self.page.wait_for_function(
            "seen.some(text => text.startsWith('step')) && document.querySelector('#status .message')"
        )
        # What changes together may be drawn one after the other.
        self.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert self.drafts()[-1].endswith("best first"), self.drafts()[-1]

    def type(self, sentence: str) -> None:
        """Types a sentence over the one that is there, and presses Enter."""
        self.page.get_by_label("Sentence").fill(sentence)
        self.page.keyboard.press("Enter")

    def wait_for_status(self, text: str) -> None:
        """Waits until the line above the candidates says `text`."""
        self.page.locator("#status .message", has_text=text).wait_for()

    def drafts(self) -> list[str]:
        """All that the line above the candidates has said since the last `ask`."""
        return self.page.evaluate("window.seen")

    def candidates(self) -> list[str]:
        """The candidates in two lines each."""
        return self.page.locator("#candidates label").all_inner_texts()

    def highlighted(self) -> list[str]:
        """The text of the highlighted cells."""
        return self.page.locator("#sheet td.hit").all_inner_texts()

    def choose_table(self, name: str) -> None:
        """Chooses a table by its name."""
        self.page.get_by_role("radiogroup", name="Table").get_by_label(name, exact=True).check()

    def upload(self, path: Path) -> None:
        """Uploads a table; a previous one is taken away."""
        self.choose_table("My file")
        remove = self.page.get_by_label("Clear")
        if remove.count():
            remove.first.click()
        self.page.locator("input[type=file]").set_input_files(path)

    def focused(self) -> dict[str, str]:
        """What has the focus: its name, and the style of the line around it."""
        return self.page.evaluate(
            """() => {
              const element = document.activeElement, label = element.closest("label");
              const name = element.ariaLabel || label?.innerText || element.innerText;
              const outlined = element.type === "radio" && label.closest("#candidates") ? label : element;
              return { name: name.trim(), outline: getComputedStyle(outlined).outlineStyle };
            }"""
        )
