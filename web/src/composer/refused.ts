import { getAll } from "../api/client"
import { on } from "../api/stream"
import type { ScheduledMessage } from "../api/types"
import { t } from "../app/i18n"
import { route } from "../app/router"
import { row } from "../app/rows"
import { me } from "../app/session"
import { toast } from "../app/toast"
import { conversation } from "../conversation/cache"
import { refusal } from "../conversation/refusal"
import { nameIn } from "../conversation/shown"
import { noteRefused, refused } from "../list/drafted"
import { keyOf } from "./queue"

/** How many signals about the employee's messages have come: a response that is older than one says nothing. */
let signals = 0

/** Tell the employee of messages that the server has refused to send, also of those that an earlier page left. */
export function followRefused(): void {
  on("scheduled", ({ scheduledMessageId, customerThreadId, employeeUserId, state, reason }) => {
    if (employeeUserId !== me.peek().employeeUserId) return
    signals++
    const [id, threadId, isRefused] = [String(scheduledMessageId), String(customerThreadId), state === "refused"]
    noteRefused(id, threadId, isRefused)
    // One of this page goes back into the composer, which says why.
    if (isRefused && !(reason === "answered" && keyOf(id))) void tell(threadId, reason as ScheduledMessage["reason"])
  })
  on("ready", () => void readRefused())
  void readRefused()
}

async function tell(threadId: string, reason: ScheduledMessage["reason"]): Promise<void> {
  if (route.peek().threadId === threadId) return // there it is shown
  if (!row(threadId)) await conversation(threadId).loading
  const thread = row(threadId)?.peek()
  if (!thread) return
  const texts = { name: nameIn(thread), reason: refusal(reason) }
  toast({ text: t("Your message to {name} was not sent: {reason}", texts), isError: true })
}

async function readRefused(): Promise<void> {
  const before = signals
  try {
    const all = await getAll<ScheduledMessage>("api/scheduled-messages", "scheduledMessages", { state: "refused" })
    if (signals !== before) return readRefused()
    const own = all.filter(each => each.employeeUserId === me.peek().employeeUserId)
    refused.value = new Map(own.map(each => [each.scheduledMessageId, each.customerThreadId]))
  } catch {
    // The next connection brings them.
  }
}
