"""One email of each kind and language, with all content and with little."""

from dataclasses import replace

from shopbell.email.compose import compose
from shopbell.email.message import EmailContent, Purpose, Quoted
from shopbell.i18n.translations import LANGUAGES

NOON_MS = 1_700_049_600_000
LONG = "https://example.com/" + "x" * 300

FULL = EmailContent(
    purpose=Purpose.REPLY,
    message_id="<one@reply.example>",
    envelope_sender="bounce+token@reply.example",
    sender="shop@acme.example",
    recipient="carol@customers.example",
    business_name="Acme Bikes",
    customer_name="Carol Jones",
    at_ms=NOON_MS,
    reply_to="reply+token@reply.example",
    messages=(
        Quoted("Alice", f"Your bike is ready.\n\n{LONG}", NOON_MS),
        Quoted("Acme Bikes", "", NOON_MS, "bill.pdf", "https://chat.example.org/attachments/u/bill.pdf"),
    ),
    history=(Quoted(None, "Is my bike ready?", NOON_MS), Quoted("Alice", "", NOON_MS, "bill.pdf")),
    others=3,
    button_url="https://chat.example.org/t/abc",
    unsubscribe_url="https://chat.example.org/unsubscribe/abc",
)
LETTERS = {
    f"{purpose} {language} {'with all' if is_full else 'bare'}": replace(
        FULL if is_full else replace(FULL, messages=(), history=(), reply_to=None, unsubscribe_url=None),
        purpose=purpose,
        locale=language,
    )
    for purpose in Purpose
    for language in LANGUAGES
    for is_full in (True, False)
}


def html_of(letter: EmailContent) -> str:
    """The page of a mail."""
    body = compose(letter).message.get_body(("html",))
    assert body is not None
    return str(body.get_content())
