"""``shopbell doctor``."""

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

import typer

from shopbell.cli.access import load_settings
from shopbell.cli.output import JSON, print_json, print_table
from shopbell.operations.doctor import doctor
from shopbell.operations.doctor.dns_records import DnsRecords
from shopbell.operations.doctor.findings import Level
from shopbell.runtime.clock import now_ms

app = typer.Typer()

_DNS_PORT = 53


def _nameserver(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}" if text.count(":") < 2 or text.startswith("[") else f"//[{text}]")
        return str(ip_address(parts.hostname or "")), parts.port or _DNS_PORT
    except ValueError:
        raise typer.BadParameter(
            "--nameserver must be an IP address, with or without a port, such as 9.9.9.9"
        ) from None


@app.command("doctor")
def examine(
    nameserver: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS[:PORT]", help="Name server to ask for DNS records of email."),
    ] = None,
    json: JSON = False,
) -> None:
    """Check this installation and suggest fixes. Changes nothing."""
    records = DnsRecords(None if nameserver is None else _nameserver(nameserver))
    findings = doctor.examine(load_settings(), records, now_ms=now_ms())
    healthy = all(finding.level is not Level.ERROR for finding in findings)
    if json:
        print_json({"healthy": healthy, "findings": [finding.as_json() for finding in findings]})
    else:
        rows = [(finding.level.value, finding.name, finding.detail, finding.remedy) for finding in findings]
        print_table(("", "check", "result", "fix"), rows, nothing="")
    if not healthy:
        raise typer.Exit(1)
