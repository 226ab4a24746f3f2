"""What the routes work with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shopbell.accounts.oidc_provider import OidcProvider
from shopbell.attachments.signed_urls import AttachmentLinks
from shopbell.attachments.store import Store
from shopbell.conversations.replies import ReplyQueue
from shopbell.db.database import Database
from shopbell.http.request.authentication import Authentication
from shopbell.http.request.customer_sessions import CustomerSessions
from shopbell.http.request.employee_sessions import EmployeeSessions
from shopbell.http.request.long_polling import LongPolling
from shopbell.http.request.rate_limit import RateLimit
from shopbell.http.request.read_pool import ReadPool
from shopbell.http.request.visitor_limits import VisitorLimits
from shopbell.i18n.translations import Texts
from shopbell.inbox.presence import Presence
from shopbell.realtime.hub import PubSub
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings


@dataclass(frozen=True)
class Services:
    """What the routes work with. ``app.py`` makes one for each process.

    Args:
        settings: the settings.
        database: the database.
        read_pool: runs the reads of the API, a few at a time.
        keys: the keys of the installation.
        authentication: finds API tokens.
        rate_limit: the limit of each token. The widget route counts in the same one.
        replies: the group commit that stores the messages of organizations.
        pubsub: notifies of new events.
        long_polling: the long polls of this process.
        attachment_store: the contents of attachments; None if the operator has not configured one.
        links: signs the links to attachments.
        sessions: finds the sessions of customers.
        employees: finds the sessions of employees.
        oidc: the OpenID Connect provider of employees; None if the operator has not configured one.
        invite: sends an invitation by email, from address, organization, link and language; returns whether it was
            sent.
        limits: the limits of visitors.
        presence: which employees are in which conversations.
    """

    settings: Settings
    database: Database
    read_pool: ReadPool
    keys: Keys
    authentication: Authentication
    rate_limit: RateLimit
    replies: ReplyQueue
    pubsub: PubSub
    long_polling: LongPolling
    attachment_store: Store | None
    links: AttachmentLinks
    sessions: CustomerSessions
    employees: EmployeeSessions
    oidc: OidcProvider | None
    invite: Callable[[str, str, str, Texts], Awaitable[bool]]
    limits: VisitorLimits
    presence: Presence
