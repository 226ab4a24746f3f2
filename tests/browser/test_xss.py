"""Nothing that anybody writes runs in anybody's browser: what customers see of a conversation."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from payloads import naive_page, payloads
from playwright.sync_api import Browser, FrameLocator, Page, Route, expect
from witness import Witness, witness

from harness.demo import RunningDemo, running_demo
from harness.host_site import HostPage, HostSite
from harness.installation import SECRET_KEY
from shopbell.customer_links import CustomerLinks
from shopbell.keys import Keys

PAYLOADS = payloads()
FRAMES = 30
LAST = 200
EMAIL = "carol@customers.example"
WITH_AND_WITHOUT_POLICY = pytest.mark.parametrize("bypass_csp", [False, True], ids=["with-policy", "without-policy"])
TEXTS = "nodes => nodes.map(node => node.textContent)"


@dataclass
class Hostile:
    """A demo in whose first conversation every payload is a message of each side, an employee's name and a file's."""

    demo: RunningDemo
    client: httpx2.Client
    thread: str
    storage: Any
    live: Witness
    page: Page

    def call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Ask the API as the store; it must succeed."""
        answer = self.client.request(method, path, headers={"token": self.demo.token}, **options)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def said(self) -> list[dict[str, Any]]:
        """The conversation as the store has it."""
        found: list[dict[str, Any]] = []
        query: dict[str, str] = {}
        while True:
            answer = self.call("GET", f"/api/threads/{self.thread}/messages", params={**query, "limit": "100"})
            found += answer["messages"]
            if not answer.get("nextCursor"):
                return found
            query = {"cursor": answer["nextCursor"]}

    @contextmanager
    def without_what_came_after(self, sequence: int) -> Iterator[None]:
        """While the block runs customers see the messages up to one."""
        hide = "UPDATE messages SET internal = :hidden WHERE thread_id = :thread AND sequence > :sequence"
        thread = int(self.thread)
        self.demo.installation.database.change(hide, hidden=True, thread=thread, sequence=sequence)
        yield
        self.demo.installation.database.change(hide, hidden=False, thread=thread, sequence=sequence)

    def link(self, thread: str) -> str:
        """A link that opens a conversation's page."""
        links = CustomerLinks(Keys((SECRET_KEY.encode(),)))
        organization, now_ms = int(self.demo.facts["organizationId"]), int(time.time() * 1000)
        with self.demo.installation.database.connection() as tx:
            token = links.make(tx, organization, int(thread), "EMAIL", EMAIL, now_ms=now_ms)
        return f"{self.demo.url}/t/{token}"


