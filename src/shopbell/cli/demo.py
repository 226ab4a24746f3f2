"""``shopbell demo``."""

import typer
from starlette.types import ASGIApp

from shopbell.app import create_app
from shopbell.cli.access import load_settings, opened
from shopbell.cli.listening import Host, Port, given, server_url
from shopbell.cli.output import JSON, print_json, say
from shopbell.http.server.server import run
from shopbell.operations import demo
from shopbell.runtime.clock import now_ms
from shopbell.security import keys
from shopbell.settings import settings

app = typer.Typer()


@app.command("demo")
def serve_demo(host: Host = None, port: Port = None, json: JSON = False) -> None:
    """Run the server with a demo organization.

    It prints a command that sends a message, the URL of a demo shop, and a link with which an employee signs in.
    """
    chosen = demo.settings_of(load_settings(**given(host=host, port=port, workers=1)))
    with opened(create=True) as database:
        shown = demo.ensure(database, chosen, keys.load(chosen), now_ms=now_ms())

    def on_listening(host: str, port: int) -> None:
        url = server_url(host, port)
        command = demo.curl_command(url, shown.token, shown.business_ids[0])
        sign_in = shown.sign_in_link(url)
        if json:
            print_json({**shown.as_json(), "url": url, "curl": command, "signIn": sign_in}, one_line=True)
            return
        home = demo.named_host(url)
        say(f"Open {home}/ to see a shop and the inbox of its employees. Or send a message from another terminal:")
        say(command)
        say(f"Set the owner's password: {sign_in}")

    run(chosen, f"{__name__}:{create_demo_app.__name__}", on_listening)


def create_demo_app() -> ASGIApp:
    """Create the application with the demo on its home page."""
    chosen = demo.settings_of(settings.load())
    return create_app(chosen, demo.load(chosen))
