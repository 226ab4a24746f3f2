"""What ``shopbell doctor`` finds."""

import json
from collections.abc import Mapping
from dataclasses import replace
from subprocess import CompletedProcess
from typing import Any

from harness.installation import Installation
from harness.name_server import NameServer
from harness.smtp import SmtpServer

NO_PORT = "PORT"
"""Stands for the port of a mail server that runs beside the command."""
PROVIDERS = {
    "SHOPBELL_SMTP_URL": f"smtp://127.0.0.1:{NO_PORT}",
    "SHOPBELL_SMTP_STARTTLS": "never",
    "SHOPBELL_SMTP_CONNECT_TIMEOUT_S": "60",
    "SHOPBELL_MAIL_FROM": "shop@acme.example",
    "SHOPBELL_SMS_PROVIDER": "none",
}
RECORDS = {
    ("acme.example", "TXT"): ['"v=spf1 a:mail.acme.example -all"'],
    ("s1._domainkey.acme.example", "TXT"): ['"v=DKIM1; p="'],
    ("_dmarc.acme.example", "TXT"): ['"v=DMARC1; p=none"'],
}


def run_doctor(
    installation: Installation, *arguments: object, providers: Mapping[str, str] = PROVIDERS
) -> "CompletedProcess[str]":
    """Run doctor, beside a mail server and a name server with the records of its sender."""
    with SmtpServer() as smtp, NameServer(RECORDS) as names:
        own = {name: value.replace(NO_PORT, str(smtp.port)) for name, value in providers.items()}
        examined = replace(installation, settings={**own, **installation.settings})
        return examined.run("doctor", "--nameserver", "{}:{}".format(*names.address), *arguments)


def examine(
    installation: Installation, providers: Mapping[str, str] = PROVIDERS
) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Run doctor; returns its exit code and the findings by name."""
    done = run_doctor(installation, "--json", providers=providers)
    document = json.loads(done.stdout)
    assert document["healthy"] is (done.returncode == 0), done.stderr
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in document["findings"]:
        found.setdefault(finding["name"], []).append(finding)
    return done.returncode, found
