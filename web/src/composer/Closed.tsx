import { get } from "../api/client"
import type { Channel } from "../api/types"
import { reason } from "../app/actions"
import { clock } from "../app/clock"
import { ago } from "../app/format"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { ask } from "../app/picker"
import { toast } from "../app/toast"
import { conversation } from "../conversation/cache"
import type { ShownThread } from "../conversation/shown"
import { sendText } from "./send"

interface Template {
  title: string
  text: string
  contentSid: string
}

interface Props {
  content: ShownThread
  channel: { value: Channel | null }
  onSent: () => void
}

/** WhatsApp accepts no free text now: a template, or another channel. */
export function Closed({ content, channel, onSent }: Props) {
  const { thread, customer } = content
  const threadId = thread.customerThreadId
  const last = conversation(threadId).messages.value.findLast(each => each.fromCustomer && !each.internal)
  const name = customer.displayName

  async function choose(): Promise<void> {
    try {
      const query = { customerThreadId: threadId }
      const { templates } = await get<{ templates: Template[] }>("api/get-whatsapp-templates", query)
      ask({
        label: t("Choose a template"),
        scope: name,
        options: templates.map(each => ({ id: each.contentSid, text: each.title, more: each.text })),
        answer: ([contentSid]) => {
          const chosen = templates.find(each => each.contentSid === contentSid)
          if (!chosen) return
          sendText(threadId, chosen.text, { contentSid: chosen.contentSid })
          onSent()
        },
      })
    } catch (error) {
      toast({ text: reason(error), isError: true })
    }
  }
  return (
    <div id="panel-reply" role="tabpanel" aria-labelledby="tab-reply">
      <div class="closed">
        <Icon name="clock" />
        <div>
          <b>
            {last
              ? t("{name} last wrote {time}.", { name, time: ago(last.createdAt, clock.value) })
              : t("{name} has not written by WhatsApp yet.", { name })}
          </b>
          <p>{t("WhatsApp allows free text for 24 hours. Choose a template, or write on another channel.")}</p>
        </div>
      </div>
      <div class="tools acts-start">
        <button type="button" class="button main" onClick={() => void choose()}>
          {t("Choose a template")}
        </button>
        {customer.emailAddress !== null && (
          <button
            type="button"
            class="button"
            onClick={() => {
              channel.value = "EMAIL"
            }}
          >
            {t("Write by email")}
          </button>
        )}
        {customer.phoneNumber !== null && (
          <button
            type="button"
            class="button"
            onClick={() => {
              channel.value = "SMS"
            }}
          >
            {t("Write by SMS")}
          </button>
        )}
      </div>
    </div>
  )
}
