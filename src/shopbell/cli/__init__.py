"""The command ``shopbell``: parses, calls and presents. Results go to stdout, everything else to stderr.

Exit codes: 0 success; 1 failure, with one line on stderr for each reason; 2 invalid command line; 130 Ctrl-C.
"""

import os
import sys
from typing import Annotated, NoReturn

import typer

from shopbell import __version__
from shopbell.cli.output import open_standard_streams, say, visible
from shopbell.cli.registry import LazyGroup, new_app
from shopbell.errors import ShopbellError

_WARN_THEMSELVES = ("serve", "demo", "worker", "doctor")
"""Commands that report unknown variables themselves, in the log or as a finding."""

app = new_app(
    name="shopbell",
    help="Self-hosted customer messaging. One HTTP call starts a conversation with a business.",
    cls=LazyGroup,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"shopbell {__version__}")
        raise typer.Exit


@app.callback()
def _shopbell(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback does all
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand not in _WARN_THEMSELVES and any(map(_is_ours, os.environ)):
        from shopbell.settings.settings import unknown_variables  # imported here to keep `--help` fast

        for line in unknown_variables():
            say(f"shopbell: {visible(line)}", error=True)


def _is_ours(variable: str) -> bool:
    return variable.upper().startswith("SHOPBELL_")


def main() -> None:
    """Run the command line, then end the process with its exit code."""
    open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal cannot show is escaped.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a real stream
    try:
        app(prog_name="shopbell")
    except ShopbellError as error:
        _fail(str(error))
    except OSError as error:
        _fail(": ".join(str(part) for part in (error.filename, error.strerror or error) if part))


def _fail(text: str) -> NoReturn:
    for line in text.splitlines():
        print(f"shopbell: {visible(line)}", file=sys.stderr)
    sys.exit(1)
