"""Build the artefacts of a release into ``dist/``: ``make release``.

The same commit gives the same files, as long as the tools that the lock files name are used: all times in them are that
of the commit.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
CLIENT = ROOT / "clients" / "python"
EXTRAS = tuple(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
MACHINES = ("x86_64", "aarch64")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# All wheels for Linux that run with glibc 2.28: Debian 10, Ubuntu 20.04, Red Hat 8, and later.
_GLIBC = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_26", "manylinux_2_24", "manylinux_2_17")
_OLD_GLIBC = ("manylinux2014", "manylinux2010", "manylinux_2_12", "manylinux1", "manylinux_2_5")
_COMPILE = ("pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes")
_PLAIN = ("--no-header", "--no-annotate")
_BIN = Path(sys.executable).parent


def main(dist: Path) -> None:
    """Build everything into a folder, which loses what it contains."""
    os.environ.setdefault("SOURCE_DATE_EPOCH", _printed("git", "log", "-1", "--format=%ct").strip())
    shutil.rmtree(dist, ignore_errors=True)
    for project in (ROOT, CLIENT):
        _run(sys.executable, "-m", "hatchling", "build", "--directory", str(dist), cwd=project)
    (wheel,) = dist.glob("shopbell-*.whl")
    version = wheel.name.split("-")[1]
    universal: set[Path] = set()
    with tempfile.TemporaryDirectory() as work:
        for machine in MACHINES:
            folder = Path(work) / f"shopbell-{version}-offline-{machine}"
            _fill_bundle(folder, wheel, version, machine, universal)
            universal.update(_universal(folder / "wheels").values())
            _write_tar(folder, dist / f"{folder.name}.tar")
        installed = Path(work) / "installed"
        _install(Path(work) / f"shopbell-{version}-offline-{MACHINES[0]}", installed)
        _write_sbom(installed, version, dist / f"shopbell-{version}.cdx.json")
    files = sorted(dist.iterdir())
    (dist / "SHA256SUMS").write_text("".join(f"{_digest(path)}  {path.name}\n" for path in files))


def _fill_bundle(folder: Path, wheel: Path, version: str, machine: str, universal: set[Path]) -> None:
    """Collect all wheels that one kind of machine needs, for each Python, with lists for pip.

    Args:
        universal: wheels for all machines, from the bundle of another machine.
    """
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    for path in {wheel, *universal}:
        shutil.copy(path, wheels)
    shutil.copy(ROOT / "docs" / "install.md", folder / "README.md")
    everything = locked(EXTRAS)
    ours = f"=={version} \\\n    --hash=sha256:{_digest(wheel)}\n"
    (folder / "requirements.txt").write_text("".join([*locked(()), f"shopbell{ours}"]))
    (folder / "requirements-all.txt").write_text("".join([*everything, f"shopbell[{','.join(EXTRAS)}]{ours}"]))
    for python in PYTHONS:
        there = _universal(wheels)
        packages = [package for package in required(everything, machine, python) if package.split()[0] not in there]
        _download(packages, wheels, machine, python)


def _universal(wheels: Path) -> dict[str, Path]:
    """List the wheels that serve every machine and Python, by ``name==version``."""
    found: dict[str, list[Path]] = {}
    for path in wheels.iterdir():
        name, version, *_ = path.name.split("-")
        found.setdefault(f"{canonicalize_name(name)}=={version}", []).append(path)
    return {key: path for key, (path, *others) in found.items() if path.stem.endswith("-none-any") and not others}


def locked(extras: tuple[str, ...]) -> list[str]:
    """List what a server with these extras needs: for each package, its version and hashes as in ``requirements.txt``.

    Raises:
        SystemExit: the lock file does not have exactly these versions and hashes.
    """
    chosen = [word for extra in extras for word in ("--extra", extra)]
    constraint = ("--constraint", "requirements.txt")
    packages = _packages(_printed(str(_BIN / "uv"), *_COMPILE, *_PLAIN, "pyproject.toml", *chosen, *constraint))
    unknown = set(packages) - set(_packages((ROOT / "requirements.txt").read_text()))
    if unknown:
        sys.exit(f"requirements.txt is not up to date; run `make lock`\n{''.join(sorted(unknown))}")
    return packages


def required(packages: list[str], machine: str, python: str) -> Iterator[str]:
    """Yield the packages that a machine needs, without the condition that says so."""
    environment = {
        "extra": "",
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }
    for package in packages:
        head, _, hashes = package.partition(" \\\n")
        requirement = Requirement(head)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            requirement.marker = None
            yield f"{requirement} \\\n{hashes}"


def _packages(lock: str) -> list[str]:
    return [f"{package}\n" for package in re.split(r"\n(?=\S)", lock.strip())]


def _download(packages: list[str], wheels: Path, machine: str, python: str) -> None:
    digits = python.replace(".", "")
    platforms = [word for name in (*_GLIBC, *_OLD_GLIBC) for word in ("--platform", f"{name}_{machine}")]
    abis = [word for name in (f"cp{digits}", "abi3", "none") for word in ("--abi", name)]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(packages))
        file.flush()
        command = ["download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
        command += [*platforms, *abis, "--implementation", "cp", "--python-version", python]
        _pip(*command, "--dest", str(wheels), "--requirement", file.name)


def _install(bundle: Path, folder: Path) -> None:
    """Install a server with all extras from a bundle, without any tools beside it."""
    _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    given = ("--no-index", "--find-links", str(bundle / "wheels"), "--require-hashes")
    requirements = str(bundle / "requirements-all.txt")
    _pip("--python", str(folder / "bin" / "python"), "install", "--quiet", *given, "--requirement", requirements)


def _write_sbom(installed: Path, version: str, file: Path) -> None:
    """List the installed packages, and those from which the inbox is built, as CycloneDX."""
    tool = _BIN.parent / "release" / "bin" / "cyclonedx-py"
    given = ("--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--output-format", "JSON")
    _run(str(tool), "environment", *given, "--output-file", str(file), str(installed / "bin" / "python"))
    bill = json.loads(file.read_text())
    bill["metadata"]["component"]["version"] = version  # pyproject.toml does not have it
    packages = json.loads((ROOT / "web" / "package-lock.json").read_text())["packages"].items()
    bill["components"] += [
        {
            "type": "library",
            "bom-ref": f"npm:{name}@{package['version']}",
            "name": name,
            "version": package["version"],
            "purl": f"pkg:npm/{name.replace('@', '%40')}@{package['version']}",
        }
        for path, package in packages
        if (name := path.rpartition("node_modules/")[2]) and not package.get("dev")
    ]
    file.write_text(json.dumps(bill, indent=2) + "\n")


def _write_tar(folder: Path, file: Path) -> None:
    """Write an archive that depends on the content of the files only."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mode = 0o755 if member.isdir() else 0o644
        member.mtime = int(os.environ["SOURCE_DATE_EPOCH"])
        return member

    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in (folder, *sorted(folder.rglob("*"))):
            archive.add(path, path.relative_to(folder.parent), recursive=False, filter=plain)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _pip(*arguments: str) -> None:
    _run(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments)


def _run(*command: str, cwd: Path = ROOT) -> None:
    subprocess.run(command, cwd=cwd, check=True)


def _printed(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else DIST)
