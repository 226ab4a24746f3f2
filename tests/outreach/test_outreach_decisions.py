"""What is to be sent is decided by pure functions."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from shopbell.hours import OpeningHours
from shopbell.outreach.decisions import (
    INVITED_WITHIN_MS,
    SURVEY_EVERY_MS,
    TOO_LATE_MS,
    Facts,
    News,
    Plan,
    Reader,
    Rules,
    Said,
    Store,
    Turned,
    decide,
    joined,
    reach,
)

NOW_MS = 1_700_000_000_000  # a Tuesday, 22:13:20 UTC
RULES = Rules(mail_batch_ms=60_000, sends_mails=True, sends_texts=True, sends_whatsapp=True)
CAROL = Reader(email="carol@example.com", phone="+15551234567")
BOSTON = Store(email="boston@acme.example")
FACTS = Facts(1, "WEB", "waiting", last_reply_sequence=0, read_sequence=0, reader=CAROL, store=BOSTON)
ANSWERED = replace(FACTS, status="replied", last_reply_sequence=2)
CLOSED = OpeningHours.from_json({"weekly": {"tue": [["09:00", "18:00"]]}}, "UTC")
OPEN = OpeningHours.from_json({"weekly": {"tue": [["09:00", "24:00"]]}}, "UTC")


def hello(sequence: int = 1, channel: str | None = None) -> Said:
    """The customer's message."""
    return Said(100 + sequence, sequence, NOW_MS, from_customer=True, channel=channel)


def answer(sequence: int = 2, channel: str | None = None, *, is_template: bool = False) -> Said:
    """The store's message."""
    return Said(100 + sequence, sequence, NOW_MS, False, channel, is_template)


def follows(facts: Facts, *news: News, rules: Rules = RULES) -> Plan:
    """What follows from news."""
    return decide(facts, news, rules, now_ms=NOW_MS)


def sent(plan: Plan) -> list[tuple[str, str, str]]:
    """Channel, audience and purpose of what is sent."""
    return [(send.channel, send.audience, send.purpose) for send in plan.sends]


def recorded(plan: Plan) -> list[tuple[str, str, str | None]]:
    """Channel, state and reason of what is not sent."""
    return [(record.channel, record.state, record.reason) for record in plan.records]


def test_the_first_message_invites_the_customer_and_tells_the_store() -> None:
    plan = follows(FACTS, hello())
    assert sent(plan) == [("EMAIL", "store", "store-notice"), ("EMAIL", "customer", "invitation")]
    assert plan.invites
    assert plan.told_sequence == 1


def test_a_later_message_invites_nobody() -> None:
    assert "invitation" not in {send.purpose for send in follows(FACTS, hello(2)).sends}


def test_who_was_invited_is_not_invited_again() -> None:
    assert "invitation" not in {send.purpose for send in follows(replace(FACTS, is_invited=True), hello()).sends}


def test_a_business_that_invites_nobody_does_not() -> None:
    store = replace(BOSTON, invites=False)
    assert sent(follows(replace(FACTS, store=store), hello())) == [("EMAIL", "store", "store-notice")]


def test_an_address_that_nobody_vouched_for_gets_no_invitation_but_the_answer() -> None:
    reader = replace(CAROL, verified=frozenset())
    assert not follows(replace(FACTS, reader=reader), hello()).invites
    assert sent(follows(replace(ANSWERED, reader=reader), answer())) == [("EMAIL", "customer", "reply")]


def test_who_wrote_by_mail_is_not_invited() -> None:
    assert not follows(replace(FACTS, channel="EMAIL"), hello(channel="EMAIL")).invites


def test_who_has_only_a_number_is_invited_by_text_where_texts_are_sent() -> None:
    facts = replace(FACTS, reader=Reader(phone="+15551234567"), store=Store())
    assert sent(follows(facts, hello())) == [("SMS", "customer", "invitation")]
    assert sent(follows(facts, hello(), rules=replace(RULES, sends_texts=False))) == []


def test_an_answer_on_the_web_waits_in_the_widget_and_goes_by_mail() -> None:
    plan = follows(ANSWERED, answer())
    assert recorded(plan) == [("WEB", "queued", None)]
    assert sent(plan) == [("EMAIL", "customer", "reply")]
    assert plan.sends[0].due_at_ms == NOW_MS + 60_000


