"""Emails of real email clients."""

from pathlib import Path

import pytest

from shopbell.email.auto_submitted import Reason
from shopbell.email.bounces import Bounce
from shopbell.email.parse import IncomingEmail, parse

SAMPLES = Path(__file__).parent / "samples"
OUR_MAIL = "<mfzgk3dpn5zxi2lomnxw42lumfuw4zyk@mail.shop.example.com>"

REPLIES = {
    "gmail-web-en": "Yes please, on Friday if you can.",
    "gmail-web-fr": "Oui, vendredi si possible. Merci !",
    "gmail-mobile-de": "Ja, gerne am Freitag.",
    "gmail-web-es": "Sí, el viernes por favor.",
    "gmail-web-it": "Sì, venerdì va bene. È al secondo piano.",
    "gmail-web-pt": "Sim, pode ser na sexta-feira.",
    "gmail-web-nl": "Ja graag, vrijdag als het kan.",
    "gmail-web-ar": "نعم، يوم الجمعة من فضلك.",
    "outlook-desktop-en": "Friday is fine. Please call before you come.",
    "outlook-desktop-de": "Freitag passt. Bitte vorher anrufen.",
    "outlook-desktop-fr": "Vendredi me convient.",
    "outlook-desktop-es": "El viernes está bien.",
    "outlook-desktop-it": "Venerdì va bene.",
    "outlook-desktop-pt": "Sexta-feira está bem.",
    "outlook-desktop-nl": "Vrijdag is goed.",
    "outlook-desktop-ar": "الجمعة مناسب لي.",
    "outlook-ios-en": "Thanks, got it!",
    "outlook-365-html-only": "It’s the third floor – the café side.\n\nDave",
    "outlook-original-message": "Friday works for me.",
    "outlook-urspruengliche-nachricht": "Schöne Grüße, Freitag passt.",
    "apple-iphone-en": "Yes, Friday after 5 please",
    "apple-iphone-de": "Ja, Freitag nach 17 Uhr",
    "apple-iphone-fr": "Oui, vendredi après 17 h",
    "apple-iphone-nl": "Ja, vrijdag na 17 uur",
    "apple-iphone-es": "Sí, el viernes después de las 17",
    "apple-iphone-ar": "نعم، الجمعة بعد الخامسة",
    "apple-mac-it": "Sì, venerdì.",
    "apple-mac-photo": "This is the corner where it shall stand:\n\nDoes it fit?",
    "thunderbird-flowed-en": (
        "I would like it on Friday, and please bring the two chairs that I ordered last month as well."
    ),
    "thunderbird-bottom-de": "Ja, bitte am Freitag.\n\nViele Grüße\nCarol",
    "thunderbird-inline-fr": (
        "Bonjour,\n\n> Quel jour vous convient ?\nVendredi.\n\n> À quel étage habitez-vous ?\nAu troisième.\n\nCarol"
    ),
    "yahoo-web-en": "Friday is good. I am home from 3 pm.",
    "yahoo-html-only-de": "Freitag ist gut.\nIch bin ab 15 Uhr da.",
    "plain-without-quote": ("Hi,\n\ndo you also have it in green:\n- the table\n- the bench\n\nBest regards,\nCarol"),
    "forwarded-invoice-en": (
        "This is the invoice I mean:\n\n---------- Forwarded message ---------\n"
        "From: Billing <billing@example.com>\nDate: Mon, May 4, 2026 at 8:00 AM\nSubject: Invoice 1001\n"
        "To: Carol Diaz <carol@example.com>\n\nYour invoice 1001 over 120.00 is due."
    ),
    "japanese-iso-2022-jp": "金曜日にお願いします。",
    "korean-gmail": "금요일에 부탁드립니다.",
    "swedish-apple": "Ja tack, på fredag.",
    "quoted-printable-soft-breaks": (
        "This is one long line that the program breaks softly because it is far longer than seventy-six characters, "
        "é included, and the 100% = sign stays."
    ),
    "wrong-charset-windows": "It’s “fine” – thanks",
    "raw-utf8-subject": "Passt.",
    "html-only-newsletter-style": "Size\t120 cm\nColour\tgreen\n\nSee this one <https://example.com/tables?id=7>.",
    "attachment-pdf-outlook": "The floor plan is attached.",
    "calendar-invitation": "Does this time suit you?",
    "smime-signed": "Friday, signed.",
    "smime-encrypted": "",
    "winmail-dat": "The measurements are in the file.",
    "person-asks-about-office-hours": "Are you open on Sunday?",
}

AUTOMATIC = {
    "auto-exchange-en": Reason.AUTO_SUBMITTED,
    "auto-gmail-vacation-fr": Reason.AUTO_SUBMITTED,
    "auto-vacation-unix": Reason.AUTO_SUBMITTED,
    "auto-subject-only-de": Reason.VACATION_SUBJECT,
    "auto-ticket-noreply-es": Reason.AUTO_SUBMITTED,
    "auto-mailing-list": Reason.MAILING_LIST,
    "auto-read-receipt": Reason.AUTO_REPLY_HEADER,
}

