import type { ComponentChildren } from "preact"
import { useId, useRef } from "preact/hooks"
import { Icon } from "./Icon"
import type { IconName } from "./icon-names"

export interface MenuItem {
  text: string
  icon?: IconName
  /** for a choice: whether it is the chosen one */
  isOn?: boolean
  /** goes to another page; otherwise `run` acts */
  href?: string
  run?: () => void
}

interface Props {
  /** what the button says */
  children: ComponentChildren
  class: string
  /** the label of the button, if its content is not a text */
  label?: string
  items: readonly (MenuItem | "line")[]
}

/** A button that opens a menu: a popover of the platform, with the keys of the ARIA pattern. */
export function Menu({ children, class: className, label, items }: Props) {
  const id = useId()
  const button = useRef<HTMLButtonElement>(null)
  const menu = useRef<HTMLDivElement>(null)
  const entries = () => [...(menu.current?.querySelectorAll<HTMLElement>("[role^=menuitem]") ?? [])]

  function toggled(event: ToggleEvent): void {
    button.current?.setAttribute("aria-expanded", String(event.newState === "open"))
    if (event.newState !== "open" || !menu.current || !button.current) return
    placeAt(menu.current, button.current)
    entries()[0]?.focus()
  }
  function keyDown(event: KeyboardEvent): void {
    const all = entries()
    const at = all.indexOf(document.activeElement as HTMLElement)
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key]
    if (event.key === "Tab") menu.current?.hidePopover()
    if (to === undefined) return
    event.preventDefault()
    all.at(to % all.length)?.focus()
  }

  return (
    <>
      <button
        ref={button}
        type="button"
        class={className}
        aria-label={label}
        aria-haspopup="menu"
        aria-expanded="false"
        popovertarget={id}
      >
        {children}
      </button>
      <div
        ref={menu}
        id={id}
        popover="auto"
        role="menu"
        class="popup"
        aria-label={label}
        onToggle={toggled}
        onKeyDown={keyDown}
      >
        {items.map((item, i) =>
          item === "line" ? (
            <hr key={i} />
          ) : (
            <Item key={item.text} item={item} close={() => menu.current?.hidePopover()} />
          ),
        )}
      </div>
    </>
  )
}

function Item({ item: { text, icon, isOn, href, run }, close }: { item: MenuItem; close: () => void }) {
  const content = (
    <>
      {icon && <Icon name={icon} />}
      <span>{text}</span>
      {isOn && <Icon name="check" />}
    </>
  )
  if (href) {
    return (
      <a role="menuitem" tabindex={-1} href={href} onClick={close}>
        {content}
      </a>
    )
  }
  return (
    <button
      type="button"
      role={isOn === undefined ? "menuitem" : "menuitemradio"}
      aria-checked={isOn}
      tabindex={-1}
      onClick={() => {
        close()
        run?.()
      }}
    >
      {content}
    </button>
  )
}

const GAP_PX = 4
const EDGE_PX = 8

/** Place a popover below its button, or above where there is more room; never beyond the window. */
export function placeAt(popover: HTMLElement, button: HTMLElement): void {
  const of = button.getBoundingClientRect()
  const { offsetWidth: width, offsetHeight: height } = popover
  const isBelow = of.bottom + GAP_PX + height <= innerHeight - EDGE_PX || of.top < innerHeight - of.bottom
  const top = isBelow ? of.bottom + GAP_PX : of.top - GAP_PX - height
  const start = document.documentElement.dir === "rtl" ? of.right - width : of.left
  popover.style.top = `${Math.max(EDGE_PX, top)}px`
  popover.style.left = `${Math.max(EDGE_PX, Math.min(innerWidth - EDGE_PX - width, start))}px`
}
