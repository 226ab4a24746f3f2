"""``GET /api/inbox/first-steps``: what a new organization still needs."""

from fastapi import APIRouter
from pydantic import Field

from shopbell.http.request.caller import ManagesOrganization
from shopbell.http.request.fields import Fields
from shopbell.inbox import first_steps

router = APIRouter(tags=["inbox"])


class FirstSteps(Fields):
    """What an organization has already."""

    has_business: bool = Field(description="A business that customers can write to.", examples=[True])
    has_widget: bool = Field(
        description="A visitor has written in the widget of a website, and their session is still stored.",
        examples=[False],
    )
    has_conversation: bool = Field(description="A conversation with a message.", examples=[False])
    has_colleague: bool = Field(description="A second active employee with a role.", examples=[False])
    sends_emails: bool = Field(description="This server has a mail server to send with.", examples=[False])


@router.get("/api/inbox/first-steps", summary="Read the first steps")
async def get_first_steps(caller: ManagesOrganization) -> FirstSteps:
    """Tell which of the first steps are done. The inbox shows them to owners while it is empty."""
    found = await caller.read(first_steps.find)
    return FirstSteps(
        has_business=found.has_business,
        has_widget=found.has_widget,
        has_conversation=found.has_conversation,
        has_colleague=found.has_colleague,
        sends_emails=caller.services.settings.sends_emails,
    )
