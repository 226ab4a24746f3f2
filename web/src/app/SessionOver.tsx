import { useEffect } from "preact/hooks"
import { get, isSessionOver, sessionReturned } from "../api/client"
import type { Me } from "../api/types"
import { Dialog } from "./Dialog"
import { t } from "./i18n"
import { url } from "./paths"
import { me } from "./session"

/** The dialog over the page when the session has ended. The page and its drafts stay as they are. */
export function SessionOver() {
  const isOver = isSessionOver.value
  useEffect(() => {
    if (!isOver) return
    addEventListener("focus", look)
    return () => removeEventListener("focus", look)
  }, [isOver])
  if (!isOver) return null
  return (
    <Dialog class="question" label={t("Your session has ended")}>
      <h2>{t("Your session has ended")}</h2>
      <p>{t("Sign in again to continue. Your draft is saved.")}</p>
      <div class="acts">
        <a class="button main" href={url("sign-in", { next: "inbox" })} target="_blank" rel="noopener">
          {t("Sign in")}
        </a>
        <button type="button" class="button" onClick={look}>
          {t("Continue")}
        </button>
      </div>
    </Dialog>
  )
}

/** Check whether the employee has signed in in another tab. */
async function look(): Promise<void> {
  try {
    const { employeeUserId } = await get<Me>("api/me")
    // Another employee has signed in: nothing on this page belongs to them.
    if (employeeUserId !== me.value.employeeUserId) location.reload()
    else sessionReturned()
  } catch {
    // Not yet: the dialog stays.
  }
}
