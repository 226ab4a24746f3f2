"""The commands of ``shopbell`` and their modules.

A module is imported when one of its commands is run.
"""

import os
import sys
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from shopbell.runtime.optional_imports import hidden

COMMANDS = {
    "init": ("init", "Set up an installation and write its settings file."),
    "serve": ("serve", "Run the server until SIGTERM or Ctrl-C."),
    "demo": ("demo", "Run the server with a demo organization."),
    "migrate": ("migrate", "Migrate the database to this version."),
    "doctor": ("doctor", "Check this installation and suggest fixes."),
    "worker": ("worker", "Deliver webhooks, emails and text messages."),
    "backup": ("backup", "Write all data to one file."),
    "restore": ("backup", "Replace all data by a backup."),
    "move": ("move", "Copy everything from SQLite to PostgreSQL."),
}
"""The module of each command, and its help in the list of commands: the first sentence of its docstring."""

GROUPS = {
    "organization": (("organizations", "organization_archives", "private_keys"), "Manage organizations."),
    "business": (("businesses",), "Manage businesses, which customers write to."),
    "token": (("tokens",), "Manage API tokens."),
    "publishable-key": (("publishable_keys",), "Manage publishable keys for the widget on websites."),
    "employee": (("employees",), "Manage employees, who reply to customers."),
    "template": (("templates",), "Manage templates, texts that WhatsApp allows at any time."),
    "threads": (("threads",), "Read conversations."),
    "customers": (("customers",), "Manage customers."),
    "webhooks": (("webhooks", "deliveries", "listen"), "Manage webhooks and their deliveries."),
    "import": (("imports",), "Import conversations and contacts from other products."),
    "mail": (("mail",), "Test the mail server."),
}
"""The modules of each group of commands, and its help."""

# Programs get plain text without frames.
_MARKUP: Any = "rich" if sys.stdout.isatty() and sys.stderr.isatty() else None


def new_app(**options: Any) -> typer.Typer:
    """Create an application or a group of commands with the look of ``shopbell``."""
    return typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=_MARKUP,
        **options,
    )


class LazyGroup(TyperGroup):
    """The group of all commands. It imports only the command that is run.

    Its help comes from the tables above.
    """

    def __init__(self, **options: Any) -> None:
        lines = {name: line for name, (_, line) in (COMMANDS | GROUPS).items()}
        super().__init__(**{**options, "commands": {name: TyperCommand(name, help=lines[name]) for name in lines}})

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        return name, None if name is None else load(name), rest


@cache
def load(name: str) -> Any:
    """Import a command or a group, and return it as Typer's object.

    ``name`` is a key of ``COMMANDS`` or ``GROUPS``.
    """
    _import_structlog()
    modules, line = GROUPS[name] if name in GROUPS else ((COMMANDS[name][0],), "")
    group = new_app(help=line)
    group.callback()(lambda: None)
    for module in modules:
        group.add_typer(import_module(f"shopbell.cli.{module}").app)
    command = get_group(group)
    command.name = name
    for each in command.commands.values():
        each.params.append(_config_option())
    return command if name in GROUPS else command.commands[name]


def _use_config(file: str | None) -> None:
    if file is not None:
        os.environ["SHOPBELL_CONFIG"] = file  # also for the processes that this one starts


@cache
def _config_option() -> Any:
    """Return the option ``--config``, which every command has."""
    app = typer.Typer()

    @app.command()
    def options(
        config: Annotated[
            str | None,
            typer.Option(
                metavar="FILE",
                callback=_use_config,
                expose_value=False,
                help="Settings file. Default: SHOPBELL_CONFIG, or shopbell.toml.",
            ),
        ] = None,
    ) -> None:
        """Take the option."""

    return get_command(app).params[0]


def _import_structlog() -> None:
    # If structlog finds rich, it imports it for tracebacks, which our logs do not have: 5 MB in each server.
    with hidden("rich"):
        import_module("structlog")
