"""What both the server and its worker process count is added up in the server."""

from prometheus_client import CollectorRegistry, Counter

from shopbell.runtime import metrics
from shopbell.runtime.log_output import LOST
from shopbell.runtime.supervision import DEATHS
from shopbell.settings.settings import load
from shopbell.workers.worker_process import WorkerProcess


def _report(lost: int, deaths: int) -> str:
    """The metrics that a worker process sends."""
    registry = CollectorRegistry()
    Counter("shopbell_log_lines_lost", "Lost.", registry=registry).inc(lost)
    Counter("shopbell_task_deaths", "Deaths.", ["task"], registry=registry).labels("deliver").inc(deaths)
    Counter("shopbell_delivery_attempts", "Attempts.", registry=registry).inc(5)
    return metrics.encode(registry).decode()


def _counted() -> tuple[float, float]:
    return LOST._value.get(), DEATHS.labels("deliver")._value.get()


def test_each_report_adds_what_is_new_to_the_servers_own_counters() -> None:
    worker = WorkerProcess(load(database_url="sqlite:///unused.db"))
    lost, deaths = _counted()
    for report in ((2, 1), (2, 1), (7, 1)):
        worker._note_metrics(_report(*report))
    assert _counted() == (lost + 7, deaths + 1)
    assert [metric.name for metric in worker.collect()] == ["shopbell_delivery_attempts"]
