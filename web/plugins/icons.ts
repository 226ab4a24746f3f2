import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import type { Plugin } from "vite"
import { ICONS } from "../src/app/icon-names.ts"

const FOLDER = new URL("../node_modules/.icons/", import.meta.url)

/** Put the icons of `icon-names.ts` into one sprite. `import sprite from "virtual:icons"` gives its URL. */
export function icons(): Plugin {
  return {
    name: "icons",
    resolveId(id) {
      if (id !== "virtual:icons") return null
      mkdirSync(FOLDER, { recursive: true })
      const sprite = new URL("icons.svg", FOLDER)
      writeFileSync(sprite, `<svg xmlns="http://www.w3.org/2000/svg">${ICONS.map(symbol).join("")}</svg>\n`)
      return `${sprite.pathname}?url&no-inline`
    },
  }
}

function symbol(name: string): string {
  const file = new URL(`../node_modules/lucide-static/icons/${name}.svg`, import.meta.url)
  const shapes = /<svg[^>]*>(.*)<\/svg>/s.exec(readFileSync(file, "utf8"))?.[1]
  if (!shapes) throw new Error(`lucide-static has no icon ${name}`)
  return `<symbol id="${name}" viewBox="0 0 24 24">${shapes.trim().replace(/\s+/g, " ")}</symbol>`
}
