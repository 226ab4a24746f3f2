import type { Mode } from "../api/types"
import { act, undoLast } from "../app/actions"
import { type Command, register } from "../app/commands"
import { requestComposer } from "../app/early"
import { t } from "../app/i18n"
import type { IconName } from "../app/icon-names"
import { go, route, type ViewName } from "../app/router"
import { row } from "../app/rows"
import { may, me } from "../app/session"
import { VIEW_ICONS, viewName } from "../views/names"
import { askAssignee, askBusiness, askSnooze, askTags } from "./questions"
import { chosen, clearChosen, current, focusRequest, following, move, neighbour, targets, toggle } from "./selection"

/** Open a conversation; with a mode, to write in it. */
export function openThread(id: string, mode?: Mode): void {
  go({ threadId: id })
  if (mode) requestComposer(id, mode)
}

function isInList(): boolean {
  return !!document.activeElement?.closest(".list")
}

function isInTalk(): boolean {
  return !isInList() && !!route.peek().threadId
}

/** In the list, the row moves; elsewhere, the next conversation opens. */
function step(by: number): void {
  if (!isInTalk()) {
    move(by)
    return
  }
  const next = neighbour(route.peek().threadId, by)
  if (next && next !== route.peek().threadId) openThread(next)
}

function only(): string | null {
  const on = targets()
  return Array.isArray(on) && on.length === 1 ? (on[0] as string) : null
}

function hasTargets(): boolean {
  const on = targets()
  return !Array.isArray(on) || on.length > 0
}

function write(mode: Mode): void {
  const id = only()
  if (id) openThread(id, mode)
}

const WRITES = () => hasTargets() && may("threads:write")

function onTargets(id: string, keys: string[], icon: IconName, text: () => string, run: () => void): Command {
  return { id, keys, icon, text, group: "conversation", isAvailable: WRITES, run }
}

function goTo(view: ViewName, key: string): Command {
  return {
    id: `go-${view}`,
    keys: [`g ${key}`],
    icon: VIEW_ICONS[view],
    text: () => viewName(view),
    group: "go",
    run: () => go({ view, threadId: null, filters: new URLSearchParams() }),
  }
}

/** Register the commands of the list, and those that act on a conversation without opening it. */
export function registerListCommands(): void {
  register(
    {
      id: "next",
      keys: ["j"],
      text: () => t("Next conversation"),
      group: "list",
      repeats: true,
      run: () => step(1),
    },
    {
      id: "previous",
      keys: ["k"],
      text: () => t("Previous conversation"),
      group: "list",
      repeats: true,
      run: () => step(-1),
    },
    {
      id: "down",
      keys: ["ArrowDown"],
      text: () => t("Next row"),
      group: "list",
      isAvailable: isInList,
      repeats: true,
      run: () => move(1),
    },
    {
      id: "up",
      keys: ["ArrowUp"],
      text: () => t("Previous row"),
      group: "list",
      isAvailable: isInList,
      repeats: true,
      run: () => move(-1),
    },
    {
      id: "extend-down",
      keys: ["Shift+j", "Shift+ArrowDown"],
      text: () => t("Extend the selection down"),
      group: "list",
      isAvailable: () => may("threads:write"),
      repeats: true,
      run: () => move(1, true),
    },
    {
      id: "extend-up",
      keys: ["Shift+k", "Shift+ArrowUp"],
      text: () => t("Extend the selection up"),
      group: "list",
      isAvailable: () => may("threads:write"),
      repeats: true,
      run: () => move(-1, true),
    },
    {
      id: "open",
      keys: [document.documentElement.dir === "rtl" ? "ArrowLeft" : "ArrowRight"],
      text: () => t("Open"),
      group: "list",
      isAvailable: () => isInList() && current.peek() !== null,
      run: () => current.peek() && openThread(current.peek() as string),
    },
    {
      id: "choose",
      keys: ["x"],
      text: () => t("Select"),
      group: "list",
      isAvailable: () => current.peek() !== null && may("threads:write"),
      run: () => toggle(current.peek() as string),
    },
    {
      id: "escape",
      keys: ["Escape"],
      text: () => t("Back to the list"),
      group: "list",
      isAvailable: () => chosen.peek().size > 0 || route.peek().threadId !== null,
      run: () => {
        if (chosen.peek().size) clearChosen()
        else {
          go({ threadId: null })
          focusRequest.value++
        }
      },
    },
    onTargets(
      "reply",
      ["r"],
      "reply",
      () => t("Reply"),
      () => write("reply"),
    ),
    onTargets(
      "note",
      ["n"],
      "lock",
      () => t("Note"),
      () => write("note"),
    ),
    onTargets("resolve", ["e"], "check", () => t("Resolve and go to the next"), resolve),
    onTargets(
      "assign",
      ["a"],
      "user-round",
      () => t("Assign…"),
      () => askAssignee(targets()),
    ),
    onTargets(
      "assign-me",
      ["i"],
      "user-round-plus",
      () => t("Assign to me"),
      () => {
        void act({ type: "assign", assigneeUserId: me.peek().employeeUserId }, targets())
      },
    ),
    onTargets(
      "snooze",
      ["s"],
      "alarm-clock",
      () => t("Snooze…"),
      () => askSnooze(targets()),
    ),
    onTargets(
      "transfer",
      ["v"],
      "arrow-right-left",
      () => t("Move to another business…"),
      () => askBusiness(targets()),
    ),
    onTargets(
      "tags",
      ["t"],
      "tag",
      () => t("Tags…"),
      () => askTags(targets()),
    ),
    onTargets(
      "unread",
      ["u"],
      "mail",
      () => t("Mark as unread"),
      () => void act({ type: "unread" }, targets()),
    ),
    { id: "undo", keys: ["z"], icon: "undo-2", text: () => t("Undo"), group: "page", run: () => void undoLast() },
    goTo("needs-reply", "n"),
    goTo("mine", "m"),
    goTo("unassigned", "u"),
    goTo("mentions", "@"),
    goTo("snoozed", "s"),
    goTo("open", "a"),
    goTo("resolved", "r"),
  )
}

/** Resolve; a resolved conversation is reopened. From an open one, the next opens. */
function resolve(): void {
  const id = only()
  if (id && id === route.peek().threadId && !isInList()) resolveOpen(id)
  else void act({ type: "status", status: id && isResolved(id) ? "waiting" : "resolved" }, targets())
}

/** Resolve the open conversation and go on to the next one; or reopen it. */
export function resolveOpen(id: string): void {
  if (isResolved(id)) void act({ type: "status", status: "waiting" }, [id])
  else goOn(id, () => void act({ type: "status", status: "resolved" }, [id]))
}

/** Finish with the open conversation, and open the one to go on to. */
export function goOn(id: string, finish: () => void): void {
  const next = following(id) // before it leaves the list
  finish()
  go({ threadId: next })
}

function isResolved(id: string): boolean {
  return row(id)?.peek().status === "resolved"
}
