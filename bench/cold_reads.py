"""Read the ends of conversations from an SQLite file that is in no cache."""

import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles

from bench.load import Load
from shopbell.db.sqlite import connect

READS = 200
LAST = 50
_QUERY = "SELECT * FROM messages WHERE organization_id = ? AND thread_id = ? ORDER BY sequence DESC LIMIT ?"


def measure(path: Path, organization_id: int, threads: Sequence[int]) -> Load:
    """Read the last 50 messages of random threads.

    Each read uses a new connection to a file of which no page is cached.

    Args:
        threads: the ids of threads that each have at least 50 messages.
    """
    times_s = []
    for _ in range(READS):
        _drop_from_cache(path)
        connection = connect(path)
        thread_id = random.choice(threads)
        begun_s = time.perf_counter()
        rows = connection.execute(_QUERY, (organization_id, thread_id, LAST)).fetchall()
        times_s.append(time.perf_counter() - begun_s)
        connection.close()
        if len(rows) != LAST:
            return Load(0, 0.0, fault=f"a thread has {len(rows)} messages instead of {LAST}")
    cuts_ms = [cut_s * 1e3 for cut_s in quantiles(times_s, n=100)]
    return Load(READS, READS / sum(times_s), cuts_ms[49], cuts_ms[94], cuts_ms[98])


def _drop_from_cache(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)  # the kernel keeps what is not on the disk yet
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)
