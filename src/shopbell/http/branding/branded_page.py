"""Pages for customers: rendered in the colors of a business, with a Content-Security-Policy."""

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
from markupsafe import Markup

from shopbell.formats.brand_colors import palette
from shopbell.http.branding import assets
from shopbell.http.branding.templates import templates
from shopbell.http.branding.texts import panel_texts, presence_text
from shopbell.i18n.translations import Texts
from shopbell.organizations.opening_hours import OpeningHours
from shopbell.organizations.organizations import Business

PRESENCE_CHANGES_MAX = 8
"""Four days with a lunch break each: no page is expected to stay open for longer."""

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def render(template: str, texts: Texts, color: str | None, **values: object) -> str:
    """Render a template of ``web/widget``.

    Args:
        template: such as ``panel.html``.
        texts: the language of the customer.
        color: the color of the business, ``#rrggbb``, or None.
        values: variables in addition to ``locale``, ``dir``, ``gettext`` and ``brand_style``.
    """
    style = Markup(brand_style(color))  # noqa: S704 - of hexadecimal digits alone
    pages = templates(assets.FOLDER, asset=assets.address)
    return pages.get_template(template).render(
        locale=texts.tag, dir=texts.direction, gettext=texts.gettext, brand_style=style, **values
    )


def headers(
    color: str | None, *, frame_ancestors: Sequence[str] = (), posts_forms: bool = False, shows_panel: bool = False
) -> dict[str, str]:
    """Return the headers of a page.

    Args:
        color: as for ``render``. The policy allows the one inline style for it.
        frame_ancestors: the sites that may show the page in a frame; none by default.
        posts_forms: whether the page has forms that work without JavaScript.
        shows_panel: whether the page contains the widget.
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
        # A site with Cross-Origin-Embedder-Policy shows only frames that allow it.
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
    """Return the style sheet with the colors of a business."""
    its = palette(color)
    return (
        f":root{{--brand:{its.background};--on-brand:{its.ink};"
        f"--accent-light:{its.on_light};--accent-dark:{its.on_dark}}}"
    )


def config_json(values: dict[str, object]) -> Markup:
    """Return the configuration of a script as JSON that is safe inside an HTML element."""
    text = orjson.dumps(values).decode()
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704


def conversation_config(
    texts: Texts, business: Business, *, attachments: bool, attachment_limit_bytes: int, now_ms: int
) -> dict[str, object]:
    """Return the configuration that the scripts of panel and conversation page share.

    Args:
        texts: the language of the customer.
        business: the business of the conversation.
        attachments: whether the customer can send files.
        attachment_limit_bytes: the largest file.
        now_ms: the time in Unix ms.
    """
    its = {
        "id": str(business.id),
        "name": business.name,
        "presence": presence(texts, business, now_ms),
        "presenceChanges": presence_changes(texts, business, now_ms),
    }
    return {
        "business": its,
        "locale": texts.locale,
        "texts": panel_texts(texts),
        "attachments": attachments,
        "attachmentLimitBytes": attachment_limit_bytes,
    }


def presence(texts: Texts, business: Business, now_ms: int) -> str:
    """Return the text that says whether a business is open. Without opening hours, it always is."""
    zone = business.time_zone
    if business.opening_hours is None:
        return presence_text(texts, is_open=True, opens_at_ms=None, time_zone=zone)
    hours = OpeningHours.from_json(json.loads(business.opening_hours), zone)
    is_open = hours.is_open(now_ms)
    opens_at_ms = None if is_open else hours.next_opening_ms(now_ms)
    return presence_text(texts, is_open=is_open, opens_at_ms=opens_at_ms, time_zone=zone)


def presence_changes(texts: Texts, business: Business, now_ms: int) -> list[dict[str, object]]:
    """What ``presence`` is later, while a page stays open.

    Returns:
        ``afterMs``, the milliseconds from now on, and ``text``, in order; at most ``PRESENCE_CHANGES_MAX``.
    """
    if business.opening_hours is None:
        return []
    hours = OpeningHours.from_json(json.loads(business.opening_hours), business.time_zone)
    changes: list[dict[str, object]] = []
    at_ms = hours.next_change_ms(now_ms)
    while at_ms is not None and len(changes) < PRESENCE_CHANGES_MAX:
        changes.append({"afterMs": at_ms - now_ms, "text": presence(texts, business, at_ms)})
        at_ms = hours.next_change_ms(at_ms)
    return changes


def time_values(texts: Texts, at_ms: int, time_zone: str) -> dict[str, str]:
    """Return ``created_at`` and ``created_at_iso`` of a time, for ``talk.html``."""
    iso = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return {"created_at": texts.date_time(at_ms, time_zone), "created_at_iso": iso.replace("+00:00", "Z")}
