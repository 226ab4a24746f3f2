// The service worker of the inbox: it shows notifications while no page is open, and nothing else.
addEventListener("install", () => skipWaiting())
addEventListener("activate", event => event.waitUntil(clients.claim()))

// The page passes the texts in its language in the URL of this script: they are needed when no page is open.
const texts = new URL(location.href).searchParams

addEventListener("push", event => event.waitUntil(show(event.data.json())))

async function show({ type, customerThreadId, customerName, text }) {
  const pages = await clients.matchAll({ type: "window" })
  // A visible page shows the news itself. In all other cases, browsers require a notification.
  if (pages.some(page => page.visibilityState === "visible")) return
  const what = texts.get(type) ?? "Shopbell"
  await registration.showNotification(customerName ?? what, {
    body: customerName ? (text ?? what) : "",
    tag: `thread-${customerThreadId}`,
    icon: "./shopbell.svg",
    data: { customerThreadId },
  })
}

addEventListener("notificationclick", event => {
  event.notification.close()
  const url = new URL(`open/${event.notification.data.customerThreadId}`, registration.scope).href
  event.waitUntil(open(url))
})

async function open(url) {
  const [page] = await clients.matchAll({ type: "window" })
  if (!page) return clients.openWindow(url)
  await page.focus()
  page.postMessage({ open: url })
}
