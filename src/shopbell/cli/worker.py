"""``shopbell worker``: deliver webhooks, mails and texts in a process of its own."""

import typer

from shopbell.cli.output import JSON, print_json, warn

worker_app = typer.Typer()


@worker_app.command()
def worker(json: JSON = False) -> None:
    """Deliver webhooks, mails and texts until SIGTERM or Ctrl-C; on PostgreSQL any number share the work."""
    import structlog

    from shopbell import settings
    from shopbell.log_output import output
    from shopbell.outreach.rules import not_sent
    from shopbell.worker_process import run

    chosen = settings.load()

    def on_started() -> None:
        if json:
            print_json({"worker": "running"}, one_line=True)
        elif chosen.log_format == "json":  # standard error then holds JSON alone
            structlog.get_logger().info("delivering")
        else:
            output().write("Shopbell delivers webhooks, mails and texts\n")
        warn(not_sent(chosen), chosen.log_format)

    run(chosen, on_started)
