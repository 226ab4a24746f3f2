"""Pure functions decide which notifications are sent."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from harness.channel_rules import rules
from shopbell.notifications.capabilities import Rules
from shopbell.notifications.policy import (
    INVITED_WITHIN_MS,
    SURVEY_EVERY_MS,
    SURVEY_WITHIN_MS,
    Business,
    Context,
    Event,
    Plan,
    Reader,
    Said,
    Turned,
    decide,
    joined,
    reach,
)
from shopbell.organizations.opening_hours import OpeningHours

NOW_MS = 1_700_000_000_000  # a Tuesday, 22:13:20 UTC
RULES = rules()
EMAIL, PHONE = "carol@example.com", "+15551234567"
CAROL = Reader({"email": EMAIL, "phone": PHONE}, verified=frozenset({"email", "phone"}))
BY_EMAIL = replace(CAROL, addresses={"email": EMAIL})
BY_PHONE = replace(CAROL, addresses={"phone": PHONE})
BOSTON = Business(email="boston@acme.example")
FACTS = Context(1, "WEB", "waiting", last_reply_sequence=0, read_sequence=0, reader=CAROL, business=BOSTON)
ANSWERED = replace(FACTS, status="replied", last_reply_sequence=2)
CLOSED = OpeningHours.from_json({"weekly": {"tue": [["09:00", "18:00"]]}}, "UTC")
OPEN = OpeningHours.from_json({"weekly": {"tue": [["09:00", "24:00"]]}}, "UTC")


def hello(sequence: int = 1, channel: str | None = None) -> Said:
    """The customer's message."""
    return Said(100 + sequence, sequence, NOW_MS, from_customer=True, channel=channel)


def answer(sequence: int = 2, channel: str | None = None, *, is_template: bool = False) -> Said:
    """The business's message."""
    return Said(100 + sequence, sequence, NOW_MS, False, channel, is_template)


def follows(context: Context, *news: Event, given: Rules = RULES) -> Plan:
    """What follows from news."""
    return decide(context, news, given, now_ms=NOW_MS)


def sent(plan: Plan) -> list[tuple[str, str, str]]:
    """Channel, audience and purpose of what is sent."""
    return [(send.channel, send.audience, send.purpose) for send in plan.sends]


def recorded(plan: Plan) -> list[tuple[str, str, str | None]]:
    """Channel, state and reason of what is not sent."""
    return [(record.channel, record.state, record.reason) for record in plan.records]


def test_the_first_message_invites_the_customer_and_notifies_the_business() -> None:
    plan = follows(FACTS, hello())
    assert sent(plan) == [("EMAIL", "store", "store-notice"), ("EMAIL", "customer", "invitation")]
    assert plan.invites
    assert plan.notified_sequence == 1


def test_a_later_message_sends_no_invitation() -> None:
    assert "invitation" not in {send.purpose for send in follows(FACTS, hello(2)).sends}


def test_a_customer_is_invited_once() -> None:
    assert "invitation" not in {send.purpose for send in follows(replace(FACTS, is_invited=True), hello()).sends}


def test_a_business_can_turn_invitations_off() -> None:
    business = replace(BOSTON, invites=False)
    assert sent(follows(replace(FACTS, business=business), hello())) == [("EMAIL", "store", "store-notice")]


def test_an_unverified_address_gets_replies_but_no_invitation() -> None:
    reader = replace(CAROL, verified=frozenset())
    assert not follows(replace(FACTS, reader=reader), hello()).invites
    assert sent(follows(replace(ANSWERED, reader=reader), answer())) == [("EMAIL", "customer", "reply")]


def test_a_customer_who_wrote_by_email_is_not_invited() -> None:
    assert not follows(replace(FACTS, channel="EMAIL"), hello(channel="EMAIL")).invites


def test_a_customer_with_only_a_number_is_invited_by_sms_if_possible() -> None:
    context = replace(FACTS, reader=BY_PHONE, business=Business())
    assert sent(follows(context, hello())) == [("SMS", "customer", "invitation")]
    assert sent(follows(context, hello(), given=rules(texts=False))) == []


def test_a_web_reply_waits_in_the_widget_before_it_is_emailed() -> None:
    plan = follows(ANSWERED, answer())
    assert recorded(plan) == [("WEB", "queued", None)]
    assert sent(plan) == [("EMAIL", "customer", "reply")]
    assert plan.sends[0].due_at_ms == NOW_MS + 60_000


