// The panel of the widget: the visitor, and the messages between this document and the embedding page.

const ANSWER_MS = 10000
const ASKED_AT_MOST = 3
const TYPING = /^(.|Dead|Process|Unidentified)$/su // keys that produce text, by their names in DOM events

/** Messages to and from the embedding page, which receives none before its origin is known. */
class Host {
  /** @param {string[] | null} origins the origins that may embed this panel; null: any (then the panel shows no personal data) */
  constructor(origins, onMessage) {
    this.questions = new Map()
    this.early = []
    this.number = 0
    addEventListener('message', (event) => {
      if (event.source !== parent || !event.data || event.data.shopbell !== 1 || !event.ports[0] || this.port) return
      if (origins && event.origin !== location.origin && !origins.some((one) => fits(one, event.origin))) return
      this.origin = event.origin
      this.port = event.ports[0]
      this.port.onmessage = ({ data }) => this.hear(data, onMessage)
      this.tell({ type: 'ready' })
      for (const message of this.early.splice(0)) this.tell(message)
      onMessage({ type: 'met' })
    })
  }

  hear(message, onMessage) {
    if (message.type !== 'answer') return onMessage(message)
    const resolve = this.questions.get(message.id)
    this.questions.delete(message.id)
    if (resolve) resolve(message.value)
  }

  tell(message) {
    if (this.port) this.port.postMessage(message)
    else this.early.push(message)
  }

  /** @returns {Promise<unknown>} undefined if there is no response in time */
  ask(message) {
    const id = ++this.number
    this.tell({ ...message, id })
    return Promise.race([new Promise((resolve) => this.questions.set(id, resolve)), pause(ANSWER_MS)])
  }
}

/** Whether an origin is the one that is allowed; `https://*.shop.example` allows those below shop.example. */
function fits(allowed, origin) {
  const [scheme, domain] = allowed.split('*.')
  return domain === undefined ? allowed === origin : origin.startsWith(scheme) && origin.endsWith(`.${domain}`)
}

function runConversation(config) {
  let isOpen = false
  const host = new Host(config.allowedOrigins, heard)
  const visitor = new Visitor(config, host, changed)
  const kept = {
    read: () => visitor.kept.read(),
    write: (changes) => visitor.kept.write(changes),
  }
  const talk = new Talk({
    config,
    kept,
    headers: () => visitor.headers(),
    ensure: () => visitor.ensure(),
    renew,
    channel: () => `shopbell:${visitor.session.name}`,
    isSeen: () => isOpen && document.visibilityState === 'visible',
    tell: (name, detail) => host.tell({ type: 'event', name, detail }),
    onUnread: tellUnread,
    onSent: () => (kept.write({ session: { ...kept.read().session, hasThread: true } }), showMenu(), tellUsed(), askOnce()),
  })

  /** The person is no longer `before`: show nothing of a verified person to the next one. */
  function changed(before) {
    if (before) talk.clear()
    else talk.restart()
    talk.outgoing.resume()
    showMenu()
    if (visitor.person !== undefined) tellUsed()
    if (visitor.session?.hasThread) talk.start()
  }

  function tellUnread() {
    const { unread } = talk
    if (!isOpen) host.tell({ type: 'unread', count: unread, text: filled(config.texts.unread, { count: unread }) })
  }

  /** Whether the next page should look for unread messages before the visitor opens the panel. */
  function tellUsed() {
    host.tell({ type: 'used', isUsed: Boolean(visitor.session?.hasThread) })
  }

  /** After a 401, sign in again if the page identifies the visitor; otherwise start an anonymous session. */
  async function renew(isSending = false) {
    const { session } = kept.read()
    if (session && session.renewedAt > Date.now() - EARLY_MS) return false
    if (visitor.session) kept.write({ session: null })
    const { person } = visitor
    try {
      await visitor.attempt()
      if (!visitor.person) {
        talk.stop()
        talk.log.clear()
        talk.say(config.texts.expired, true)
        host.tell({ type: 'event', name: 'session:expired' })
        if (!isSending || person) return false
      }
      await visitor.ensure()
      kept.write({ session: { ...kept.read().session, renewedAt: Date.now() } })
      return true
    } catch {
      talk.stop()
      return false
    }
  }

  /** Ask an anonymous visitor for contact data: once, or repeatedly if the browser forgets the conversation. */
  function askOnce() {
    const isForgotten = !keeper || isForgetful(host.origin)
    const texts = keeper ? config.texts : { ...config.texts, forgottenSoon: config.texts.keepsNothing }
    const { asked, session, declined = 0 } = kept.read()
    if (asked || !session || session.verified || byId('cards').firstChild) return
    const isLast = !isForgotten || declined + 1 >= ASKED_AT_MOST
    const done = (isSaved) => kept.write(isSaved || isLast ? { asked: true } : { declined: declined + 1 })
    const keep = keeper || !document.requestStorageAccess ? null : () => unblock(true)
    askForContact(texts, (contact) => visitor.saveContact(contact), done, isForgotten, keep)
  }

  function showMenu() {
    byId('menu').hidden = !visitor.session
    byId('sign-out').hidden = !visitor.session?.verified
  }

  function signOut() {
    talk.clear()
    visitor.signOut()
    showMenu()
    tellUsed()
  }

  async function download() {
    try {
      const answer = await ask('transcript', { headers: await visitor.ensure(), method: 'GET' })
      const address = URL.createObjectURL(await answer.blob())
      element('a', { href: address, download: `${config.business.name}.txt` }).click()
      setTimeout(() => URL.revokeObjectURL(address), 60000)
    } catch {
      talk.say(config.texts.tryLater, true)
    }
  }

  function heard(message) {
    switch (message.type) {
      case 'met':
        return visitor.check()
      case 'opened':
        isOpen = true
        if (message.focus) focusFirst(talk.text)
        talk.log.toEnd()
        return talk.seen()
      case 'closed':
        isOpen = false
        return talk.log.isAtEnd || tellUnread() // at the end, messages will be read in a moment
      case 'compose':
        suggest(talk.text, message.text)
        talk.grow()
        return talk.text.focus()
      case 'profile':
        return visitor.introduce(message.profile)
      case 'identify':
        return visitor.identify(message.profile)
      case 'reset':
        return signOut()
      case 'theme':
        document.documentElement.dataset.theme = message.theme || 'auto'
    }
  }

  // The back/forward cache restores the page as it was left, even if another person has signed in since.
  addEventListener('pageshow', ({ persisted }) => persisted && visitor.check(true))
  byId('transcript').addEventListener('click', () => (closeMenu(), download()))
  byId('sign-out').addEventListener('click', () => {
    closeMenu()
    signOut()
    talk.say(config.texts.signedOut, true)
    talk.text.focus()
  })
  listenForClose(host)
  takeFirstKey(talk.text)
}

