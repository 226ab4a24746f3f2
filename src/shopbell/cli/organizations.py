"""``shopbell organization …`` and ``shopbell business …``."""

from json import loads
from typing import Annotated, cast

import typer
from sqlalchemy import Connection

from shopbell import audit, business_values, events, installation, organizations, push_urls, settings, webhooks
from shopbell.business_values import BusinessChanges
from shopbell.cli.access import read, secret_keys, write
from shopbell.cli.output import ID_MAX, JSON, as_json, iso, now_ms, print_facts, print_json, print_table, say
from shopbell.errors import CommandError
from shopbell.organizations import KEEP_DAYS_MAX, Business, Organization, OrganizationChanges
from shopbell.outbound.addresses import AllowList
from shopbell.outbound.targets import check_url
from shopbell.sealing import Seals

organization_app = typer.Typer(help="Companies whose customers write to their businesses.", no_args_is_help=True)
business_app = typer.Typer(
    help="Businesses (stores) of an organization: what customers write to.", no_args_is_help=True
)

OfOrganization = Annotated[int, typer.Option("--organization", min=1, max=ID_MAX, help="The organization's id.")]
OnlyOrganization = Annotated[
    int | None, typer.Option("--organization", min=1, max=ID_MAX, help="Only of this organization.")
]
BusinessId = Annotated[int, typer.Argument(metavar="ID", min=1, max=ID_MAX, help="The business's id.")]
KeepMessages = Annotated[
    str | None, typer.Option(metavar="N|none", help="Days after which messages are deleted; none: never.")
]
KeepEvents = Annotated[
    str | None, typer.Option(metavar="N|none", help="Days after which events are deleted; none: never.")
]
PushUrl = Annotated[
    str | None,
    typer.Option(metavar="URL|none", help="Where messages to customers are pushed to, for their apps; none: nowhere."),
]
Locale = Annotated[str | None, typer.Option(help="Language that customers are spoken to, such as en or fr-CA.")]
Region = Annotated[str | None, typer.Option(help="Country of phone numbers without a +: two letters such as US.")]
TimeZone = Annotated[str | None, typer.Option("--timezone", help="IANA time zone, such as Europe/Paris.")]
Email = Annotated[str | None, typer.Option(help="The business's own e-mail address.")]
Phone = Annotated[str | None, typer.Option(help="The business's own phone number.")]
ForwardPhone = Annotated[str | None, typer.Option(help="Where voice calls are put through to.")]
OpeningHours = Annotated[
    str | None,
    typer.Option(metavar="JSON", help='When it is open: {"weekly": {"mon": [["09:00", "18:00"]]}}.'),
]
Survey = Annotated[
    str | None, typer.Option(metavar="nps|csat", help="What customers are asked when a conversation is resolved.")
]
BrandColor = Annotated[str | None, typer.Option(help="Colour of buttons, such as #8f4f00.")]
InvitesCustomers = Annotated[
    bool | None,
    typer.Option("--invite-customers/--no-invite-customers", help="Send who writes first a link to the conversation."),
]
TellsStore = Annotated[
    bool | None, typer.Option("--tell-store/--no-tell-store", help="Mail conversations that wait to the business.")
]
AutoReplies = Annotated[
    bool | None,
    typer.Option("--auto-replies/--no-auto-replies", help="Tell customers when the business is closed."),
]


@organization_app.command("create")
def create_organization(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it.")], json: JSON = False
) -> None:
    """Make an organization."""
    at_ms = now_ms()

    def work(tx: Connection) -> Organization:
        made = organizations.create(tx, name, now_ms=at_ms)
        action, subject = audit.ORGANIZATION_CREATED, f"organization {made.id}"
        audit.record(tx, made.id, audit.COMMAND_LINE, action, subject, now_ms=at_ms)
        return made

    organization = write(work, create=True)
    if json:
        print_json(as_json(organization))
    else:
        say(f"Organization {organization.id} is made: {organization.name}")


@organization_app.command("list")
def list_organizations(json: JSON = False) -> None:
    """List all organizations."""
    found = read(organizations.find_all)
    if json:
        print_json([as_json(organization) for organization in found])
    else:
        rows = [(each.id, each.name, iso(each.created_at_ms)) for each in found]
        print_table(("id", "name", "created"), rows, nothing="There is no organization yet.")


@organization_app.command("update")
def update_organization(
    organization: Annotated[int, typer.Argument(metavar="ID", min=1, max=ID_MAX, help="The organization's id.")],
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    keep_messages_days: KeepMessages = None,
    keep_events_days: KeepEvents = None,
    push_url: PushUrl = None,
    json: JSON = False,
) -> None:
    """Change what is given of an organization; what is older than it is to be kept goes for good."""
    changes: OrganizationChanges = {}
    if name is not None:
        changes["name"] = name
    if keep_messages_days is not None:
        changes["keep_messages_days"] = _days(keep_messages_days)
    if keep_events_days is not None:
        changes["keep_events_days"] = _days(keep_events_days)
    url = None if push_url == "none" else push_url
    if url is not None:
        _check_url(url)
    if not changes and push_url is None:
        raise CommandError("nothing to change was given; `shopbell organization update --help` lists what can be")
    at_ms, keys = now_ms(), None if push_url is None else secret_keys()

    def work(tx: Connection) -> tuple[Organization, str | None]:
        changed = organizations.change(tx, organization, changes)
        if keys is not None:
            installation.adopt(tx, keys)
            push_urls.change(tx, organization, Seals(keys, webhooks.SEALING_PURPOSE), url, now_ms=at_ms)
        subject = f"organization {organization}"
        audit.record(tx, organization, audit.COMMAND_LINE, "organization.update", subject, now_ms=at_ms)
        return changed, push_urls.find(tx, organization)

    changed, shown_url = write(work)
    if json:
        print_json({**as_json(changed), "pushUrl": shown_url})
        return
    print_facts(
        (
            ("organization", changed.id),
            ("name", changed.name),
            ("keeps messages", _in_days(changed.keep_messages_days)),
            ("keeps events", _in_days(changed.keep_events_days)),
            ("push URL", shown_url or "none"),
            ("created", iso(changed.created_at_ms)),
        )
    )


