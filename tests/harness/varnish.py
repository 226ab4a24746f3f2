"""Varnish, a real shared cache, in front of a server."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2

from harness.ports import free_port
from harness.processes import wait_for_end
from harness.programs import program

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
_VCL = """
vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{port}"; }}
sub vcl_backend_response {{ {changes} }}
sub vcl_deliver {{ set resp.http.X-Hits = obj.hits; }}
"""


@contextmanager
def varnish(folder: Path, port: int, *, without: Sequence[str] = ()) -> Iterator[httpx2.Client]:
    """Run a cache with the rules that Varnish has unless told otherwise.

    Args:
        folder: where it keeps what it needs to run.
        port: of the server behind it.
        without: headers of the server's answers that it does not see, nor pass on.

    Returns:
        A client that asks the cache. Each answer has ``X-Hits``, which is above 0 where it came out of the cache.
    """
    rules = folder / "shopbell.vcl"
    rules.write_text(_VCL.format(port=port, changes=" ".join(f"unset beresp.http.{name};" for name in without)))
    own_port = free_port()
    command = [program("varnishd", "varnish"), "-F", "-f", str(rules)]
    command += ["-a", f"127.0.0.1:{own_port}", "-n", str(folder / "varnish")]
    command += ["-s", "malloc,16m", "-j", "none", "-p", "thread_pool_min=5", "-p", "thread_pools=1"]
    log_path = folder / "varnish.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{own_port}", trust_env=False, verify=False, timeout=60
        ) as client:
            _wait_until_it_answers(client, process, log_path)
            yield client
    finally:
        process.terminate()
        wait_for_end(process, STOP_TIMEOUT_S, log_path.read_text)


def _wait_until_it_answers(client: httpx2.Client, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        assert process.poll() is None, f"Varnish did not start:\n{log.read_text()}"
        assert time.monotonic() < deadline_s, f"Varnish did not answer in time:\n{log.read_text()}"
        try:
            client.head("/varnish-is-there")
        except httpx2.ConnectError:
            time.sleep(0.02)
        else:
            return