def test_an_answer_that_was_read_in_the_widget_is_not_mailed() -> None:
    plan = follows(replace(ANSWERED, read_sequence=2), answer())
    assert recorded(plan) == [("WEB", "read", None)]
    assert sent(plan) == []


@pytest.mark.parametrize("channel", ["EMAIL", "SMS", "WHATSAPP"])
def test_an_answer_goes_where_the_customer_last_wrote(channel: str) -> None:
    plan = follows(replace(ANSWERED, channel=channel), answer())
    assert sent(plan) == [(channel, "customer", "reply")]
    assert recorded(plan) == []


def test_a_channel_that_was_asked_for_wins_over_the_customers_own() -> None:
    assert sent(follows(ANSWERED, answer(channel="SMS"))) == [("SMS", "customer", "reply")]


def test_who_has_no_address_is_answered_by_text_and_who_has_neither_in_the_widget_alone() -> None:
    assert sent(follows(replace(ANSWERED, reader=Reader(phone="+15551234567")), answer())) == [
        ("SMS", "customer", "reply")
    ]
    plan = follows(replace(ANSWERED, reader=Reader()), answer())
    assert (sent(plan), recorded(plan)) == ([], [("WEB", "queued", None)])


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (replace(ANSWERED, channel="SMS", reader=replace(CAROL, cannot="erased")), "erased"),
        (replace(ANSWERED, channel="EMAIL", reader=replace(CAROL, cannot="blocked")), "blocked"),
        (replace(ANSWERED, channel="EMAIL", reader=Reader()), "no_address"),
        (replace(ANSWERED, channel="SMS", reader=replace(CAROL, closed=frozenset({"SMS"}))), "opted_out"),
    ],
)
def test_what_cannot_be_sent_says_why(facts: Facts, reason: str) -> None:
    plan = follows(facts, answer())
    assert sent(plan) == []
    assert [record.reason for record in plan.records] == [reason]


@pytest.mark.parametrize(
    ("channel", "missing", "reason"),
    [
        ("EMAIL", {"sends_mails": False}, "no_mail_server"),
        ("SMS", {"sends_texts": False, "sends_whatsapp": False}, "no_sms_provider"),
        ("WHATSAPP", {"sends_texts": False, "sends_whatsapp": False}, "no_sms_provider"),
        ("WHATSAPP", {"sends_whatsapp": False}, "no_whatsapp_sender"),
    ],
)
def test_an_answer_by_a_channel_that_is_not_set_up_fails(channel: str, missing: dict[str, bool], reason: str) -> None:
    plan = follows(replace(ANSWERED, channel=channel), answer(), rules=replace(RULES, **missing))
    assert (sent(plan), recorded(plan)) == ([], [(channel, "failed", reason)])


@pytest.mark.parametrize(
    ("reader", "record"),
    [
        (Reader(email="carol@example.com"), ("EMAIL", "failed", "no_mail_server")),
        (Reader(phone="+15551234567"), ("SMS", "failed", "no_sms_provider")),
        (CAROL, ("EMAIL", "failed", "no_mail_server")),
    ],
)
def test_an_answer_on_the_web_fails_by_the_way_that_the_customer_has(
    reader: Reader, record: tuple[str, str, str]
) -> None:
    rules = replace(RULES, sends_mails=False, sends_texts=False)
    plan = follows(replace(ANSWERED, reader=reader), answer(), rules=rules)
    assert (sent(plan), recorded(plan)) == ([], [("WEB", "queued", None), record])


def test_without_a_mail_server_a_customer_with_a_number_is_answered_and_invited_by_text() -> None:
    rules = replace(RULES, sends_mails=False)
    assert sent(follows(ANSWERED, answer(), rules=rules)) == [("SMS", "customer", "reply")]
    assert sent(follows(FACTS, hello(), rules=rules)) == [("SMS", "customer", "invitation")]


def test_without_a_mail_server_each_message_says_that_the_store_was_not_mailed() -> None:
    plan = follows(FACTS, hello(), hello(2), rules=replace(RULES, sends_mails=False, sends_texts=False))
    assert [(record.audience, record.message.sequence) for record in plan.records] == [("store", 1), ("store", 2)]
    assert recorded(plan) == [("EMAIL", "failed", "no_mail_server")] * 2
    assert (sent(plan), plan.told_sequence, plan.invites) == ([], None, False)


