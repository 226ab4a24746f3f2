import { t } from "../app/i18n"
import { businessOf, me } from "../app/session"
import type { ShownThread } from "../conversation/shown"

/** An invisible character on both sides of the name of an empty variable. */
const MARK = "\u2063"

type Name = "first_name" | "last_name" | "business" | "employee"

function label(name: Name): string {
  return {
    first_name: t("first name?"),
    last_name: t("last name?"),
    business: t("business?"),
    employee: t("your name?"),
  }[name]
}

const NAMES: readonly Name[] = ["first_name", "last_name", "business", "employee"]

/** Replace the variables of a saved reply. Those that have no value become gaps. */
export function fill(text: string, { customer, thread }: ShownThread): string {
  const values: Record<Name, string | null | undefined> = {
    first_name: customer.firstName,
    last_name: customer.lastName,
    business: businessOf(thread.businessId)?.name,
    employee: me.peek().name,
  }
  return replace(text, name => values[name] || gap(name))
}

/** The text of a draft as the server stores it: gaps are variables again. */
export function toStored(text: string): string {
  let stored = text
  for (const name of NAMES) stored = stored.replaceAll(gap(name), `{{${name}}}`)
  return stored.replaceAll(MARK, "")
}

export function fromStored(text: string): string {
  return replace(text, gap)
}

/** Where the gaps of a text are, and what stands in them. */
export function gapsOf(text: string): { from: number; to: number }[] {
  const found: { from: number; to: number }[] = []
  for (const name of NAMES) {
    const wanted = gap(name)
    for (let from = text.indexOf(wanted); from >= 0; from = text.indexOf(wanted, from + 1)) {
      found.push({ from, to: from + wanted.length })
    }
  }
  return found.sort((one, other) => one.from - other.from)
}

/** The text to send: a gap that was typed over leaves no mark. */
export function toSend(text: string): string {
  return text.replaceAll(MARK, "").trim()
}

function gap(name: Name): string {
  return MARK + label(name) + MARK
}

function replace(text: string, by: (name: Name) => string): string {
  return text.replace(/\{\{(first_name|last_name|business|employee)\}\}/g, (_, name: Name) => by(name))
}
