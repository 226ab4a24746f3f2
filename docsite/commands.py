"""Print a page with the help of every command. stdout must not be a terminal, for which the help has colors."""

import sys
from collections.abc import Iterator
from typing import Any

import typer

from shopbell.cli import registry

_COLUMNS = 100


def main() -> None:
    """Print the page."""
    sys.stdout.write("# All commands\n\nThis page is generated from the help of `shopbell`.\n")
    for name in (*registry.COMMANDS, *registry.GROUPS):
        for words, text in helps(registry.load(name), f"shopbell {name}"):
            sys.stdout.write(f"\n## {words}\n\n```text\n{text}\n```\n")


def helps(command: Any, words: str) -> Iterator[tuple[str, str]]:
    """Yield a command and those below it, each with its help."""
    context = typer.Context(command, info_name=words, terminal_width=_COLUMNS, max_content_width=_COLUMNS)
    yield words, command.get_help(context)
    for name, child in getattr(command, "commands", {}).items():
        yield from helps(child, f"{words} {name}")


if __name__ == "__main__":
    main()
