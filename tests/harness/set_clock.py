"""A server whose wall clock a test can set."""

# The wall clock is what a file says, in ms beside the real one.
CLOCK_FROM_FILE = """
import time
from pathlib import Path

real = time.time_ns

def set_clock():
    try:
        return real() + int(Path("clock").read_text()) * 1_000_000
    except (FileNotFoundError, ValueError):
        return real()

time.time_ns = set_clock
from shopbell.cli import main
main()
"""
