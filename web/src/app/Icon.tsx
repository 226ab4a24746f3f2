import sprite from "virtual:icons"
import type { IconName } from "./icon-names"

/** An icon. It is hidden from screen readers: the control around it needs a text or a label. */
export function Icon({ name, turns = false }: { name: IconName /** mirrored right to left */; turns?: boolean }) {
  return (
    <svg aria-hidden="true" class={turns ? "turn" : undefined}>
      <use href={`${sprite}#${name}`} />
    </svg>
  )
}