function closeMenu() {
  byId('menu').open = false
}

/** Set the initial focus. On a phone it is not the field, because the keyboard would cover half of the panel. */
function focusFirst(field) {
  if (matchMedia('(pointer: coarse)').matches) byId('title').focus()
  else field.focus()
}

/**
 * Whether the browser keeps the panel's storage in memory only, as WebKit does for a frame of another site. Scripts
 * cannot read the list of public suffixes: two hosts below one suffix such as co.uk count as one site here.
 */
function isForgetful(origin) {
  const site = (url) => new URL(url).hostname.split('.').slice(-2).join('.')
  return /^Apple/.test(navigator.vendor) && site(origin) !== site(location.href)
}

/**
 * Focus the field on the first key press if nothing has the focus: after a mouse click on the bubble, WebKit does not
 * let a script in another site's frame move the focus.
 */
function takeFirstKey(field) {
  addEventListener('keydown', ({ key, target, ctrlKey, metaKey, altKey }) => {
    if (target !== document.body && target !== byId('title')) return
    const isCommand = metaKey || (ctrlKey && !altKey) // Ctrl and Alt together are AltGr, which types
    if (isCommand ? key.toLowerCase() === 'v' : TYPING.test(key)) field.focus()
  })
}

function listenForClose(host) {
  const close = () => host.tell({ type: 'close' })
  byId('close').addEventListener('click', close)
  const menu = byId('menu')
  addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || isComposing(event)) return
    if (menu && menu.open) {
      closeMenu()
      menu.firstElementChild.focus()
    } else close()
  })
  addEventListener('click', (event) => menu && !menu.contains(event.target) && closeMenu())
}

/** The contact form of a site with its own backend. */
function runForm(config) {
  const form = byId('form')
  const fields = ['message', 'email', 'phone'].map(byId)
  let clientMessageId = newId()
  const host = new Host(null, (message) => {
    if (message.type === 'opened' && message.focus) focusFirst(fields[0])
    if (message.type === 'compose') suggest(fields[0], message.text)
    if (message.type === 'theme') document.documentElement.dataset.theme = message.theme || 'auto'
    if (message.profile) {
      suggest(fields[1], message.profile.email || '')
      suggest(fields[2], message.profile.phoneNumber || '')
    }
    if (message.type === 'reset') {
      clientMessageId = newId()
      form.reset()
      form.hidden = false
      byId('done').textContent = ''
    }
  })
  listenForClose(host)
  takeFirstKey(fields[0])
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    for (const field of fields) fault(field, '')
    byId('form-fault').textContent = ''
    if (!fields[0].value.trim()) return fault(fields[0], config.texts.blank)
    const written = fields.map(({ id, value }) => [id, id === 'message' ? value : value.trim()])
    // The text stays until the message is stored: a late response must not make the visitor send it twice.
    const body = { ...Object.fromEntries(written), clientMessageId }
    byId('submit').disabled = true
    const answer = (await host.ask({ type: 'send', body })) || {}
    byId('submit').disabled = false
    if (!answer.ok) return showFaults(config, fields, answer.errors || {})
    form.hidden = true
    byId('done').textContent = config.texts.messageSent
    byId('title').focus()
    host.tell({ type: 'event', name: 'message:sent', detail: {} })
  })
}

function showFaults(config, fields, errors) {
  const wrong = fields.filter(({ id }) => errors[id])
  for (const field of wrong.reverse()) fault(field, String(errors[field.id]))
  if (!wrong.length) byId('form-fault').textContent = String(errors.form || config.texts.tryLater)
}

const config = JSON.parse(byId('config').textContent)
if (config.mode === 'endpoint') runForm(config)
else runConversation(config)
