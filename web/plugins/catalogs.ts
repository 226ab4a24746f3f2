import PO from "pofile"
import type { Plugin } from "vite"
import { type Compiled, compile, compilePlural } from "../src/app/messages.ts"

/** Compile the catalogs of translations, `locales/*.po`, into modules. */
export function catalogs(): Plugin {
  return {
    name: "catalogs",
    transform(code, id) {
      if (!id.endsWith(".po")) return null
      const messages: Record<string, Compiled> = {}
      for (const { msgid, msgid_plural, msgstr, obsolete } of PO.parse(code).items) {
        const [first] = msgstr
        if (obsolete || !first) continue
        messages[msgid] = msgid_plural ? compilePlural(msgstr) : compile(first)
      }
      return { code: `export default ${JSON.stringify(messages)}`, map: null, moduleType: "js" }
    },
  }
}
