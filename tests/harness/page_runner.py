"""Run the commands of a page of the documentation, as its readers would."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from harness import preloaded
from harness.page_blocks import Block, compare, with_real
from harness.ports import free_port
from harness.waiting import wait_until

COMMAND_TIMEOUT_S = 120
_STARTS_A_SERVER = ("shopbell serve", "shopbell demo", "make run")
_IS_ALONE = re.compile(r"shopbell (?:[^$|&;<>()`\n]|\\\n)+\n?")
"""A command that needs nothing of the shell: it is forked from a process that has imported Shopbell."""
_LINE = re.compile(r"(?:.*\\\n)*.*\n")
_LOOKS_ONLY = ("shopbell threads", "shopbell webhooks deliveries", "shopbell webhooks delivery", "curl -sS -H")
"""Commands that a reader repeats until a worker is done."""


@dataclass
class _Running:
    process: "preloaded.Preloaded | subprocess.Popen[bytes]"
    command: str
    output: Path
    shown: str
    is_server: bool


@dataclass
class PageRunner:
    """A terminal in a folder.

    Args:
        folder: where the commands run; variables that they set last until the page ends.
        environment: of the commands.
        real: what stands for ids, addresses and secrets of the page; outputs add to it.
        stop_server: ends the server that runs already, before a command of the page starts another one.
        doctor_options: more options of `shopbell doctor`.
    """

    folder: Path
    environment: Mapping[str, str]
    real: dict[str, str]
    stop_server: Callable[[], None] = lambda: None
    doctor_options: tuple[str, ...] = ()
    _running: list[_Running] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.real = {port: str(free_port()) for port in ("8080", "9000", "8000")} | self.real
        programs = self.folder / "programs"
        programs.mkdir()
        curl = shutil.which("curl")
        assert curl, "the commands of the documentation need curl"
        self.add_program("shopbell", f'"{sys.executable}" -m shopbell "$@"')
        self.add_program("python", f'"{sys.executable}" "$@"')
        # A reader sees an error; a shell sees it only with an option.
        fail = "case $1 in -f*) ;; *) echo --fail-with-body ;; esac"
        self.add_program("curl", f"{curl} $({fail}) --noproxy '*' \"$@\"")
        work = self.folder / "work"
        work.mkdir()
        self._state = self.folder / "state.sh"
        self._state.write_text(f'cd "{work}"\n')
        self._environment = dict(self.environment) | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(work),
            "SHOPBELL_PORT": self.real["8080"],
        }

    @property
    def work(self) -> Path:
        """The folder in which the page's commands begin."""
        return self.folder / "work"

    def add_program(self, name: str, command: str) -> None:
        """Let the page's commands find a program, which runs a command of the shell."""
        path = self.folder / "programs" / name
        path.write_text(f"#!/bin/sh\nexec {command}\n")
        path.chmod(0o755)

    def export(self, **variables: object) -> None:
        """Set variables of the environment, as the reader's shell may have them."""
        words = (f"export {name}={shlex.quote(str(value))}\n" for name, value in variables.items())
        self._state.write_text("".join((self._state.read_text(), *words)))

    def run(self, block: Block) -> None:
        """Run a block, or save it.

        Raises:
            AssertionError: a command failed, or printed something else than the page says.
        """
        if block.stopped:
            self._end_stopped(block.stopped)
        if block.file:
            (self.work / block.file).write_text(with_real(block.text, self.real))
        elif block.ready:
            self._start(block)
        elif block.language == "python":
            (self.work / "block.py").write_text(with_real(block.text, self.real))
            self._finish("python block.py", "", block)
        else:
            for command, shown in block.commands():
                for part in self._parts(command):
                    self._finish(part, shown, block)

    @staticmethod
    def _parts(commands: str) -> list[str]:
        """Split commands that set variables and are alone, since those that are alone start faster."""
        lines = _LINE.findall(commands)
        first = next((number for number, line in enumerate(lines) if not line.startswith("export ")), len(lines))
        if all(_IS_ALONE.fullmatch(line) for line in lines[first:]):
            return [*filter(None, ["".join(lines[:first])]), *lines[first:]]
        return [commands]

    @contextmanager
    def session(self) -> Iterator[None]:
        """Forget the variables that are set in the block, and end its commands at its end.

        Raises:
            AssertionError: one that still runs has not printed what the page says.
        """
        before = self._state.read_text()
        try:
            yield
            for running in self._running:
                self._check_output(running)
        finally:
            self.stop()
            self._state.write_text(before)

    def _end_stopped(self, command: str) -> None:
        """End a command that the reader has stopped; it may be the server that has run since before the page."""
        running = [each for each in self._running if command in each.command]
        if not running:
            assert command in _STARTS_A_SERVER, f"{command} does not run"
            self.stop_server()
        for each in running:
            self._check_output(each)
            self._end(each)

    def stop(self) -> None:
        """End the commands that still run."""
        for running in list(self._running):
            self._end(running)

    def _finish(self, command: str, shown: str, block: Block) -> None:
        deadline_s = time.monotonic() + COMMAND_TIMEOUT_S
        while True:
            done = self._execute(command)
            place = f"line {block.line}: {command}"
            assert done.returncode == 0, f"{place}{done.stdout}{done.stderr}"
            told = compare(self._with_real_places(shown.strip()), done.stdout.strip(), self.real) if shown else {}
            if told is not None:
                self.real |= told
                return
            is_over = not command.startswith(_LOOKS_ONLY) or time.monotonic() > deadline_s
            assert not is_over, f"{place}it printed\n{done.stdout}\nand not\n{shown}"
            time.sleep(0.2)

    def _execute(self, command: str) -> "subprocess.CompletedProcess[str]":
        if not _IS_ALONE.fullmatch(command):
            state = f"'{self._state}'"
            return self._shell(f"{self._script(command)}\n{{ export -p; echo cd \"'$PWD'\"; }} > {state}")
        words, folder, environment = self._alone(command)
        return preloaded.run(preloaded.PROGRAM, words, cwd=folder, env=environment, timeout_s=COMMAND_TIMEOUT_S)

    def _with_real_places(self, shown: str) -> str:
        return with_real(shown, {place: real for place, real in self.real.items() if place.startswith("/")})

    def _alone(self, command: str) -> tuple[list[str], Path, dict[str, str]]:
        """The arguments of a command that is alone, and where it runs."""
        folder, *variables = self._shell(f". '{self._state}'\nprintf '%s\\0' \"$PWD\"\nenv -0").stdout.split("\0")
        environment = dict(each.split("=", 1) for each in variables if each)
        words = shlex.split(with_real(command, self.real), comments=True)[1:]
        return [*words, *(self.doctor_options if words[0] == "doctor" else ())], Path(folder), environment

    def _shell(self, script: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["sh", "-c", script],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )

    def _start(self, block: Block) -> None:
        *before, (command, shown) = block.commands()
        for earlier, printed in before:
            self._finish(earlier, printed, block)
        if block.language == "sh":
            lines = re.split(r"(?<!\\)\n", command.strip())
            self._finish("\n".join(lines[:-1]) or ":", "", block)
            command = lines[-1]
        is_server = any(words in command for words in _STARTS_A_SERVER)
        if is_server:
            self.stop_server()
        for running in [each for each in self._running if is_server and each.is_server]:
            self._end(running)
        number = len(list(self.folder.glob("*.out")))
        output, errors = (self.folder / f"{number}.{kind}" for kind in ("out", "err"))
        with output.open("wb") as out, errors.open("wb") as err:
            process = self._spawn(command, out, err)
        self._running.append(_Running(process, command, output, shown, is_server))
        ready = block.ready or ""

        def is_ready() -> bool:
            assert process.poll() is None, f"line {block.line}: {command}{output.read_text()}{errors.read_text()}"
            return ready in output.read_text() + errors.read_text()

        wait_until(
            is_ready, lambda: f"line {block.line} did not print {ready}: {output.read_text()}", COMMAND_TIMEOUT_S
        )
        self._learn_the_demo()

    def _spawn(self, command: str, out: IO[bytes], err: IO[bytes]) -> "preloaded.Preloaded | subprocess.Popen[bytes]":
        if _IS_ALONE.fullmatch(command):
            words, folder, environment = self._alone(command)
            return preloaded.start(preloaded.PROGRAM, words, cwd=folder, env=environment, output=out, errors=err)
        return subprocess.Popen(
            # The shell waits for the command, which gets the signal, too.
            ["sh", "-c", f"trap : TERM\n{self._script(command)}"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )

    def _script(self, command: str) -> str:
        words = {".venv/bin/": "", "make run": "shopbell demo"}
        for shown, ours in words.items():
            command = command.replace(shown, ours)
        return f"set -aeu\n. '{self._state}'\n{with_real(command, self.real)}"

    def _learn_the_demo(self) -> None:
        demo = self.work / "data" / "demo.json"
        if demo.exists():
            facts = json.loads(demo.read_text())
            self.real |= {"sb_live_…": facts["token"], "pk_live_…": facts["publishableKey"]}

    def _check_output(self, running: _Running) -> None:
        if running.shown:
            shown = f"{running.shown.strip()}…"  # it may have printed more since
            wait_until(
                lambda: compare(shown, running.output.read_text().strip(), self.real) is not None,
                lambda: f"it printed\n{running.output.read_text()}\nand not\n{running.shown}",
                COMMAND_TIMEOUT_S,
            )

    def _end(self, running: _Running) -> None:
        self._running.remove(running)
        if running.process.poll() is None:
            if _IS_ALONE.fullmatch(running.command):
                running.process.terminate()
            else:
                os.killpg(running.process.pid, signal.SIGTERM)
        running.process.wait(COMMAND_TIMEOUT_S)
