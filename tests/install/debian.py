"""New Debian systems in folders, for tests of installations. They need root, mmdebstrap and the network."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(sys.prefix) / "debian"
"""Keeps an archive of each base system. Remove it to get new ones."""
USER = 10001
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_UNSHARE = ("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child")
_ENTER = """
set -eu
ip link set lo up
mount --bind "$SYSTEM" "$SYSTEM"
cd "$SYSTEM"
mount -t proc proc proc
mount -t tmpfs tmpfs dev
touch dev/null dev/random dev/urandom
for device in null random urandom; do mount --bind /dev/$device dev/$device; done
{mounts}
exec chroot . "$@"
"""
# As Docker does with --read-only, --tmpfs /tmp and a volume at /data.
_READ_ONLY = """
mount -t tmpfs tmpfs tmp
mount --bind "$VOLUME" data
mount -o remount,bind,ro .
"""


@dataclass(frozen=True)
class System:
    """A system in a folder, which programs enter with ``chroot``. They see no network but a loopback interface."""

    root: Path

    def run(self, *words: str, environment: Mapping[str, str] | None = None, volume: Path | None = None) -> str:
        """Run a program there, which must succeed, and return what it printed.

        Args:
            words: the program with its arguments.
            environment: its variables, beside PATH.
            volume: what it sees at ``/data``. With it, the program runs as in a container: as a user without
                capabilities, and nothing else than ``/data`` and ``/tmp`` can be written.
        """
        user = [f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--bounding-set=-all", "--no-new-privs"]
        as_user = [] if volume is None else ["/usr/bin/setpriv", *user, "--"]
        enter = _ENTER.format(mounts="" if volume is None else _READ_ONLY)
        places = {"SYSTEM": str(self.root), "VOLUME": str(volume or "")}
        done = subprocess.run(
            [*_UNSHARE, "sh", "-c", enter, "sh", *as_user, *words],
            env={"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", **places, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def shell(self, script: str) -> str:
        """Run commands as a reader types them."""
        return self.run("/bin/sh", "-euxc", script)


def _mirror() -> str:
    """The mirror from which this machine installs its packages."""
    command = ["apt-get", "indextargets", "--format", "$(CODENAME) $(SITE)", "Created-By: Packages"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    sites = dict(line.split() for line in listed.splitlines())
    return sites[platform.freedesktop_os_release()["VERSION_CODENAME"]]


def base(release: str, *packages: str) -> Path:
    """Return an archive of a new system.

    Args:
        release: the name of the release, such as ``trixie``.
        packages: what to install beside the essential packages.
    """
    archive = CACHE / f"{'-'.join((release, *packages))}.tar"
    if not archive.exists():
        CACHE.mkdir(exist_ok=True)
        made = CACHE / f"{os.getpid()}.tar"
        included = [f"--include={','.join(packages)}"] if packages else []
        command = ["mmdebstrap", "--quiet", "--variant=minbase", *included, release, str(made), _mirror()]
        subprocess.run(command, check=True)
        made.rename(archive)
    return archive


def unpack(archive: Path, folder: Path) -> System:
    """Make a new system from an archive."""
    subprocess.run(["tar", "-xf", str(archive), "-C", str(folder), "--exclude=./dev/*"], check=True)
    return System(folder)
