"""Shared test helpers: real servers, real databases and other programs."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
