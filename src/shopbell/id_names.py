"""What the ids of the API name, as errors say it."""

from collections.abc import Mapping

THINGS: Mapping[str, str] = {
    "attachmentId": "a file",
    "businessId": "an active business",
    "contentSid": "a template",
    "customerId": "a customer",
    "customerThreadId": "a conversation",
    "deliveryId": "a delivery",
    "employeeId": "an employee",
    "employeeUserId": "an active employee",
    "mergeId": "a merge",
    "otherCustomerId": "a customer",
    "publishableKeyId": "a publishable key",
    "surveyId": "a survey",
    "templateId": "a template",
    "threadId": "a conversation",
    "webHookId": "a webhook",
}
"""By the name of a field or parameter, with its article."""
