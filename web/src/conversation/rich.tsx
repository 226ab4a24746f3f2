import type { ComponentChildren } from "preact"
import { t as translate } from "../app/i18n"

/**
 * Translate a text whose values are elements, such as names in bold.
 * @param text from `msgid`
 */
export function rich(text: string, values: Record<string, ComponentChildren>): ComponentChildren[] {
  const marked = Object.fromEntries(Object.keys(values).map(name => [name, `{${name}}`]))
  return translate(text, marked)
    .split(/\{([a-z_]+)\}/)
    .map((part, i) => (i % 2 ? values[part] : part))
}
