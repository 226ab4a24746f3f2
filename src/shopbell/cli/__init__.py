"""The command ``shopbell``: parses, then calls. Results go to stdout, all else to stderr.

The exit code tells how it went: 0 is done; 1 was not possible, with one line on stderr for each reason; 2 is a wrong
command line; 130 is Ctrl-C.
"""

import os
import sys
from typing import Annotated, NoReturn

import typer

from shopbell import __version__
from shopbell.cli.backup import backup_app
from shopbell.cli.customers import customers_app
from shopbell.cli.deliveries import deliveries_app
from shopbell.cli.employees import employee_app
from shopbell.cli.listen import listen_app
from shopbell.cli.mail import mail_app
from shopbell.cli.move import move_app
from shopbell.cli.organization_archives import organization_archive_app
from shopbell.cli.organizations import business_app, organization_app
from shopbell.cli.output import open_standard_streams, say, visible
from shopbell.cli.private_keys import private_key_app
from shopbell.cli.publishable_keys import publishable_key_app
from shopbell.cli.server import server_app
from shopbell.cli.templates import template_app
from shopbell.cli.threads import threads_app
from shopbell.cli.tokens import token_app
from shopbell.cli.webhooks import webhooks_app
from shopbell.cli.worker import worker_app
from shopbell.errors import ShopbellError

_WARN_THEMSELVES = ("serve", "demo", "worker", "doctor")
"""Commands that tell of unknown variables in the log, or as a finding."""

app = typer.Typer(
    name="shopbell",
    help="Self-hosted customer messaging: one HTTP call opens a conversation with a store.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Frames are for people at a terminal; what a program reads is plain.
    rich_markup_mode="rich" if sys.stdout.isatty() and sys.stderr.isatty() else None,
)
app.add_typer(server_app)
app.add_typer(worker_app)
app.add_typer(backup_app)
app.add_typer(move_app)
organization_app.add_typer(organization_archive_app)
organization_app.add_typer(private_key_app)
app.add_typer(organization_app, name="organization")
app.add_typer(business_app, name="business")
app.add_typer(token_app, name="token")
app.add_typer(publishable_key_app, name="publishable-key")
app.add_typer(employee_app, name="employee")
app.add_typer(template_app, name="template")
app.add_typer(threads_app, name="threads")
app.add_typer(customers_app, name="customers")
app.add_typer(webhooks_app, name="webhooks")
app.add_typer(mail_app, name="mail")
webhooks_app.add_typer(deliveries_app)
webhooks_app.add_typer(listen_app)


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
        from shopbell.settings import unknown_variables  # here, so that `--help` does not wait for it

        for line in unknown_variables():
            say(f"shopbell: {visible(line)}", error=True)


def _is_ours(variable: str) -> bool:
    return variable.upper().startswith("SHOPBELL_")


def main() -> None:
    """Run the command line of this process, and end it with its exit code."""
    open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets its code instead of an error.
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
