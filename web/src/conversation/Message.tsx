import { useSignal } from "@preact/signals"
import type { Delivery, Message } from "../api/types"
import { Avatar } from "../app/Avatar"
import { time } from "../app/format"
import { Icon } from "../app/Icon"
import { t } from "../app/i18n"
import { nameOf } from "../app/session"
import { queue } from "../composer/queue"
import { sendText } from "../composer/send"
import { channelName } from "../list/channels"
import { AttachedFile } from "./AttachedFile"
import { conversation, mayAct } from "./cache"
import type { ShownThread } from "./shown"
import { Text } from "./Text"

interface Props {
  message: Message
  content: ShownThread
  /** by the author of the message before */
  isMore: boolean
  /** the last of our replies: its state is shown */
  isLast: boolean
  /** of an email, where it is another than before */
  subject: string | null
}

/** A message of the customer, a reply, or a note. */
export function Said(props: Props) {
  const { message, content, isMore, isLast, subject } = props
  if (message.internal) return <Note {...props} />
  const { text, fromCustomer, attachment, createdAt } = message
  const { customer } = content
  return (
    <li class={`msg${fromCustomer ? "" : " us"}${isMore ? " on" : ""}`}>
      {!isMore && (
        <span class="from">
          <b>
            <bdi>{fromCustomer ? customer.displayName : authorOf(message)}</bdi>
          </b>
          <time class="num" dateTime={new Date(createdAt).toISOString()}>
            {time(createdAt)}
          </time>
        </span>
      )}
      {fromCustomer && !isMore && <Avatar name={customer.displayName} id={customer.id} />}
      {subject && <span class="subject">{subject}</span>}
      {text && (
        <span class="text" dir="auto">
          <Text text={text} />
        </span>
      )}
      {attachment && <AttachedFile attachment={attachment} threadId={content.thread.customerThreadId} />}
      <Quotes message={message} />
      {!fromCustomer && <State message={message} content={content} isLast={isLast} />}
    </li>
  )
}

function authorOf({ employeeUserId }: Message): string {
  return (employeeUserId && nameOf(employeeUserId)) || t("Automatic")
}

/** Only employees see it. An email from another address than the customer's is one, too. */
function Note({ message, content }: Props) {
  const { text, attachment, createdAt, mail, fromCustomer, employeeUserId } = message
  const author = mail?.foreignSender
    ? (mail.senderName ?? mail.sender ?? "")
    : fromCustomer
      ? content.customer.displayName
      : authorOf(message)
  return (
    <li class="note">
      <Avatar name={author} id={employeeUserId ?? content.customer.id} />
      <span class="from">
        <Icon name="lock" />
        <span>
          <b>
            <bdi>{author}</bdi>
          </b>
          {" · "}
          {t("only your team sees this")}
          {" · "}
          <time class="num" dateTime={new Date(createdAt).toISOString()}>
            {time(createdAt)}
          </time>
        </span>
      </span>
      <span class="text" dir="auto">
        {mail?.foreignSender && (
          <span class="foreign">
            <Icon name="triangle-alert" />
            <span>
              {t("From another address:")} <bdi dir="ltr">{mail.sender}</bdi>
            </span>
          </span>
        )}
        {mail?.subject && <b class="subject">{mail.subject}</b>}
        <Text text={text} isNote={!mail} />
      </span>
      {attachment && <AttachedFile attachment={attachment} threadId={content.thread.customerThreadId} />}
      <Quotes message={message} />
    </li>
  )
}

/** What an email quotes, folded; or all of it, if the author wrote between the lines that they quote. */
function Quotes({ message: { mail, text } }: { message: Message }) {
  const isOpen = useSignal(false)
  if (!mail?.fullText) return null
  const quoted = quotedIn(mail.fullText, text)
  return (
    <>
      <button
        type="button"
        class="quotes"
        aria-expanded={isOpen.value}
        onClick={() => {
          isOpen.value = !isOpen.value
        }}
      >
        <Icon name="ellipsis" />
        {quoted === null
          ? isOpen.value
            ? t("Hide the whole email")
            : t("Show the whole email")
          : isOpen.value
            ? t("Hide quoted text")
            : t("Show quoted text")}
      </button>
      {isOpen.value && (
        <span class="text whole" dir="auto">
          <Text text={quoted ?? mail.fullText} />
        </span>
      )}
    </>
  )
}

