import "./composer.css"
import { useSignal, useSignalEffect } from "@preact/signals"
import { useEffect, useRef } from "preact/hooks"
import type { Channel, Mode } from "../api/types"
import { undoLast } from "../app/actions"
import { composerRequest, endRequest } from "../app/early"
import { number } from "../app/format"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { onMac } from "../app/keys"
import { MESSAGE_MAX_CHARACTERS } from "../app/limits"
import { Menu } from "../app/Menu"
import { shownToast } from "../app/toast"
import { askTime, atHour, daysToMonday, inHours } from "../app/when"
import { noteWriting } from "../conversation/presence"
import type { ShownThread } from "../conversation/shown"
import { CHANNEL_ICONS, channelName } from "../list/channels"
import { goOn } from "../list/commands"
import { askSnooze } from "../list/questions"
import { Answered } from "./Answered"
import { Beside } from "./Beside"
import { Closed } from "./Closed"
import { addFiles, adopt, draftOf, saveNow, write } from "./drafts"
import { EmojiButton } from "./EmojiButton"
import { Field, insert } from "./Field"
import { Files } from "./Files"
import { Suggested } from "./Suggested"
import { acknowledge, type How, obstacle, sendDraft } from "./send"

interface Props {
  content: ShownThread
  /** the log goes to its end */
  onSent: () => void
}

