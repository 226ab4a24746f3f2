import { fold } from "../app/fold"
import { LANGUAGE } from "../app/i18n"

/** An emoji in the data: itself, its name, further keywords, and 1 if it has skin tones. */
export type EmojiRow = [text: string, name: string, words: string, hasTones: 0 | 1]

/** What `plugins/emoji.ts` makes of Unicode's data, in the order of Unicode. */
export interface EmojiData {
  groups: EmojiRow[][]
  /** the names of the five skin tones, the lightest first */
  tones: string[]
}

export interface Emoji {
  text: string
  name: string
  hasTones: boolean
  /** name and keywords, folded */
  words: string[]
}

const DATA: Record<string, () => Promise<{ default: EmojiData }>> = {
  ar: () => import("virtual:emoji/ar"),
  de: () => import("virtual:emoji/de"),
  es: () => import("virtual:emoji/es"),
  fr: () => import("virtual:emoji/fr"),
  it: () => import("virtual:emoji/it"),
  nl: () => import("virtual:emoji/nl"),
  "pt-BR": () => import("virtual:emoji/pt-BR"),
  "pt-PT": () => import("virtual:emoji/pt-PT"),
}

const RECENT = "shopbell.emoji"
const RECENT_SHOWN = 16
const TONE = "shopbell.emoji-tone"
const FIRST_TONE = 0x1f3fb

/** All emoji, in the groups of Unicode; empty until `loadEmoji` ends. */
export let groups: Emoji[][] = []
/** The names of the skin tones. */
export let tones: readonly string[] = []
let loading: Promise<void> | undefined

/** Load the emoji with their names in the language of the page, once. */
export function loadEmoji(): Promise<void> {
  loading ??= (async () => {
    try {
      const { default: data } = await (DATA[LANGUAGE] ?? (() => import("virtual:emoji/en")))()
      tones = data.tones
      groups = data.groups.map(rows =>
        rows.map(([text, name, words, hasTones]) => ({
          text,
          name,
          hasTones: hasTones === 1,
          words: fold(`${name} ${words}`).split(/[^\p{L}\p{N}]+/u),
        })),
      )
    } catch {
      loading = undefined // the next time tries again
    }
  })()
  return loading
}

/** The emoji of which each typed word begins a word of the name or a keyword; those whose name fits best are first. */
export function findEmoji(typed: string): Emoji[] {
  const asked = fold(typed).split(/\s+/).filter(Boolean)
  const found = groups.flat().filter(({ words }) => asked.every(part => words.some(word => word.startsWith(part))))
  const rank = ({ name, words: [first] }: Emoji) => {
    const folded = fold(name)
    if (folded === asked.join(" ")) return 0
    return first === asked[0] ? 1 : asked.every(part => folded.includes(part)) ? 2 : 3
  }
  return found.sort((one, other) => rank(one) - rank(other))
}

/** The emoji that this browser used last. */
export function recentEmoji(): Emoji[] {
  const used = (localStorage.getItem(RECENT) ?? "").split(" ")
  const all = groups.flat()
  return used.map(text => all.find(each => each.text === text)).filter(each => !!each)
}

/** The skin tone that this browser uses: 0 for none, or 1 (light) to 5 (dark). */
export function toneInUse(): number {
  return Number(localStorage.getItem(TONE) ?? 0)
}

export function setTone(tone: number): void {
  localStorage.setItem(TONE, String(tone))
}

/** An emoji as it is shown: in a skin tone if it has one. */
export function inTone({ text, hasTones }: Emoji, tone: number): string {
  if (!hasTones || !tone) return text
  return text.replace(/(\p{Emoji_Modifier_Base})\uFE0F?/gu, `$1${String.fromCodePoint(FIRST_TONE + tone - 1)}`)
}

/** The text to insert for an emoji. It is then the one used last. */
export function takeEmoji(emoji: Emoji): string {
  const others = recentEmoji().filter(each => each !== emoji)
  const kept = [emoji, ...others].slice(0, RECENT_SHOWN)
  localStorage.setItem(RECENT, kept.map(each => each.text).join(" "))
  return inTone(emoji, toneInUse())
}
