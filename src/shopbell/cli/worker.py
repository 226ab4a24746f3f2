"""``shopbell worker``: deliver webhooks, emails and text messages in a separate process."""

import structlog
import typer

from shopbell.channels.open_channels import not_sent
from shopbell.cli.output import JSON, print_json, warn
from shopbell.runtime.log_output import output
from shopbell.settings import settings
from shopbell.workers.process import run

app = typer.Typer()


@app.command()
def worker(json: JSON = False) -> None:
    """Deliver webhooks, emails and text messages.

    It runs until SIGTERM or Ctrl-C. On PostgreSQL, several workers share the work.
    """
    chosen = settings.load()

    def on_started() -> None:
        if json:
            print_json({"worker": "running"}, one_line=True)
        elif chosen.log_format == "json":  # then stderr has nothing but JSON
            structlog.get_logger().info("delivering")
        else:
            output().write("Shopbell delivers webhooks, emails and text messages\n")
        warn(not_sent(chosen), chosen.log_format)

    run(chosen, on_started)
