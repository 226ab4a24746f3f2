import { useSignal } from "@preact/signals"
import type { RefObject } from "preact"
import { useId, useRef } from "preact/hooks"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { lazy } from "../app/lazy"
import { placeAt } from "../app/Menu"
import { insert } from "./Field"

interface PickerProps {
  onShown: () => void
  /** the employee has chosen a text, or nothing */
  onEnd: (text: string) => void
}

const EmojiPicker = lazy<PickerProps>(async () => {
  const [{ EmojiPicker }, { loadEmoji }] = await Promise.all([import("./EmojiPicker"), import("./emoji")])
  await loadEmoji()
  return EmojiPicker
})

/** The button that opens the emoji, and inserts the one that is chosen. Phones have them on their keyboards. */
export function EmojiButton({ field }: { field: RefObject<HTMLTextAreaElement | null> }) {
  const id = useId()
  const button = useRef<HTMLButtonElement>(null)
  const popup = useRef<HTMLDivElement>(null)
  const isOpen = useSignal(false)

  function shown(): void {
    if (popup.current && button.current) placeAt(popup.current, button.current)
  }
  function end(text: string): void {
    popup.current?.hidePopover()
    const area = field.current
    if (area && text) insert(area, area.selectionStart, area.selectionEnd, text)
    else area?.focus()
  }

  return (
    <>
      <button
        ref={button}
        type="button"
        class="icon wide-only"
        aria-label={t("Emoji")}
        aria-haspopup="dialog"
        aria-expanded={isOpen.value}
        popovertarget={id}
      >
        <Icon name="smile" />
      </button>
      <div
        ref={popup}
        id={id}
        popover="auto"
        role="dialog"
        class="popup emoji"
        aria-label={t("Emoji")}
        onKeyDown={event => {
          if (event.key === "Escape") event.stopPropagation() // the form around it would leave the composer
        }}
        onToggle={event => {
          isOpen.value = event.newState === "open"
        }}
      >
        {isOpen.value && <EmojiPicker onShown={shown} onEnd={end} />}
      </div>
    </>
  )
}
