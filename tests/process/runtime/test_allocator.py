"""All threads of a server allocate from one arena."""

import subprocess
import sys

PROGRAM = """
import ctypes, sys, threading
from shopbell.runtime.allocator import share_one_arena
if sys.argv[1] == "shared":
    share_one_arena()
together = threading.Barrier(4)
kept = []
def work():
    together.wait()
    kept.append([bytes(5_000) for _ in range(100)])
threads = [threading.Thread(target=work) for _ in range(4)]
for each in threads:
    each.start()
for each in threads:
    each.join()
ctypes.CDLL(None).malloc_stats()
"""


def arenas(how: str) -> int:
    """How many arenas a process with four threads has."""
    command = [sys.executable, "-c", PROGRAM, how]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr.count("Arena ")


def test_threads_share_one_arena() -> None:
    assert arenas("shared") == 1


def test_without_it_threads_have_their_own() -> None:
    assert arenas("default") > 1
