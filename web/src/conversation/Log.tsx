import { type Signal, useComputed, useSignal } from "@preact/signals"
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks"
import { clock } from "../app/clock"
import { longDay } from "../app/format"
import { n, t } from "../app/i18n"
import { queue } from "../composer/queue"
import { look } from "../composer/send"
import { ActivityLine } from "./ActivityLine"
import { conversation, loadOlder } from "./cache"
import { type Entry, entriesOf } from "./entries"
import { Said } from "./Message"
import { Pending, Scheduled } from "./Pending"
import type { ShownThread } from "./shown"

/** Nearer to the end than this, the log stays at its end when it grows. */
const NEAR_END_PX = 60
/** Older messages are loaded before the top is reached. */
const NEAR_TOP_PX = 600
/** Screen readers look at what was added a moment after it. */
const SILENT_MS = 100
/** How much of what was read before stays visible above the first unread message. */
const ABOVE_NEW_PX = 72

interface Props {
  id: string
  content: ShownThread
  /** counts up whenever the log shall go to its end */
  toEnd: Signal<number>
}

/** The messages of a conversation. */
export function Log({ id, content, toEnd }: Props) {
  const { messages, activities, hasMore } = conversation(id)
  const box = useRef<HTMLDivElement>(null)
  const inner = useRef<HTMLOListElement>(null)
  const isAtEnd = useRef(true)
  const top = useRef(0)
  const fromEnd = useRef(0)
  const toSpeak = useRef<ReturnType<typeof setTimeout>>(undefined)
  const unseen = useSignal(0)
  // What was unread when it was opened stays marked until it is left.
  const readTo = useMemo(() => (content.thread.unread ? content.readSequence : Number.POSITIVE_INFINITY), [])
  const queued = useComputed(() => queue.value.filter(each => each.threadId === id && !each.isWithdrawn))
  const entries = entriesOf(content, messages.value, activities.value, queued.value, readTo)
  const first = messages.value[0]?.sequence ?? 0
  const last = messages.value.at(-1)?.sequence ?? 0
  const shown = useRef({ first, last })

  function goToEnd(): void {
    if (box.current) {
      box.current.scrollTop = box.current.scrollHeight
      top.current = box.current.scrollTop
    }
    isAtEnd.current = true
    unseen.value = 0
  }
  function scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = box.current as HTMLDivElement
    top.current = scrollTop
    fromEnd.current = scrollHeight - scrollTop
    isAtEnd.current = fromEnd.current - clientHeight < NEAR_END_PX
    if (isAtEnd.current) unseen.value = 0
    if (scrollTop < NEAR_TOP_PX && hasMore.peek()) showOlder(box.current as HTMLDivElement)
  }
  /** Screen readers read out what comes at the end of a log, but must not read out what comes above. */
  function showOlder(region: HTMLDivElement): void {
    region.ariaLive = "off"
    clearTimeout(toSpeak.current)
    void loadOlder(id).finally(() => {
      clearTimeout(toSpeak.current)
      toSpeak.current = setTimeout(() => {
        region.ariaLive = null
      }, SILENT_MS)
    })
  }

  useLayoutEffect(() => {
    const start = box.current?.querySelector<HTMLElement>(".fresh")
    if (start && box.current) {
      box.current.scrollTop = start.offsetTop - ABOVE_NEW_PX
      scrolled()
    } else goToEnd()
    // Pictures load and the composer grows: the end stays in sight.
    const observer = new ResizeObserver(() => {
      if (isAtEnd.current) goToEnd()
    })
    for (const each of [box.current, inner.current]) if (each) observer.observe(each)
    return () => observer.disconnect()
  }, [])
  useLayoutEffect(() => {
    const before = shown.current
    shown.current = { first, last }
    if (!box.current) return
    // The employee has scrolled, and the browser has not said so yet; at the end, the log has only become shorter.
    const { scrollTop, scrollHeight, clientHeight } = box.current
    const scrolledBy = scrollTop - top.current
    if (scrolledBy && scrollHeight - scrollTop - clientHeight >= 1) isAtEnd.current = false
    // Older messages came above: what is read stays where it is.
    if (first < before.first) box.current.scrollTop = box.current.scrollHeight - fromEnd.current + scrolledBy
    if (last > before.last && !isAtEnd.current) unseen.value += last - before.last
  })
  useEffect(() => look(id, messages.value), [messages.value])
  useEffect(() => {
    if (toEnd.value) goToEnd()
  }, [toEnd.value])

  return (
    <div class="reading">
      {/* A region that scrolls must be reachable by keyboard. */}
      <div ref={box} class="scroll" role="log" aria-label={t("Messages")} tabindex={0} onScroll={scrolled}>
        <ol ref={inner} class="log">
          {entries.map(each => (
            <Line key={each.key} entry={each} content={content} />
          ))}
        </ol>
      </div>
      {unseen.value > 0 && (
        <button type="button" class="below" onClick={goToEnd}>
          {n("{count} new message", "{count} new messages", unseen.value)}
        </button>
      )}
    </div>
  )
}

function Line({ entry, content }: { entry: Entry; content: ShownThread }) {
  switch (entry.type) {
    case "day":
      return <li class="day">{longDay(entry.at, clock.value)}</li>
    case "new":
      return <li class="day fresh">{t("New")}</li>
    case "message":
      return <Said {...entry} content={content} />
    case "activity":
      return <ActivityLine activity={entry.activity} content={content} />
    case "scheduled":
      return <Scheduled message={entry.message} content={content} />
    case "queued":
      return <Pending item={entry.item} />
  }
}