def test_a_store_that_is_to_be_told_and_has_no_address_is_not_said_to_be_told() -> None:
    facts = replace(FACTS, store=Store(lacks_email=True), is_invited=True)
    plan = follows(facts, hello(), hello(2))
    assert [(record.audience, record.message.sequence) for record in plan.records] == [("store", 1)]
    assert recorded(plan) == [("EMAIL", "failed", "no_address")]
    assert follows(replace(facts, store=Store()), hello()).records == []


def test_quick_answers_go_in_one_mail_and_a_template_alone() -> None:
    facts = replace(ANSWERED, last_reply_sequence=4)
    plan = follows(facts, answer(2), answer(3), answer(4))
    assert [[said.sequence for said in send.messages] for send in joined(plan.sends)] == [[2, 3, 4]]
    facts = replace(facts, channel="WHATSAPP")
    plan = follows(facts, answer(2), answer(3, is_template=True), answer(4))
    assert [[said.sequence for said in send.messages] for send in joined(plan.sends)] == [[2, 4], [3]]
    plan = follows(facts, answer(2, is_template=True), answer(3))
    assert [[said.sequence for said in send.messages] for send in joined(plan.sends)] == [[2], [3]]


def test_who_wants_no_mails_is_sent_texts_and_who_wants_neither_nothing() -> None:
    no_mails = replace(CAROL, closed=frozenset({"EMAIL"}))
    assert sent(follows(replace(ANSWERED, reader=no_mails), answer())) == [("SMS", "customer", "reply")]
    assert ("EMAIL", "customer", "invitation") not in sent(follows(replace(FACTS, reader=no_mails), hello()))
    neither = replace(CAROL, closed=frozenset({"EMAIL", "SMS"}))
    plan = follows(replace(ANSWERED, reader=neither), answer())
    assert (sent(plan), recorded(plan)) == ([], [("WEB", "queued", None), ("EMAIL", "failed", "opted_out")])
    assert not follows(replace(FACTS, reader=neither), hello()).invites


def test_the_store_is_told_once_until_somebody_answers() -> None:
    told = replace(FACTS, told_sequence=1, is_invited=True)
    plan = follows(told, hello(2))
    assert plan.told_sequence == 1
    assert all(send.joins for send in plan.sends)  # it may join a notice that waits, and makes none
    plan = follows(replace(told, last_reply_sequence=2), answer(2), hello(3))
    assert plan.told_sequence == 3
    assert [send.joins for send in plan.sends if send.purpose == "store-notice"] == [False]


def test_a_store_is_told_anew_when_a_resolved_conversation_is_reopened() -> None:
    told = replace(FACTS, told_sequence=1, is_invited=True)
    plan = follows(told, Turned("resolved", NOW_MS), hello(2))
    assert plan.told_sequence == 2


def test_what_was_answered_before_anybody_looked_is_not_told() -> None:
    assert sent(follows(replace(ANSWERED, is_invited=True), hello(1))) == []


def test_a_blocked_customer_sets_nothing_going() -> None:
    assert sent(follows(replace(FACTS, reader=replace(CAROL, cannot="blocked")), hello())) == []


def test_who_writes_to_a_closed_store_is_told_once_in_each_closed_period() -> None:
    facts = replace(FACTS, store=replace(BOSTON, hours=CLOSED), is_invited=True)
    plan = follows(facts, hello(1), hello(2))
    assert plan.auto_reply_period == CLOSED.closed_period_id(NOW_MS)
    assert follows(replace(facts, auto_replied_period=plan.auto_reply_period), hello(3)).auto_reply_period is None
    assert follows(replace(facts, auto_replied_period=1), hello(3)).auto_reply_period == plan.auto_reply_period


def test_who_writes_to_an_open_store_hears_nothing_automatic() -> None:
    assert OPEN.zone == ZoneInfo("UTC")
    assert follows(replace(FACTS, store=replace(BOSTON, hours=OPEN)), hello()).auto_reply_period is None


@pytest.mark.parametrize("channel", ["WEB", "EMAIL", "SMS", "WHATSAPP"])
@pytest.mark.parametrize("is_verified", [True, False])
def test_what_is_said_automatically_goes_to_no_address_that_nobody_vouched_for(channel: str, is_verified: bool) -> None:
    others = frozenset({"email", "phone"}) - {"email" if channel in ("WEB", "EMAIL") else "phone"}
    reader = CAROL if is_verified else replace(CAROL, phone=None if channel == "WEB" else CAROL.phone, verified=others)
    facts = replace(FACTS, channel=channel, reader=reader)
    plan = Plan(None)
    reach(plan, facts, answer(), "auto-reply", RULES, now_ms=NOW_MS)
    by_address = [("EMAIL" if channel == "WEB" else channel, "customer", "auto-reply")]
    assert sent(plan) == (by_address if is_verified else [])
    assert recorded(plan) == ([("WEB", "queued", None)] if channel == "WEB" else [])


