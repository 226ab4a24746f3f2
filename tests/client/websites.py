"""Sites of the three frameworks, made of the programs of docs/client.md, and a browser's look at them."""

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

from harness.shop import Shop

DOCUMENT = Path(__file__).parents[2] / "docs" / "client.md"
FRAMEWORKS = ("django", "flask", "fastapi")
LINES_AT_MOST = 10
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def programs() -> list[str]:
    """The document's programs, in their order."""
    return re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)


def documented(framework: str) -> str:
    """The program that puts the form on a site of a framework."""
    (program,) = [program for program in programs() if f"shopbell.client.{framework} import message_" in program]
    return program


@dataclass
class Site:
    """A running site, and a browser's look at it."""

    browser: httpx2.Client
    process: "subprocess.Popen[str]"
    errors: Path

    @property
    def origin(self) -> str:
        """What a browser says when a page of this site posts."""
        return str(self.browser.base_url).rstrip("/")

    @property
    def log(self) -> str:
        """What it has written to its standard error."""
        return self.errors.read_text()

    def line(self) -> str:
        """The next line of its standard output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip()

    def post(self, **fields: str) -> httpx2.Response:
        """Open the page, fill its form and send it, as a browser does; what is not named is as the page has it."""
        return self.send(self.form() | fields)

    def form(self) -> dict[str, str]:
        """The fields of the page's form as they are found."""
        page = self.browser.get("/contact")
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="(\w+)"', page.text))
        empty = dict.fromkeys(re.findall(r'<(?:input|textarea) name="(\w+)"', page.text), "")
        assert list(empty) == ["message", "email", "phone"]
        return empty | hidden

    def send(self, form: dict[str, str]) -> httpx2.Response:
        """Send a form, as the page's button does."""
        return self.browser.post("/contact", data=form, headers={"Origin": self.origin})

    def post_json(self, said: object) -> httpx2.Response:
        """Send what a script of the page would."""
        page = self.browser.get("/contact")
        headers = {"Content-Type": "application/json", "Origin": self.origin}
        if token := re.search(r'type="hidden" name="csrfmiddlewaretoken" value="(\w+)"', page.text):
            headers["X-CSRFToken"] = token[1]
        content = said if isinstance(said, bytes) else json.dumps(said).encode()
        return self.browser.post("/contact", content=content, headers=headers)


@contextmanager
def serving(framework: str, program: str, folder: Path, **environment: str) -> Iterator[Site]:
    """A site while the block runs."""
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
            language = {"Accept-Language": "fr-FR,fr;q=0.9"}
            site = httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, headers=language, timeout=60)
            with site as browser:
                yield Site(browser, process, errors)
        finally:
            process.stdin.close()
            process.wait(60)


def of_shop(program: str, shop: Shop, **environment: str) -> tuple[str, dict[str, str]]:
    """A program with the shop's business in it, and its environment."""
    program = program.replace("12345", shop.world.boston)
    return program, {"SHOPBELL_URL": shop.server.url, "SHOPBELL_TOKEN": shop.world.second_token} | environment


def customers_messages(shop: Shop, email: str) -> list[str]:
    """What a customer has written, as stored."""
    rows = shop.database.rows(
        "SELECT m.body FROM messages m JOIN threads t ON t.id = m.thread_id "
        "JOIN customer_identities i ON i.customer_id = t.customer_id WHERE i.value = :email ORDER BY m.sequence",
        email=email,
    )
    return [row["body"] for row in rows]
