/** A text as Lingui's runtime reads it: words, `[name]` for a value, `[name, "plural", forms]` for a count. */
export type Compiled = string | (string | [string] | [string, "plural", Record<string, Compiled>])[]

/** The CLDR categories of gettext's plural forms, by how many forms a language has. */
const CATEGORIES: Record<number, readonly string[]> = {
  2: ["one", "other"],
  6: ["zero", "one", "two", "few", "many", "other"],
}

/** Compile a text with `{placeholders}`. */
export function compile(text: string): Compiled {
  const parts = text.split(/\{([a-z_]+)\}/)
  return parts.length === 1 ? text : parts.map((part, i): string | [string] => (i % 2 ? [part] : part))
}

/** Compile the plural forms of a text; each may have `{count}`, which is written in the digits of the language. */
export function compilePlural(forms: readonly string[]): Compiled {
  const categories = CATEGORIES[forms.length]
  if (!categories) throw new Error(`No language is known to have ${forms.length} plural forms`)
  const compiled = forms.map(form => {
    const parts = compile(form)
    return typeof parts === "string" ? parts : parts.map(part => (part[0] === "count" ? "#" : part))
  })
  return [["count", "plural", Object.fromEntries(categories.map((category, i) => [category, compiled[i] ?? ""]))]]
}
