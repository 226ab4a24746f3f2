"""Run the sites of docs/client.md, and send requests to them as a browser does."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from harness import ROOT
from harness.processes import wait_for_end
from harness.shop import Shop

DOCUMENT = ROOT / "docs" / "client.md"
FRAMEWORKS = ("django", "flask", "fastapi")
LINES_AT_MOST = 10
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def programs() -> list[str]:
    """Return the programs of the document, in order."""
    return re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)


def documented(framework: str) -> str:
    """Return the contact form of a framework."""
    (program,) = [program for program in programs() if f"shopbell_client.{framework} import message_" in program]
    return program


@dataclass
class Site:
    """A running site."""

    browser: httpx2.Client
    process: "subprocess.Popen[str]"
    errors: Path

    @property
    def origin(self) -> str:
        """The ``Origin`` header of this site's pages."""
        return str(self.browser.base_url).rstrip("/")

    @property
    def log(self) -> str:
        """Its standard error so far."""
        return self.errors.read_text()

    def line(self) -> str:
        """Read the next line of its standard output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip()

    def post(self, **fields: str) -> httpx2.Response:
        """Open the page, fill in its form and submit it. Other fields keep their values."""
        return self.send(self.form() | fields)

    def form(self) -> dict[str, str]:
        """Return the fields of the empty form."""
        page = self.browser.get("/contact")
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="(\w+)"', page.text))
        empty = dict.fromkeys(re.findall(r'<(?:input|textarea) name="(\w+)"', page.text), "")
        assert list(empty) == ["message", "email", "phone"]
        return empty | hidden

    def send(self, form: dict[str, str]) -> httpx2.Response:
        """Submit a form."""
        return self.browser.post("/contact", data=form, headers={"Origin": self.origin})

    def post_json(self, value: object, **headers: str) -> httpx2.Response:
        """Send JSON, as a script of the page does."""
        page = self.browser.get("/contact")
        headers |= {"Content-Type": "application/json", "Origin": self.origin}
        if token := re.search(r'type="hidden" name="csrfmiddlewaretoken" value="(\w+)"', page.text):
            headers["X-CSRFToken"] = token[1]
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.browser.post("/contact", content=content, headers=headers)


@contextmanager
def serving(framework: str, program: str, folder: Path, **environment: str) -> Iterator[Site]:
    """Run a site."""
    source, errors = folder / f"{framework}_site.py", folder / f"{framework}.log"
    source.write_text(program)
    with errors.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("serve_site.py")), framework, str(source)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)} | environment,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            port = process.stdout.readline().strip()
            assert port, errors.read_text()
            language = {"Accept-Language": "en-GB,fr;q=0.9"}
            site = httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, headers=language, timeout=60)
            with site as browser:
                yield Site(browser, process, errors)
        finally:
            process.stdin.close()
            wait_for_end(process, 60, errors.read_text)


def of_shop(program: str, shop: Shop, **environment: str) -> tuple[str, dict[str, str]]:
    """Return a program for the shop's business, and its environment."""
    program = program.replace("12345", shop.world.boston)
    return program, {"SHOPBELL_URL": shop.server.url, "SHOPBELL_TOKEN": shop.world.second_token} | environment


def customers_messages(shop: Shop, email: str) -> list[str]:
    """Return the stored messages of a customer's conversations."""
    rows = shop.database.rows(
        "SELECT m.body FROM messages m JOIN threads t ON t.id = m.thread_id "
        "JOIN customer_identities i ON i.customer_id = t.customer_id WHERE i.value = :email ORDER BY m.sequence",
        email=email,
    )
    return [row["body"] for row in rows]
