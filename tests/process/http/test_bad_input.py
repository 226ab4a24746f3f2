"""Every request that schemathesis generates gets a documented response."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.api_routes import API_ROUTES
from harness.shop import Shop

CASES_PER_ROUTE = 25
# A request that waits for news says nothing about what is wrong with one. test_events.py looks at waiting, and
# test_streams.py at the stream, which would be waited for with each request that is right.
SETTINGS = """
[[operations]]
include-path = "/api/events"
parameters = { waitSeconds = 0 }

[[operations]]
include-path = "/api/stream"
enabled = false
"""


@pytest.mark.timeout(900)  # thousands of requests
def test_every_generated_request_gets_a_documented_response(own_shop: Shop, tmp_path: Path) -> None:
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(SETTINGS)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings)),
            *("run", f"{own_shop.server.url}/openapi.json", "--header", f"token: {own_shop.world.token}"),
            *("--phases", "examples,coverage,fuzzing", "--checks", "all"),
            # What is right by the reference may still be refused: no schema can say what a phone number is.
            *("--exclude-checks", "positive_data_acceptance"),
            *("--max-examples", str(CASES_PER_ROUTE), "--seed", "1", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated is not None
    assert int(generated[1]) > CASES_PER_ROUTE * len(API_ROUTES)
    metrics = own_shop.server.client.get("/metrics").text
    assert re.search(r'status="400"', metrics)
    assert not re.search(r'status="500"', metrics)
