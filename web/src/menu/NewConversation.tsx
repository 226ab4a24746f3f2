import { useSignal } from "@preact/signals"
import { useEffect, useRef } from "preact/hooks"
import { ApiError, post } from "../api/client"
import { reason } from "../app/actions"
import { Dialog } from "../app/Dialog"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { MESSAGE_MAX_CHARACTERS } from "../app/limits"
import { go } from "../app/router"
import { may, me } from "../app/session"
import { toast } from "../app/toast"
import { channelName } from "../list/channels"
import { openDialog } from "./dialogs"
import { type Found, searchCustomers } from "./people"
import { startWith } from "./start"

const SEARCH_AFTER_MS = 120

/** Write first to an existing or a new customer. */
export function NewConversation() {
  const customer = useSignal<Found | null>(startWith.peek())
  const error = useSignal("")
  const isSending = useSignal(false)
  const hasText = useSignal(false)
  const key = useRef(crypto.randomUUID())
  const form = useRef<HTMLFormElement>(null)
  const businesses = me.value.businesses.filter(each => each.active && may("threads:write", each.businessId))

  function close(): void {
    startWith.value = null
    openDialog.value = null
  }
  async function send(): Promise<void> {
    const data = new FormData(form.current as HTMLFormElement)
    const given = (name: string) => String(data.get(name) ?? "").trim()
    const address = given("address")
    const isEmail = address.includes("@")
    const known = customer.peek()
    const to = known
      ? { customerId: known.id }
      : {
          ...(isEmail ? { emailAddress: address } : { phoneNumber: address }),
          ...(given("firstName") ? { firstName: given("firstName") } : {}),
          ...(given("lastName") ? { lastName: given("lastName") } : {}),
        }
    isSending.value = true
    error.value = ""
    try {
      const body = { businessId: given("business"), text: given("text"), ...to, ...channelOf(known, given("channel")) }
      const { customerThreadId } = await post<{ customerThreadId: string }>("api/inbox/start-conversation", body, {
        idempotencyKey: key.current,
      })
      close()
      go({ view: "open", threadId: customerThreadId, filters: new URLSearchParams() })
      toast({ text: t("Sent to {name}", { name: known?.displayName ?? address }) })
    } catch (failure) {
      isSending.value = false
      const isInvalid = failure instanceof ApiError && (failure.status === 400 || failure.status === 422)
      error.value = isInvalid
        ? t("Please check the address: it is not a valid email address or phone number.")
        : reason(failure)
      // Another attempt may be another message. After an error of the server or a proxy, this one may have been sent.
      if (failure instanceof ApiError && failure.status < 500) key.current = crypto.randomUUID()
    }
  }

  return (
    <Dialog class="question start" label={t("New conversation")} onClose={hasText.value ? undefined : close}>
      <h2>{t("New conversation")}</h2>
      <form
        ref={form}
        onSubmit={event => {
          event.preventDefault()
          void send()
        }}
        onKeyDown={event => {
          if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) form.current?.requestSubmit()
        }}
      >
        {businesses.length > 1 ? (
          <label>
            {t("Business")}
            <select name="business">
              {businesses.map(each => (
                <option key={each.businessId} value={each.businessId}>
                  {each.name}
                </option>
              ))}
            </select>
          </label>
        ) : (
          <input type="hidden" name="business" value={businesses[0]?.businessId ?? ""} />
        )}
        {customer.value ? (
          <div class="to">
            <span>
              <b dir="auto">{customer.value.displayName}</b>{" "}
              <bdi dir="ltr">{customer.value.emailAddresses[0] ?? customer.value.phoneNumbers[0]}</bdi>
            </span>
            <button
              type="button"
              class="icon"
              aria-label={t("Choose another customer")}
              onClick={() => {
                customer.value = null
              }}
            >
              <Icon name="x" />
            </button>
          </div>
        ) : (
          <Address
            choose={found => {
              customer.value = found
            }}
          />
        )}
        {customer.value && <Channels customer={customer.value} />}
        <label>
          {t("Message")}
          <textarea
            name="text"
            rows={5}
            required
            maxLength={MESSAGE_MAX_CHARACTERS}
            dir="auto"
            onInput={event => {
              hasText.value = event.currentTarget.value !== ""
            }}
          />
        </label>
        {error.value && (
          <p class="fault" role="alert">
            <Icon name="triangle-alert" />
            {error.value}
          </p>
        )}
        <div class="acts">
          <button type="submit" class="button main" disabled={isSending.value}>
            {t("Send")}
          </button>
          <button type="button" class="button" onClick={close}>
            {t("Cancel")}
          </button>
        </div>
      </form>
    </Dialog>
  )
}

