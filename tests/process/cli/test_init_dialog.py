"""``shopbell init`` in a terminal."""

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
import tomllib
from pathlib import Path

from harness import ROOT
from harness.processes import wait_for_end
from harness.smtp import HOST, PASSWORD, USER, SmtpServer

TIMEOUT_S = 120


class Terminal:
    """A command in a terminal of its own, and the person in front of it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        ours, its = os.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 400, 0, 0))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOPBELL_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "shopbell", *arguments],
            stdin=its,
            stdout=its,
            stderr=its,
            cwd=folder,
            env=environment | {"SHOPBELL_SMTP_CONNECT_TIMEOUT_S": "60"},
            start_new_session=True,
        )
        os.close(its)
        self._ours = ours
        self.shown = ""
        self._read_to = 0

    def answer(self, prompt: str, line: str) -> None:
        """Wait for a prompt, then type a line.

        The space behind a prompt for a password comes once the terminal shows nothing of what is typed.

        Raises:
            AssertionError: it did not come.
        """
        deadline_s = time.monotonic() + TIMEOUT_S
        while prompt not in self.shown[self._read_to :]:
            assert self._read(deadline_s), f"{prompt!r} did not come:\n{self.shown}"
        self._read_to = len(self.shown)
        os.write(self._ours, f"{line}\n".encode())

    def end(self) -> int:
        """Wait for the end of the command, and return its exit code."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while self._read(deadline_s):
            pass
        os.close(self._ours)
        return wait_for_end(self._process, TIMEOUT_S, lambda: self.shown)

    def _read(self, deadline_s: float) -> bool:
        if not select.select([self._ours], [], [], max(0, deadline_s - time.monotonic()))[0]:
            self._process.kill()
            return False
        try:
            part = os.read(self._ours, 65_536)
        except OSError:  # the command has ended
            return False
        self.shown += part.decode(errors="replace").replace("\r\n", "\n")
        return bool(part)


def documented() -> list[tuple[str, str]]:
    """The prompts of the dialog in the documentation, with what the reader types."""
    page = (ROOT / "docs" / "install.md").read_text()
    (block,) = re.findall(r"^```console\n\$ shopbell init\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    lines = [line for line in block.splitlines() if not line.startswith("ok ")]
    # A prompt may end in a proposal in brackets. Its own text has no colon before a space, except in parentheses.
    parts = [re.fullmatch(r"((?:[^:(]|\([^)]*\)|:(?! |$))+): ?(.*)", line) for line in lines]
    return [(part[1], part[2]) for part in parts if part is not None]


def test_the_dialog_is_the_documented_one(tmp_path: Path) -> None:
    with SmtpServer(needs_login=True) as smtp:
        real = {
            "chat.example.org": "localhost:8080",
            "smtp://shop@mail.example.org:587": f"smtp://{USER}@{HOST}:{smtp.port}",
        }
        terminal = Terminal(tmp_path, "init")
        dialog = documented()
        assert len(dialog) == 9
        for prompt, typed in dialog:
            is_password = prompt.startswith("Password of ")
            is_sender = prompt.startswith("Sender address")  # this machine has no domain to propose one
            answer = PASSWORD if is_password else "shop@chat.example.org" if is_sender else real.get(typed, typed)
            terminal.answer(f"{prompt.partition(' [shop@')[0]}{': ' if is_password else ''}", answer)
        assert terminal.end() == 0, terminal.shown
        assert len(smtp.received) == 1
    assert "ok       mail: 127.0.0.1:" in terminal.shown


def test_a_person_sets_up_an_installation(tmp_path: Path) -> None:
    with SmtpServer(needs_login=True) as smtp:
        terminal = Terminal(tmp_path, "init")
        terminal.answer("Public address of this server", "http://localhost:8080")
        terminal.answer("Mail server", f"smtp://{USER}@{HOST}:{smtp.port}")
        terminal.answer(f"Password of {USER}: ", "wrong canary")
        terminal.answer("Sender address of emails", "shop@acme.example")
        terminal.answer("Continue anyway?", "n")
        terminal.answer("Mail server", f"smtp://{USER}@{HOST}:{smtp.port}")
        terminal.answer(f"Password of {USER}: ", PASSWORD)
        terminal.answer("Sender address of emails", "shop@acme.example")
        terminal.answer("Name of your organization", "Acme")
        terminal.answer("Name of the business that customers write to [Acme]", "")
        terminal.answer("Country of phone numbers", "Massachusetts")
        terminal.answer("Country of phone numbers", "US")
        terminal.answer("Your email address", "alice@acme.example")
        terminal.answer("Send a test email to alice@acme.example?", "y")
        assert terminal.end() == 0, terminal.shown
        (mail,) = smtp.received
    assert (mail.recipients, mail.user) == (("alice@acme.example",), USER)
    assert "authentication_failed" in terminal.shown
    for secret in ("canary", PASSWORD):  # hidden, and not repeated
        assert secret not in terminal.shown
    file = tmp_path / "shopbell.toml"
    assert f"serve --config {file}" in terminal.shown
    assert "http://localhost:8080/invitations/sbi_" in terminal.shown
    assert tomllib.loads(file.read_text())["mail_from"] == "shop@acme.example"