/** What is quoted below or above a text; null if it is elsewhere. */
function quotedIn(whole: string, text: string): string | null {
  if (whole.startsWith(text)) return whole.slice(text.length).trim()
  return whole.endsWith(text) ? whole.slice(0, -text.length).trim() : null
}

/** What has become of a reply: Sent, Delivered, Read or not sent. */
function State({ message, content, isLast }: { message: Message; content: ShownThread; isLast: boolean }) {
  const toCustomer = message.deliveries.filter(each => each.audience === "customer")
  const read = toCustomer.find(each => each.state === "read")
  if (read || content.customerReadSequence >= message.sequence) {
    if (!isLast) return null
    return (
      <span class="state read">
        <Icon name="check-check" />
        {read ? t("Read {time}", { time: time(read.at) }) : t("Read")}
      </span>
    )
  }
  const failed = toCustomer.find(each => each.state === "failed")
  if (failed && toCustomer.every(each => each.state === "failed")) {
    return <Failed message={message} content={content} delivery={failed} />
  }
  if (!isLast) return null
  const isDelivered = toCustomer.some(each => each.state === "delivered")
  // In the chat, the message is there already: an email follows only if the customer does not read it.
  const isQueued =
    content.thread.channel !== "WEB" &&
    toCustomer.length > 0 &&
    toCustomer.every(each => each.state === "queued" || each.state === "failed")
  return (
    <span class="state">
      <Icon name={isDelivered ? "check-check" : isQueued ? "clock" : "check"} />
      {isDelivered ? t("Delivered") : isQueued ? t("Sending…") : t("Sent")}
    </span>
  )
}

interface FailedProps {
  message: Message
  content: ShownThread
  delivery: Delivery
}

function Failed({ message, content, delivery }: FailedProps) {
  const { customer, thread } = content
  const threadId = thread.customerThreadId
  const others = (["EMAIL", "SMS"] as const).filter(
    each => each !== delivery.channel && (each === "EMAIL" ? customer.emailAddress : customer.phoneNumber) !== null,
  )
  const again = (channel: Message["channel"]) => {
    // The second click of two comes before the buttons are gone.
    if (!isSentAgain(message, content)) sendText(threadId, message.text, { channel, attachment: message.attachment })
  }
  return (
    <span class="state failed">
      <Icon name="triangle-alert" />
      <span>{t("Not sent: {reason}", { reason: failure(delivery.reason) })}</span>
      {mayAct(thread) && !isSentAgain(message, content) && (
        <>
          <button type="button" onClick={() => again(message.channel)}>
            {t("Try again")}
          </button>
          {others.map(each => (
            <button key={each} type="button" onClick={() => again(each)}>
              {t("Send by {channel}", { channel: channelName(each) })}
            </button>
          ))}
        </>
      )}
    </span>
  )
}

/** Whether an employee has sent a message again. If that fails too, the later message offers another attempt. */
function isSentAgain({ sequence, text, attachment }: Message, { thread, scheduledMessages }: ShownThread): boolean {
  const threadId = thread.customerThreadId
  const fileId = attachment?.attachmentId ?? null
  return (
    queue.value.some(
      each =>
        each.threadId === threadId &&
        each.kind === "reply" &&
        each.text === text &&
        (each.attachment?.attachmentId ?? null) === fileId,
    ) ||
    scheduledMessages.some(
      each =>
        (each.state === "scheduled" || each.state === "refused") && each.text === text && each.attachmentId === fileId,
    ) ||
    conversation(threadId).messages.value.some(
      each =>
        each.sequence > sequence &&
        !each.fromCustomer &&
        !each.internal &&
        each.text === text &&
        (each.attachment?.attachmentId ?? null) === fileId,
    )
  )
}

/** Why a delivery failed, for people. */
function failure(reason: string | null): string {
  switch (reason) {
    case "no_mail_server":
      return t("no email server is set up")
    case "no_sms_provider":
    case "no_whatsapp_sender":
      return t("no provider is set up")
    case "no_address":
      return t("there is no address or number")
    case "not_valid":
      return t("the address is not valid")
    case "opted_out":
      return t("they want no messages by this channel")
    case "blocked":
      return t("the customer is blocked")
    case "too_old":
      return t("it was too late to send it")
    case "daily_cap":
      return t("the daily limit is reached")
    case "unknown":
      return t("it is not known whether it arrived")
    default:
      return t("it came back")
  }
}