def test_a_reply_read_in_the_widget_is_not_emailed() -> None:
    plan = follows(replace(ANSWERED, read_sequence=2), answer())
    assert recorded(plan) == [("WEB", "read", None)]
    assert sent(plan) == []


@pytest.mark.parametrize("channel", ["EMAIL", "SMS", "WHATSAPP"])
def test_a_reply_goes_to_the_channel_the_customer_last_used(channel: str) -> None:
    plan = follows(replace(ANSWERED, channel=channel), answer())
    assert sent(plan) == [(channel, "customer", "reply")]
    assert recorded(plan) == []


def test_a_requested_channel_overrides_the_customers_own() -> None:
    assert sent(follows(ANSWERED, answer(channel="SMS"))) == [("SMS", "customer", "reply")]


def test_without_an_address_a_reply_goes_by_sms_or_only_to_the_widget() -> None:
    assert sent(follows(replace(ANSWERED, reader=BY_PHONE), answer())) == [("SMS", "customer", "reply")]
    plan = follows(replace(ANSWERED, reader=Reader()), answer())
    assert (sent(plan), recorded(plan)) == ([], [("WEB", "queued", None)])


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        (replace(ANSWERED, channel="SMS", reader=replace(CAROL, cannot="erased")), "erased"),
        (replace(ANSWERED, channel="EMAIL", reader=replace(CAROL, cannot="blocked")), "blocked"),
        (replace(ANSWERED, channel="EMAIL", reader=Reader()), "no_address"),
        (replace(ANSWERED, channel="SMS", reader=replace(CAROL, closed=frozenset({"SMS"}))), "opted_out"),
    ],
)
def test_an_unsendable_message_has_a_reason(context: Context, reason: str) -> None:
    plan = follows(context, answer())
    assert sent(plan) == []
    assert [record.reason for record in plan.records] == [reason]


@pytest.mark.parametrize(
    ("channel", "missing", "reason"),
    [
        ("EMAIL", {"mails": False}, "no_mail_server"),
        ("SMS", {"texts": False}, "no_sms_provider"),
        ("WHATSAPP", {"texts": False}, "no_sms_provider"),
        ("WHATSAPP", {"whatsapp": False}, "no_whatsapp_sender"),
    ],
)
def test_a_reply_on_an_unconfigured_channel_fails(channel: str, missing: dict[str, bool], reason: str) -> None:
    plan = follows(replace(ANSWERED, channel=channel), answer(), given=rules(**missing))
    assert (sent(plan), recorded(plan)) == ([], [(channel, "failed", reason)])


@pytest.mark.parametrize(
    ("reader", "record"),
    [
        (BY_EMAIL, ("EMAIL", "failed", "no_mail_server")),
        (BY_PHONE, ("SMS", "failed", "no_sms_provider")),
        (CAROL, ("EMAIL", "failed", "no_mail_server")),
    ],
)
def test_a_web_reply_fails_on_the_channel_the_customer_has(reader: Reader, record: tuple[str, str, str]) -> None:
    plan = follows(replace(ANSWERED, reader=reader), answer(), given=rules(mails=False, texts=False))
    assert (sent(plan), recorded(plan)) == ([], [("WEB", "queued", None), record])


def test_without_a_mail_server_a_customer_with_a_number_gets_replies_and_invitations_by_sms() -> None:
    no_mails = rules(mails=False)
    assert sent(follows(ANSWERED, answer(), given=no_mails)) == [("SMS", "customer", "reply")]
    assert sent(follows(FACTS, hello(), given=no_mails)) == [("SMS", "customer", "invitation")]


def test_without_a_mail_server_each_message_records_that_the_business_was_not_emailed() -> None:
    plan = follows(FACTS, hello(), hello(2), given=rules(mails=False, texts=False))
    assert [(record.audience, record.message.sequence) for record in plan.records] == [("store", 1), ("store", 2)]
    assert recorded(plan) == [("EMAIL", "failed", "no_mail_server")] * 2
    assert (sent(plan), plan.notified_sequence, plan.invites) == ([], None, False)


