import type { ComponentChildren } from "preact"
import { useLayoutEffect, useRef } from "preact/hooks"

interface Props {
  class: string
  label: string
  onClose: () => void
  children: ComponentChildren
}

/** A modal dialog of the platform. Escape and a click outside close it; the focus returns to where it was. */
export function Dialog({ class: className, label, onClose, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null)
  useLayoutEffect(() => {
    const before = document.activeElement
    dialog.current?.showModal()
    return () => {
      queueMicrotask(() => {
        if (before instanceof HTMLElement && document.activeElement === document.body) before.focus()
      })
    }
  }, [])
  return (
    <dialog
      ref={dialog}
      class={className}
      aria-label={label}
      onCancel={onClose}
      onClick={event => event.target === dialog.current && onClose()}
    >
      {children}
    </dialog>
  )
}
