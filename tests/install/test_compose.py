"""Docker Compose and Caddy read the files of the repository. Without Docker, no container is started."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from debian import System, base, unpack

from harness import ROOT

ENVIRONMENT = """\
COMPOSE_PROFILES=postgres,tls
SHOPBELL_PUBLIC_URL=https://chat.example.org
SHOPBELL_DATABASE_URL=postgresql://shopbell:secret@postgres/shopbell
POSTGRES_PASSWORD=secret
"""


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> System:
    """A new Debian 13 with Docker Compose and the file."""
    system = unpack(base("trixie", "docker-compose"), tmp_path_factory.mktemp("compose"))
    shutil.copy(ROOT / "compose.yaml", system.root / "srv")
    return system


def read(system: System, *profiles: str) -> dict[str, Any]:
    """Return what Compose understands, with all its defaults."""
    chosen = [f"--profile={name}" for name in profiles]
    printed = system.run("docker-compose", "--project-directory=/srv", *chosen, "config", "--format=json")
    read: dict[str, Any] = json.loads(printed)
    return read


def test_shopbell_alone_has_one_volume_and_few_rights(compose: System) -> None:
    (compose.root / "srv" / ".env").unlink(missing_ok=True)
    project = read(compose)
    assert (list(project["services"]), list(project["volumes"])) == (["shopbell"], ["data"])
    shopbell = project["services"]["shopbell"]
    assert shopbell["read_only"] is True
    assert shopbell["cap_drop"] == ["ALL"]
    assert shopbell["security_opt"] == ["no-new-privileges:true"]
    assert [(volume["source"], volume["target"]) for volume in shopbell["volumes"]] == [("data", "/data")]
    assert [(port["host_ip"], port["target"]) for port in shopbell["ports"]] == [("127.0.0.1", 8080)]


def test_a_file_with_settings_adds_the_other_services(compose: System) -> None:
    (compose.root / "srv" / ".env").write_text(ENVIRONMENT)
    services = read(compose)["services"]
    assert set(services) == {"shopbell", "postgres", "nats", "caddy"}
    settings = services["shopbell"]["environment"]
    assert settings["SHOPBELL_DATABASE_URL"].endswith("@postgres/shopbell")
    assert settings["SHOPBELL_TRUSTED_PROXIES"] == services["caddy"]["networks"]["default"]["ipv4_address"]
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] == "secret"
    assert services["caddy"]["environment"]["SHOPBELL_PUBLIC_URL"] == "https://chat.example.org"


def test_caddy_accepts_its_file(tmp_path: Path) -> None:
    command = ["caddy", "validate", "--adapter", "caddyfile", "--config", str(ROOT / "deploy/compose/Caddyfile")]
    environment = os.environ | {"SHOPBELL_PUBLIC_URL": "https://chat.example.org", "HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
