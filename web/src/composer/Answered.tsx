import { clock } from "../app/clock"
import { ago } from "../app/format"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { nameOf } from "../app/session"
import { conversation } from "../conversation/cache"
import type { ShownThread } from "../conversation/shown"
import { draftOf } from "./drafts"
import { acknowledge, answersSince, unsent } from "./send"

interface Props {
  content: ShownThread
  onSend: (asNote: boolean) => void
  onRead: () => void
}

/** A colleague has answered while the employee was writing: what now? */
export function Answered({ content, onSend, onRead }: Props) {
  const threadId = content.thread.customerThreadId
  const answers = answersSince(threadId, conversation(threadId).messages.value)
  const answer = answers.at(-1)
  const hasText = draftOf(threadId, "reply").value.text.trim() !== ""
  if (!answer || !hasText) return null
  const name = (answer.employeeUserId && nameOf(answer.employeeUserId)) || t("A program")
  const time = ago(answer.createdAt, Math.max(clock.value, answer.createdAt))
  return (
    <div class="warn" role="alert">
      <Icon name="triangle-alert" />
      <div>
        <b>
          {unsent.value.has(threadId)
            ? t("{name} answered {time}. Nothing was sent.", { name, time })
            : t("{name} answered {time}, while you were writing.", { name, time })}
        </b>
        <p dir="auto">“{answer.text}”</p>
        <div class="acts">
          <button
            type="button"
            class="button"
            onClick={() => {
              acknowledge(threadId)
              onRead()
            }}
          >
            {t("Read it")}
          </button>
          <button type="button" class="button" onClick={() => onSend(false)}>
            {t("Send mine too")}
          </button>
          <button type="button" class="quiet" onClick={() => onSend(true)}>
            {t("Keep as a note")}
          </button>
        </div>
      </div>
    </div>
  )
}