def test_a_business_without_an_address_is_not_recorded_as_notified() -> None:
    context = replace(FACTS, business=Business(lacks_email=True), is_invited=True)
    plan = follows(context, hello(), hello(2))
    assert [(record.audience, record.message.sequence) for record in plan.records] == [("store", 1)]
    assert recorded(plan) == [("EMAIL", "failed", "no_address")]
    assert follows(replace(context, business=Business()), hello()).records == []


def test_quick_replies_share_an_email_and_a_template_is_sent_alone() -> None:
    context = replace(ANSWERED, last_reply_sequence=4)
    plan = follows(context, answer(2), answer(3), answer(4))
    assert [[said.sequence for said in send.messages] for send in joined(plan.sends)] == [[2, 3, 4]]
    context = replace(context, channel="WHATSAPP")
    plan = follows(context, answer(2), answer(3, is_template=True), answer(4))
    assert [[said.sequence for said in send.messages] for send in joined(plan.sends)] == [[2, 4], [3]]
    plan = follows(context, answer(2, is_template=True), answer(3))
    assert [[said.sequence for said in send.messages] for send in joined(plan.sends)] == [[2], [3]]


def test_after_an_email_opt_out_replies_go_by_sms_and_after_both_nowhere() -> None:
    no_mails = replace(CAROL, closed=frozenset({"EMAIL"}))
    assert sent(follows(replace(ANSWERED, reader=no_mails), answer())) == [("SMS", "customer", "reply")]
    assert ("EMAIL", "customer", "invitation") not in sent(follows(replace(FACTS, reader=no_mails), hello()))
    neither = replace(CAROL, closed=frozenset({"EMAIL", "SMS"}))
    plan = follows(replace(ANSWERED, reader=neither), answer())
    assert (sent(plan), recorded(plan)) == ([], [("WEB", "queued", None), ("EMAIL", "failed", "opted_out")])
    assert not follows(replace(FACTS, reader=neither), hello()).invites


def test_the_business_is_notified_once_until_an_employee_replies() -> None:
    told = replace(FACTS, notified_sequence=1, is_invited=True)
    plan = follows(told, hello(2))
    assert plan.notified_sequence == 1
    assert all(send.joins for send in plan.sends)  # it may join a notice that waits, and makes none
    plan = follows(replace(told, last_reply_sequence=2), answer(2), hello(3))
    assert plan.notified_sequence == 3
    assert [send.joins for send in plan.sends if send.purpose == "store-notice"] == [False]


def test_the_business_is_notified_again_when_a_resolved_conversation_reopens() -> None:
    told = replace(FACTS, notified_sequence=1, is_invited=True)
    plan = follows(told, Turned("resolved", NOW_MS), hello(2))
    assert plan.notified_sequence == 2


def test_a_message_answered_before_the_decision_causes_no_notification() -> None:
    assert sent(follows(replace(ANSWERED, is_invited=True), hello(1))) == []


def test_a_blocked_customer_causes_no_notification() -> None:
    assert sent(follows(replace(FACTS, reader=replace(CAROL, cannot="blocked")), hello())) == []


def test_a_customer_is_told_once_per_closed_period_that_the_business_is_closed() -> None:
    context = replace(FACTS, business=replace(BOSTON, hours=CLOSED), is_invited=True)
    plan = follows(context, hello(1), hello(2))
    assert plan.auto_reply_period == CLOSED.closed_period_id(NOW_MS)
    assert follows(replace(context, auto_replied_period=plan.auto_reply_period), hello(3)).auto_reply_period is None
    assert follows(replace(context, auto_replied_period=1), hello(3)).auto_reply_period == plan.auto_reply_period


def test_an_open_business_sends_no_automatic_reply() -> None:
    assert OPEN.zone == ZoneInfo("UTC")
    assert follows(replace(FACTS, business=replace(BOSTON, hours=OPEN)), hello()).auto_reply_period is None


@pytest.mark.parametrize("channel", ["WEB", "EMAIL", "SMS", "WHATSAPP"])
@pytest.mark.parametrize("is_verified", [True, False])
def test_automatic_messages_do_not_go_to_unverified_addresses(channel: str, is_verified: bool) -> None:
    others = frozenset({"email", "phone"}) - {"email" if channel in ("WEB", "EMAIL") else "phone"}
    reader = CAROL if is_verified else replace(BY_EMAIL if channel == "WEB" else CAROL, verified=others)
    context = replace(FACTS, channel=channel, reader=reader)
    plan = Plan(None)
    reach(plan, context, answer(), "auto-reply", RULES, now_ms=NOW_MS)
    by_address = [("EMAIL" if channel == "WEB" else channel, "customer", "auto-reply")]
    assert sent(plan) == (by_address if is_verified else [])
    assert recorded(plan) == ([("WEB", "queued", None)] if channel == "WEB" else [])


