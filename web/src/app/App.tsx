import { useSignalEffect } from "@preact/signals"
import { retryMs } from "../api/client"
import { List } from "../list/List"
import { closeDialogs, confirmation, openDialog } from "../menu/dialogs"
import { counts } from "../views/counts"
import { viewName } from "../views/names"
import { showsViews, Tabs } from "../views/Tabs"
import { Views } from "../views/Views"
import { number } from "./format"
import { t } from "./i18n"
import { lazy } from "./lazy"
import { Picker } from "./Picker"
import { route } from "./router"
import { SessionOver } from "./SessionOver"
import { ToastLine } from "./ToastLine"

const loadTalk = () => import("../conversation/Conversation")
const Conversation = lazy<{ id: string }>(
  async () => (await loadTalk()).Conversation,
  () => <section class="talk" aria-label={t("Conversation")} />,
)
const CustomerPane = lazy<{ threadId: string }>(
  async () => (await import("../customer/CustomerPane")).CustomerPane,
  () => <aside class="about" aria-label={t("Customer")} />,
)

const Dialogs = lazy(
  async () => (await import("../menu/Dialogs")).Dialogs,
  () => null,
  closeDialogs,
)

/** Start what can start a moment later than the list; its code is asked for until it is there. */
export function startTalk(failures = 0): void {
  loadTalk().then(
    talk => talk.start(),
    () => setTimeout(() => startTalk(failures + 1), retryMs(failures)),
  )
}

/** The frame: views, list, conversation, customer. A phone shows one of them. */
export function App() {
  const { threadId } = route.value
  useSignalEffect(() => {
    const due = counts.value.views["needs-reply"]
    document.title = `${due ? `(${number(due)}) ` : ""}${viewName(route.value.view)} · Shopbell`
  })
  useSignalEffect(() => {
    route.value
    showsViews.value = false
  })
  return (
    <>
      <div class="app" data-pane={threadId ? "talk" : showsViews.value ? "views" : "list"}>
        <Views />
        <main class="both">
          <h1 class="unseen">{t("Inbox")}</h1>
          <List />
          {threadId ? <Conversation key={threadId} id={threadId} /> : <Nothing />}
        </main>
        {threadId && <CustomerPane key={threadId} threadId={threadId} />}
        <Tabs />
      </div>
      <ToastLine />
      <Picker />
      {(openDialog.value || confirmation.value) && <Dialogs />}
      <SessionOver />
    </>
  )
}

/** What is shown while no conversation is open. */
function Nothing() {
  return (
    <section class="talk none" aria-label={t("Conversation")}>
      <p class="mid">{t("Select a conversation")}</p>
    </section>
  )
}
