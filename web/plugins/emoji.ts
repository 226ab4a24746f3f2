import { readFileSync } from "node:fs"
import type { Plugin } from "vite"
import type { EmojiData, EmojiRow } from "../src/composer/emoji.ts"

const NAME = "virtual:emoji/"
/** Emoji of this version of Unicode are on the devices of almost all customers. Newer ones would be empty boxes. */
const NEWEST = 15
const TONES = ["🏻", "🏼", "🏽", "🏾", "🏿"]

interface Group {
  name: string
  emojis: { emoji: string; emoji_version: string; skin_tone_support: boolean }[]
}
type Annotations = Record<string, { default?: string[]; tts?: string[] }>

/** Let `import data from "virtual:emoji/de"` have all emoji, with their names and keywords in a language. */
export function emoji(): Plugin {
  return {
    name: "emoji",
    resolveId: id => (id.startsWith(NAME) ? `\0${id}` : null),
    load(id) {
      if (!id.startsWith(`\0${NAME}`)) return null
      const data = dataIn(id.slice(NAME.length + 1))
      return { code: `export default JSON.parse(${JSON.stringify(JSON.stringify(data))})`, map: null, moduleType: "js" }
    },
  }
}

function dataIn(language: string): EmojiData {
  const annotations = annotationsIn(language)
  const regions = new Intl.DisplayNames(language, { type: "region", fallback: "none" })
  const nameOf = (text: string) => {
    const region = regionOf(text)
    return region ? regions.of(region) : annotations[text]?.tts?.[0]
  }
  const groups = read<Group[]>("unicode-emoji-json/data-by-group.json").map(({ emojis }) =>
    emojis
      .filter(each => Number(each.emoji_version) < NEWEST + 1)
      .map(({ emoji, skin_tone_support: hasTones }): EmojiRow | null => {
        const plain = emoji.replaceAll("\uFE0F", "") // so CLDR writes them
        const name = nameOf(plain)
        const words = annotations[plain]?.default?.filter(word => word !== name).join(" ") ?? ""
        return name ? [emoji, name, words, hasTones ? 1 : 0] : null
      })
      .filter(row => row !== null),
  )
  return { groups, tones: TONES.map(tone => nameOf(tone) ?? tone) }
}

/** Names and keywords. CLDR writes of a region, such as Portugal, only what differs from its language. */
function annotationsIn(language: string): Annotations {
  const [main = "", region] = language.split("-")
  const found = annotationsOf(main)
  if (!region || language === "pt-BR") return found
  for (const [text, own] of Object.entries(annotationsOf(language))) found[text] = { ...found[text], ...own }
  return found
}

function annotationsOf(tag: string): Annotations {
  const file = `cldr-annotations-full/annotations/${tag}/annotations.json`
  return read<{ annotations: { annotations: Annotations } }>(file).annotations.annotations
}

/** The country of a flag, which is written with two letters of their own. */
function regionOf(text: string): string | null {
  const letters = [...text].map(each => (each.codePointAt(0) ?? 0) - 0x1f1e6)
  const isFlag = letters.length === 2 && letters.every(each => each >= 0 && each < 26)
  return isFlag ? String.fromCharCode(...letters.map(each => each + 65)) : null
}

function read<T>(file: string): T {
  return JSON.parse(readFileSync(new URL(`../node_modules/${file}`, import.meta.url), "utf8"))
}
