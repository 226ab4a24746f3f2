import type { ComponentChildren } from "preact"
import { useLayoutEffect, useRef } from "preact/hooks"

interface Props {
  class: string
  label: string
  /** called by Escape and by a click outside; without it, they do nothing */
  onClose?: (() => void) | undefined
  children: ComponentChildren
}

/** A modal dialog of the platform, open until it is removed. The focus then returns to where it was. */
export function Dialog({ class: className, label, onClose, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null)
  const beginsOutside = useRef(false)
  useLayoutEffect(() => {
    const shown = dialog.current
    shown?.showModal()
    return () => shown?.close()
  }, [])

  /** Not on the padding: it has the same target as what is outside. */
  function isOutside({ target, clientX: x, clientY: y }: MouseEvent): boolean {
    const shown = dialog.current
    if (!shown || target !== shown) return false
    const { left, right, top, bottom } = shown.getBoundingClientRect()
    return x < left || x > right || y < top || y > bottom
  }
  return (
    <dialog
      ref={dialog}
      class={className}
      aria-label={label}
      closedby={onClose ? undefined : "none"}
      onCancel={event => {
        event.preventDefault()
        onClose?.()
      }}
      // A browser that does not know `closedby` closes it at the second Escape.
      onClose={() => dialog.current?.showModal()}
      // A selection that begins in a field and ends outside is not a click outside.
      onPointerDown={event => {
        beginsOutside.current = isOutside(event)
      }}
      onClick={event => beginsOutside.current && isOutside(event) && onClose?.()}
    >
      {children}
    </dialog>
  )
}