function channelOf(known: Found | null, wanted: string): object {
  if (!known) return {}
  return { channel: wanted || (known.emailAddresses.length ? "EMAIL" : "SMS") }
}

/** The choice between several addresses of a known customer. */
function Channels({ customer }: { customer: Found }) {
  if (!customer.emailAddresses.length || !customer.phoneNumbers.length) return null
  return (
    <label>
      {t("Channel")}
      <select name="channel">
        <option value="EMAIL">{channelName("EMAIL")}</option>
        <option value="SMS">{channelName("SMS")}</option>
      </select>
    </label>
  )
}

/** The address of the customer; known customers are suggested. */
function Address({ choose }: { choose: (customer: Found) => void }) {
  const typed = useSignal("")
  const found = useSignal<readonly Found[]>([])
  const active = useSignal(0)
  useEffect(() => {
    const asked = typed.value.trim()
    if (asked.length < 2) {
      found.value = []
      return
    }
    const request = new AbortController()
    const timer = setTimeout(async () => {
      const those = await searchCustomers(asked, request.signal).catch(() => null)
      if (!those) return
      found.value = those
      active.value = 0
    }, SEARCH_AFTER_MS)
    return () => {
      clearTimeout(timer)
      request.abort()
    }
  }, [typed.value])
  const isOpen = found.value.length > 0
  const isNew = !isOpen && /@.+\..|\d{5}/.test(typed.value)

  function keyDown(event: KeyboardEvent): void {
    if (event.isComposing) return
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    const chosen = found.value[active.value]
    if (step && isOpen) active.value = (active.value + step + found.value.length) % found.value.length
    else if (event.key === "Enter" && isOpen && chosen) choose(chosen)
    else return
    event.preventDefault()
  }
  return (
    <>
      <label>
        {t("To")}
        <input
          name="address"
          autofocus
          role="combobox"
          aria-expanded={isOpen}
          aria-controls={isOpen ? "known" : undefined}
          aria-activedescendant={isOpen ? `known-${active.value}` : undefined}
          aria-autocomplete="list"
          placeholder={t("Name, email address, or phone number with country code")}
          required
          autocomplete="off"
          dir="auto"
          value={typed.value}
          onKeyDown={keyDown}
          onInput={event => {
            typed.value = event.currentTarget.value
          }}
        />
      </label>
      {isOpen && (
        <ul id="known" role="listbox" aria-label={t("Customers")} class="known">
          {found.value.map((each, i) => (
            <li
              key={each.id}
              id={`known-${i}`}
              role="option"
              aria-selected={i === active.value}
              onPointerMove={() => {
                active.value = i
              }}
              onClick={() => choose(each)}
            >
              <b dir="auto">{each.displayName}</b> <bdi dir="ltr">{each.emailAddresses[0] ?? each.phoneNumbers[0]}</bdi>
            </li>
          ))}
        </ul>
      )}
      {isNew && (
        <div class="pair">
          <label>
            {t("First name")}
            <input name="firstName" maxLength={200} dir="auto" />
          </label>
          <label>
            {t("Last name")}
            <input name="lastName" maxLength={200} dir="auto" />
          </label>
        </div>
      )}
    </>
  )
}
