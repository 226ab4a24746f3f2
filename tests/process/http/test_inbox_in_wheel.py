"""A package of Shopbell contains the built inbox, so that it needs no Node.js."""

import subprocess
import sys
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path

from harness import ROOT

PAGE = "shopbell/web/inbox/"


def build(kind: str, source: Path, folder: Path, **environment: str) -> Path:
    """Build a package as pip does, but in this environment; returns its file."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(folder)]
    done = subprocess.run(command, cwd=source, env=environment or None, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.iterdir()
    return built


def page_in(wheel: Path) -> dict[str, str]:
    """The files of the page in a wheel, with the digests of their content."""
    with zipfile.ZipFile(wheel) as files:
        names = [name for name in files.namelist() if name.startswith(PAGE)]
        return {name.removeprefix(PAGE): sha256(files.read(name)).hexdigest() for name in names}


def test_a_wheel_has_the_built_page_and_not_its_source(tmp_path: Path) -> None:
    wheel = build("wheel", ROOT, tmp_path)
    page = page_in(wheel)
    dist = ROOT / "web" / "dist"
    built = [path for path in dist.rglob("*") if path.is_file()]
    assert page == {path.relative_to(dist).as_posix(): sha256(path.read_bytes()).hexdigest() for path in built}
    assert {"index.html", "manifest.webmanifest"} <= page.keys()
    with zipfile.ZipFile(wheel) as files:
        assert [name for name in files.namelist() if name.endswith((".ts", ".tsx")) or "node_modules" in name] == []


def test_a_source_archive_builds_the_same_page_without_node(tmp_path: Path) -> None:
    archive = build("sdist", ROOT, tmp_path / "sdist")
    with tarfile.open(archive) as files:
        assert not [name for name in files.getnames() if "node_modules" in name]
        files.extractall(tmp_path, filter="data")
    (source,) = (path for path in tmp_path.iterdir() if path.name.startswith("shopbell-"))
    wheel = build("wheel", source, tmp_path / "wheel", PATH="/nonexistent")
    assert page_in(wheel) == page_in(build("wheel", ROOT, tmp_path / "other"))
