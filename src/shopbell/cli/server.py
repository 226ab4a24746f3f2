"""``shopbell serve``, ``demo``, ``migrate`` and ``doctor``: run the server, and look after its database.

Imports stand inside the commands: what one needs does not slow down the start of the others.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from shopbell.cli.access import opened
from shopbell.cli.output import JSON, now_ms, print_json, print_table, say, warn

if TYPE_CHECKING:
    from starlette.types import ASGIApp

server_app = typer.Typer()

Host = Annotated[str | None, typer.Option(help="Address to listen on; else SHOPBELL_HOST.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="TCP port, 0 for a free one; else SHOPBELL_PORT.")]


@server_app.command()
def serve(
    host: Host = None,
    port: Port = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Server processes; more than one needs PostgreSQL; else SHOPBELL_WORKERS."),
    ] = None,
    json: JSON = False,
) -> None:
    """Run the server until SIGTERM or Ctrl-C."""
    import structlog

    from shopbell import settings
    from shopbell.http.server import run
    from shopbell.log_output import output
    from shopbell.outreach.rules import not_sent

    def on_listening(host: str, port: int) -> None:
        url = _url(host, port)
        if json:
            print_json({"url": url}, one_line=True)
        elif chosen.log_format == "json":  # standard error then holds JSON alone
            structlog.get_logger().info("listening", url=url)
        else:
            output().write(f"Shopbell runs at {url}/\n")
        warn(not_sent(chosen), chosen.log_format)

    chosen = settings.load(**_given(host=host, port=port, workers=workers))
    run(chosen, on_listening=on_listening)


@server_app.command("demo")
def serve_demo(host: Host = None, port: Port = None, json: JSON = False) -> None:
    """Run the server with a demo organization, and print a command that sends its first message."""
    from shopbell import demo, keys, settings
    from shopbell.http.server import run

    chosen = demo.settings_of(settings.load(**_given(host=host, port=port, workers=1)))
    with opened(create=True) as database:
        shown = demo.ensure(database, chosen, keys.load(chosen), now_ms=now_ms())

    def on_listening(host: str, port: int) -> None:
        url = _url(host, port)
        command = demo.curl_command(url, shown.token, shown.business_ids[0])
        if json:
            print_json({**shown.as_json(), "url": url, "curl": command}, one_line=True)
            return
        say(f"Shopbell runs at {url}/ with a demo organization. Send its first message, in another terminal:")
        say(command)
        say(f"Or write in the chat of its shop: {url}/demo")

    run(chosen, f"{__name__}:{create_demo_app.__name__}", on_listening)


def create_demo_app() -> "ASGIApp":
    """The application that shows the demo on its first page."""
    from shopbell import demo, settings
    from shopbell.app import create_app

    chosen = demo.settings_of(settings.load())
    return create_app(chosen, demo.load(chosen))


@server_app.command()
def migrate(json: JSON = False) -> None:
    """Bring the database to the shape that this version needs; make a backup before."""
    from shopbell import settings
    from shopbell.storage.migrate import migrate as bring_up_to_date
    from shopbell.storage.migrate import revision_of
    from shopbell.storage.open import connect_database

    database = connect_database(settings.load())
    try:
        before = bring_up_to_date(database)
        revision = database.read_now(revision_of)
    finally:
        database.engine.dispose()
    if json:
        print_json({"before": before.name.lower(), "now": "current", "revision": revision})
    else:
        say(f"The database was {before.value}; it is at revision {revision} now, which this version needs.")


@server_app.command("doctor")
def examine(json: JSON = False) -> None:
    """Look for what is wrong with this installation, and say how to mend it; changes nothing."""
    from shopbell import doctor, settings

    findings = doctor.examine(settings.load(), now_ms=now_ms())
    healthy = all(finding.level is not doctor.Level.ERROR for finding in findings)
    if json:
        print_json({"healthy": healthy, "findings": [finding.as_json() for finding in findings]})
    else:
        rows = [(finding.level.value, finding.name, finding.detail, finding.remedy) for finding in findings]
        print_table(("", "what", "found", "to mend it"), rows, nothing="")
    if not healthy:
        raise typer.Exit(1)


def _given(**options: object) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


def _url(host: str, port: int) -> str:
    """The address under which this machine reaches a server that listens there."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not listened on
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"
