"""A test that hangs fails, and the tests after it run."""

import os
import subprocess
import sys
from pathlib import Path

from harness import ROOT, TESTS

LIMIT_S = 5
HANG = """
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

def hang():
    threading.Event().wait()

@pytest.fixture
def hanging_teardown():
    yield
    hang()

def test_that_hangs():
    hang()

def test_that_hangs_again_when_interrupted():
    with ThreadPoolExecutor() as pool:
        pool.submit(hang).result()

def test_that_hangs_after_it_failed(hanging_teardown):
    assert False

def test_that_passes():
    pass
"""


def test_a_hanging_test_fails_and_the_others_run(tmp_path: Path) -> None:
    (tmp_path / "test_hang.py").write_text(HANG)
    run = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "conftest",
        "-c",
        str(ROOT / "pyproject.toml"),
        "-v",
        "--numprocesses=1",
    ]
    done = subprocess.run(
        [*run, f"--timeout={LIMIT_S}", "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout
    assert done.returncode == 1, said + done.stderr
    assert "FAILED test_hang.py::test_that_hangs - Failed: Timeout" in said
    assert "crashed while running 'test_hang.py::test_that_hangs_again_when_interrupted'" in said
    assert "crashed while running 'test_hang.py::test_that_hangs_after_it_failed'" in said
    assert "PASSED test_hang.py::test_that_passes" in said
    assert done.stderr.count("in hang\n") == 2, "the stacks of those that could not be interrupted"
