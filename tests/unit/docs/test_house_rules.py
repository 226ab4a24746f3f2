"""Project rules that no other tool checks."""

import json
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from harness import ROOT, suites

LONGEST_LINES = 400
SOURCES = (".py", ".html", ".css", ".js", ".ts", ".tsx", ".sql", ".lua", ".sh")
LOCKS = (
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-all.txt",
    "docsite/requirements.txt",
    "release/requirements.txt",
    "tests/system/requirements.txt",
    "web/requirements.txt",
)
NODE_LOCK = "package-lock.json"


def _files() -> list[Path]:
    """All files of the project: those under version control, and those that will be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_lock_files_contain_no_urls() -> None:
    for name in LOCKS:
        lines = (ROOT / name).read_text().splitlines()
        assert [
            line for line in lines if "://" in line or line.lstrip().startswith(("--index", "--extra", "-i "))
        ] == []


def test_every_locked_package_has_a_version_and_a_hash() -> None:
    for name in LOCKS:
        packages = re.split(r"\n(?=\S)", (ROOT / name).read_text().strip())
        assert packages
        for package in packages:
            assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+", package, re.IGNORECASE), package[:80]
            assert "--hash=sha256:" in package, package[:80]


def test_locked_node_packages_have_a_version_and_a_hash_and_no_url() -> None:
    locks = [path for path in _files() if path.name == NODE_LOCK]
    assert locks
    for path in locks:
        assert "://" not in path.read_text()
        packages = json.loads(path.read_text())["packages"].items()
        for name, package in ((name, its) for name, its in packages if "node_modules/" in name and "link" not in its):
            assert package["version"], name
            assert package["integrity"].startswith("sha512-"), name
        wanted = json.loads(path.with_name("package.json").read_text())
        for version in (wanted.get("dependencies", {}) | wanted.get("devDependencies", {})).values():
            assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", version)


def test_there_are_no_other_lock_files() -> None:
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


def test_no_module_is_a_catch_all() -> None:
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


def test_make_test_runs_the_folders_that_the_rest_skips() -> None:
    (folders,) = re.findall(r"^FAST := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert folders.split() == [*(f"tests/{folder}" for folder in suites.FAST), "clients/python/tests"]


def test_test_files_have_different_names() -> None:
    """pytest imports them by name, and cannot import two of the same name."""
    names = Counter(path.name for path in _files() if path.name.startswith("test_") and path.suffix == ".py")
    assert [name for name, count in names.items() if count > 1] == []
