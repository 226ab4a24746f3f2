import { signal } from "@preact/signals"
import { h } from "preact"
import { getAll, post } from "../api/client"
import { newest } from "../api/newest"
import type { Tag } from "../api/types"
import { Avatar } from "../app/Avatar"
import { act, type Matching, reason } from "../app/actions"
import { t } from "../app/i18n"
import { ask } from "../app/picker"
import { row } from "../app/rows"
import { may, mayEverywhere, me } from "../app/session"
import { toast } from "../app/toast"
import { askTime, atHour, daysToMonday, inHours } from "../app/when"
import { swatch } from "../views/swatch"

type Targets = readonly string[] | Matching

/** The tags of the organization; empty until they are read. */
export const tags = signal<readonly Tag[]>([])

const readTags = newest(tags, () => getAll<Tag>("api/tags", "tags"))

export async function loadTags(): Promise<void> {
  await readTags().catch(() => {}) // those that are known stay
}

/** What the answers are for, if it is one conversation. */
function scopeOf(on: Targets): { scope?: string } {
  const name = Array.isArray(on) && on.length === 1 ? row(on[0])?.peek().customerName : null
  return name ? { scope: name } : {}
}

export function askAssignee(on: Targets): void {
  const { employeeUserId: own, employees } = me.peek()
  const colleagues = employees.filter(each => each.active && each.employeeUserId !== own)
  ask({
    label: t("Assign to"),
    ...scopeOf(on),
    options: [
      {
        id: own,
        text: me.peek().name,
        more: t("you"),
        icon: () => h(Avatar, { name: me.peek().name, id: own, size: 1.25, tiny: true }),
      },
      ...colleagues.map(({ employeeUserId: id, name }) => ({
        id,
        text: name,
        icon: () => h(Avatar, { name, id, size: 1.25, tiny: true }),
      })),
      { id: "", text: t("No one") },
    ],
    answer: ([id]) => void act({ type: "assign", assigneeUserId: id || null }, on),
  })
}

export function askSnooze(on: Targets): void {
  askTime({
    label: t("Snooze until"),
    ...scopeOf(on),
    choices: [
      [t("In two hours"), inHours(2)],
      [t("This evening"), atHour(0, 18)],
      [t("Tomorrow morning"), atHour(1, 9)],
      [t("Next Monday"), atHour(daysToMonday(), 9)],
      [t("In a week"), atHour(7, 9)],
    ],
    answer: until => void act({ type: "snooze", until }, on),
  })
}

export function askTags(on: Targets): void {
  void loadTags()
  const ids = Array.isArray(on) ? (on as readonly string[]) : []
  const threads = ids.map(id => row(id)?.peek()).filter(each => !!each)
  const [first, ...others] = threads
  const before = first?.tagIds.filter(id => others.every(each => each.tagIds.includes(id))) ?? []
  const set = (addTagIds: string[], removeTagIds: string[]) => {
    if (addTagIds.length || removeTagIds.length) void act({ type: "tags", addTagIds, removeTagIds }, on)
  }
  ask({
    label: t("Tags"),
    ...scopeOf(on),
    several: true,
    options: () => tags.value.map(tag => ({ id: tag.tagId, text: tag.name })),
    on: before,
    answer: chosen => {
      set(
        chosen.filter(id => !before.includes(id)),
        before.filter(id => !chosen.includes(id)),
      )
    },
    ...(mayEverywhere("inbox:manage") && {
      create: {
        text: typed => t("Create the tag “{name}”", { name: typed }),
        run: async name => {
          try {
            const { tagId } = await post<Tag>("api/tags", { name })
            await loadTags()
            set([tagId], [])
          } catch (error) {
            toast({ text: reason(error), isError: true })
          }
        },
      },
    }),
  })
}

export function askBusiness(on: Targets): void {
  const from = Array.isArray(on) && on.length === 1 ? row(on[0])?.peek().businessId : null
  const open = me
    .peek()
    .businesses.filter(each => each.active && each.businessId !== from && may("threads:write", each.businessId))
  ask({
    label: t("Move to"),
    ...scopeOf(on),
    options: open.map(business => ({ id: business.businessId, text: business.name, icon: () => swatch(business) })),
    answer: ([businessId]) => {
      if (businessId) void act({ type: "transfer", businessId }, on)
    },
  })
}
