"""A real systemd that runs Shopbell with the unit files of ``deploy/systemd/``, in a container of systemd-nspawn.

The container has the files of this machine below an overlay: what changes there is gone when it ends. It has this
machine's network. Run as a program, in a mount namespace of its own, this module prepares the files and becomes the
container: ``unshare --mount python -m harness.booted NSPAWN FOLDER``.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import ROOT
from harness.ports import free_port
from harness.processes import wait_for_end
from harness.programs import PATH, program
from harness.waiting import wait_until

UNITS = ROOT / "deploy" / "systemd"
DOCUMENTATION = ROOT / "docs" / "systemd.md"
TARGET = "shopbell-test.target"
STOP_TIMEOUT_S = 60
COMMAND_TIMEOUT_S = 300
_OF_PYTHON = {"LD_LIBRARY_PATH": "/opt/python/lib"}
"""For a Python that looks for its library where only root can read."""


class Booted:
    """A machine that has booted, and Shopbell on it, installed with the commands of ``docs/systemd.md``.

    Args:
        folder: where the log is.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._log = folder / "booted.log"
        assert os.geteuid() == 0, "this test boots a container: run it as root"
        nspawn = program("systemd-nspawn", "systemd-container")
        command = [program("unshare", "util-linux"), "--mount", sys.executable, "-m", "harness.booted"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, nspawn, str(folder)],
                env=os.environ | {"PYTHONPATH": str(ROOT / "tests")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._init: int | None = None

    @property
    def log(self) -> str:
        """What the machine has written to its console, and Shopbell to its journal."""
        return self._log.read_text(errors="replace") + (self.journal if self._init else "")

    @property
    def journal(self) -> str:
        """What Shopbell has logged, and what systemd has logged of it."""
        return self.run("journalctl", "--no-pager", "--unit=shopbell*", check=False).stdout

    def install(self, **settings: object) -> None:
        """Wait until the machine has booted, and install Shopbell as its documentation says.

        Args:
            settings: those to add to the documented ones.
        """
        wait_until(self._has_booted, lambda: f"the machine does not boot:\n{self.log}", COMMAND_TIMEOUT_S)
        files, init, start = self.page_blocks()[:3]
        assert init == "shopbell init\n"
        answers = "--yes --no-checks --public-url https://chat.example.org --organization Acme --owner you@example.com"
        self.run("sed", "-i", f"s/:8080/:{self.port}/", "/opt/checkout/deploy/systemd/shopbell.socket")
        self.run("sh", "-ec", f"cd /opt/checkout\n{files}")
        self.run("sh", "-ec", f"{init.strip()} {answers}")
        more = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
        self.run("sh", "-ec", f"cat >> /etc/shopbell/shopbell.toml <<'END'\n{more}END")
        self.run("sh", "-ec", start)

    @staticmethod
    def page_blocks() -> list[str]:
        """The commands of ``docs/systemd.md``; the first three blocks install Shopbell."""
        return re.findall(r"^```sh\n(.*?)^```", DOCUMENTATION.read_text(), re.DOTALL | re.MULTILINE)

    def state(self, name: str, unit: str = "shopbell.service") -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", name, unit, check=False).stdout.strip()

    def run(self, *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command on the machine, as root."""
        done = subprocess.run(
            [program("nsenter", "util-linux"), "--target", str(self._init), "--all", *command],
            env={"PATH": PATH} | _OF_PYTHON,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{command} failed:\n{done.stderr}\n{self.log}"
        return done

    def cli(self, *arguments: str) -> Any:
        """Run a command of Shopbell as its documentation says, and return what it printed as JSON."""
        return json.loads(self.run("/usr/local/bin/shopbell", *arguments, "--json").stdout)

    def stop(self) -> None:
        """Halt the machine."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            wait_for_end(self._process, STOP_TIMEOUT_S, lambda: self._log.read_text(errors="replace"))

    def _has_booted(self) -> bool:
        assert self._process.poll() is None, f"the machine has ended:\n{self.log}"
        pid = self._process.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if Path(f"/proc/{child}/status").read_text().find("NSpid:\t" + child + "\t1\n") >= 0:
                self._init = int(child)
                return self.run("systemctl", "is-active", TARGET, check=False).returncode == 0
        return False


@contextmanager
def booted(folder: Path, **settings: object) -> Iterator[Booted]:
    """A machine that runs Shopbell while the block runs."""
    machine = Booted(folder)
    try:
        machine.install(**settings)
        yield machine
    finally:
        machine.stop()


def _become_machine(nspawn: str, folder: Path) -> None:
    mounted = folder / "machine"
    mounted.mkdir()
    _run("mount", "-t", "tmpfs", "shopbell", str(mounted))
    upper, work, root = (mounted / name for name in ("upper", "work", "root"))
    for each in (upper, work, root):
        each.mkdir(mode=0o755)
    _run("mount", "-t", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", "overlay", str(root))
    _install_python(root)
    _start_nothing(root)
    shutil.copytree(UNITS, root / "opt" / "checkout" / "deploy" / "systemd")
    readable = {"/opt/python": sys.base_prefix, "/opt/packages": _site_packages(), "/opt/src": str(ROOT / "src")}
    command = [nspawn, "--quiet", f"--directory={root}", "--register=no", "--keep-unit", "--link-journal=no"]
    command += [f"--bind-ro={theirs}:{ours}" for ours, theirs in readable.items()]
    os.execv(nspawn, [*command, "--boot", "--", f"--unit={TARGET}"])


def _install_python(root: Path) -> None:
    """Install this checkout and its environment in /opt/shopbell, readable for every user."""
    installed = root / "opt" / "shopbell"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = installed / "lib" / version / "site-packages"
    for folder in (packages, installed / "bin", *(root / "opt" / name for name in ("python", "packages", "src"))):
        folder.mkdir(parents=True)
    (packages / "all.pth").write_text("/opt/src\n/opt/packages\n")
    (installed / "pyvenv.cfg").write_text("home = /opt/python/bin\ninclude-system-site-packages = false\n")
    (installed / "bin" / "python").symlink_to(f"/opt/python/bin/{version}")
    script = installed / "bin" / "shopbell"
    script.write_text("#!/opt/shopbell/bin/python\nfrom shopbell.cli import main\nmain()\n")
    script.chmod(0o755)
    environment = " ".join(f"{name}={value}" for name, value in _OF_PYTHON.items())
    defaults = root / "etc" / "systemd" / "system.conf.d"
    defaults.mkdir(exist_ok=True)
    (defaults / "python.conf").write_text(f"[Manager]\nDefaultEnvironment={environment}\n")


def _start_nothing(root: Path) -> None:
    """Let nothing of this machine start at boot but the journal, and let nothing touch the network."""
    units = root / "etc" / "systemd" / "system"
    for wants in units.glob("*.wants"):
        shutil.rmtree(wants)
    (units / TARGET).write_text("[Unit]\nRequires=basic.target\nWants=systemd-journald.service\nAfter=basic.target\n")
    for name in ("networking.service", "systemd-networkd.service", "systemd-resolved.service"):
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")


def _site_packages() -> str:
    (found,) = [path for path in sys.path if path.startswith(sys.prefix) and path.endswith("site-packages")]
    return found


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    _become_machine(sys.argv[1], Path(sys.argv[2]))
