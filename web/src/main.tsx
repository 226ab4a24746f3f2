import { render } from "preact"
import "./app/tokens.css"
import "./app/base.css"
import "./app/frame.css"
import "./views/views.css"
import "./list/list.css"
import "./menu/menu.css"
import "./app/theme"
import { ApiError } from "./api/client"
import { openStream } from "./api/stream"
import { App, startTalk } from "./app/App"
import { reason } from "./app/actions"
import { loadTexts, t } from "./app/i18n"
import { url } from "./app/paths"
import { loadSession, me } from "./app/session"
import { followConversations } from "./conversation/cache"
import { registerListCommands } from "./list/commands"
import { followSelection } from "./list/selection"
import { followList } from "./list/store"
import { registerPageCommands } from "./menu/commands"
import { loadSavedViews } from "./views/saved"

try {
  await Promise.all([loadSession(), loadTexts()])
  followList()
  followSelection()
  registerListCommands()
  registerPageCommands()
  followConversations()
  void loadSavedViews()
  render(<App />, document.getElementById("app") as HTMLElement)
  openStream(me.peek().streamPosition)
  startTalk()
} catch (error) {
  // The session has ended between the page and its data.
  if (error instanceof ApiError && error.status === 401) location.assign(url("sign-in"))
  else {
    await loadTexts().catch(() => {}) // without them, the texts are English
    render(<Failed error={error} />, document.getElementById("app") as HTMLElement)
    throw error
  }
}

/** What stands where the inbox could not be started. */
function Failed({ error }: { error: unknown }) {
  return (
    <main>
      <h1 class="unseen">{t("Inbox")}</h1>
      <div class="mid" role="alert">
        <b>{t("The conversations could not be loaded")}</b>
        <p>{reason(error)}</p>
        <button type="button" class="button" onClick={() => location.reload()}>
          {t("Try again")}
        </button>
      </div>
    </main>
  )
}
