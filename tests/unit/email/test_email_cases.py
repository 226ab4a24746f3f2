"""Small emails, each with one field to check: ``cases.json``."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from shopbell.email.parse import parse

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases.json").read_text())


def field_of(raw: bytes, field: str) -> object:
    """A field of a mail in the form in which the cases name it."""
    mail = parse(raw)
    match field:
        case "reply_text" | "text":
            return getattr(mail, field).strip()
        case "bounce":
            return mail.bounce and {"action": mail.bounce.action, "is_permanent": mail.bounce.is_permanent}
        case "attachment_contents":
            return [each.content.decode("latin-1") for each in mail.attachments]
        case "has_attachment_or_fault":
            return bool(mail.attachments or mail.faults)
        case _:
            return getattr(mail, field)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['kind']}-{case['name']}")
def test_an_email_is_parsed_as_expected(case: dict[str, Any]) -> None:
    raw = case["raw"].encode() if "raw" in case else b64decode(case["raw_base64"])
    assert field_of(raw, case["field"]) == case["expected"]
