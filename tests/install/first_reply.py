"""From ``shopbell init`` to a first message and a first reply in the inbox. Needs Python and curl only.

``first_reply.py SHOPBELL [CHECK…]`` does what an operator does in an empty folder, with the commands that
``shopbell init`` prints. Then it accepts the invitation and replies over HTTP, as the inbox does. The program CHECK
must succeed while the server runs, and fail after it has stopped. The last line tells after how many seconds each step
was done, as JSON.
"""

import argparse
import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from typing import Any

URL = "http://127.0.0.1:8080"
START_TIMEOUT_S = 300
STOP_TIMEOUT_S = 120
PASSWORD = "correct horse battery"
ANSWER = "From ten to four."


def main(shopbell: str, check: list[str]) -> None:
    """Do everything, in the working directory."""
    began_s = time.monotonic()
    took_s: dict[str, float] = {}

    def done(step: str) -> None:
        took_s[step] = round(time.monotonic() - began_s, 1)

    given = ("--yes", "--no-checks", "--public-url", URL, "--organization", "Acme", "--owner", "alice@acme.example")
    made = run(shopbell, "init", *given)
    done("init")
    server = subprocess.Popen(shlex.split(made["serve"]))
    try:
        wait_until_ready(server)
        done("server ready")
        if check:
            subprocess.run(check, check=True)
        sent = send_first_message(made["curl"])
        done("first message")
        reply_in_the_inbox(made["link"], sent["customerThreadId"])
        done("first reply")
        shown = run(shopbell, "threads", "show", sent["customerThreadId"])
        bodies = [message["body"] for message in shown["messages"]]
        assert len(bodies) == 2, shown
        assert bodies[0] in made["curl"], shown
        assert bodies[1] == ANSWER, shown
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(timeout=STOP_TIMEOUT_S)
    assert code == 0, f"the server ended with {code}"
    if check:
        assert subprocess.run(check, check=False, stderr=subprocess.DEVNULL).returncode != 0, "no server, and healthy"
    print(json.dumps(took_s))


def wait_until_ready(server: "subprocess.Popen[bytes]") -> None:
    """Wait until the server can store messages."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        assert server.poll() is None, "the server did not start"
        assert time.monotonic() < deadline_s, "the server is not ready"
        try:
            with urllib.request.urlopen(f"{URL}/readyz", timeout=60):
                return
        except OSError:
            time.sleep(0.05)


def send_first_message(command: str) -> dict[str, Any]:
    """Run the printed curl command, or send what it would send if this system has no curl, and return the answer."""
    if shutil.which("curl"):
        answered = subprocess.run(["sh", "-c", command], check=True, stdout=subprocess.PIPE).stdout
    else:
        parser = argparse.ArgumentParser()
        parser.add_argument("words", nargs=2)
        parser.add_argument("-sS", action="store_true")
        parser.add_argument("-X", dest="method")
        parser.add_argument("-H", dest="headers", action="append")
        parser.add_argument("-d", dest="data")
        given = parser.parse_intermixed_args(shlex.split(command))
        headers = dict(header.split(": ", 1) for header in given.headers)
        url = given.words[1]
        with urllib.request.urlopen(urllib.request.Request(url, given.data.encode(), headers)) as response:
            answered = response.read()
    answer: dict[str, Any] = json.loads(answered)
    return answer


def reply_in_the_inbox(link: str, thread_id: str) -> None:
    """Set a password with the link of an invitation, open the inbox, and reply."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    browser.addheaders = [("Sec-Fetch-Site", "same-origin"), ("Origin", URL)]
    form = urllib.parse.urlencode({"name": "Alice Archer", "password": PASSWORD}).encode()
    with browser.open(link, form) as page:
        assert page.url == f"{URL}/inbox", page.url
        assert b"<script" in page.read()
    body = json.dumps({"customerThreadId": thread_id, "text": ANSWER}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{URL}/api/send-message-to-customer-thread", body, headers)
    try:
        with browser.open(request):
            pass
    except urllib.error.HTTPError as error:
        sys.exit(f"{error.url}: {error.code} {error.read().decode()}")


def run(shopbell: str, *arguments: str) -> dict[str, Any]:
    """Run a command and return its JSON."""
    done = subprocess.run([shopbell, *arguments, "--json"], check=True, stdout=subprocess.PIPE)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