def _check_url(url: str) -> None:
    try:
        check_url(url, AllowList.parse(settings.load().outbound_allow))
    except ValueError as error:
        raise CommandError(f"the URL {error}") from None


def _days(text: str) -> int | None:
    if text == "none":
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= KEEP_DAYS_MAX or len(text) > 9:
        raise CommandError(f"days to keep must be a number from 1 to {KEEP_DAYS_MAX}, or none: for ever")
    return int(text)


def _in_days(days: int | None) -> str:
    return "for ever" if days is None else f"{days} days"


@business_app.command("create")
def create_business(
    organization: OfOrganization,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What customers call it.")],
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
    tells_store: TellsStore = None,
    auto_replies: AutoReplies = None,
    json: JSON = False,
) -> None:
    """Make a business of an organization; its locale is en and its time zone UTC unless given."""
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
    at_ms = now_ms()

    def work(tx: Connection) -> Business:
        made = organizations.create_business(tx, organization, given, now_ms=at_ms)
        _note(tx, made, "business.create", at_ms)
        events.record(tx, made.organization_id, "business-created", now_ms=at_ms, business_id=made.id)
        return made

    _show(write(work), json=json)


@business_app.command("list")
def list_businesses(organization: OnlyOrganization = None, json: JSON = False) -> None:
    """List all businesses, or those of one organization; deactivated ones too."""
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
            "yes" if each.active else f"no, since {iso(each.deactivated_at_ms)}",
        )
        for each in found
    ]
    columns = ("id", "organization", "name", "locale", "region", "time zone", "e-mail", "phone", "forward", "active")
    print_table(columns, rows, nothing="There is no business yet.")


@business_app.command("update")
def update_business(
    business: BusinessId,
    name: Annotated[str | None, typer.Option(help="What customers call it.")] = None,
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
    tells_store: TellsStore = None,
    auto_replies: AutoReplies = None,
    json: JSON = False,
) -> None:
    """Change what is given of a business; an empty text ("") takes a region, address or number away."""
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
    at_ms = now_ms()

    def work(tx: Connection) -> Business:
        changed = organizations.update_business(tx, business, changes)
        _note(tx, changed, "business.update", at_ms)
        details = {"changed": business_values.fields_of(changes)}
        event: events.EventType = "business-updated"
        events.record(tx, changed.organization_id, event, now_ms=at_ms, business_id=business, details=details)
        return changed

    _show(write(work), json=json)


@business_app.command("deactivate")
def deactivate_business(business: BusinessId, json: JSON = False) -> None:
    """Close a business to its customers; its conversations stay."""
    at_ms = now_ms()

    def work(tx: Connection) -> Business:
        closed = organizations.deactivate_business(tx, business, now_ms=at_ms)
        _note(tx, closed, "business.deactivate", at_ms)
        if closed.deactivated_at_ms == at_ms:
            details = {"changed": ["active"]}
            event: events.EventType = "business-updated"
            events.record(tx, closed.organization_id, event, now_ms=at_ms, business_id=business, details=details)
        return closed

    _show(write(work), json=json)


def _note(tx: Connection, business: Business, action: str, at_ms: int) -> None:
    subject = f"business {business.id}"
    audit.record(tx, business.organization_id, audit.COMMAND_LINE, action, subject, now_ms=at_ms)


def _given(**options: str | bool | None) -> BusinessChanges:
    return cast("BusinessChanges", {name: value for name, value in options.items() if value is not None})


def _as_json(business: Business) -> dict[str, object]:
    hours = loads(business.opening_hours) if business.opening_hours else None
    return {**as_json(business), "openingHours": hours, "active": business.active}


def _yes(is_on: bool) -> str:
    return "yes" if is_on else "no"


def _tells_store(business: Business) -> str:
    if business.tells_store and business.email is None:
        return "no: it has no e-mail address"
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
            ("e-mail", business.email),
            ("phone", business.phone_number),
            ("forward phone", business.voice_forward_number),
            ("invites customers", _yes(business.invites_customers)),
            ("tells the store", _tells_store(business)),
            ("replies when closed", _yes(business.auto_replies)),
            ("opening hours", business.opening_hours),
            ("survey", business.survey),
            ("brand color", business.brand_color),
            ("created", iso(business.created_at_ms)),
            ("deactivated", iso(business.deactivated_at_ms)),
        )
    )
