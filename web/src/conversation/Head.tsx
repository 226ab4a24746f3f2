import { Avatar } from "../app/Avatar"
import { act } from "../app/actions"
import { clock, LATE_MS } from "../app/clock"
import { duration, moment } from "../app/format"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { Menu, type MenuItem } from "../app/Menu"
import { href } from "../app/router"
import { row } from "../app/rows"
import { me, nameOf } from "../app/session"
import { toast } from "../app/toast"
import { showsCustomer } from "../customer/shown"
import { resolveOpen } from "../list/commands"
import { askAssignee, askBusiness, askSnooze, askTags } from "../list/questions"
import { mayAct } from "./cache"
import type { ShownThread } from "./shown"

interface Props {
  id: string
  content: ShownThread | null
}

/** The title of the conversation, and what can be done with it. */
export function Head({ id, content }: Props) {
  const thread = row(id)?.value ?? content?.thread
  const name = content?.customer.displayName ?? thread?.customerName
  return (
    <header class="bar">
      <a class="icon phone-only" href={href({ threadId: null })} aria-label={t("Back to the list")}>
        <Icon name="chevron-left" turns />
      </a>
      <div class="title">
        <h2 class="cut" tabindex={-1}>
          {name ? <bdi>{name}</bdi> : <span class="unseen">{t("Conversation")}</span>}
        </h2>
        {thread && <State thread={thread} />}
      </div>
      <span class="push" />
      {thread && mayAct(thread) && <Actions id={id} thread={thread} />}
      {content && (
        <button
          type="button"
          class="icon about-button"
          aria-label={t("Customer")}
          aria-expanded={showsCustomer.value}
          onClick={() => {
            showsCustomer.value = !showsCustomer.value
          }}
        >
          <Icon name="panel-right" turns />
        </button>
      )}
    </header>
  )
}

/** How long the customer waits, or why there is no hurry. */
function State({ thread: { waitingSince, snoozedUntil, status } }: { thread: ShownThread["thread"] }) {
  const now = clock.value
  if (snoozedUntil !== null && snoozedUntil > now) {
    return <small class="calm">{t("Snoozed until {time}", { time: moment(snoozedUntil, now) })}</small>
  }
  if (status === "resolved") return <small class="calm">{t("Resolved")}</small>
  if (waitingSince === null) return null
  const waited = Math.max(0, now - waitingSince)
  return (
    <small class={waited > LATE_MS ? undefined : "calm"}>
      {waited < 60_000 ? t("Waiting") : t("Waiting {time}", { time: duration(waited) })}
    </small>
  )
}

function Actions({ id, thread }: { id: string; thread: ShownThread["thread"] }) {
  const { assigneeUserId, status, snoozedUntil } = thread
  const assignee = assigneeUserId ? (nameOf(assigneeUserId) ?? "?") : null
  const isResolved = status === "resolved"
  const isSnoozed = snoozedUntil !== null && snoozedUntil > clock.value
  const resolve = () => resolveOpen(id)
  const endSnooze = () => void act({ type: "unsnooze" }, [id])
  const more: (MenuItem | "line")[] = [
    { text: t("Assign…"), icon: "user-round", run: () => askAssignee([id]) },
    ...(assigneeUserId === me.value.employeeUserId
      ? []
      : [
          {
            text: t("Assign to me"),
            icon: "user-round-plus" as const,
            run: () => void act({ type: "assign", assigneeUserId: me.peek().employeeUserId }, [id]),
          },
        ]),
    ...(isResolved ? [] : [{ text: t("Snooze…"), icon: "alarm-clock" as const, run: () => askSnooze([id]) }]),
    ...(isSnoozed ? [{ text: t("End the snooze"), icon: "alarm-clock" as const, run: endSnooze }] : []),
    { text: t("Tags…"), icon: "tag", run: () => askTags([id]) },
    { text: t("Move to another business…"), icon: "arrow-right-left", run: () => askBusiness([id]) },
    "line",
    { text: t("Mark as unread"), icon: "mail", run: () => void act({ type: "unread" }, [id]) },
    { text: t("Copy the link"), icon: "copy", run: () => void copyLink(id) },
  ]
  return (
    <>
      <button
        type="button"
        class="icon phone-only"
        aria-label={isResolved ? t("Reopen") : t("Resolve")}
        onClick={resolve}
      >
        <Icon name={isResolved ? "rotate-ccw" : "check"} />
      </button>
      <button type="button" class="quiet wide-only" onClick={() => askAssignee([id])}>
        {assignee && assigneeUserId ? (
          <>
            <Avatar name={assignee} id={assigneeUserId} size={1.25} tiny />
            <span class="unseen">{t("Assigned to")} </span>
            {assignee.split(" ")[0]}
          </>
        ) : (
          t("Assign")
        )}
        <Icon name="chevron-down" />
      </button>
      <button
        type="button"
        class="icon wide-only"
        aria-label={isSnoozed ? t("End the snooze") : t("Snooze")}
        aria-pressed={isSnoozed}
        onClick={() => (isSnoozed ? endSnooze() : askSnooze([id]))}
      >
        <Icon name="alarm-clock" />
      </button>
      <Menu class="icon" label={t("More")} items={more}>
        <Icon name="ellipsis" />
      </Menu>
      <button type="button" class="button wide-only" onClick={resolve}>
        <Icon name={isResolved ? "rotate-ccw" : "check"} />
        {isResolved ? t("Reopen") : t("Resolve")}
        <kbd>E</kbd>
      </button>
    </>
  )
}

async function copyLink(id: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(href({ threadId: id, filters: new URLSearchParams() }))
    toast({ text: t("Link copied.") })
  } catch {
    toast({ text: t("The browser does not allow copying."), isError: true })
  }
}