def test_unsolicited_messages_go_to_the_verified_address_only() -> None:
    only_phone = replace(CAROL, verified=frozenset({"phone"}))
    context = replace(FACTS, reader=only_phone, business=Business())
    assert [(send.channel, send.address) for send in follows(context, hello()).sends] == [("SMS", PHONE)]
    plan = Plan(None)
    reach(plan, context, answer(), "auto-reply", RULES, now_ms=NOW_MS)
    assert [(send.channel, send.address) for send in plan.sends] == [("SMS", PHONE)]
    only_email = replace(CAROL, verified=frozenset({"email"}), closed=frozenset({"EMAIL"}))
    assert sent(follows(replace(context, reader=only_email), hello())) == []


@pytest.mark.parametrize("channel", ["EMAIL", "SMS", "WHATSAPP"])
def test_a_reply_undecided_for_too_long_is_recorded_as_failed(channel: str) -> None:
    context, late_ms = replace(ANSWERED, channel=channel), RULES[channel].too_late_ms
    plan = follows(context, replace(answer(), at_ms=NOW_MS - late_ms - 1))
    assert (sent(plan), recorded(plan)) == ([], [(channel, "failed", "too_old")])
    assert sent(follows(context, replace(answer(), at_ms=NOW_MS - late_ms))) == [(channel, "customer", "reply")]


def test_automatic_messages_that_are_out_of_date_are_not_sent() -> None:
    long_ago_ms = NOW_MS - INVITED_WITHIN_MS - 1  # at this time of the day before, the business was closed as well
    context = replace(FACTS, business=replace(BOSTON, hours=CLOSED))
    plan = follows(context, replace(hello(), at_ms=long_ago_ms))
    assert (sent(plan), plan.auto_reply_period) == ([("EMAIL", "store", "store-notice")], None)
    earlier = replace(hello(), at_ms=NOW_MS - 60_000)
    assert follows(context, earlier).auto_reply_period == CLOSED.closed_period_id(NOW_MS)
    context = replace(ANSWERED, status="resolved", business=replace(BOSTON, survey="nps"))
    assert follows(context, Turned("resolved", NOW_MS - SURVEY_WITHIN_MS - 1)).asks is None
    assert follows(context, Turned("resolved", NOW_MS - SURVEY_WITHIN_MS)).asks == "nps"


def test_an_automatic_message_does_not_count_as_a_reply() -> None:
    plan = follows(replace(FACTS, notified_sequence=1), answer(2))
    assert plan.notified_sequence == 1
    assert (sent(plan), recorded(plan)) == ([], [])


def test_an_answered_customer_gets_a_survey_when_the_thread_is_resolved() -> None:
    business = replace(BOSTON, survey="nps")
    context = replace(ANSWERED, status="resolved", business=business)
    resolved = Turned("resolved", NOW_MS)
    plan = follows(context, resolved)
    assert plan.asks == "nps"
    assert sent(plan) == [("EMAIL", "customer", "survey")]
    assert follows(replace(context, last_reply_sequence=0), resolved).asks is None
    assert follows(replace(context, business=BOSTON), resolved).asks is None
    assert follows(replace(context, status="waiting"), resolved).asks is None


def test_a_customer_gets_at_most_one_survey_in_thirty_days() -> None:
    context = replace(ANSWERED, status="resolved", business=replace(BOSTON, survey="csat"))
    resolved = Turned("resolved", NOW_MS)
    assert follows(replace(context, last_asked_ms=NOW_MS - SURVEY_EVERY_MS + 1), resolved).asks is None
    assert follows(replace(context, last_asked_ms=NOW_MS - SURVEY_EVERY_MS), resolved).asks == "csat"


def test_the_repr_of_a_plan_contains_no_addresses() -> None:
    shown = repr([follows(FACTS, hello()), FACTS])
    assert "example" not in shown
    assert "555" not in shown