def test_what_nobody_asked_for_goes_to_the_address_that_somebody_vouched_for_and_not_to_the_other() -> None:
    only_phone = replace(CAROL, verified=frozenset({"phone"}))
    facts = replace(FACTS, reader=only_phone, store=Store())
    assert [(send.channel, send.address) for send in follows(facts, hello()).sends] == [("SMS", CAROL.phone)]
    plan = Plan(None)
    reach(plan, facts, answer(), "auto-reply", RULES, now_ms=NOW_MS)
    assert [(send.channel, send.address) for send in plan.sends] == [("SMS", CAROL.phone)]
    only_email = replace(CAROL, verified=frozenset({"email"}), closed=frozenset({"EMAIL"}))
    assert sent(follows(replace(facts, reader=only_email), hello())) == []


@pytest.mark.parametrize("channel", ["EMAIL", "SMS", "WHATSAPP"])
def test_an_answer_that_nobody_looked_at_for_too_long_is_said_to_have_failed(channel: str) -> None:
    facts, late_ms = replace(ANSWERED, channel=channel), TOO_LATE_MS[channel]
    plan = follows(facts, replace(answer(), at_ms=NOW_MS - late_ms - 1))
    assert (sent(plan), recorded(plan)) == ([], [(channel, "failed", "too_old")])
    assert sent(follows(facts, replace(answer(), at_ms=NOW_MS - late_ms))) == [(channel, "customer", "reply")]


def test_what_is_not_true_any_more_is_not_said_of_what_happened_long_ago() -> None:
    long_ago_ms = NOW_MS - INVITED_WITHIN_MS - 1  # at this time of the day before, the store was closed as well
    facts = replace(FACTS, store=replace(BOSTON, hours=CLOSED))
    plan = follows(facts, replace(hello(), at_ms=long_ago_ms))
    assert (sent(plan), plan.auto_reply_period) == ([("EMAIL", "store", "store-notice")], None)
    earlier = replace(hello(), at_ms=NOW_MS - 60_000)
    assert follows(facts, earlier).auto_reply_period == CLOSED.closed_period_id(NOW_MS)
    facts = replace(ANSWERED, status="resolved", store=replace(BOSTON, survey="nps"))
    assert follows(facts, Turned("resolved", NOW_MS - TOO_LATE_MS["EMAIL"] - 1)).asks is None
    assert follows(facts, Turned("resolved", NOW_MS - TOO_LATE_MS["EMAIL"])).asks == "nps"


def test_an_automatic_message_answers_nothing() -> None:
    plan = follows(replace(FACTS, told_sequence=1), answer(2))
    assert plan.told_sequence == 1
    assert (sent(plan), recorded(plan)) == ([], [])


def test_who_was_answered_is_asked_when_the_thread_is_resolved() -> None:
    store = replace(BOSTON, survey="nps")
    facts = replace(ANSWERED, status="resolved", store=store)
    resolved = Turned("resolved", NOW_MS)
    plan = follows(facts, resolved)
    assert plan.asks == "nps"
    assert sent(plan) == [("EMAIL", "customer", "survey")]
    assert follows(replace(facts, last_reply_sequence=0), resolved).asks is None
    assert follows(replace(facts, store=BOSTON), resolved).asks is None
    assert follows(replace(facts, status="waiting"), resolved).asks is None


def test_nobody_is_asked_twice_in_thirty_days() -> None:
    facts = replace(ANSWERED, status="resolved", store=replace(BOSTON, survey="csat"))
    resolved = Turned("resolved", NOW_MS)
    assert follows(replace(facts, last_asked_ms=NOW_MS - SURVEY_EVERY_MS + 1), resolved).asks is None
    assert follows(replace(facts, last_asked_ms=NOW_MS - SURVEY_EVERY_MS), resolved).asks == "csat"


def test_addresses_are_not_in_what_a_plan_shows_of_itself() -> None:
    shown = repr([follows(FACTS, hello()), FACTS])
    assert "example" not in shown
    assert "555" not in shown
