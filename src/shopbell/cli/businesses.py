"""``shopbell business …``."""

from json import loads
from typing import Annotated, cast

import typer
from sqlalchemy import Connection

from shopbell.cli.access import read, write
from shopbell.cli.choices import OfOrganization, OnlyOrganization
from shopbell.cli.output import JSON, as_json, iso, object_id, print_facts, print_json, print_table
from shopbell.errors import CommandError
from shopbell.events.actors import SYSTEM
from shopbell.organizations import organizations
from shopbell.organizations.business_fields import BusinessChanges
from shopbell.organizations.organizations import Business
from shopbell.runtime.clock import now_ms

app = typer.Typer()

BusinessId = Annotated[int, typer.Argument(metavar="ID", parser=object_id, help="The business's id.")]
Locale = Annotated[str | None, typer.Option(help="Language of texts to customers, such as en or fr-CA.")]
Region = Annotated[str | None, typer.Option(help="Country of phone numbers without a +, such as US.")]
TimeZone = Annotated[str | None, typer.Option("--timezone", help="IANA time zone, such as Europe/Paris.")]
Email = Annotated[str | None, typer.Option(help="The business's own email address.")]
Phone = Annotated[str | None, typer.Option(help="The business's own phone number.")]
ForwardPhone = Annotated[str | None, typer.Option(help="Phone number that voice calls are forwarded to.")]
OpeningHours = Annotated[
    str | None,
    typer.Option(metavar="JSON", help='Opening hours, such as {"weekly": {"mon": [["09:00", "18:00"]]}}.'),
]
Survey = Annotated[
    str | None, typer.Option(metavar="nps|csat", help="Survey sent to customers when a conversation is resolved.")
]
BrandColor = Annotated[str | None, typer.Option(help="Color of buttons, such as #8f4f00.")]
InvitesCustomers = Annotated[
    bool | None,
    typer.Option("--invite-customers/--no-invite-customers", help="Send new customers a link to their conversation."),
]
NotifiesBusiness = Annotated[
    bool | None,
    typer.Option("--notify-business/--no-notify-business", help="Email the business about waiting conversations."),
]
AutoReplies = Annotated[
    bool | None,
    typer.Option("--auto-replies/--no-auto-replies", help="Reply automatically when the business is closed."),
]


@app.command("create")
def create_business(
    organization: OfOrganization,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name that customers see.")],
    locale: Locale = None,
    region: Region = None,
    timezone: TimeZone = None,
    email: Email = None,
    phone: Phone = None,
    forward_phone: ForwardPhone = None,
    opening_hours: OpeningHours = None,
    survey: Survey = None,
    brand_color: BrandColor = None,
    invites_customers: InvitesCustomers = None,
    tells_store: NotifiesBusiness = None,
    auto_replies: AutoReplies = None,
    json: JSON = False,
) -> None:
    """Create a business. By default its locale is en and its time zone UTC."""
    given = _given(
        name=name,
        locale=locale,
        region=region,
        time_zone=timezone,
        email=email,
        phone=phone,
        forward_phone=forward_phone,
        opening_hours=opening_hours,
        survey=survey,
        brand_color=brand_color,
        invites_customers=invites_customers,
        tells_store=tells_store,
        auto_replies=auto_replies,
    )

    def work(tx: Connection) -> Business:
        return organizations.create_business(tx, organization, given, actor=SYSTEM, now_ms=now_ms())

    _show(write(work), json=json)


@app.command("list")
def list_businesses(organization: OnlyOrganization = None, json: JSON = False) -> None:
    """List businesses, including deactivated ones."""
    found = read(lambda tx: organizations.find_businesses(tx, organization))
    if json:
        print_json([_as_json(business) for business in found])
        return
    rows = [
        (
            each.id,
            each.organization_id,
            each.name,
            each.locale,
            each.default_region,
            each.time_zone,
            each.email,
            each.phone_number,
            each.voice_forward_number,
            "yes" if each.active else f"no, deactivated {iso(each.deactivated_at_ms)}",
        )
        for each in found
    ]
    columns = ("id", "organization", "name", "locale", "region", "time zone", "email", "phone", "forward", "active")
    print_table(columns, rows, nothing="There are no businesses yet.")


@app.command("update")
def update_business(
    business: BusinessId,
    name: Annotated[str | None, typer.Option(help="Name that customers see.")] = None,
    locale: Locale = None,
    region: Region = None,
    timezone: TimeZone = None,
    email: Email = None,
    phone: Phone = None,
    forward_phone: ForwardPhone = None,
    opening_hours: OpeningHours = None,
    survey: Survey = None,
    brand_color: BrandColor = None,
    invites_customers: InvitesCustomers = None,
    tells_store: NotifiesBusiness = None,
    auto_replies: AutoReplies = None,
    json: JSON = False,
) -> None:
    """Change the given fields of a business. An empty text ("") removes an optional value."""
    changes = _given(
        name=name,
        locale=locale,
        region=region,
        time_zone=timezone,
        email=email,
        phone=phone,
        forward_phone=forward_phone,
        opening_hours=opening_hours,
        survey=survey,
        brand_color=brand_color,
        invites_customers=invites_customers,
        tells_store=tells_store,
        auto_replies=auto_replies,
    )
    if not changes:
        raise CommandError("nothing to change; `shopbell business update --help` lists the options")

    def work(tx: Connection) -> Business:
        organization = organizations.organization_of_business(tx, business)
        return organizations.update_business(tx, organization, business, changes, actor=SYSTEM, now_ms=now_ms())

    _show(write(work), json=json)


@app.command("deactivate")
def deactivate_business(business: BusinessId, json: JSON = False) -> None:
    """Close a business to customers. Its conversations stay."""

    def work(tx: Connection) -> Business:
        organization = organizations.organization_of_business(tx, business)
        return organizations.deactivate_business(tx, organization, business, actor=SYSTEM, now_ms=now_ms())

    _show(write(work), json=json)


def _given(**options: str | bool | None) -> BusinessChanges:
    return cast("BusinessChanges", {name: value for name, value in options.items() if value is not None})


def _as_json(business: Business) -> dict[str, object]:
    hours = loads(business.opening_hours) if business.opening_hours else None
    return {**as_json(business), "openingHours": hours, "active": business.active}


def _yes(is_on: bool) -> str:
    return "yes" if is_on else "no"


def _tells_store(business: Business) -> str:
    if business.tells_store and business.email is None:
        return "no: it has no email address"
    return _yes(business.tells_store)


def _show(business: Business, *, json: bool) -> None:
    if json:
        print_json(_as_json(business))
        return
    print_facts(
        (
            ("business", business.id),
            ("organization", business.organization_id),
            ("name", business.name),
            ("locale", business.locale),
            ("region", business.default_region),
            ("time zone", business.time_zone),
            ("email", business.email),
            ("phone", business.phone_number),
            ("forward phone", business.voice_forward_number),
            ("invites customers", _yes(business.invites_customers)),
            ("notifies business", _tells_store(business)),
            ("replies when closed", _yes(business.auto_replies)),
            ("opening hours", business.opening_hours),
            ("survey", business.survey),
            ("brand color", business.brand_color),
            ("created", iso(business.created_at_ms)),
            ("deactivated", iso(business.deactivated_at_ms)),
        )
    )
