import { useComputed } from "@preact/signals"
import type { InboxThread } from "../api/types"
import { Avatar } from "../app/Avatar"
import { clock, LATE_MS } from "../app/clock"
import { duration, moment } from "../app/format"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { colleaguesAt } from "../app/presence"
import { href, route } from "../app/router"
import { row } from "../app/rows"
import { businessOf, may, nameOf } from "../app/session"
import { prefetch } from "../conversation/cache"
import { nameIn } from "../conversation/shown"
import { swatch } from "../views/swatch"
import { CHANNEL_ICONS, channelName } from "./channels"
import { hasDraft, hasRefused } from "./drafted"
import { chosen, current, isAllChosen, toggle } from "./selection"
import { isStillHere } from "./store"

interface Props {
  id: string
  /** its place in the list, from 1 */
  place: number
  /** of the list; -1 if it is not known */
  size: number
}

/** A conversation in the list. */
export function Row({ id, place, size }: Props) {
  // Computed, so that only those rows draw again for which it changes.
  const link = useComputed(() => href({ threadId: id })).value
  const isCurrent = useComputed(() => current.value === id).value
  const isOpen = useComputed(() => route.value.threadId === id).value
  const isChosen = useComputed(() => isAllChosen.value || chosen.value.has(id)).value
  const thread = row(id)?.value
  if (!thread) return null
  const name = nameIn(thread)
  const here = colleaguesAt(id).value
  return (
    <li
      class={`item${isChosen ? " chosen" : ""}`}
      aria-setsize={size}
      aria-posinset={place}
      onFocusIn={() => {
        current.value = id
        prefetch(id)
      }}
    >
      <a
        class={`row${thread.unread ? " new" : ""}`}
        href={link}
        data-thread={id}
        tabindex={isCurrent ? 0 : -1}
        aria-current={isOpen ? "true" : undefined}
        onPointerEnter={() => prefetch(id)}
      >
        <Avatar name={name} id={thread.customerId} size={2.25} busy={here.length > 0} />
        <span class="what">
          <span class="line">
            <span class="name cut">
              <bdi>{name}</bdi>
              {thread.unread && <span class="unseen"> {t("unread")}</span>}
              {isChosen && <span class="unseen"> {t("selected")}</span>}
            </span>
            <Age thread={thread} />
          </span>
          <Said thread={thread} />
          <Facts thread={thread} />
        </span>
      </a>
      {may("threads:write") && (
        <input
          type="checkbox"
          class="pick"
          tabindex={-1}
          aria-label={t("Select {name}", { name })}
          checked={isChosen}
          onClick={event => toggle(id, event.shiftKey)}
        />
      )}
    </li>
  )
}

/** How long the customer waits; or when the last message was. */
export function Age({ thread: { waitingSince, lastMessageAt } }: { thread: InboxThread }) {
  const now = clock.value
  if (waitingSince === null) return <time class="age num">{moment(lastMessageAt, now)}</time>
  const waited = Math.max(0, now - waitingSince)
  return (
    <time class={`age num${waited > LATE_MS ? " late" : ""}`}>
      <span class="unseen">{t("waiting")} </span>
      {duration(waited)}
    </time>
  )
}

/** What was said last; or who is writing. */
function Said({ thread: { customerThreadId, preview, lastAuthor } }: { thread: InboxThread }) {
  const here = colleaguesAt(customerThreadId).value
  const [first] = here.toSorted((one, other) => Number(other.state === "writing") - Number(one.state === "writing"))
  if (first?.state === "writing")
    return <span class="said busy-text cut">{t("{name} is writing…", { name: first.name })}</span>
  return (
    <span class="said cut" dir="auto">
      {first && <span class="unseen">{t("{name} is reading this", { name: first.name })} </span>}
      {lastAuthor !== "customer" && <Icon name="reply" turns />}
      {preview || t("File")}
    </span>
  )
}

function Facts({ thread }: { thread: InboxThread }) {
  const { customerThreadId, businessId, channel, assigneeUserId, snoozedUntil, status, mentioned } = thread
  const business = businessOf(businessId)
  const isDrafted = useComputed(() => hasDraft(customerThreadId)).value
  const isRefused = useComputed(() => hasRefused(customerThreadId)).value
  const assignee = assigneeUserId ? nameOf(assigneeUserId) : undefined
  const isSnoozed = snoozedUntil !== null
  return (
    <span class="facts">
      {business && (
        <>
          {swatch(business)}
          {/* The part before a comma tells the stores of one brand apart: “Lyon, Croix-Rousse”. */}
          <span class="cut">{business.name.split(/[,،、]/)[0]}</span>
          <span aria-hidden="true">·</span>
        </>
      )}
      <Icon name={CHANNEL_ICONS[channel]} />
      <span>{channelName(channel)}</span>
      {isRefused && (
        <>
          <span aria-hidden="true">·</span>
          <Icon name="triangle-alert" />
          <span class="drafted bad">{t("Not sent")}</span>
        </>
      )}
      {isDrafted && (
        <>
          <span aria-hidden="true">·</span>
          <Icon name="square-pen" />
          <span class="drafted">{t("Draft")}</span>
        </>
      )}
      {isSnoozed && (
        <>
          <span aria-hidden="true">·</span>
          <Icon name="alarm-clock" />
          <span class="cut">
            <span class="unseen">{t("snoozed until")} </span>
            {moment(snoozedUntil, clock.value)}
          </span>
        </>
      )}
      {!isSnoozed && !isStillHere(thread) && (
        <>
          <span aria-hidden="true">·</span>
          <span class="cut">
            {status === "resolved" ? t("Resolved") : status === "replied" ? t("Replied") : t("Moved")}
          </span>
        </>
      )}
      {mentioned && (
        <span class="at">
          @<span class="unseen">{t("mentions you")}</span>
        </span>
      )}
      {assigneeUserId && (
        <>
          <span class="unseen">{t("assigned to {name}", { name: assignee ?? "" })}</span>
          <Avatar name={assignee ?? "?"} id={assigneeUserId} tiny />
        </>
      )}
    </span>
  )
}