/** Where the employee writes: a reply to the customer, or a note for colleagues. */
export function Composer({ content, onSent }: Props) {
  const threadId = content.thread.customerThreadId
  const mode = useSignal<Mode>("reply")
  const channel = useSignal<Channel | null>(null)
  const isOver = useSignal(false)
  const field = useRef<HTMLTextAreaElement>(null)

  useEffect(() => adopt(content), [content])
  useEffect(() => {
    const [reply, note] = (["reply", "note"] as const).map(each => draftOf(threadId, each).peek())
    if (!reply?.text && note?.text) mode.value = "note"
    return () => saveNow(threadId)
  }, [])
  useSignalEffect(() => {
    const wanted = composerRequest.value
    if (wanted?.threadId !== threadId) return
    mode.value = wanted.mode
    const typed = endRequest()
    if (typed) write(threadId, wanted.mode, { text: draftOf(threadId, wanted.mode).peek().text + typed })
    // At once, so that the next key is typed into it; later, if the field is not there yet.
    if (field.current) field.current.focus()
    else requestAnimationFrame(() => field.current?.focus())
  })

  const isNote = mode.value === "note"
  const isClosed = !isNote && !content.isMessagingWindowOpen && (channel.value ?? content.thread.channel) === "WHATSAPP"

  function send(how: Partial<How> = {}): void {
    if (obstacle(threadId, mode.peek())) return
    sendDraft(content, mode.peek(), { channel: channel.peek(), ...how })
    onSent()
    field.current?.focus()
  }
  // A colleague has answered: the question is about the reply, also where the note is shown.
  function sendReply(asNote: boolean): void {
    mode.value = "reply"
    if (obstacle(threadId, "reply")) return
    acknowledge(threadId)
    send({ asNote })
  }
  function sendAndResolve(): void {
    goOn(threadId, () => send({ resolve: true }))
  }
  function askSendTime(): void {
    askTime({
      label: t("Send later"),
      scope: content.customer.displayName,
      choices: [
        [t("In one hour"), inHours(1)],
        [t("This evening"), atHour(0, 18)],
        [t("Tomorrow morning"), atHour(1, 9)],
        [t("Tomorrow afternoon"), atHour(1, 14)],
        [t("Next Monday"), atHour(daysToMonday(), 9)],
      ],
      answer: sendAt => send({ sendAt }),
    })
  }
  function chooseFiles(): void {
    const input = document.createElement("input")
    input.type = "file"
    input.multiple = true
    input.onchange = () => addFiles(threadId, mode.peek(), [...(input.files ?? [])])
    input.click()
  }
  // In a field with text, the browser takes back what was typed.
  function canUndo(): boolean {
    return !!shownToast.peek()?.undo && !draftOf(threadId, mode.peek()).peek().text
  }
  function keyDown(event: KeyboardEvent): void {
    if (event.isComposing) return
    const hasModifier = event.metaKey || event.ctrlKey
    if (event.key === "Enter" && hasModifier) send()
    else if (event.key === "z" && hasModifier && canUndo()) void undoLast()
    else if (event.key === "Escape") document.querySelector<HTMLElement>(".talk .scroll")?.focus()
    else return
    event.preventDefault()
    event.stopPropagation()
  }

  return (
    <form
      class="compose"
      aria-label={isNote ? t("Note") : t("Reply")}
      onSubmit={event => {
        event.preventDefault()
        send()
      }}
      onKeyDown={keyDown}
    >
      <Beside threadId={threadId} name={content.customer.displayName} />
      <Answered content={content} onSend={sendReply} onRead={onSent} />
      <Suggested content={content} mode={mode.value} />
      <div
        class={`card${isNote ? " noting" : ""}${isOver.value ? " over" : ""}`}
        onDragOver={event => {
          if (!event.dataTransfer?.types.includes("Files")) return
          event.preventDefault()
          isOver.value = true
        }}
        onDragLeave={() => {
          isOver.value = false
        }}
        onDrop={event => {
          event.preventDefault()
          isOver.value = false
          addFiles(threadId, mode.peek(), [...(event.dataTransfer?.files ?? [])])
        }}
      >
        <div class="modes">
          <Modes
            mode={mode.value}
            set={to => {
              mode.value = to
              requestAnimationFrame(() => field.current?.focus())
            }}
          />
          {isNote ? (
            <span class="way only">
              <Icon name="lock" />
              {t("Only your team sees this")}
            </span>
          ) : (
            <Way content={content} channel={channel} />
          )}
        </div>
        {isClosed ? (
          <Closed content={content} channel={channel} onSent={onSent} />
        ) : (
          <>
            <Field
              content={content}
              mode={mode.value}
              field={field}
              onTyped={() => noteWriting(threadId, mode.peek() === "reply")}
            />
            <Files threadId={threadId} mode={mode.value} />
            <div class="tools">
              <button type="button" class="icon" aria-label={t("Attach a file")} onClick={chooseFiles}>
                <Icon name="paperclip" />
              </button>
              <button
                type="button"
                class="icon"
                aria-label={isNote ? t("Mention a colleague") : t("Saved replies")}
                onClick={() => {
                  const area = field.current
                  if (!area) return
                  const { selectionStart: at } = area
                  const isFree = !at || /\s$/.test(area.value.slice(0, at))
                  insert(area, at, area.selectionEnd, `${isFree ? "" : " "}${isNote ? "@" : "/"}`)
                }}
              >
                <Icon name={isNote ? "at-sign" : "zap"} />
              </button>
              <EmojiButton field={field} />
              <State threadId={threadId} mode={mode.value} />
              {isNote ? (
                <button type="submit" class="button main" disabled={obstacle(threadId, "note") !== null}>
                  {t("Add note")}
                  <kbd>{onMac("⌘↵", "Ctrl ↵")}</kbd>
                </button>
              ) : (
                <span class="split">
                  <button type="submit" class="button main" disabled={obstacle(threadId, "reply") !== null}>
                    <span class="cut">{sendLabel(content)}</span>
                    <kbd>{onMac("⌘↵", "Ctrl ↵")}</kbd>
                  </button>
                  <Menu
                    class="button main"
                    label={t("More ways to send")}
                    items={[
                      { text: t("Send and resolve"), icon: "check", run: sendAndResolve },
                      {
                        text: t("Send and snooze…"),
                        icon: "alarm-clock",
                        run: () => {
                          if (obstacle(threadId, "reply")) return
                          send()
                          askSnooze([threadId])
                        },
                      },
                      {
                        text: t("Send later…"),
                        icon: "clock",
                        run: () => {
                          if (obstacle(threadId, "reply")) return
                          askSendTime()
                        },
                      },
                    ]}
                  >
                    <Icon name="chevron-down" />
                  </Menu>
                </span>
              )}
            </div>
          </>
        )}
      </div>
    </form>
  )
}

