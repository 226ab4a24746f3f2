"""Errors of the domain: what happened. ``shopbell.http.request.problems`` maps them to responses.

ShopbellError
├── SettingsError             a setting is wrong (command line)
├── CommandError              a command cannot do what was asked (command line)
├── StorageError              the database failed; nothing was confirmed
└── RequestError              a request was refused
    ├── Invalid               fields of it are not valid
    ├── NotFound              an object that it names does not exist in this organization
    ├── Conflict              it contradicts the current state
    ├── IdempotencyKeyReused  its key belongs to another request
    └── QuotaExceeded         a limit is used up
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

FIELD_ERRORS_MAX = 100
"""How many errors of one request are listed."""

THINGS: Mapping[str, str] = {
    "addTagIds": "a list of tags",
    "actionId": "an action of the last 24 hours",
    "assigneeUserId": "an active employee",
    "attachmentId": "a file",
    "attachmentIds": "a list of files",
    "businessId": "an active business",
    "contentSid": "a template",
    "customerId": "a customer",
    "customerThreadId": "a conversation",
    "customerThreadIds": "a list of conversations",
    "deliveryId": "a delivery",
    "draftId": "a draft",
    "employeeId": "an employee",
    "employeeUserId": "an active employee",
    "mentionedUserIds": "a list of active employees",
    "mergeId": "a merge",
    "otherCustomerId": "a customer",
    "passkeyId": "a passkey",
    "publishableKeyId": "a publishable key",
    "removeTagIds": "a list of tags",
    "savedReplyId": "a saved reply",
    "savedViewId": "a saved view",
    "pushSubscriptionId": "a push subscription",
    "scheduledMessageId": "a scheduled message",
    "surveyId": "a survey",
    "tagId": "a tag",
    "templateId": "a template",
    "threadId": "a conversation",
    "webHookId": "a webhook",
}
"""What an id refers to, by the name of its field or parameter."""


class ShopbellError(Exception):
    """Base of all errors that Shopbell raises."""


class SettingsError(ShopbellError):
    """A setting is wrong. The text has one line per error and names the setting."""


class CommandError(ShopbellError):
    """A command cannot do what was asked. The text says why and what to do."""


class StorageError(ShopbellError):
    """The database failed or cannot be reached. The request is not confirmed as stored."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of a request that breaks a rule. It never holds the submitted value.

    Args:
        path: the keys and indexes that lead to the field, joined by ``/``: ``user/email``. Empty for the whole body.
            In a key, ``~`` is written ``~0`` and ``/`` is written ``~1``.
        code: one of the stable codes of the API reference, such as ``blank``.
        detail: the rule, as the end of a sentence: ``must not be blank``.
        sentence: the sentence for developers, if it is not simply name and detail.
        members: further data of this code, such as ``maxLength``.
        source: the part of the request that has the field.
    """

    path: str
    code: str
    detail: str
    sentence: str | None = None
    members: Mapping[str, object] = field(default_factory=dict)
    source: Literal["body", "header", "query", "path"] = "body"

    @property
    def developer_message(self) -> str:
        """One sentence for the log of a developer."""
        if self.sentence is not None:
            return self.sentence
        if not self.path:
            return f"Body {self.detail}."
        kind = {"body": "Field", "header": "Header", "query": "Parameter", "path": "Path parameter"}[self.source]
        return f"{kind} '{self.path.replace('/', '.')}' {self.detail}."


class RequestError(ShopbellError):
    """A request was refused, and nothing of it was done.

    Args:
        detail: what happened and what to do, for people.
        developer_message: the same for the developer of a client; ``detail`` unless given.
    """

    def __init__(self, detail: str, developer_message: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.developer_message = developer_message or detail

    def members(self) -> Mapping[str, object]:
        """Further data of this error, in the names of the API."""
        return {}


class Invalid(RequestError):
    """Fields of the request are not valid. All of them are collected; the first 100 are listed."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        count = len(errors)
        detail = "1 problem was found." if count == 1 else f"{count} problems were found."
        if count > FIELD_ERRORS_MAX:
            detail = f"More than {FIELD_ERRORS_MAX} problems were found; the first {FIELD_ERRORS_MAX} are listed."
        self.errors = tuple(errors)
        super().__init__(detail, " ".join(error.developer_message for error in self.listed))

    @property
    def listed(self) -> Sequence[FieldError]:
        """The errors that are shown."""
        return self.errors[:FIELD_ERRORS_MAX]


class NotFound(RequestError):
    """The object does not exist, or belongs to another organization. Which of the two is not said.

    Args:
        name: the field or parameter whose id was not found, a key of ``THINGS``; None for an unknown address.
        owner: what the object must belong to: ``organization``, ``session`` or ``webhook``.
    """

    def __init__(self, name: str | None = None, owner: str = "organization") -> None:
        detail = "There is nothing at this address."
        if name is not None:
            detail = f"'{name}' is not {THINGS[name]} of this {owner}."
        super().__init__(detail, "Resource not found")


class Conflict(RequestError):
    """The request contradicts the current state."""


class IdempotencyKeyReused(RequestError):
    """The idempotency key belongs to an earlier request with another body."""

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key belongs to another request.",
            "Idempotency-Key was already used with a different body",
        )


@dataclass(frozen=True, slots=True)
class Quota:
    """A limit for requests or bytes.

    Args:
        name: the name that clients see.
        amount: how much it grants at once.
        window_s: seconds in which it grants that amount again.
        unit: what it counts.
    """

    name: str
    amount: int
    window_s: int
    unit: Literal["requests", "content-bytes"] = "requests"


class QuotaExceeded(RequestError):
    """A limit is used up.

    Args:
        retry_after_s: whole seconds until a request may succeed.
        quota: the limit; None for the rate of the token, which every response states.
    """

    def __init__(self, retry_after_s: int, quota: Quota | None = None) -> None:
        name = "token" if quota is None else quota.name
        super().__init__(f"Wait {retry_after_s} s before the next request.", f"Rate limit '{name}' exceeded")
        self.retry_after_s = retry_after_s
        self.quota = quota