@pytest.fixture(scope="module")
def hostile(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    """While its visitor looks on, without any policy."""
    with (
        running_demo(tmp_path_factory.mktemp("hostile")) as demo,
        httpx2.Client(base_url=demo.url, trust_env=False, timeout=30) as client,
        witness(browser, bypass_csp=True) as live,
    ):
        page = live.context.new_page()
        asked: list[dict[str, str]] = []
        page.on("request", lambda request: asked.append(request.headers) if "/messages" in request.url else None)
        page.goto(f"{demo.url}/demo")
        opened(page)
        panel = page.frame_locator("shopbell-widget iframe")
        panel.locator("#text").fill("Hello")
        with page.expect_response("**/api/customer/messages") as answer:
            panel.locator("#text").press("Enter")
        thread = str(answer.value.json()["customerThreadId"])
        made = Hostile(demo, client, thread, live.context.storage_state(), live, page)
        write(made, {"Authorization": asked[-1]["authorization"]})
        demo.installation.database.change(  # as an answer by mail would have proved
            "INSERT INTO customer_identities (organization_id, kind, value, shown, customer_id, created_at_ms) "
            "SELECT organization_id, 'email', :email, :email, customer_id, 1 FROM threads WHERE id = :thread",
            email=EMAIL,
            thread=int(thread),
        )
        yield made


def write(hostile: Hostile, headers: dict[str, str]) -> None:
    """Let both sides say each payload; each is a file's name and an employee's, too."""

    def post(path: str, **options: Any) -> dict[str, Any]:
        answer = hostile.client.post(path, headers=headers, **options)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    for payload in PAYLOADS:
        name = payload.line.replace("/", " ")  # of a path its last part would be left
        file = {"file": (name, f"fired({payload.number})".encode(), "text/html")}
        attachment = post("/api/customer/attachments", files=file)["attachmentId"]
        once = str(uuid.uuid4())
        post(
            "/api/customer/messages",
            json={"text": payload.text, "attachmentId": attachment, "clientMessageId": once},
        )
        employee = {"name": payload.word, "email": f"employee{payload.number}@shop.example"}
        reply = {
            "customerThreadId": hostile.thread,
            "text": payload.text,
            "employeeUserId": hostile.call("POST", "/api/employees", json=employee)["id"],
        }
        hostile.call("POST", "/api/send-message-to-customer-thread", json=reply)


def opened(page: Page) -> None:
    """Open the panel of the demo's shop."""
    page.get_by_role("button", name="Ask us anything").click()
    expect(page.frame_locator("shopbell-widget iframe").locator("#close")).to_be_visible()


def check(seen: Witness, page: Page, region: Page | FrameLocator, said: list[dict[str, Any]]) -> None:
    """All of it is shown as it was written, and none of it did anything."""
    texts, names, files = (region.locator(f"#messages .{what}").evaluate_all(TEXTS) for what in ("text", "who", "file"))
    assert texts == [message["text"] for message in said]
    numbers = [(message["sequence"] - 2) // 2 for message in said if message["sequence"] > 1]
    of_employees = {PAYLOADS[number].word for number in numbers[1:-1]}
    assert of_employees <= set(names)
    assert len(files) >= len(said) // 2 - 1
    assert sum("fired" in file for file in files) > len(files) / 2
    seen.touch(page)
    assert seen.foreign(page) == []
    seen.expect_nothing()


def test_the_payloads_run_where_nothing_is_escaped(browser: Browser, host_site: HostSite) -> None:
    assert len({payload.text for payload in PAYLOADS}) >= 400
    for payload in PAYLOADS:
        headers = {"Content-Type": "text/html; charset=utf-8"}
        host_site.pages[f"/{payload.number}"] = HostPage(naive_page(payload).encode(), headers)
    with witness(browser, bypass_csp=True) as seen:
        for some in in_frames([f"/{payload.number}" for payload in PAYLOADS]):
            seen.open(host_site.page("/all", some)).close()
        assert len(seen.fired) >= 350


def test_a_policy_that_holds_something_back_is_heard(browser: Browser, host_site: HostSite) -> None:
    payload = PAYLOADS[0]
    with witness(browser, bypass_csp=False) as seen:
        seen.open(host_site.page("/", naive_page(payload), policy="default-src 'self'"))
        assert seen.refused
    with witness(browser, bypass_csp=True) as seen:
        page = seen.open(host_site.page("/", naive_page(payload), policy="default-src 'self'"))
        assert seen.foreign(page)
        assert seen.fired == {payload.number}


def test_the_widget_shows_all_of_it_live(hostile: Hostile) -> None:
    panel = hostile.page.frame_locator("shopbell-widget iframe")
    expect(panel.locator("#messages li[data-message-id]")).to_have_count(1 + 2 * len(PAYLOADS))
    check_panel(hostile.live, hostile.page, hostile)


@WITH_AND_WITHOUT_POLICY
def test_the_widget_shows_all_of_it_when_it_is_opened_again(
    bypass_csp: bool, hostile: Hostile, browser: Browser
) -> None:
    with witness(browser, bypass_csp=bypass_csp, storage_state=hostile.storage) as seen:
        page = seen.context.new_page()
        page.goto(f"{hostile.demo.url}/demo")
        opened(page)
        panel = page.frame_locator("shopbell-widget iframe")
        expect(panel.locator("#messages li[data-message-id]")).to_have_count(1 + 2 * len(PAYLOADS))
        check_panel(seen, page, hostile)


def check_panel(seen: Witness, page: Page, hostile: Hostile) -> None:
    """As ``check``, of the widget's panel."""
    said = hostile.said()
    assert [message["text"] for message in said] == ["Hello", *(each.text for each in PAYLOADS for _ in "12")]
    check(seen, page, page.frame_locator("shopbell-widget iframe"), said)


@pytest.mark.parametrize("scripts", [True, False], ids=["live", "as-it-was-sent"])
@WITH_AND_WITHOUT_POLICY
def test_the_page_shows_all_of_it(bypass_csp: bool, scripts: bool, hostile: Hostile, browser: Browser) -> None:
    with witness(browser, bypass_csp=bypass_csp) as seen:
        page = seen.open(hostile.link(hostile.thread))
        page.get_by_role("button").click()
        page.wait_for_url("**/c/*")
        if not scripts:  # those of the page: what was injected could still run
            page.route("**/*.js*", lambda route: route.fulfill(content_type="text/javascript", body=""))
        said = hostile.said()
        for end in range(LAST, len(said) + LAST, LAST):  # it shows the last ones only
            with hostile.without_what_came_after(end):
                page.reload()
                check(seen, page, page, said[end - LAST : end] if end <= len(said) else said[-LAST:])


def test_the_conversation_is_taken_away_as_plain_text(hostile: Hostile, browser: Browser) -> None:
    with witness(browser, bypass_csp=True) as seen:
        page = seen.open(hostile.link(hostile.thread))
        page.get_by_role("button").click()
        page.wait_for_url("**/c/*")
        transcript = f"{page.url}/transcript"
        # Even by a browser that is told to show it in place.
        seen.context.route("**/transcript", shown_in_place)
        shown = seen.open(transcript)
        assert shown.evaluate("document.contentType") == "text/plain"
        text = str(shown.locator("body").text_content())
        assert all(text.count(payload.text) >= 2 for payload in PAYLOADS)
        seen.expect_nothing()


def shown_in_place(route: Route) -> None:
    """Let a browser show what it was told to download."""
    answer = route.fetch()
    headers = {name: value for name, value in answer.headers.items() if name != "content-disposition"}
    route.fulfill(response=answer, headers=headers)


def in_frames(addresses: list[str]) -> Iterator[str]:
    """Bodies of pages that show some of these pages each."""
    for start in range(0, len(addresses), FRAMES):
        yield "".join(f'<iframe src="{address}"></iframe>' for address in addresses[start : start + FRAMES])


def test_a_business_of_any_name_runs_nothing(hostile: Hostile, browser: Browser, host_site: HostSite) -> None:
    business, names = hostile.demo.business, [payload for payload in PAYLOADS if " tabindex=0 on" not in payload.text]
    assert len(names) >= 300
    key = hostile.call("POST", "/api/publishable-keys", json={"allowedOrigins": [hostile.demo.url]})["key"]
    link, page = (httpx2.URL(hostile.link(hostile.thread)).path for _ in ("shown", "spent"))
    with httpx2.Client(base_url=hostile.demo.url, trust_env=False, timeout=30) as client:
        client.post(page, headers={"Origin": hostile.demo.url})
        other, theirs = f"/widget/panel?key={key}&business={business}", f"/c/{hostile.thread}"
        assert client.get(theirs).status_code == 200
        for payload in names:
            hostile.call("POST", f"/api/businesses/{business}/update", json={"name": payload.line})
            # To somebody who has not opened the conversation yet a link is shown.
            for kind, asking, path in (("link", hostile.client, link), ("panel", client, other)):
                host_site.pages[f"/{kind}/{payload.number}"] = as_it_was_sent(asking.get(path))
    with witness(browser, bypass_csp=True) as seen:
        for some in in_frames([path for path in host_site.pages if path.startswith(("/link/", "/panel/"))]):
            shown = seen.open(host_site.page("/all", some))
            assert seen.foreign(shown) == []
            headings = [frame.locator("h1").text_content() for frame in shown.frames[1:]]
            assert all(headings)
            shown.close()
        seen.expect_nothing()


def as_it_was_sent(answer: httpx2.Response) -> HostPage:
    """A page of ours, for a frame and without a policy."""
    assert answer.status_code == 200, answer.text
    return HostPage(answer.content, {"Content-Type": answer.headers["content-type"]})
