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
import { loadTexts } from "./app/i18n"
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
  void startTalk()
} catch (error) {
  // The session has ended between the page and its data.
  if (!(error instanceof ApiError && error.status === 401)) throw error
  location.assign(url("sign-in"))
}
