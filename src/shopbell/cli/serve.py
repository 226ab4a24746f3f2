"""``shopbell serve``."""

from typing import Annotated

import structlog
import typer

from shopbell.channels.open_channels import not_sent
from shopbell.cli.listening import Host, Port, given, server_url
from shopbell.cli.output import JSON, print_json, warn
from shopbell.http.server.server import run
from shopbell.runtime.log_output import output
from shopbell.settings import settings

app = typer.Typer()


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Server processes; several need PostgreSQL. Default: SHOPBELL_WORKERS."),
    ] = None,
    json: JSON = False,
) -> None:
    """Run the server until SIGTERM or Ctrl-C."""

    def on_listening(host: str, port: int) -> None:
        url = server_url(host, port)
        if json:
            print_json({"url": url}, one_line=True)
        elif chosen.log_format == "json":  # then stderr has nothing but JSON
            structlog.get_logger().info("listening", url=url)
        else:
            output().write(f"Shopbell runs at {url}/\n")
        warn(not_sent(chosen), chosen.log_format)

    chosen = settings.load(**given(host=host, port=port, workers=workers))
    run(chosen, "shopbell.app:create_app", on_listening)
