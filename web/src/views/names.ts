import { t } from "../app/i18n"
import type { IconName } from "../app/icon-names"
import type { ViewName } from "../app/router"

export const VIEW_ICONS: Record<ViewName, IconName> = {
  "needs-reply": "inbox",
  mine: "user-round",
  unassigned: "user-round-x",
  mentions: "at-sign",
  snoozed: "alarm-clock",
  open: "message-square-text",
  resolved: "circle-check",
}

/** The name of a view. */
export function viewName(view: ViewName): string {
  switch (view) {
    case "needs-reply":
      return t("Needs reply")
    case "mine":
      return t("Mine")
    case "unassigned":
      return t("Unassigned")
    case "mentions":
      return t("Mentions")
    case "snoozed":
      return t("Snoozed")
    case "open":
      return t("All open")
    case "resolved":
      return t("Resolved")
  }
}
