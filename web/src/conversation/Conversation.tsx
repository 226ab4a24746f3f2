import "./conversation.css"
import { useSignal, useSignalEffect } from "@preact/signals"
import { useEffect, useRef } from "preact/hooks"
import { ApiError } from "../api/client"
import { reason } from "../app/actions"
import { composerRequest, endRequest } from "../app/early"
import { msgid, t } from "../app/i18n"
import { useLate } from "../app/late"
import { href } from "../app/router"
import { nameOf } from "../app/session"
import { Composer } from "../composer/Composer"
import { startDrafts } from "../composer/drafts"
import { startQueue } from "../composer/queue"
import { followRefused } from "../composer/refused"
import { giveBack } from "../composer/send"
import { following } from "../list/selection"
import { followNews } from "../menu/notifications"
import { conversation, invalidate, isGone, leave, mayAct, prefetch, refresh } from "./cache"
import { Head } from "./Head"
import { Log } from "./Log"
import { Next } from "./Next"
import { followTyping, usePresence } from "./presence"
import { useReading } from "./reading"
import { rich } from "./rich"
import type { ShownThread } from "./shown"

/** Whether the employee goes from one conversation to another: the page takes no focus when it is loaded. */
let isMoving = false

/** Follow the stream, and send what an earlier page has left. */
export function start(): void {
  followTyping()
  followNews()
  followRefused()
  void startDrafts()
  void startQueue(giveBack)
}

/** The pane of the open conversation. */
export function Conversation({ id }: { id: string }) {
  const { content: state, error: failure } = conversation(id)
  const content = state.value
  const error = failure.value
  const pane = useRef<HTMLElement>(null)
  const toEnd = useSignal(0)
  const hasLeft = isGone(id)
  usePresence(id, hasLeft ? null : content)
  useReading(id)
  useEffect(() => {
    refresh(id)
    return () => leave(id)
  }, [])
  useSignalEffect(() => {
    // Resolving this one leads there, and so does J.
    const next = state.value && following(id)
    if (next) prefetch(next)
  })
  useEffect(() => {
    // Who comes from the list stays there; otherwise, the focus goes to where the news is.
    const from = document.activeElement
    const isPhone = getComputedStyle(document.querySelector(".list") as Element).display === "none"
    const isFirst = !isMoving
    isMoving = true
    if (isFirst || (from?.closest(".list") && !isPhone) || from?.closest("dialog, textarea")) return
    pane.current?.querySelector<HTMLElement>("h2")?.focus()
  }, [])
  useEffect(() => {
    // Its composer would have taken the request: there is none.
    if ((!content && !error) || composerRequest.peek()?.threadId !== id) return
    endRequest()
    pane.current?.querySelector<HTMLElement>("h2")?.focus()
  }, [content, error])

  const name = content?.customer.displayName ?? t("Conversation")
  return (
    <section ref={pane} class="talk" aria-label={name}>
      <Head id={id} content={content} />
      {!content ? (
        <Instead id={id} error={error} />
      ) : content.customer.editable ? (
        <Log key={id} id={id} content={content} toEnd={toEnd} />
      ) : (
        <div />
      )}
      {content && (
        <Foot
          content={content}
          onSent={() => {
            toEnd.value++
          }}
        />
      )}
    </section>
  )
}

/** Where one writes; or why one cannot. */
function Foot({ content, onSent }: { content: ShownThread; onSent: () => void }) {
  const { thread, customer, otherThreads } = content
  if (isGone(thread.customerThreadId)) {
    const by = conversation(thread.customerThreadId).movedBy.value
    const name = by && nameOf(by)
    return (
      <p class="ended" role="status">
        {name
          ? t("{name} moved this conversation to another business. You can no longer reply to it.", { name })
          : t("You no longer have access to this conversation. It was moved to another business.")}
      </p>
    )
  }
  if (!customer.editable)
    return <p class="ended">{t("This customer was erased. Their messages were permanently deleted.")}</p>
  const other = otherThreads.find(each => each.businessId === thread.businessId)
  return (
    <div>
      <Next content={content} />
      {other && (
        <p class="ended">
          {rich(msgid("This customer has {link} with this business, because two customers were merged."), {
            link: <a href={href({ threadId: other.customerThreadId })}>{t("another conversation")}</a>,
          })}
        </p>
      )}
      {mayAct(thread) ? (
        <Composer content={content} onSent={onSent} />
      ) : (
        <p class="ended">{t("Your role allows you to read here, but not to write. An owner can change that.")}</p>
      )}
    </div>
  )
}

/** What stands where no conversation is yet: nothing for a moment, then bones; or an error. */
function Instead({ id, error }: { id: string; error: unknown }) {
  const isLate = useLate()
  if (error) {
    const isMissing = error instanceof ApiError && (error.status === 404 || error.status === 400)
    return (
      <div class="mid" role="alert">
        <b>{isMissing ? t("Conversation not found") : t("The conversation could not be loaded")}</b>
        <p>
          {isMissing
            ? t(
                "It may have been deleted, or it belongs to a business that you do not work for. An owner can give you access.",
              )
            : reason(error)}
        </p>
        {!isMissing && (
          <button type="button" class="button" onClick={() => void invalidate(id, true)}>
            {t("Try again")}
          </button>
        )}
      </div>
    )
  }
  return (
    <div class="scroll" aria-busy="true">
      {isLate && (
        <div class="log bones">
          {[55, 70, 40].map(width => (
            <span key={width} class="bone" style={{ inlineSize: `${width}%` }} />
          ))}
        </div>
      )}
    </div>
  )
}
