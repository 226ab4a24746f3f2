import type { ScheduledMessage } from "../api/types"
import { t } from "../app/i18n"

/** Why the server has not sent a message at its time. */
export function refusal(reason: ScheduledMessage["reason"]): string {
  switch (reason) {
    case "answered":
      return t("a colleague answered first")
    case "window-closed":
      return t("WhatsApp accepts only a template now")
    case "customer-erased":
      return t("the customer was erased")
    case "not-permitted":
      return t("its author may no longer write here")
    case "elsewhere":
      return t("another installation may have sent it; check whether it arrived")
    case "error":
    case null:
      return t("something went wrong")
  }
}
