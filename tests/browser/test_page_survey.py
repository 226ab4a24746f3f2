"""The survey on the conversation page, with and without scripts."""

import re
from collections.abc import Callable, Iterator

import httpx2
import pytest
from invited import Invited
from playwright.sync_api import Locator, Page, Route, expect

from harness.browser import DARK, DESKTOP, NARROW, NO_SCRIPTS, Look, faults, keep_image, overflow_px
from harness.widget import Shop

PLAIN_DARK = Look("no-scripts-dark", dark=True, scripts=False)
PLAIN_NARROW = Look("no-scripts-narrow", 320, 640, scripts=False)
HOW_LIKELY = "How likely are you to recommend us to a friend?"
HOW_SATISFIED = "How satisfied are you with the help you received?"


@pytest.fixture
def asked(shop: Shop) -> Iterator[Callable[..., Invited]]:
    """A customer whose conversation was resolved by a business with a survey."""
    business = f"/api/businesses/{shop.demo.business}/update"

    def ask(kind: str = "nps", locale: str = "en") -> Invited:
        shop.store.call("POST", business, json={"survey": kind})
        carol = Invited(shop, locale=locale)
        shop.store.answer(carol.thread, "It is on its way.")
        resolved = {"customerThreadId": carol.thread, "status": "resolved"}
        shop.store.call("POST", "/api/update-thread-status", json=resolved)
        carol.wait_for_row("SELECT 1 FROM surveys WHERE thread_id = :thread")
        return carol

    yield ask
    shop.store.call("POST", business, json={"survey": None})


def question(page: Page, name: str = HOW_LIKELY) -> Locator:
    """The questions of the survey."""
    return page.get_by_role("group", name=name)


def answer(page: Page, score: str, comment: str = "") -> None:
    """Choose a score, add a comment, and send both."""
    page.get_by_role("radio", name=score).check()
    page.get_by_label("Would you like to add anything?").fill(comment)
    page.locator("form.card").get_by_role("button", name="Send").click()


def answers(carol: Invited) -> list[tuple[int | None, str | None]]:
    """The stored score and comment."""
    rows = carol.rows("SELECT score, comment FROM surveys WHERE thread_id = :thread")
    return [(row["score"], row["comment"]) for row in rows]


def test_without_scripts_a_survey_is_a_form_that_disappears_after_the_answer(asked: Callable[..., Invited]) -> None:
    carol = asked()
    _, page = carol.comes(NO_SCRIPTS)
    assert answers(carol) == [(None, None)]  # opening the page has no effect
    answer(page, "9", "Quick,\nand kind!")
    expect(page.get_by_role("status")).to_have_text("Thank you for your feedback.")
    assert answers(carol) == [(9, "Quick,\nand kind!")]
    expect(question(page)).to_have_count(0)
    page.goto(page.url.partition("?")[0])
    expect(question(page)).to_have_count(0)


def test_satisfaction_has_five_steps_with_named_ends(asked: Callable[..., Invited]) -> None:
    carol = asked("csat")
    _, page = carol.comes(NO_SCRIPTS)
    names = question(page, HOW_SATISFIED).get_by_role("radio").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert names == ["1 – Very dissatisfied", "2", "3", "4", "5 – Very satisfied"]
    answer(page, "5 – Very satisfied")
    expect(page.get_by_role("status")).to_have_text("Thank you for your feedback.")
    assert answers(carol) == [(5, None)]


def test_a_second_answer_is_told_that_the_first_one_stays(asked: Callable[..., Invited]) -> None:
    carol = asked()
    visit, page = carol.comes(NO_SCRIPTS)
    same, other = (page.context.new_page() for _ in "12")
    for tab in (same, other):
        tab.goto(page.url)
    for tab in (page, same):  # the same answer again changes nothing
        answer(tab, "3")
        expect(tab.get_by_role("status")).to_have_text("Thank you for your feedback.")
    page.go_back()
    expect(question(page)).to_have_count(0)
    answer(other, "8")
    expect(other.get_by_role("alert")).to_have_text("You have already answered this question.")
    expect(question(other)).to_have_count(0)
    assert answers(carol) == [(3, None)]
    assert len(carol.rows("SELECT 1 FROM events WHERE type = 'survey-answered' AND thread_id = :thread")) == 1
    visit.forgive("status of 409")


