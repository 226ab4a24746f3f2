import { hasSingleKeys } from "./commands"
import { t } from "./i18n"
import { onMac } from "./keys"
import { closeToast, holdToast, restartToast, shownToast } from "./toast"

/** The line at the bottom of the page that says what has happened, with Undo. */
export function ToastLine() {
  const said = shownToast.value
  const { undo } = said ?? {}
  return (
    // It is always in the page, so that screen readers notice its changes.
    <div
      class="toasts"
      role="status"
      onPointerEnter={holdToast}
      onPointerLeave={restartToast}
      onFocusIn={holdToast}
      onFocusOut={restartToast}
    >
      {said && (
        <div class={`toast${said.isError ? " bad" : ""}`}>
          <span>{said.text}</span>
          {undo && (
            <button
              type="button"
              onClick={() => {
                closeToast()
                undo()
              }}
            >
              {t("Undo")} {hasSingleKeys.value && <kbd class="letter">Z</kbd>}
              <kbd class="in-composer">{onMac("⌘Z", "Ctrl Z")}</kbd>
            </button>
          )}
        </div>
      )}
    </div>
  )
}
