import { get, post } from "../api/client"
import type { Attachment, ScheduledMessage } from "../api/types"
import { reason as reasonOf } from "../app/actions"
import { clock } from "../app/clock"
import { requestComposer } from "../app/early"
import { moment, time } from "../app/format"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { me, nameOf } from "../app/session"
import { toast } from "../app/toast"
import { restore } from "../composer/drafts"
import { cancel, forget, type Queued, type Reason, tryAgain } from "../composer/queue"
import { conversation, invalidate, mayAct } from "./cache"
import { refusal } from "./refusal"
import type { ShownThread } from "./shown"
import { Text } from "./Text"

/** Messages that are sent within this time are being sent; others are planned. */
const SOON_MS = 35_000

/** A message that has failed for one of these reasons can be changed and sent. */
const EDITABLE: readonly Reason[] = ["old", "window", "refused"]

/** A message that the server has not confirmed. */
export function Pending({ item }: { item: Queued }) {
  const { key, threadId, text, kind, attachment, createdAt, state, reason, attempts } = item
  const isStuck = state === "failed" || (reason !== null && attempts > 0)
  function edit(): void {
    forget([key])
    restore(threadId, kind, text, attachment ? [attachment] : [])
    requestComposer(threadId, kind)
  }
  return (
    <li class={kind === "note" ? "note" : "msg us"}>
      <span class="from">
        {kind === "note" && <Icon name="lock" />}
        <b>{me.value.name}</b>
        <time class="num">{time(createdAt)}</time>
      </span>
      <span class={`text${isStuck ? " bad" : ""}`} dir="auto">
        <Text text={text || (attachment?.name ?? "")} isNote={kind === "note"} />
      </span>
      {isStuck && reason ? (
        <span class="state failed" role="alert">
          <Icon name="triangle-alert" />
          <span>{t("Not sent: {reason}", { reason: why(reason) })}</span>
          <button type="button" onClick={() => tryAgain(key)}>
            {t("Try again")}
          </button>
          {EDITABLE.includes(reason) && !item.contentSid && (
            <button type="button" onClick={edit}>
              {t("Edit")}
            </button>
          )}
          <button type="button" onClick={() => forget([key])}>
            {t("Delete")}
          </button>
        </span>
      ) : (
        <span class="state">
          <Icon name="clock" />
          {t("Sending…")}
        </span>
      )}
    </li>
  )
}

function why(reason: Reason): string {
  switch (reason) {
    case "connection":
      return t("no connection")
    case "server":
      return t("the server is busy")
    case "session":
      return t("your session has ended")
    case "old":
      return t("it is too old; check whether it arrived")
    case "window":
      return t("WhatsApp accepts only a template now")
    case "erased":
      return t("the customer was erased")
    case "forbidden":
      return t("your role does not allow it")
    case "refused":
      return t("the server refused it")
  }
}

/** A message that the server will send, or has refused to send. */
export function Scheduled({ message, content }: { message: ScheduledMessage; content: ShownThread }) {
  const { scheduledMessageId, employeeUserId, text, attachmentId, sendAt, state, reason, resolve } = message
  const threadId = content.thread.customerThreadId
  const isRefused = state === "refused"
  const isSoon = !isRefused && sendAt - message.createdAt < SOON_MS && sendAt - Date.now() < SOON_MS

  async function update(to: object): Promise<void> {
    try {
      await post(`api/scheduled-messages/${scheduledMessageId}/update`, to)
    } catch (error) {
      toast({ text: reasonOf(error), isError: true })
    }
    void invalidate(threadId)
  }
  async function edit(): Promise<void> {
    try {
      const files = attachmentId ? [await get<Attachment>(`api/attachments/${attachmentId}`)] : []
      if (!(await cancel(threadId, scheduledMessageId))) return
      restore(threadId, "reply", text, files)
      requestComposer(threadId, "reply")
    } catch (error) {
      toast({ text: reasonOf(error), isError: true })
    }
  }
  const lastSeenMessageId = conversation(threadId).messages.value.at(-1)?.id
  return (
    <li class="msg us">
      <span class="from">
        <b>
          <bdi>{(employeeUserId && nameOf(employeeUserId)) || t("Automatic")}</bdi>
        </b>
        <time class="num">{time(message.createdAt)}</time>
      </span>
      <span class={`text${isRefused ? " bad" : isSoon ? "" : " later"}`} dir="auto">
        <Text text={text || t("A file")} />
      </span>
      {isSoon ? (
        <span class="state">
          <Icon name="clock" />
          {t("Sending…")}
        </span>
      ) : (
        <span class={`state${isRefused ? " failed" : ""}`}>
          <Icon name={isRefused ? "triangle-alert" : "clock"} />
          <span>
            {isRefused
              ? t("Not sent: {reason}", { reason: refusal(reason) })
              : resolve
                ? t("Will be sent {time}, and resolved", { time: moment(sendAt, clock.value) })
                : t("Will be sent {time}", { time: moment(sendAt, clock.value) })}
          </span>
          {mayAct(content.thread) && (
            <>
              <button type="button" onClick={() => void update({ delayMs: 0, lastSeenMessageId })}>
                {isRefused ? t("Send anyway") : t("Send now")}
              </button>
              <button type="button" onClick={() => void edit()}>
                {t("Edit")}
              </button>
              <button type="button" onClick={() => void cancel(threadId, scheduledMessageId)}>
                {t("Delete")}
              </button>
            </>
          )}
        </span>
      )}
    </li>
  )
}
