import { signal } from "@preact/signals"
import { number } from "../app/format"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { Menu } from "../app/Menu"
import { href, route } from "../app/router"
import { counts } from "./counts"
import { viewName } from "./names"
import { ownItems } from "./Views"

/** Whether a phone shows the views instead of the list. */
export const showsViews = signal(false)

/** The tabs at the bottom of a phone. */
export function Tabs() {
  const { view, filters } = route.value
  const isPlain = !showsViews.value && ![...filters.keys()].length
  const due = counts.value.views["needs-reply"]
  const none = { threadId: null, filters: new URLSearchParams() }
  return (
    <nav class="tabs phone-only" aria-label={t("Main views")}>
      <a
        href={href({ view: "needs-reply", ...none })}
        aria-current={isPlain && view === "needs-reply" ? "page" : undefined}
      >
        <Icon name="inbox" />
        {t("Inbox")}
        {due ? <b>{number(due)}</b> : null}
      </a>
      <a href={href({ view: "mine", ...none })} aria-current={isPlain && view === "mine" ? "page" : undefined}>
        <Icon name="user-round" />
        {viewName("mine")}
      </a>
      <button
        type="button"
        aria-pressed={showsViews.value}
        onClick={() => {
          showsViews.value = !showsViews.value
        }}
      >
        <Icon name="list-filter" />
        {t("Views")}
      </button>
      <Menu class="tab" items={ownItems()}>
        <Icon name="settings" />
        {t("You")}
      </Menu>
    </nav>
  )
}
