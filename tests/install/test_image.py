"""buildah builds the image from the Dockerfile, and its content runs as in a container that cannot be written.

No container engine is needed: buildah runs the steps in a chroot, as do the tests. The base image is a new Debian
system instead of the one that Docker would load.
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from debian import USER, System, base

from harness import ROOT

FIRST_REPLY = Path(__file__).with_name("first_reply.py")
NAME = "shopbell"


@dataclass(frozen=True)
class Image:
    """The files of the image, its settings as Docker reads them, and how long the build took."""

    system: System
    config: dict[str, Any]
    built_s: float

    def run(self, volume: Path, *words: str) -> str:
        """Run a program as in a container."""
        environment = dict(word.split("=", 1) for word in self.config["Env"])
        inside = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', self.config["WorkingDir"], *words]
        return self.system.run(*inside, environment=environment, volume=volume)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image, built as by ``docker build``."""
    folder = tmp_path_factory.mktemp("image")
    storage = ["--storage-driver", "vfs", "--root", str(folder / "storage"), "--runroot", str(folder / "run")]

    def buildah(*words: str) -> str:
        environment = {"BUILDAH_ISOLATION": "chroot", "BUILDAH_FORMAT": "docker", "TMPDIR": str(folder)}
        command = ["buildah", *storage, *words]
        done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    for name in dict.fromkeys(re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)):
        (release,) = re.findall(r"debian:(\w+)-slim", name)
        empty = buildah("from", "scratch")
        buildah("add", empty, str(base(release)), "/")
        buildah("commit", "--rm", empty, name)
    began_s = time.monotonic()
    buildah("build", "--pull=never", "--layers=false", "--tag", NAME, str(ROOT))
    built_s = round(time.monotonic() - began_s, 1)
    config = json.loads(buildah("inspect", "--type", "image", NAME))["Docker"]["config"]
    container = buildah("from", "--pull=never", NAME)
    yield Image(System(Path(buildah("mount", container))), config, built_s)
    buildah("rm", "--all")
    shutil.rmtree(folder)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A new volume, which gets the owner of the folder in the image, as Docker does."""
    folder = tmp_path / "volume"
    folder.mkdir(mode=0o700)
    os.chown(folder, USER, USER)
    return folder


def test_a_first_reply_from_the_image(image: Image, volume: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (volume / "first_reply.py").write_text(FIRST_REPLY.read_text())
    (shopbell,) = image.config["Entrypoint"]
    kind, *check = image.config["Healthcheck"]["Test"]
    assert kind == "CMD"
    printed = image.run(volume, "python3", "first_reply.py", shopbell, *check)
    with capsys.disabled():
        print(f"\nimage: built in {image.built_s} s; seconds since its start: {printed.splitlines()[-1]}")
    assert (volume / "shopbell.db").stat().st_uid == USER


def test_the_image_serves_with_one_volume_and_without_rights(image: Image) -> None:
    config = image.config
    assert (config["Cmd"], config["User"], config["WorkingDir"]) == (["serve"], NAME, "/data")
    assert (list(config["Volumes"]), list(config["ExposedPorts"])) == (["/data"], ["8080/tcp"])
    assert image.system.run("id", "-u", NAME).strip() == str(USER)
    folder = (image.system.root / "data").stat()
    assert (folder.st_uid, folder.st_gid, folder.st_mode & 0o777) == (USER, USER, 0o700)


def test_nothing_but_the_volume_can_be_written(image: Image, volume: Path) -> None:
    image.run(volume, "touch", "/data/file", "/tmp/file")
    for path in ("/opt/shopbell/file", "/usr/bin/file", "/file", "/var/tmp/file"):
        with pytest.raises(AssertionError, match="Read-only file system"):
            image.run(volume, "touch", path)


def test_the_image_has_all_extras(image: Image, volume: Path) -> None:
    image.run(volume, "python3", "-c", "import nats, obstore, opentelemetry.sdk, psycopg")
    assert "(PostgreSQL) 17" in image.run(volume, "pg_dump", "--version")
