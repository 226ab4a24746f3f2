import { get, post } from "../api/client"
import { on } from "../api/stream"
import { reason } from "../app/actions"
import { t } from "../app/i18n"
import { url } from "../app/paths"
import { go } from "../app/router"
import { row } from "../app/rows"
import { me, nameOf } from "../app/session"
import { toast } from "../app/toast"
import { conversation } from "../conversation/cache"
import { canNotify, KEY, notifies } from "./notifies"

/** Ask the browser for its permission, and subscribe to web push where there is one. */
export async function setNotifications(isOn: boolean): Promise<void> {
  if (isOn && (await Notification.requestPermission()) !== "granted") {
    toast({
      text: t("The browser does not allow notifications. Allow them in its settings for this site."),
      isError: true,
    })
    return
  }
  notifies.value = isOn
  try {
    if (!isOn) {
      await unsubscribe()
      toast({ text: t("This browser no longer notifies you.") })
    } else if (await subscribe()) toast({ text: t("This browser notifies you.") })
    else toast({ text: t("This browser notifies you while the inbox is open.") })
  } catch (error) {
    toast({ text: reason(error), isError: true })
  }
}

/** Notify the employee while the page is not visible. */
export function followNews(): void {
  if (!canNotify) return
  navigator.serviceWorker.addEventListener("message", ({ data }) => openFrom(data?.open))
  if (notifies.peek()) void registration()
  on("message", ({ customerThreadId, message }) => {
    const { fromCustomer, text } = message as { fromCustomer: boolean; text: string }
    const id = String(customerThreadId)
    if (fromCustomer) void notifyIfMine(id, text)
  })
  on("assignment", ({ customerThreadId, data, actor }) => {
    const { employeeUserId } = data as { employeeUserId: string | null }
    const by = (actor as { id?: string } | null)?.id
    const own = me.peek().employeeUserId
    if (employeeUserId !== own || by === own) return
    const id = String(customerThreadId)
    const name = by ? nameOf(by) : undefined
    void notify(id, titleOf(id), name ? t("{name} assigned it to you", { name }) : t("It was assigned to you"))
  })
  on("mention", ({ customerThreadId, data }) => {
    const { mentionedUserIds = [] } = data as { mentionedUserIds?: string[] }
    const id = String(customerThreadId)
    if (mentionedUserIds.map(String).includes(me.peek().employeeUserId)) {
      void notify(id, titleOf(id), t("A note mentions you"))
    }
  })
}

async function notifyIfMine(id: string, text: string): Promise<void> {
  if (!isWanted()) return
  if (!row(id)) await conversation(id).loading // one that this page has not listed, such as an answered one
  if (row(id)?.peek().assigneeUserId === me.peek().employeeUserId) await notify(id, titleOf(id), text)
}

/** Whether the employee wants notifications, and sees nothing of the page. */
function isWanted(): boolean {
  return notifies.peek() && document.visibilityState !== "visible"
}

async function notify(id: string, title: string, body: string): Promise<void> {
  if (!isWanted()) return
  const worker = await registration()
  // With the same tag as that of web push, so that only one of the two is seen.
  await worker.showNotification(title, {
    body: body.slice(0, 200),
    tag: `thread-${id}`,
    icon: url("inbox/shopbell.svg"),
    data: { customerThreadId: id },
  })
}

function titleOf(id: string): string {
  return row(id)?.peek().customerName ?? t("New message")
}

function openFrom(target: unknown): void {
  const id = /\/open\/(\d+)$/.exec(String(target))?.[1]
  if (id) go({ view: "open", threadId: id, filters: new URLSearchParams() })
}

let registering: Promise<ServiceWorkerRegistration> | undefined

function registration(): Promise<ServiceWorkerRegistration> {
  registering ??= (async () => {
    const policy = window.trustedTypes?.createPolicy("inbox", { createScriptURL: address => address })
    const address = url("inbox/sw.js", {
      message: t("New message"),
      assigned: t("It was assigned to you"),
      mentioned: t("A note mentions you"),
    })
    const script = (policy?.createScriptURL(address) ?? address) as string
    const found = await navigator.serviceWorker.register(script, { scope: url("inbox/") })
    await active(found)
    return found
  })()
  return registering
}

/** Wait until a worker runs. `ready` would wait forever: `/inbox` itself is outside of the scope `/inbox/`. */
function active({ installing, waiting }: ServiceWorkerRegistration): Promise<void> {
  const worker = installing ?? waiting
  if (!worker || worker.state === "activated") return Promise.resolve()
  return new Promise(resolve => {
    worker.addEventListener("statechange", () => {
      if (worker.state === "activated") resolve()
    })
  })
}

/** Subscribe to web push. Returns false where the browser has no push service: then the open page notifies. */
async function subscribe(): Promise<boolean> {
  localStorage.setItem(KEY, "")
  const worker = await registration()
  const { publicKey } = await get<{ publicKey: string }>("api/push-subscriptions/key")
  const subscription = await worker.pushManager
    ?.subscribe({ userVisibleOnly: true, applicationServerKey: publicKey })
    .catch(() => null)
  if (!subscription) return false
  const { endpoint, keys } = subscription.toJSON()
  const { pushSubscriptionId } = await post<{ pushSubscriptionId: string }>("api/push-subscriptions", {
    endpoint,
    keys,
  })
  localStorage.setItem(KEY, pushSubscriptionId) // to end it later
  return true
}

async function unsubscribe(): Promise<void> {
  const pushSubscriptionId = localStorage.getItem(KEY)
  localStorage.removeItem(KEY)
  const worker = await registration()
  await (await worker.pushManager?.getSubscription())?.unsubscribe()
  if (pushSubscriptionId) await post(`api/push-subscriptions/${pushSubscriptionId}/delete`, {})
}
