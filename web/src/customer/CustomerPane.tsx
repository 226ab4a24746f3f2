import "./customer.css"
import { useSignal } from "@preact/signals"
import { useEffect, useRef } from "preact/hooks"
import { Avatar } from "../app/Avatar"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { Menu, type MenuItem } from "../app/Menu"
import { url } from "../app/paths"
import { row } from "../app/rows"
import { may, mayEverywhere } from "../app/session"
import { conversation, isGone, mayAct } from "../conversation/cache"
import type { ShownThread } from "../conversation/shown"
import { askTags, loadTags, tags } from "../list/questions"
import { breakable } from "./breakable"
import { block, erase } from "./changes"
import { Duplicates } from "./Duplicates"
import { Facts } from "./Facts"
import { Others } from "./Others"
import { showsCustomer } from "./shown"

/** The pane next to the conversation: who the customer is. */
export function CustomerPane({ threadId }: { threadId: string }) {
  const content = conversation(threadId).content.value
  const isEditing = useSignal(false)
  const pane = useRef<HTMLElement>(null)
  const isOpen = showsCustomer.value
  useEffect(() => {
    if (!tags.peek().length) void loadTags()
    return () => {
      showsCustomer.value = false
    }
  }, [])
  useEffect(() => {
    if (isOpen) pane.current?.querySelector<HTMLElement>("h2")?.focus()
  }, [isOpen])

  function close(): void {
    showsCustomer.value = false
    document.querySelector<HTMLElement>(".about-button")?.focus()
  }
  const mayWrite =
    !!content?.mayReadCustomer &&
    content.customer.editable &&
    !isGone(threadId) &&
    may("customers:write", content.thread.businessId)
  const items = content ? itemsOf(content, mayWrite) : []
  return (
    <aside
      ref={pane}
      class="about"
      aria-label={t("Customer")}
      data-open={isOpen || undefined}
      onKeyDown={event => {
        if (event.key !== "Escape" || !isOpen) return
        event.stopPropagation()
        close()
      }}
    >
      <header class="bar">
        <h2 tabindex={-1}>{t("Customer")}</h2>
        <span class="push" />
        {mayWrite && (
          <button
            type="button"
            class="icon"
            aria-label={t("Edit the profile")}
            aria-pressed={isEditing.value}
            onClick={() => {
              isEditing.value = !isEditing.value
            }}
          >
            <Icon name="square-pen" />
          </button>
        )}
        {content && items.length > 0 && (
          <Menu class="icon" label={t("More about the customer")} items={items}>
            <Icon name="ellipsis" />
          </Menu>
        )}
        <button type="button" class="icon close" aria-label={t("Close")} onClick={close}>
          <Icon name="x" />
        </button>
      </header>
      {content && (
        <>
          <Face content={content} />
          {content.mayReadCustomer && content.customer.editable && (
            <Facts
              key={content.customer.id}
              content={content}
              isEditing={isEditing.value}
              end={() => {
                isEditing.value = false
              }}
            />
          )}
          <Tags content={content} />
          <Others content={content} />
          {mayWrite && mayEverywhere("customers:write") && <Duplicates content={content} />}
        </>
      )}
    </aside>
  )
}

function Face({ content: { customer } }: { content: ShownThread }) {
  const { displayName, id, emailAddress, phoneNumber, blockedAt, editable } = customer
  return (
    <section class="face">
      <Avatar name={displayName} id={id} />
      <div>
        <b dir="auto">{breakable(displayName)}</b>
        {blockedAt ? (
          <small class="blocked">
            <Icon name="ban" />
            {t("Blocked")}
          </small>
        ) : !editable ? (
          <small>{t("Erased")}</small>
        ) : emailAddress || phoneNumber ? (
          <small>
            <Icon name="shield-check" />
            {emailAddress ? t("Email confirmed") : t("Phone confirmed")}
          </small>
        ) : null}
      </div>
    </section>
  )
}

/** What the employee may do; export and erasure concern all conversations, so they need the permission in all businesses. */
function itemsOf({ customer, mayReadCustomer }: ShownThread, mayWrite: boolean): (MenuItem | "line")[] {
  const { id, blockedAt, editable } = customer
  if (!mayReadCustomer || !editable) return []
  const items: (MenuItem | "line")[] = []
  if (mayEverywhere("customers:read")) {
    items.push({ text: t("Export"), icon: "download", href: url(`api/customers/${id}/export`) })
  }
  if (mayWrite) {
    items.push({
      text: blockedAt ? t("Unblock") : t("Block"),
      icon: "ban",
      run: () => void block(customer, !blockedAt),
    })
  }
  if (mayWrite && mayEverywhere("customers:write")) {
    items.push("line", { text: t("Erase…"), icon: "trash-2", run: () => erase(customer) })
  }
  return items
}

/** The tags of the conversation. */
function Tags({ content: { thread } }: { content: ShownThread }) {
  const id = thread.customerThreadId
  const tagIds = (row(id)?.value ?? thread).tagIds
  const own = tags.value.filter(each => tagIds.includes(each.tagId))
  const mayWrite = mayAct(thread)
  if (!own.length && !mayWrite) return null
  return (
    <section>
      <h3>{t("Tags")}</h3>
      <div class="tags">
        {own.map(each => (
          <span key={each.tagId}>{each.name}</span>
        ))}
        {mayWrite && (
          <button type="button" onClick={() => askTags([id])}>
            <Icon name="plus" />
            {t("Tag")}
          </button>
        )}
      </div>
    </section>
  )
}
