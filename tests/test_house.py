"""The rules of the house that no tool checks."""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST_LINES = 400
SOURCES = (".py", ".html", ".css", ".js", ".sql", ".lua", ".sh")
LOCKS = ("requirements.txt", "requirements-dev.txt", "tests/system/requirements.txt")
NODE_LOCK = "package-lock.json"


def _files() -> list[Path]:
    """All files of the project: those under version control, and those that will be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_no_lock_file_holds_an_address() -> None:
    for name in LOCKS:
        lines = (ROOT / name).read_text().splitlines()
        assert [
            line for line in lines if "://" in line or line.lstrip().startswith(("--index", "--extra", "-i "))
        ] == []


def test_every_locked_package_has_a_version_and_a_hash() -> None:
    for name in LOCKS:
        packages = re.split(r"\n(?=\S)", (ROOT / name).read_text().strip())
        assert len(packages) > 20
        for package in packages:
            assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+", package, re.IGNORECASE), package[:80]
            assert "--hash=sha256:" in package, package[:80]


def test_locked_packages_of_node_have_a_version_and_a_hash_and_no_address() -> None:
    locks = [path for path in _files() if path.name == NODE_LOCK]
    assert locks
    for path in locks:
        assert ROOT / "tests" in path.parents  # the product needs no Node
        assert "://" not in path.read_text()
        for name, package in json.loads(path.read_text())["packages"].items():
            assert not name or (package["version"] and package["integrity"].startswith("sha512-")), name
        wanted = json.loads(path.with_name("package.json").read_text())
        for version in (wanted.get("dependencies", {}) | wanted.get("devDependencies", {})).values():
            assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", version)


def test_there_is_no_lock_file_of_another_kind() -> None:
    others = ("uv.lock", "pylock.toml", "poetry.lock", "Pipfile.lock", "yarn.lock", "pnpm-lock.yaml")
    assert [path.name for path in _files() if path.name in others] == []


def test_no_file_names_a_package_index() -> None:
    # Written apart, or this file would name them, too.
    hosts = ("pypi" + ".org", "python" + "hosted", "index" + "-url", "npm" + "js", "simple" + "/")
    allowed = {Path("Makefile"): "--no-emit-" + "index" + "-url"}
    for path in _files():
        try:
            content = path.read_text()
        except UnicodeDecodeError:
            continue
        content = content.replace(allowed.get(path.relative_to(ROOT), "\0"), "")
        assert [host for host in hosts if host in content] == [], path.relative_to(ROOT)


def test_no_source_file_is_longer_than_400_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in _files()
        if path.suffix in SOURCES and (count := len(path.read_text().splitlines())) > LONGEST_LINES
    }
    assert long == {}


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "common", "services", "repositories", "interfaces", "managers", "misc"}
    assert [str(path) for path in _files() if drawers & {path.stem, *path.relative_to(ROOT).parts[:-1]}] == []


@pytest.mark.parametrize(
    "word", ["pytest.mark." + "skip", "pytest." + "skip(", "mark." + "xfail", "unittest." + "mock"]
)
def test_no_test_is_skipped_or_mocked(word: str) -> None:
    assert [str(path) for path in _files() if path.suffix == ".py" and word in path.read_text()] == []


def test_one_copy_of_sqlite_is_loaded() -> None:
    """Two on one file break each other's locks: nothing but the storage chooses the driver."""
    wrong = re.compile(r"^\s*(import|from) (sqlite3|pysqlite3|apsw)\b", re.MULTILINE)
    sources = (ROOT / "src" / "shopbell").rglob("*.py")
    assert [path.name for path in sources if wrong.search(path.read_text())] == ["sqlite.py"]