BOUNCES = {
    "bounce-postfix": Bounce("dave@example.com", "failed", "5.1.1", is_permanent=True, message_id=OUR_MAIL),
    "bounce-postfix-delayed": Bounce("dave@example.com", "delayed", "4.4.1", is_permanent=False, message_id=OUR_MAIL),
    "bounce-exchange": Bounce("dave@example.com", "failed", "5.1.10", is_permanent=True, message_id=OUR_MAIL),
    "bounce-gmail": Bounce("dave@example.com", "failed", "5.2.2", is_permanent=True, message_id=OUR_MAIL),
    "bounce-exim-text": Bounce("dave@example.com", "failed", "5.7.1", is_permanent=True, message_id=OUR_MAIL),
    "bounce-qmail-text": Bounce("dave@example.com", "failed", None, is_permanent=True, message_id=OUR_MAIL),
    "bounce-exim-delayed-text": Bounce("dave@example.com", "delayed", "4.7.1", is_permanent=False, message_id=None),
}

FILES = {
    "apple-mac-photo": [("Küche links.png", "image/png", 70)],
    "attachment-pdf-outlook": [("Grundriß.pdf", "application/pdf", 15)],
    "calendar-invitation": [("invite.ics", "text/calendar", 140)],
    "smime-encrypted": [("smime.p7m", "application/pkcs7-mime", 13)],
    "winmail-dat": [("winmail.dat", "application/ms-tnef", 22)],
}

SUBJECTS = {
    "raw-utf8-subject": "Prüfung – größer?",
    "japanese-iso-2022-jp": "Re: ご注文について",
    "swedish-apple": "Sv: Din beställning",
    "korean-gmail": "Re: 주문",
    "outlook-desktop-de": "AW: Ihre Bestellung",
}


def read(name: str) -> IncomingEmail:
    """What is made of a sample."""
    return parse((SAMPLES / f"{name}.eml").read_bytes())


def test_every_sample_is_used() -> None:
    known = {*REPLIES, *AUTOMATIC, *BOUNCES}
    assert {path.stem for path in SAMPLES.glob("*.eml")} == known
    assert len(known) >= 60


@pytest.mark.parametrize("name", REPLIES)
def test_a_persons_reply_is_separated_from_the_quote(name: str) -> None:
    mail = read(name)
    assert mail.reply_text == REPLIES[name]
    assert mail.automatic is None
    assert mail.bounce is None
    assert mail.faults == ()
    assert mail.sender in ("carol@example.com", "dave@example.com")


@pytest.mark.parametrize("name", [name for name in REPLIES if name.startswith(("gmail", "outlook-d", "apple-i"))])
def test_the_full_text_is_kept_with_the_reply(name: str) -> None:
    mail = read(name)
    assert "Your table is ready. Shall we deliver it?" in mail.text
    assert mail.reply_text in mail.text


@pytest.mark.parametrize("name", [*REPLIES, *AUTOMATIC, *BOUNCES])
def test_line_endings_do_not_matter(name: str) -> None:
    raw = (SAMPLES / f"{name}.eml").read_bytes()
    other = parse(raw.replace(b"\n", b"\r\n"))
    same = parse(raw)
    assert (other.text, other.reply_text, other.html, other.bounce) == (
        same.text,
        same.reply_text,
        same.html,
        same.bounce,
    )


@pytest.mark.parametrize("name", AUTOMATIC)
def test_an_automatic_email_is_recognised(name: str) -> None:
    mail = read(name)
    assert mail.automatic == AUTOMATIC[name]
    assert mail.is_automatic
    assert mail.bounce is None


@pytest.mark.parametrize("name", BOUNCES)
def test_a_bounce_names_our_email_and_the_reason(name: str) -> None:
    mail = read(name)
    assert mail.bounce == BOUNCES[name]
    assert mail.is_automatic
    assert mail.attachments == ()
    assert mail.recipients == ("bounce+mfzgk3dpn5zxi2lomnxw42lumfuw4zy@mail.shop.example.com",)


@pytest.mark.parametrize("name", [*REPLIES, *AUTOMATIC])
def test_attachments_have_names_and_signatures_are_left_out(name: str) -> None:
    found = [(each.name, each.declared_type, len(each.content)) for each in read(name).attachments]
    assert found == FILES.get(name, [])


@pytest.mark.parametrize("name", SUBJECTS)
def test_subjects_are_decoded_in_every_encoding(name: str) -> None:
    assert read(name).subject == SUBJECTS[name]


def test_a_reply_names_the_email_it_answers() -> None:
    mail = read("gmail-web-en")
    assert mail.in_reply_to == OUR_MAIL
    assert mail.references == (OUR_MAIL,)
    assert mail.recipients == ("reply+mfzgk3dpn5zxi2lomnxw42lumfuw4zy@mail.shop.example.com",)
    assert (mail.sender, mail.sender_name) == ("carol@example.com", "Carol Diaz")
    assert mail.date_ms == 1_778_571_667_000


def test_html_is_cleaned_of_scripts_and_trackers() -> None:
    shown = read("html-only-newsletter-style").html
    assert shown is not None
    assert "tracker" not in shown
    assert "alert" not in shown
    assert '<a href="https://example.com/tables?id=7" rel="noopener noreferrer nofollow">this one</a>' in shown
