import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { toast } from "../app/toast"

/** A text to copy: a command, a line of HTML, or a link. */
export function Command({ text }: { text: string }) {
  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(text)
      toast({ text: t("Copied.") })
    } catch {
      toast({ text: t("The browser does not allow copying."), isError: true })
    }
  }
  return (
    <div class="command" dir="ltr">
      {/* What scrolls must be reachable by keyboard. */}
      <pre tabindex={0}>
        <code>{text}</code>
      </pre>
      <button type="button" class="icon" aria-label={t("Copy")} onClick={() => void copy()}>
        <Icon name="copy" />
      </button>
    </div>
  )
}
