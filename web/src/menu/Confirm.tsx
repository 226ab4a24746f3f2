import { Dialog } from "../app/Dialog"
import { t } from "../app/i18n"
import { type Confirmation, confirmation } from "./dialogs"

/** The dialog of `confirm`. */
export function Confirm({ title, text, action, isDangerous = false, run }: Confirmation) {
  const close = () => {
    confirmation.value = null
  }
  return (
    <Dialog class="question" label={title} onClose={close}>
      <h2>{title}</h2>
      <p>{text}</p>
      <div class="acts">
        <button
          type="button"
          class={`button ${isDangerous ? "danger" : "main"}`}
          onClick={() => {
            close()
            run()
          }}
        >
          {action}
        </button>
        <button type="button" class="button" onClick={close}>
          {t("Cancel")}
        </button>
      </div>
    </Dialog>
  )
}
