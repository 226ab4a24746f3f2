"""The HTTP server page names existing tests, modules and versions."""

import re
import tomllib
from importlib.metadata import version

from harness import ROOT

PAGE = (ROOT / "docs" / "http-server.md").read_text()


def test_every_test_named_on_the_page_exists() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    for name in re.findall(r"`(test_\w+)`", PAGE):
        assert f"def {name}(" in sources, name


def test_the_page_lists_the_server_modules() -> None:
    named = set(re.findall(r"`http/server/(\w+\.py)`", PAGE))
    folder = ROOT / "src" / "shopbell" / "http" / "server"
    assert {path.name for path in folder.glob("*.py")} - {"__init__.py"} <= named


def test_uvicorn_is_pinned_to_the_tested_minor_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    major, minor, *_ = version("uvicorn").split(".")
    assert f"uvicorn>={major}.{minor},<{major}.{int(minor) + 1}" in project["dependencies"]
