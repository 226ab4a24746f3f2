"""What customers' pages have in common: a business's colours, its hours, their texts, and what such a page may do."""

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from shopbell.contrast import palette
from shopbell.hours import OpeningHours
from shopbell.http.customer import scripts
from shopbell.http.customer.widget_texts import panel_texts, presence_text
from shopbell.organizations import Business
from shopbell.texts import Texts

_templates = Environment(
    loader=FileSystemLoader(scripts.FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals["asset"] = scripts.address
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def page(template: str, texts: Texts, color: str | None, **values: object) -> str:
    """A page of ``web/widget`` in somebody's language.

    Args:
        template: ``panel.html``, ``conversation.html``, ``link.html`` or ``expired.html``.
        texts: the customer's language.
        color: the business's own colour, ``#rrggbb``, or None.
        values: what the template names beside ``locale``, ``dir``, ``gettext`` and ``brand_style``.
    """
    style = Markup(brand_style(color))  # noqa: S704 - of hexadecimal digits alone
    return _templates.get_template(template).render(
        locale=texts.tag, dir=texts.direction, gettext=texts.gettext, brand_style=style, **values
    )


def headers(
    color: str | None, *, frame_ancestors: Sequence[str] = (), posts_forms: bool = False, shows_panel: bool = False
) -> dict[str, str]:
    """What a page of ``page`` is sent with.

    Args:
        color: as for ``page``: the policy names the one style that it makes.
        frame_ancestors: which sites may show it in a frame; none by default.
        posts_forms: whether it has forms that work without scripts.
        shows_panel: whether it has the widget on it.
    """
    digest = base64.b64encode(hashlib.sha256(brand_style(color).encode()).digest()).decode()
    forms, frames = "'self'" if posts_forms else "'none'", " ".join(frame_ancestors) or "'none'"
    panel = "frame-src 'self'; " if shows_panel else ""
    policy = (
        "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        f"style-src 'self' 'sha256-{digest}'; {panel}base-uri 'none'; form-action {forms}; frame-ancestors {frames}; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    if frame_ancestors:
        # A site may keep out what does not say that it wants to be in: this page does, and lets nothing foreign in.
        return {
            **_ALWAYS,
            "Content-Security-Policy": policy,
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Cross-Origin-Embedder-Policy": "require-corp",
        }
    return {
        **_ALWAYS,
        "Content-Security-Policy": policy,
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def brand_style(color: str | None) -> str:
    """The one style sheet that differs from business to business."""
    its = palette(color)
    return (
        f":root{{--brand:{its.background};--on-brand:{its.ink};"
        f"--accent-light:{its.on_light};--accent-dark:{its.on_dark}}}"
    )


def config_json(values: dict[str, object]) -> Markup:
    """What a page's script is told, as JSON that can end no element and open no comment."""
    text = orjson.dumps(values).decode()
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704


def conversation_config(
    texts: Texts, business: Business, *, attachments: bool, attachment_limit_bytes: int, now_ms: int
) -> dict[str, object]:
    """What the scripts of panel and conversation page both need to know.

    Args:
        texts: the customer's language.
        business: whom he writes to.
        attachments: whether files can be sent.
        attachment_limit_bytes: how large.
        now_ms: the time in Unix ms.
    """
    return {
        "business": {"id": str(business.id), "name": business.name, "presence": presence(texts, business, now_ms)},
        "locale": texts.locale,
        "texts": panel_texts(texts),
        "attachments": attachments,
        "attachmentLimitBytes": attachment_limit_bytes,
    }


def presence(texts: Texts, business: Business, now_ms: int) -> str:
    """Whether a business is open, and when it is again; one that names no hours always is."""
    zone = business.time_zone
    if business.opening_hours is None:
        return presence_text(texts, is_open=True, opens_at_ms=None, time_zone=zone)
    hours = OpeningHours.from_json(json.loads(business.opening_hours), zone)
    is_open = hours.is_open(now_ms)
    opens_at_ms = None if is_open else hours.next_opening_ms(now_ms)
    return presence_text(texts, is_open=is_open, opens_at_ms=opens_at_ms, time_zone=zone)


def time_values(texts: Texts, at_ms: int, time_zone: str) -> dict[str, str]:
    """A time as ``talk.html`` shows it where no script does: ``created_at`` and ``created_at_iso``."""
    iso = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return {"created_at": texts.date_time(at_ms, time_zone), "created_at_iso": iso.replace("+00:00", "Z")}
