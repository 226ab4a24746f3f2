"""The same commit gives the same release."""

import os
import subprocess
import sys
from pathlib import Path

from harness import ROOT


def test_a_second_build_gives_the_same_files(tmp_path: Path) -> None:
    """The inbox's page is not built again, and the packages are those in the lock files."""
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    subprocess.run([sys.executable, str(ROOT / "release" / "build.py"), str(tmp_path)], env=environment, check=True)
    assert (tmp_path / "SHA256SUMS").read_text() == (ROOT / "dist" / "SHA256SUMS").read_text()
