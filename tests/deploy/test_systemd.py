"""Shopbell as a service of systemd."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest

from harness.booted import DOCUMENTATION, UNITS, Booted, booted
from harness.installation import Installation
from harness.ports import free_port
from harness.processes import wait_for_end
from harness.programs import program
from harness.steady_load import Load, wires_to
from harness.waiting import wait_until

EXPOSURE_MAX = 2.5
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))


@dataclass(frozen=True)
class Globex:
    """An organization beside the one of ``shopbell init``."""

    business: str
    token: str


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """A machine that all tests of this file share."""
    with booted(tmp_path_factory.mktemp("machine"), rate_limit_per_s=1_000_000, rate_limit_burst=1_000_000) as machine:
        yield machine


@pytest.fixture(scope="module")
def globex(machine: Booted) -> Globex:
    """Made with the commands of the first steps."""
    organization = str(machine.cli("organization", "create", "Globex")["id"])
    business = machine.cli("business", "create", "--organization", organization, "Globex London", "--region", "GB")
    token = machine.cli("token", "create", "--organization", organization, "--name", "website")["token"]
    return Globex(str(business["id"]), token)


def test_all_services_have_the_same_rights() -> None:
    rights = {
        (UNITS / name).read_text().partition("\nCapabilityBoundingSet=")[2].partition("\n[")[0].strip()
        for name in SERVICES
    }
    assert len(SERVICES) == 2
    assert len(rights) == 1


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_do_little(service: str) -> None:
    analyze = program("systemd-analyze", "systemd")
    threshold = f"--threshold={EXPOSURE_MAX * 10:.0f}"
    done = subprocess.run(
        [analyze, "security", "--offline=true", threshold, UNITS / service],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_unit_files_have_no_mistake(machine: Booted) -> None:
    done = machine.run("systemd-analyze", "verify", *(path.name for path in UNITS.glob("shopbell*.*")))
    assert "shopbell" not in done.stderr


def test_the_service_may_do_what_it_needs(machine: Booted, globex: Globex) -> None:
    headers = {"token": globex.token}
    with httpx2.Client(
        base_url=f"http://127.0.0.1:{machine.port}", headers=headers, verify=False, timeout=60
    ) as client:
        body = {"businessId": globex.business, "message": "Hello", "user": {"email": "carol@example.com"}}
        assert client.post("/api/widget/send-message-to-business", json=body).status_code == 200
        uploaded = client.post("/api/attachments", files={"file": ("a.txt", b"a" * 100_000)})
        assert uploaded.status_code == 200, uploaded.text
        found = client.get(f"/api/attachments/{uploaded.json()['attachmentId']}").json()
        assert client.get(found["link"].removeprefix("https://chat.example.org")).content == b"a" * 100_000
        assert "process_start_time_seconds" in client.get("/metrics").text
        wait_until(lambda: client.get("/readyz").status_code == 200, lambda: client.get("/readyz").text)
    assert [each["name"] for each in machine.cli("organization", "list")] == ["Acme", "Globex"]
    for word in ("denied", "not permitted", "Read-only", "Traceback"):
        assert word not in machine.journal


def test_a_restart_refuses_no_request(machine: Booted, globex: Globex) -> None:
    load = Load(wires_to(machine.port), globex.business, globex.token)
    with load.running():
        for number in (1, 2):
            load.wait_until_sent(100 * number)
            first = machine.state("MainPID")
            machine.run("systemctl", "restart", "shopbell.service")
            assert machine.state("MainPID") != first
        load.wait_until_sent(300)
    assert load.failures == []
    assert set(load.statuses) == {200}


def test_a_service_that_hangs_is_started_again(machine: Booted) -> None:
    watched = "/run/systemd/system/shopbell.service.d"
    machine.run("sh", "-c", f"mkdir -p {watched} && printf '[Service]\\nWatchdogSec=5\\n' > {watched}/watchdog.conf")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "shopbell.service")
    first = machine.state("MainPID")
    machine.run("kill", "-STOP", first)
    wait_until(lambda: machine.state("MainPID") not in (first, "0"), lambda: machine.log)
    wait_until(lambda: machine.state("ActiveState") == "active", lambda: machine.log)
    assert "Watchdog timeout" in machine.log


def test_a_stopped_service_starts_with_the_next_connection_unless_its_socket_is_stopped(machine: Booted) -> None:
    machine.run("systemctl", "stop", "shopbell.service")
    assert httpx2.get(f"http://127.0.0.1:{machine.port}/healthz", timeout=240).status_code == 200
    machine.run("systemctl", "stop", "shopbell.socket", "shopbell.service")
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"http://127.0.0.1:{machine.port}/healthz")
    machine.run("systemctl", "start", "shopbell.service")
    assert httpx2.get(f"http://127.0.0.1:{machine.port}/healthz", timeout=240).status_code == 200


def test_the_commands_of_the_page_work(machine: Booted, globex: Globex) -> None:
    blocks = machine.page_blocks()[3:]
    assert len(blocks) == 6
    for block in blocks:
        backup = machine.run("sh", "-c", "ls /var/backups/shopbell/shopbell-*.tar || true").stdout.strip()
        machine.run("sh", "-ec", re.sub(r"/var/backups/shopbell/\S+\.tar", backup, block))
    assert backup
    assert machine.state("ActiveState", "shopbell-backup.timer") == "active"
    assert machine.state("Result", "shopbell-backup.service") == "success"
    assert [each["name"] for each in machine.cli("organization", "list")] == ["Acme", "Globex"]  # as in the backup


def _upload(port: int, token: str) -> None:
    file = {"file": ("a.txt", b"a" * 1_000)}
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", verify=False, timeout=240) as client:
        answer = client.post("/api/attachments", files=file, headers={"token": token})
    assert answer.status_code == 200, answer.text


def test_the_changes_that_the_page_shows_work(machine: Booted, globex: Globex) -> None:
    socket, service = re.findall(r"^```ini\n(.*?)^```", DOCUMENTATION.read_text(), re.DOTALL | re.MULTILINE)
    port = free_port()
    machine.run("install", "--directory", "--owner=shopbell", "/srv/attachments")
    machine.run("sh", "-c", "echo 'attachments_url = \"file:///srv/attachments\"' >> /etc/shopbell/shopbell.toml")
    for unit, change in (("socket", socket.replace(":8081", f":{port}")), ("service", service)):
        folder = f"/etc/systemd/system/shopbell.{unit}.d"
        machine.run("sh", "-ec", f"mkdir -p {folder}\ncat > {folder}/override.conf <<'END'\n{change}END")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "stop", "shopbell.socket", "shopbell.service")
    machine.run("systemctl", "start", "shopbell.socket", "shopbell.service")
    _upload(port, globex.token)
    assert machine.run("find", "/srv/attachments", "-type", "f").stdout.strip()
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"http://127.0.0.1:{machine.port}/healthz")


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_server_can_be_activated_without_units(installation: Installation) -> None:
    port = free_port()
    activate = program("systemd-socket-activate", "systemd")
    settings = [f"--setenv={name}={value}" for name, value in installation.environment.items() if "SHOPBELL" in name]
    command = [activate, f"--listen=127.0.0.1:{port}", *settings, sys.executable, "-m", "shopbell", "serve"]
    log_path = installation.folder / "activate.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, cwd=installation.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(lambda: "Listening on" in log_path.read_text(), log_path.read_text)
        assert httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=240).status_code == 200
    finally:
        process.terminate()
        assert wait_for_end(process, 60, log_path.read_text) == 0, log_path.read_text()
