import { register } from "../app/commands"
import { t } from "../app/i18n"
import { may } from "../app/session"
import { showsCustomer } from "../customer/shown"
import { openDialog } from "./dialogs"

/** The panes between which F6 moves, in order; each with what takes the focus in it. */
const PANES = [
  [".views", "[aria-current], a, button"],
  [".list", "[data-thread][tabindex='0'], a, button"],
  [".talk", "h2, .scroll"],
  [".compose", "textarea, button.main"],
  [".about", "h2"],
] as const

/** Register the commands of the page. */
export function registerPageCommands(): void {
  const open = (dialog: typeof openDialog.value) => () => {
    openDialog.value = openDialog.peek() === dialog ? null : dialog
  }
  register(
    {
      id: "menu",
      keys: ["$mod+k"],
      icon: "search",
      text: () => t("Search and commands"),
      group: "page",
      inFields: true,
      run: open("menu"),
    },
    {
      id: "keys",
      keys: ["Shift+?", "?"],
      icon: "keyboard",
      text: () => t("Keyboard shortcuts"),
      group: "page",
      run: open("keys"),
    },
    {
      id: "search",
      keys: ["/"],
      text: () => t("Search"),
      group: "page",
      run: open("menu"),
    },
    {
      id: "start",
      keys: ["c"],
      icon: "square-pen",
      text: () => t("New conversation…"),
      group: "page",
      isAvailable: () => may("threads:write"),
      run: open("start"),
    },
    { id: "pane", keys: ["F6"], text: () => t("Next pane"), group: "page", inFields: true, run: () => goToPane(1) },
    {
      id: "pane-back",
      keys: ["Shift+F6"],
      text: () => t("Previous pane"),
      group: "page",
      inFields: true,
      run: () => goToPane(-1),
    },
    {
      id: "customer",
      keys: ["]"],
      icon: "panel-right",
      text: () => t("Show the customer"),
      group: "conversation",
      isAvailable: () => document.querySelector(".about") !== null,
      run: () => {
        if (isVisible(document.querySelector(".about-button"))) showsCustomer.value = !showsCustomer.peek()
        else document.querySelector<HTMLElement>(".about h2")?.focus()
      },
    },
    {
      id: "list-pane",
      keys: ["["],
      text: () => t("Go to the list"),
      group: "list",
      run: () => focusIn(1),
    },
  )
}

function goToPane(step: number): void {
  const at = PANES.findLastIndex(([pane]) => document.activeElement?.closest(pane))
  for (let i = 1; i <= PANES.length; i++) {
    const to = (Math.max(at, at < 0 && step < 0 ? 0 : at) + i * step + PANES.length * 2) % PANES.length
    if (focusIn(to)) return
  }
}

function focusIn(pane: number): boolean {
  const [name, inside] = PANES[pane] ?? PANES[0]
  const all = document.querySelectorAll<HTMLElement>(inside.replace(/[^,]+/g, each => `${name} ${each}`))
  const wanted = [...all].find(isVisible)
  wanted?.focus()
  return wanted !== undefined
}

function isVisible(element: Element | null): boolean {
  return element?.checkVisibility() === true
}
