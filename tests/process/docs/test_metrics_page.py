"""``docs/metrics.md`` describes the metrics that a server, its worker process and a separate worker export."""

import re
from dataclasses import replace

import httpx2
import pytest

from harness import metrics
from harness.installation import Installation
from harness.ports import free_port
from harness.waiting import wait_until
from harness.workers import WorkerProcess
from shopbell import app  # defines the metrics of a server
from shopbell.channels.email import listener, mailbox_metrics
from shopbell.formats.channels import IDENTITY_KINDS
from shopbell.notifications import outcomes
from shopbell.settings.settings import PREFIX, Settings
from shopbell.webhooks import retry_policy

one_engine = pytest.mark.parametrize("engine", ["sqlite"])


@pytest.fixture
def installation(installation: Installation) -> Installation:
    """One whose processes start from nothing: a forked one would have the metrics of all modules."""
    return replace(installation, server_program=("-c", "from shopbell.cli import main; main()"))


def types_on_the_page() -> dict[str, str]:
    return {name: metric.type for name, metric in metrics.documented().items()}


@one_engine
def test_the_page_has_exactly_the_metrics_that_a_server_and_its_worker_export(installation: Installation) -> None:
    mail = {"mail_listen": f"lmtp://127.0.0.1:{free_port()}", "mail_reply_domain": "reply.example.org"}
    with installation.serving(**mail) as server:
        wait_until(
            lambda: "shopbell_delivery_waiting_seconds" in server.client.get("/metrics").text,
            lambda: "the worker process does not report its metrics",
        )
        assert metrics.exported(server.client.get("/metrics").text) == types_on_the_page()


@one_engine
def test_a_separate_worker_exports_metrics_of_the_page(installation: Installation) -> None:
    port = free_port()
    worker = WorkerProcess(installation, metrics_port=port)
    try:
        worker.wait_until_started()
        text = httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=60).text
    finally:
        worker.stop()
    found = metrics.exported(text)
    assert {"shopbell_delivery_waiting_seconds", "shopbell_outbound_messages_total", "shopbell_build_info"} <= set(
        found
    )
    page = types_on_the_page()
    assert {name: kind for name, kind in found.items() if page.get(name) != kind} == {}


def test_the_page_has_the_labels_of_the_code() -> None:
    assert app
    page = {name: set(metric.labels) for name, metric in metrics.documented().items()}
    in_code = metrics.labels_in_code()
    assert "shopbell_http_requests_total" in in_code
    assert {name: labels for name, labels in in_code.items() if page.get(name) != labels} == {}


def test_the_page_has_the_values_of_labels() -> None:
    page = metrics.documented()
    attempts = page["shopbell_delivery_attempts_total"].labels["outcome"]
    kinds = (retry_policy.Delivered, retry_policy.TryAgain, retry_policy.GiveUp, retry_policy.NotSent)
    assert attempts == {kind.__name__.lower() for kind in kinds}
    outbound = page["shopbell_outbound_messages_total"].labels
    kinds_of_outcome = (outcomes.Sent, outcomes.TryLater, outcomes.Refused, outcomes.Unknown)
    assert outbound["outcome"] == {kind.__name__.lower() for kind in kinds_of_outcome}
    assert outbound["channel"] <= set(IDENTITY_KINDS)
    assert page["shopbell_mails_in_total"].labels["answer"] == set(listener._KINDS.values())
    assert page["shopbell_mailbox_emails_total"].labels["result"] == set(mailbox_metrics.RESULTS)


def test_the_page_names_settings_that_exist() -> None:
    named = re.findall(rf"{PREFIX}([A-Z0-9_]+)", metrics.PAGE)
    assert named
    assert [name for name in named if name.lower() not in Settings.model_fields] == []
