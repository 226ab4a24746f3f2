import { hasSingleKeys } from "../app/commands"
import { Icon } from "../app/Icon"
import { msgid } from "../app/i18n"
import { href } from "../app/router"
import { row } from "../app/rows"
import { me } from "../app/session"
import { queue } from "../composer/queue"
import { Age } from "../list/Row"
import { following, neighbour } from "../list/selection"
import { rich } from "./rich"
import { nameIn, type ShownThread } from "./shown"

/** Leads to the next customer who waits, once this one does not wait any more. */
export function Next({ content }: { content: ShownThread }) {
  const { customerThreadId: id } = content.thread
  const next = needsReply(id) && !isAnswered(content) ? null : following(id)
  const thread = next ? row(next)?.value : undefined
  if (!next || !thread || !needsReply(next)) return null
  return (
    <p class="onward">
      <a class="quiet" href={href({ threadId: next })}>
        <span class="cut">{rich(msgid("Next: {name}"), { name: <bdi>{nameIn(thread)}</bdi> })}</span>
        <Age thread={thread} />
        {hasSingleKeys.value && neighbour(id, 1) === next && <kbd class="letter">J</kbd>}
        <Icon name="chevron-right" turns />
      </a>
    </p>
  )
}

function needsReply(id: string): boolean {
  const thread = row(id)?.value
  return thread?.status === "waiting" && thread.snoozedUntil === null
}

/** Whether the employee has written a reply that the server has still to send. */
function isAnswered({ thread: { customerThreadId }, scheduledMessages }: ShownThread): boolean {
  const { employeeUserId } = me.value
  return (
    queue.value.some(
      each =>
        each.threadId === customerThreadId && each.kind === "reply" && each.state !== "failed" && !each.isWithdrawn,
    ) || scheduledMessages.some(each => each.state === "scheduled" && each.employeeUserId === employeeUserId)
  )
}
