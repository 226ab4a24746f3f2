import { go, route } from "../app/router"
import { me } from "../app/session"
import { draftOf, write } from "../composer/drafts"
import { insert } from "../composer/Field"
import { loadSavedReplies, repliesFor } from "../composer/suggestions"
import { fill } from "../composer/variables"
import { conversation, mayAct } from "../conversation/cache"
import { routeOf, savedViews } from "../views/saved"
import type { Offer } from "./CommandMenu"

/** Businesses and saved views, to go to. */
export function goals(): Offer[] {
  const businesses = me.value.businesses.filter(each => each.active)
  return [
    ...(businesses.length > 1 ? businesses : []).map(
      ({ businessId, name }): Offer => ({
        id: `business-${businessId}`,
        text: name,
        icon: "building-2",
        run: () => go({ view: "needs-reply", threadId: null, filters: new URLSearchParams({ businessId }) }),
      }),
    ),
    ...savedViews.value.map(
      (view): Offer => ({
        id: `view-${view.savedViewId}`,
        text: view.name,
        icon: "list-filter",
        run: () => go(routeOf(view)),
      }),
    ),
  ]
}

/** The saved replies for the open conversation. */
export function replies(): Offer[] {
  void loadSavedReplies()
  const { threadId } = route.value
  const content = threadId ? conversation(threadId).content.value : null
  if (!content || !threadId || !mayAct(content.thread)) return []
  return repliesFor(content).map(reply => ({
    id: `reply-${reply.savedReplyId}`,
    text: reply.title || reply.shortcut,
    more: `/${reply.shortcut}`,
    icon: "message-square-text",
    run: () => {
      const area = document.querySelector<HTMLTextAreaElement>(".compose textarea")
      const text = fill(reply.text, content)
      if (area) insert(area, area.selectionStart, area.selectionEnd, text)
      else write(threadId, "reply", { text: draftOf(threadId, "reply").peek().text + text })
    },
  }))
}
