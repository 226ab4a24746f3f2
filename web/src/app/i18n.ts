import { type I18n, setupI18n } from "@lingui/core"
import { compile, compilePlural } from "./messages"

const CATALOGS = import.meta.glob<{ default: Record<string, ReturnType<typeof compile>> }>("../../locales/*.po")

const i18n: I18n = setupI18n().setMessagesCompiler(text => [compile(text)].flat())

/** The language of the page, as the server chose it: the browser's, or English. */
export const LANGUAGE = document.documentElement.lang

/** Load the texts of the page's language. It must end before the first text is used. */
export async function loadTexts(): Promise<void> {
  const catalog = await CATALOGS[`../../locales/${LANGUAGE.replace("-", "_")}.po`]?.()
  i18n.load(LANGUAGE, { ...catalog?.default })
  i18n.activate(LANGUAGE)
}

/**
 * Translate a text.
 * @param text English, written as a literal: `make catalogs` collects it
 * @param values the values of its `{placeholders}`
 */
export function t(text: string, values?: Record<string, string | number>): string {
  return i18n._(text, values)
}

/** Translate a text that depends on a count: `n("{count} conversation", "{count} conversations", 3)`. */
export function n(one: string, other: string, count: number, values?: Record<string, string | number>): string {
  if (!(one in i18n.messages)) i18n.load(LANGUAGE, { [one]: compilePlural([one, other]) })
  return i18n._(one, { ...values, count })
}

/** Mark a text for the catalogs, and return it unchanged: `t` translates it later. */
export function msgid(text: string): string {
  return text
}
