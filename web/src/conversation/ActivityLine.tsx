import type { ComponentChildren } from "preact"
import type { Activity } from "../api/types"
import { clock } from "../app/clock"
import { listed, moment, time } from "../app/format"
import { msgid, t } from "../app/i18n"
import { businessOf, me, nameOf } from "../app/session"
import { tags } from "../list/questions"
import { rich } from "./rich"
import type { ShownThread } from "./shown"

/** Something that happened to a conversation, in one line. Types that it does not know are left out. */
export function ActivityLine({ activity, content }: { activity: Activity; content: ShownThread }) {
  const said = saidOf(activity, content)
  if (!said) return null
  return (
    <li class="did">
      {said} · <time class="num">{time(activity.at)}</time>
    </li>
  )
}

function saidOf({ type, actorUserId, actorName, details }: Activity, content: ShownThread): ComponentChildren {
  const own = me.value.employeeUserId
  const actor = actorUserId === own ? <b>{t("You")}</b> : actorName ? <b>{actorName}</b> : null
  switch (type) {
    case "assignment": {
      const to = details.employeeUserId ? String(details.employeeUserId) : null
      const name = <b>{to === own ? t("you") : ((to && nameOf(to)) ?? "?")}</b>
      if (!to) {
        return actor ? rich(msgid("{actor} removed the assignee"), { actor }) : t("No longer assigned")
      }
      if (actor && to === actorUserId) {
        return to === own ? t("You took it over") : rich(msgid("{actor} took it over"), { actor })
      }
      return actor
        ? rich(msgid("{actor} assigned it to {name}"), { actor, name })
        : rich(msgid("Assigned to {name}"), { name })
    }
    case "status":
      switch (details.status) {
        case "resolved":
          return actor ? rich(msgid("{actor} resolved it"), { actor }) : t("Resolved")
        case "waiting":
          return actor ? rich(msgid("{actor} reopened it"), { actor }) : t("Reopened")
        default:
          return actor ? rich(msgid("{actor} marked it as replied"), { actor }) : t("Marked as replied")
      }
    case "transfer": {
      const business = <b>{businessOf(String(details.toBusinessId))?.name ?? t("another business")}</b>
      return actor
        ? rich(msgid("{actor} moved it to {business}"), { actor, business })
        : rich(msgid("Moved to {business}"), { business })
    }
    case "snooze": {
      if (typeof details.until === "number") {
        const until = moment(details.until, clock.value)
        return actor
          ? rich(msgid("{actor} snoozed it until {until}"), { actor, until })
          : t("Snoozed until {until}", { until })
      }
      if (details.endedBy === "hand")
        return actor ? rich(msgid("{actor} ended the snooze"), { actor }) : t("The snooze was ended")
      return details.endedBy === "time" ? t("The snooze has ended") : null
    }
    case "tags":
      return tagsOf(details, actor)
    case "import":
      return rich(msgid("Imported from {product}"), { product: productOf(details) })
    case "survey-answered":
      return rich(msgid("{name} rated the conversation: {score}"), {
        name: <b>{content.customer.displayName}</b>,
        score: String(details.score),
      })
    default:
      return null
  }
}

const PRODUCTS: Record<string, string> = {
  chatwoot: "Chatwoot",
  freescout: "FreeScout",
  intercom: "Intercom",
  zendesk: "Zendesk",
}

/** The product in the source of an import: `zendesk:12345`, or `zendesk/account:12345`. */
function productOf(details: Record<string, unknown>): string {
  const [product = ""] = String(details.source).split(/[/:]/)
  return PRODUCTS[product] ?? product
}

function tagsOf(details: Record<string, unknown>, actor: ComponentChildren): ComponentChildren {
  const names = (ids: unknown) =>
    Array.isArray(ids)
      ? ids.map(id => tags.value.find(each => each.tagId === String(id))?.name).filter(each => each !== undefined)
      : []
  const added = listed(names(details.addedTagIds))
  const removed = listed(names(details.removedTagIds))
  if (added && !removed) {
    return actor
      ? rich(msgid("{actor} added the tag {name}"), { actor, name: <b>{added}</b> })
      : rich(msgid("Tagged {name}"), { name: <b>{added}</b> })
  }
  if (removed && !added && actor) {
    return rich(msgid("{actor} removed the tag {name}"), { actor, name: <b>{removed}</b> })
  }
  return actor && added ? rich(msgid("{actor} changed the tags"), { actor }) : null
}
