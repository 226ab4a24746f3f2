import { act } from "../app/actions"
import { number } from "../app/format"
import { Icon } from "../app/Icon"
import { n, t } from "../app/i18n"
import { Menu } from "../app/Menu"
import { counts } from "../views/counts"
import { askAssignee, askBusiness, askSnooze, askTags } from "./questions"
import { canChooseMore, chooseLoaded, chosen, clearChosen, isAllChosen, targets } from "./selection"
import { hasMore, isFiltered, order, query } from "./store"

/** What can be done with all chosen conversations. It stands in the place of the title. */
export function BulkBar() {
  const count = chosen.value.size
  const view = query.value.view
  const size = hasMore.value ? (isFiltered.value ? undefined : counts.value.views[view]) : order.value.length
  const text = size
    ? n("{count} of {size} selected", "{count} of {size} selected", count, { size: number(size) })
    : n("{count} selected", "{count} selected", count)
  const run = (type: "read" | "unread") => () => void act({ type }, targets())
  return (
    <>
      <header class="picked" aria-label={t("Selected conversations")}>
        <button type="button" class="icon" aria-label={t("Clear the selection")} onClick={clearChosen}>
          <Icon name="x" />
        </button>
        <b role="status">{text}</b>
        {count < order.value.length && (
          <button type="button" class="quiet wide-only" onClick={chooseLoaded}>
            {t("All")}
          </button>
        )}
        <span class="push" />
        <button
          type="button"
          class="icon"
          aria-label={t("Assign")}
          title={t("Assign")}
          onClick={() => askAssignee(targets())}
        >
          <Icon name="user-round" />
        </button>
        <button
          type="button"
          class="icon"
          aria-label={t("Snooze")}
          title={t("Snooze")}
          onClick={() => askSnooze(targets())}
        >
          <Icon name="alarm-clock" />
        </button>
        <button
          type="button"
          class="icon"
          aria-label={t("Resolve")}
          title={t("Resolve")}
          onClick={() => void act({ type: "status", status: "resolved" }, targets())}
        >
          <Icon name="check" />
        </button>
        <Menu
          class="icon"
          label={t("More")}
          items={[
            { text: t("Select all"), icon: "check-check", run: chooseLoaded },
            { text: t("Tags"), icon: "tag", run: () => askTags(targets()) },
            { text: t("Move to another business"), icon: "arrow-right-left", run: () => askBusiness(targets()) },
            { text: t("Mark as read"), icon: "mail-open", run: run("read") },
            { text: t("Mark as unread"), icon: "mail", run: run("unread") },
          ]}
        >
          <Icon name="ellipsis" />
        </Menu>
      </header>
      {(canChooseMore.value || isAllChosen.value) && (
        <p class="matching">
          {isAllChosen.value ? (
            t("All matching conversations are selected")
          ) : (
            <button
              type="button"
              class="quiet"
              onClick={() => {
                isAllChosen.value = true
              }}
            >
              {t("Select all that match")}
            </button>
          )}
        </p>
      )}
    </>
  )
}
