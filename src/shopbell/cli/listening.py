"""Where the server listens, and at which address people reach it."""

from typing import Annotated

import typer

from shopbell.settings.settings import Settings

Host = Annotated[str | None, typer.Option(help="Address to listen on. Default: SHOPBELL_HOST.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="TCP port. 0: any free port. Default: SHOPBELL_PORT.")]


def given(**options: object) -> dict[str, object]:
    """Return the options that the command line has, as settings."""
    return {name: value for name, value in options.items() if value is not None}


def server_url(host: str, port: int) -> str:
    """Return the URL at which this machine reaches the server."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - only compared
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def link_base(settings: Settings) -> str:
    """Return the URL with which links for employees begin, without a trailing slash."""
    return str(settings.public_url or f"http://localhost:{settings.port}").rstrip("/")
