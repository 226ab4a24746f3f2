// Measures in the page of the inbox how long after a key is pressed its result is painted.
// `inbox_page.py` calls one of the functions, presses the key, and then reads `painted`: the time in ms.

const LIMIT_MS = 30_000
let key = ""
let pressedAt = 0

addEventListener(
  "keydown",
  event => {
    if (event.key === key) pressedAt = event.timeStamp
  },
  { capture: true },
)

function start(name, isThere) {
  key = name
  pressedAt = 0
  globalThis.painted = new Promise((resolve, reject) => {
    const observer = new MutationObserver(() => {
      if (!pressedAt || !isThere()) return
      observer.disconnect()
      clearTimeout(late)
      // The next frame paints it; the message is received after that.
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel()
        port1.onmessage = () => resolve(performance.now() - pressedAt)
        port2.postMessage(null)
      })
    })
    const late = setTimeout(() => {
      observer.disconnect()
      reject(new Error(`nothing was painted after ${name}`))
    }, LIMIT_MS)
    observer.observe(document, { childList: true, subtree: true })
  })
}

function messages() {
  return document.querySelector(".talk ol.log")
}

/** The key opens another conversation: its messages are painted. */
globalThis.startSwitch = name => {
  const before = messages()
  start(name, () => messages() !== before && messages()?.querySelector(".msg"))
}

/** The key sends a message: it is painted among the others. */
globalThis.startSend = (name, text) =>
  start(name, () => [...messages().querySelectorAll(".us")].some(each => each.textContent.includes(text)))

/** The size of the scripts and styles that the served page names, as they were sent, in bytes. */
globalThis.codeBytes = async () => {
  const page = await (await fetch(location.href)).text()
  const named = [...page.matchAll(/(?:src|href)="([^"]+[.](?:js|css))"/g)].map(([, path]) => new URL(path, location.href))
  const sizes = named.map(({ href }) => performance.getEntriesByName(href)[0].encodedBodySize)
  return sizes.reduce((sum, each) => sum + each, 0)
}
