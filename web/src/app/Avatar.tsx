import { computed } from "@preact/signals"
import { me } from "./session"

interface Props {
  name: string
  /** chooses the color */
  id: string
  /** in rem */
  size?: number
  /** a ring: another employee has this conversation open */
  busy?: boolean
  /** one letter only */
  tiny?: boolean
}

/** The initials of a person. It is hidden from screen readers: the name must be next to it. */
export function Avatar({ name, id, size, busy = false, tiny = false }: Props) {
  const style: Record<string, string> = { "--h": String(hueOf(id)) }
  if (size) style["--s"] = `${size}rem`
  return (
    <span class={`who${busy ? " busy" : ""}${tiny ? " tiny" : ""}`} style={style} aria-hidden="true">
      {tiny ? initials(name).slice(0, 1) : initials(name)}
    </span>
  )
}

/** The golden angle: multiples of it are far apart on the circle, those of near numbers most of all. */
const STEP_DEG = 137.508

/** The employees by age in the organization: colleagues get different colors, and keep them. */
const places = computed(() => {
  const ids = me.value.employees.map(each => Number(each.employeeUserId))
  return new Map(ids.sort((one, other) => one - other).map((id, place) => [String(id), place]))
})

function hueOf(id: string): number {
  return Math.round(((places.value.get(id) ?? Number(id) % 360) * STEP_DEG) % 360)
}

/** The first letters of the first and the last word; one letter in scripts without capitals. */
function initials(name: string): string {
  const words = name.split(/[^\p{L}\p{N}]+/u).filter(Boolean)
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined].map(word =>
    word ? ([...word][0] ?? "") : "",
  )
  const [first = "", last = ""] = letters.map(letter => letter.toLocaleUpperCase())
  return /\p{Lu}/u.test(first) ? first + last : first || "?"
}
