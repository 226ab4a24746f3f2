"""Build the documentation site into ``site/``: ``make docs``."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from docsite import links, pages

SITE = pages.ROOT / "site"
_HERE = Path(__file__).parent
_CONFIGURATION = _HERE / "zensical.toml"
_REDOC = _HERE / "node_modules" / "redoc" / "bundles" / "redoc.standalone.js"
_LOGO = pages.ROOT / "src" / "shopbell" / "web" / "shopbell.svg"
_ZENSICAL = Path(sys.executable).parent.with_name("docsite") / "bin" / "zensical"


def main() -> None:
    """Build the site, and check its links.

    Raises:
        SystemExit: a link leads nowhere, or a page loads something from another host.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = folder / "pages"
        pages.copy(sources)
        shutil.copy(_LOGO, sources)
        (sources / pages.COMMANDS).write_bytes(printed("commands"))
        (sources / "docs" / "openapi.json").write_bytes(printed("api"))
        for file in (_HERE / "api-reference.md", *_HERE.glob("viewer.*"), _REDOC):
            shutil.copy(file, sources / "docs")
        configuration = folder / "zensical.toml"
        text = _CONFIGURATION.read_text().replace("nav = []", f"nav = {toml(pages.navigation())}")
        configuration.write_text(text)
        subprocess.run([_ZENSICAL, "build", "--strict", "--config-file", configuration], check=True)
        shutil.rmtree(SITE, ignore_errors=True)
        shutil.copytree(folder / "site", SITE)
    if faults := links.faults(SITE):
        sys.exit("\n".join(faults))


def printed(module: str) -> bytes:
    """Return what a module of this folder prints."""
    return subprocess.run([sys.executable, "-m", f"docsite.{module}"], check=True, stdout=subprocess.PIPE).stdout


def toml(value: object) -> str:
    """Write strings, lists and objects as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(each) for each in value) + "]"
    return json.dumps(value)


if __name__ == "__main__":
    main()