def test_with_scripts_a_survey_is_a_card_and_not_a_form(asked: Callable[..., Invited]) -> None:
    carol = asked()
    _, page = carol.comes()
    expect(question(page)).to_have_count(1)
    with page.expect_response("**/api/customer/survey") as answered:
        answer(page, "10 – Very likely")
    assert answered.value.status == 200
    assert answers(carol) == [(10, None)]


def test_another_customer_cannot_answer_the_survey(asked: Callable[..., Invited], shop: Shop) -> None:
    carol = asked()
    dave = Invited(shop)
    (row,) = carol.rows("SELECT id FROM surveys WHERE thread_id = :thread")
    form = {"surveyId": str(row["id"]), "score": "0", "comment": "Bad."}
    _, page = dave.comes(NO_SCRIPTS)
    (cookie,) = page.context.cookies()
    daves = {"Cookie": f"{cookie['name']}={cookie['value']}", "Sec-Fetch-Site": "same-origin"}
    with httpx2.Client(base_url=shop.demo.url, trust_env=False) as client:
        assert client.post(f"/c/{carol.thread}/survey", data=form).status_code == 410
        assert client.post(f"/c/{carol.thread}/survey", data=form, headers=daves).status_code == 410
        assert client.post(f"/c/{dave.thread}/survey", data=form, headers=daves).status_code == 404
        _, page = carol.comes(NO_SCRIPTS)
        (cookie,) = page.context.cookies()
        hers = {"Cookie": f"{cookie['name']}={cookie['value']}", "Sec-Fetch-Site": "cross-site"}
        assert client.post(f"/c/{carol.thread}/survey", data=form, headers=hers).status_code == 403
        hers["Sec-Fetch-Site"] = "same-origin"
        for wrong in ({"score": "11"}, {"score": "٣"}, {"score": "-1"}, {"score": ""}, {"comment": "x" * 2_001}):
            assert client.post(f"/c/{carol.thread}/survey", data=form | wrong, headers=hers).status_code == 400
        for wrong in ({"surveyId": "x"}, {"surveyId": "9" * 17}, {"surveyId": carol.thread}):
            assert client.post(f"/c/{carol.thread}/survey", data=form | wrong, headers=hers).status_code == 404
    assert answers(carol) == [(None, None)]


@pytest.mark.parametrize(
    "look", [NO_SCRIPTS, PLAIN_DARK, PLAIN_NARROW, DESKTOP, DARK, NARROW], ids=lambda one: one.name
)
def test_the_survey_card_is_accessible(look: Look, asked: Callable[..., Invited]) -> None:
    _, page = asked().comes(look)
    expect(question(page)).to_be_visible()
    page.locator("form.card").scroll_into_view_if_needed()
    keep_image(page, f"conversation-survey-{look.name}")
    if look.scripts:
        assert faults(page) == []
        assert overflow_px(page) == 0


@pytest.mark.parametrize("look", [DESKTOP, DARK, NARROW], ids=lambda one: one.name)
@pytest.mark.parametrize("locale", ["en", "ar"])
def test_the_survey_form_is_accessible(look: Look, locale: str, asked: Callable[..., Invited]) -> None:
    """The form is accessible.

    Axe is a script, so it checks the form in a page without other scripts, which would hide the form.
    """

    def without_scripts(route: Route) -> None:
        answered = route.fetch()
        html = re.sub(r"</?noscript>|<script defer.*?</script>", "", answered.text())
        route.fulfill(response=answered, body=html)

    _, page = asked(locale=locale).comes(look)
    page.route("**/c/*", without_scripts)
    page.reload()
    expect(page.locator("form.card input")).to_have_count(1 + 11)
    expect(page.locator("form.card fieldset")).to_be_visible()
    assert faults(page) == []
    assert overflow_px(page) == 0
