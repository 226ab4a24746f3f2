import { post } from "../api/client"
import type { Draft, Mode } from "../api/types"
import { reason } from "../app/actions"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { toast } from "../app/toast"
import { invalidate } from "../conversation/cache"
import type { ShownThread } from "../conversation/shown"
import { draftOf, takeOver } from "./drafts"

/** A draft that a program suggests: an employee takes it over, changes it and sends it. */
export function Suggested({ content, mode }: { content: ShownThread; mode: Mode }) {
  const threadId = content.thread.customerThreadId
  const draft = content.drafts.find(each => each.mode === mode && !each.employeeUserId)
  if (!draft || draftOf(threadId, mode).value.text) return null

  async function run(path: string): Promise<void> {
    try {
      const taken = await post<Draft>(`api/inbox/drafts/${draft?.draftId}/${path}`, {})
      if (path === "take-over") takeOver(taken)
    } catch (error) {
      toast({ text: reason(error), isError: true })
    }
    void invalidate(threadId)
  }
  return (
    <div class="beside suggested">
      <Icon name="square-pen" />
      <div>
        <b>{t("A program suggests:")}</b>
        <p dir="auto">{draft.text}</p>
        <div class="acts">
          <button type="button" class="button" onClick={() => void run("take-over")}>
            {t("Use it")}
          </button>
          <button type="button" class="quiet" onClick={() => void run("delete")}>
            {t("Delete")}
          </button>
        </div>
      </div>
    </div>
  )
}
