"""What a release consists of."""

import json
import re
import subprocess
import sys
import tarfile
import tomllib
from hashlib import file_digest
from pathlib import Path

import pytest

from harness import ROOT
from shopbell import __version__

DIST = ROOT / "dist"
UV = Path(sys.executable).with_name("uv")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = {"x86_64": "x86_64-manylinux_2_28", "aarch64": "aarch64-manylinux_2_28"}
LISTS = ("requirements.txt", "requirements-all.txt")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The unpacked bundle for each kind of machine."""
    unpacked = {}
    for machine in MACHINES:
        (archive,) = DIST.glob(f"*-offline-{machine}.tar")
        folder = tmp_path_factory.mktemp(machine)
        with tarfile.open(archive) as files:
            files.extractall(folder, filter="data")
        unpacked[machine] = folder / archive.stem
    return unpacked


def test_the_checksums_cover_every_file() -> None:
    listed = dict(reversed(line.split("  ")) for line in (DIST / "SHA256SUMS").read_text().splitlines())
    assert set(listed) == {path.name for path in DIST.iterdir()} - {"SHA256SUMS"}
    for name, digest in listed.items():
        with (DIST / name).open("rb") as file:
            assert file_digest(file, "sha256").hexdigest() == digest, name


@pytest.mark.parametrize("kind", ["shopbell-*.whl", "shopbell-*.tar.gz", "shopbell_client-*.whl", "*.cdx.json"])
def test_there_is_one_file_of_each_kind(kind: str) -> None:
    assert len(list(DIST.glob(kind))) == 1


def test_the_complete_list_and_the_page_name_every_extra(bundles: dict[str, Path]) -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    page = (ROOT / "docs" / "install.md").read_text()
    assert set(re.findall(r"^\| .* \| `(\w+)` \|$", page, re.MULTILINE)) == extras
    for bundle in bundles.values():
        (named,) = re.findall(r"^shopbell\[(.*?)\]", (bundle / LISTS[1]).read_text(), re.MULTILINE)
        assert set(named.split(",")) == extras


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("listed", LISTS)
def test_a_bundle_has_all_that_an_installation_needs(
    listed: str, python: str, machine: str, bundles: dict[str, Path], tmp_path: Path
) -> None:
    bundle = bundles[machine]
    target = ("--python-version", python, "--python-platform", MACHINES[machine], "--target", str(tmp_path))
    command = [str(UV), "pip", "install", "--dry-run", "--offline", "--no-index", "--no-config", "--require-hashes"]
    command += [*target, "--only-binary", ":all:", "--find-links", "wheels", "--requirement", listed]
    done = subprocess.run(command, cwd=bundle, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    installed = set(re.findall(r"^ \+ ([a-z0-9-]+)", done.stderr, re.MULTILINE))
    assert "shopbell" in installed
    assert ("psycopg" in installed) is (listed == "requirements-all.txt")
    assert ("pysqlite3" in installed) is (machine == "x86_64")


def test_a_bundle_has_no_wheel_that_no_installation_needs(bundles: dict[str, Path]) -> None:
    for bundle in bundles.values():
        listed = set(re.findall(r"^([a-z0-9._-]+)(?:\[.*\])?==", (bundle / LISTS[1]).read_text(), re.MULTILINE))
        brought = {path.name.partition("-")[0].replace("_", "-").lower() for path in (bundle / "wheels").iterdir()}
        assert {name.replace("_", "-").replace(".", "-") for name in listed} >= brought - {"pip"}


def test_the_bill_of_materials_lists_server_and_inbox() -> None:
    (file,) = DIST.glob("*.cdx.json")
    bill = json.loads(file.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    shopbell = bill["metadata"]["component"]
    assert (shopbell["name"], shopbell["version"]) == ("shopbell", __version__)
    names = {component["name"] for component in bill["components"]}
    assert {"fastapi", "psycopg", "nats-py", "obstore", "sqlalchemy", "preact", "@lingui/core"} <= {
        name.lower() for name in names
    }
    assert not {"pip", "pytest", "ruff", "vite"} & names
    assert all(component["version"] for component in bill["components"])
