import { useSignal } from "@preact/signals"
import { useLayoutEffect } from "preact/hooks"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { route } from "../app/router"
import { may, me } from "../app/session"
import { deleteView, isShown, savedViews, saveView } from "../views/saved"
import { CHANNELS, channelName } from "./channels"
import { type Filter, setFilter } from "./Filters"
import { tags } from "./questions"
import { isFiltered, query } from "./store"

/** What is in the popover of the filters. */
export function FilterFields({ onShown }: { onShown: () => void }) {
  useLayoutEffect(onShown, [])
  const name = useSignal("")
  const shared = useSignal(false)
  const saved = savedViews.value.find(each => isShown(each, route.value))
  const { businesses, employees } = me.value
  return (
    <>
      <Choice
        filter="businessId"
        label={t("Business")}
        options={businesses.map(each => [each.businessId, each.name])}
      />
      <Choice
        filter="assigneeUserId"
        label={t("Assigned to")}
        options={employees.filter(each => each.active).map(each => [each.employeeUserId, each.name])}
      />
      <Choice filter="channel" label={t("Channel")} options={CHANNELS.map(each => [each, channelName(each)])} />
      {tags.value.length > 0 && (
        <Choice filter="tagId" label={t("Tag")} options={tags.value.map(each => [each.tagId, each.name])} />
      )}
      {!may("threads:write") ? null : saved ? (
        <button type="button" class="button" onClick={() => void deleteView(saved)}>
          <Icon name="trash-2" />
          {t("Delete the saved filter")}
        </button>
      ) : (
        isFiltered.value && (
          <form
            onSubmit={event => {
              event.preventDefault()
              if (name.value.trim()) void saveView(name.value.trim(), route.peek(), shared.peek())
            }}
          >
            <label>
              {t("Save this filter as")}
              <input
                value={name}
                maxlength={60}
                onInput={event => {
                  name.value = event.currentTarget.value
                }}
              />
            </label>
            <label class="check">
              <input
                type="checkbox"
                checked={shared}
                onChange={event => (shared.value = event.currentTarget.checked)}
              />
              {t("Share with colleagues")}
            </label>
            <button type="submit" class="button main">
              {t("Save")}
            </button>
          </form>
        )
      )}
    </>
  )
}

function Choice({
  filter,
  label,
  options,
}: {
  filter: Filter
  label: string
  options: readonly (readonly [string, string])[]
}) {
  return (
    <label>
      {label}
      <select value={query.value[filter] ?? ""} onChange={event => setFilter(filter, event.currentTarget.value)}>
        <option value="">{t("All")}</option>
        {options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  )
}