/** The button names the act and the person; but no address, which would fill it. */
function sendLabel({ customer: { firstName, displayName } }: ShownThread): string {
  const name = firstName ?? displayName
  return /[@\d]/.test(name) ? t("Send") : t("Send to {name}", { name })
}

const MODES: readonly Mode[] = ["reply", "note"]

function Modes({ mode, set }: { mode: Mode; set: (mode: Mode) => void }) {
  return (
    <div
      role="tablist"
      aria-label={t("Kind of message")}
      onKeyDown={event => {
        if (event.key === "ArrowLeft" || event.key === "ArrowRight") set(mode === "reply" ? "note" : "reply")
      }}
    >
      {MODES.map(each => (
        <button
          key={each}
          type="button"
          role="tab"
          id={`tab-${each}`}
          aria-selected={mode === each}
          aria-controls={mode === each ? `panel-${each}` : undefined}
          tabindex={mode === each ? 0 : -1}
          onClick={() => set(each)}
        >
          {each === "note" && mode === each && <Icon name="lock" />} {each === "note" ? t("Note") : t("Reply")}
        </button>
      ))}
    </div>
  )
}

/** The channels by which the customer can be reached. */
function Way({ content, channel }: { content: ShownThread; channel: { value: Channel | null } }) {
  const { thread, customer } = content
  const hasEmail = customer.emailAddress !== null
  const hasPhone = customer.phoneNumber !== null
  const own =
    thread.channel === "WEB" && hasEmail
      ? t("Chat, then email")
      : thread.channel === "WEB" && hasPhone
        ? t("Chat, then SMS")
        : channelName(thread.channel)
  const others = (["EMAIL", "SMS"] as const).filter(
    each => each !== thread.channel && (each === "EMAIL" ? hasEmail : hasPhone),
  )
  const shown = channel.value ?? thread.channel
  if (!others.length) {
    return (
      <span class="quiet way">
        <Icon name={CHANNEL_ICONS[shown]} />
        {own}
      </span>
    )
  }
  return (
    <Menu
      class="quiet way"
      items={[
        {
          text: own,
          icon: CHANNEL_ICONS[thread.channel],
          isOn: !channel.value,
          run: () => {
            channel.value = null
          },
        },
        ...others.map(each => ({
          text: t("Only by {channel}", { channel: channelName(each) }),
          icon: CHANNEL_ICONS[each],
          isOn: channel.value === each,
          run: () => {
            channel.value = each
          },
        })),
      ]}
    >
      <Icon name={CHANNEL_ICONS[shown]} />
      {channel.value ? channelName(channel.value) : own}
      <Icon name="chevron-down" />
    </Menu>
  )
}

/** Whether the draft is kept, or why it cannot be sent. */
function State({ threadId, mode }: { threadId: string; mode: Mode }) {
  const { state } = draftOf(threadId, mode).value
  const reason = obstacle(threadId, mode)
  if (reason === "gap" || reason === "long") {
    return (
      <span class="kept gone-wrong" role="status">
        <Icon name="triangle-alert" />
        <span class="cut">
          {reason === "gap"
            ? t("A variable is empty: fill it to send")
            : t("Too long: at most {count} characters", { count: number(MESSAGE_MAX_CHARACTERS) })}
        </span>
      </span>
    )
  }
  return (
    <span class="kept" role="status">
      {(state === "kept" || state === "local") && (
        <>
          <Icon name="check" />
          <span class="cut">{state === "kept" ? t("Draft kept") : t("Draft kept in this browser")}</span>
        </>
      )}
    </span>
  )
}
