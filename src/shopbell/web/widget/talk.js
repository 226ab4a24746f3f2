// A conversation: combines log, composer and stream, for the panel and for the conversation page.

const LONGEST = 10000
const OFFLINE_BANNER_MS = 10000
const TYPING_EVERY_MS = 4000
const TYPING_ENDS_MS = 7000
const TYPING_WAIT_MS = 1000
const READ_AFTER_MS = 400

/**
 * @param {{config: Object, kept: Object,
 *          headers: () => Object | null, ensure: () => Promise<Object>, renew: () => Promise<boolean>,
 *          isSeen: () => boolean, scroller?: HTMLElement, tell?: (name: string, detail: Object) => void}} its
 *   `headers` authenticate the visitor (null: no session yet), `ensure` starts a session, `renew` does so after a 401;
 *   `isSeen` tells whether the log is visible now; `tell` receives events for other code.
 */
class Talk {
  constructor(its) {
    this.its = its
    this.config = its.config
    this.texts = its.config.texts
    this.text = byId('text')
    this.pending = new Map() // item of the queue → its element in the log
    this.unread = 0
    this.read = 0
    this.log = new Log({
      region: byId('log'),
      list: byId('messages'),
      scroller: its.scroller || byId('log'),
      texts: this.texts,
      locale: this.config.locale,
      business: this.config.business.name,
    })
    this.outgoing = new Outgoing({
      headers: async () => {
        // If the server took the signal after the message, the employee would wait for another one.
        await Promise.race([this.typed, pause(TYPING_WAIT_MS)])
        return its.ensure()
      },
      kept: its.kept,
      onChange: (item, error) => this.showPending(item, error),
      onSent: (item, answer) => this.arrived(item, answer),
      onRefused: (item, refused) => this.refused(item, refused),
    })
    this.showPresence()
    followHours(this.config.business, () => this.showPresence())
    this.listen()
  }

  listen() {
    // The form has no action: before this listener exists, submitting it would lose the text.
    this.text.disabled = false
    byId('composer').addEventListener('submit', (event) => (event.preventDefault(), this.submit()))
    this.text.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || isComposing(event)) return
      event.preventDefault()
      this.submit()
    })
    this.text.addEventListener('input', () => (this.grow(), this.typing()))
    addEventListener('offline', () => this.setUp(false, true))
    addEventListener('online', () => this.stream || this.setUp(true)) // a stream says so once it is connected
    document.addEventListener('visibilitychange', () => this.seen())
    document.addEventListener('scroll', () => this.seen(), { passive: true, capture: true })
    if (this.config.attachments) takeFiles(this)
  }

  /** Connect to the stream, from the last event received. */
  start() {
    if (this.stream || !this.its.headers()) return
    this.log.setLive(this.log.shown.size > 0)
    this.stream = sharedConnection(this.its.channel(), {
      headers: () => this.its.headers() || {},
      last: () => this.log.last,
      onEvent: (event) => this.hear(event),
      onState: (isUp) => this.setUp(isUp),
      onRefused: async ({ status }) => {
        if (status === 404) this.stop() // there is no conversation yet
        return status === 401 && (await this.its.renew())
      },
    })
  }

  stop() {
    if (this.stream) this.stream.stop()
    this.stream = null
  }

  /** Remove all messages, including unsent ones: another person may use the browser now. */
  clear() {
    this.outgoing.clear()
    for (const shown of this.pending.values()) shown.remove()
    this.pending.clear()
    suggest(this.text, '', true)
    this.grow()
    this.say('')
    this.restart()
  }

  /** Remove the messages from the server; unsent messages stay. */
  restart() {
    this.stop()
    clearTimeout(this.seeing)
    this.log.clear()
    this.threadId = null
    clearCards()
    this.showStatus()
    this.showTyping(false)
    this.read = 0
    this.setUnread(0)
  }

  hear({ type, data }) {
    switch (type) {
      case 'message':
        return this.hearMessage(data)
      case 'ready':
        // A merge while disconnected led to another conversation, in which the old sequence numbers mean nothing.
        if (this.threadId && this.threadId !== data.customerThreadId) {
          this.threadId = null
          return this.hear({ type: 'resync' })
        }
        this.threadId = data.customerThreadId
        this.read = Math.max(this.read, data.readByCustomerSequence)
        this.log.storeHasRead(data.readByStoreSequence)
        this.showStatus(data.status)
        this.count()
        if (this.log.isFollowing()) this.log.toEnd() // each new connection says that it is ready
        // After the first paint: messages that were already there are not announced as new.
        return setTimeout(() => this.log.setLive(true), 100)
      case 'status':
        return this.showStatus(data.status)
      case 'typing':
        return data.from === 'store' && this.showTyping(data.employeeName)
      case 'presence':
        return this.showPresence(data.online)
      case 'read':
        return data.by === 'store' ? this.log.storeHasRead(data.sequence) : this.readElsewhere(data.sequence)
      case 'survey':
        return this.survey(data)
      case 'resync':
        this.log.clear()
        this.log.setLive(false)
        return this.stream && this.stream.again()
    }
  }

  hearMessage(message) {
    const twin = message.fromCustomer && [...this.pending].find(([item]) => isTwin(item, message))
    if (twin) {
      this.pending.delete(twin[0])
      this.log.settle(twin[1], message.messageId, message.sequence)
    }
    const isNew = this.log.show(message)
    // Only by the stream: the response to a message does not include earlier messages.
    this.log.last = Math.max(this.log.last, message.sequence)
    if (message.fromCustomer || !isNew) return
    this.showTyping(false)
    if (this.threadId) this.count() // before that, it is unknown what has been read
    if (!this.log.isLive) return
    this.its.tell?.('message:received', { messageId: message.messageId, sequence: message.sequence })
    if (!this.its.isSeen()) this.say(filled(this.texts.newMessage, { name: message.employeeName || this.config.business.name }))
  }

  /** Ask a question only once: each stream begins with it until it is answered. */
  survey(survey) {
    const { kept } = this.its
    if (kept.read().survey === survey.surveyId) return
    kept.write({ survey: survey.surveyId })
    askSurvey(this.texts, survey, (answer) => this.post('survey', answer))
  }

  /** The number of the business's messages that were not seen here. */
  count() {
    const items = [...this.log.shown.values()]
    this.setUnread(items.filter((item) => item.classList.contains('theirs') && item.sequence > this.read).length)
    this.seen()
  }

  setUnread(count) {
    if (count === this.unread) return
    this.unread = count
    this.its.onUnread?.(count)
  }

  /** Report messages as read once they were visible. */
  seen() {
    clearTimeout(this.seeing)
    if (!this.unread || !this.its.isSeen() || !this.log.isAtEnd) return
    this.seeing = setTimeout(() => {
      const sequence = this.log.last
      this.readElsewhere(sequence)
      this.post('read', { sequence }).catch(() => {}) // the next report includes it
    }, READ_AFTER_MS)
  }

  readElsewhere(sequence) {
    this.read = Math.max(this.read, sequence)
    this.count()
  }

  submit() {
    const text = this.text.value
    if (!text.trim()) return this.text.focus()
    const length = [...text].length
    if (length > LONGEST) {
      const count = new Intl.NumberFormat(this.config.locale).format(LONGEST)
      return this.say(filled(this.texts.tooLong, { count }), true)
    }
    this.text.value = ''
    this.grow()
    this.outgoing.add({ text })
    this.text.focus()
  }

  grow() {
    this.text.style.height = 'auto'
    this.text.style.height = `${this.text.scrollHeight + 2}px`
  }

  showPending(item, error) {
    let shown = this.pending.get(item)
    if (!shown) this.pending.set(item, (shown = this.log.drawPending(item)))
    const isRefused = item.state === 'waiting' && error instanceof Refused // the server responds and asks for a pause
    this.log.setState(shown, item.state, isRefused ? this.texts.sentSoon : this.texts[item.state])
    shown.classList.toggle('failed', item.state === 'notSent')
    this.showProgress(shown, item)
    const isFailed = item.state === 'notSent'
    if (isFailed && !shown.querySelector('.again')) {
      shown.append(
        element(
          'span.again',
          {},
          element('button.quiet', { type: 'button', click: () => this.outgoing.retry(item) }, this.texts.retry),
          element('button.quiet', { type: 'button', click: () => this.discard(item) }, this.texts.discard),
        ),
      )
      this.say(this.reason(item))
    } else if (!isFailed) shown.querySelector('.again')?.remove()
    if (item.state === 'waiting' && error instanceof Refused && error.status === 429) this.say(this.texts.slowDown, true)
  }

  showProgress(shown, item) {
    let bar = shown.querySelector('progress')
    const isUnderWay = item.file && item.state === 'sending' && !item.attachmentId
    if (!isUnderWay) return bar?.remove()
    const label = filled(this.texts.uploading, { name: item.file.name || this.texts.file })
    if (!bar) shown.querySelector('.meta').before((bar = element('progress', { 'aria-label': label })))
    bar.value = item.progress
  }

  reason({ file, refused }) {
    const status = refused && refused.status
    if (file && status === 413) {
      const most = refused.problem.maxBytes || this.config.attachmentLimitBytes
      return filled(this.texts.fileTooLarge, { size: sizeText(most, this.config.locale) })
    }
    if (file && refused && refused.isForToday) return this.texts.fileTomorrow
    if (!file || status !== 400) return this.texts.notSent
    return (refused.problem.errors || []).some(({ code }) => code === 'blank') ? this.texts.fileEmpty : this.texts.fileRefused
  }

  discard(item) {
    this.outgoing.drop(item)
    this.pending.get(item).remove()
    this.pending.delete(item)
    this.log.tidy()
    this.text.focus()
  }

  arrived(item, { messageId, sequence, customerThreadId }) {
    const shown = this.pending.get(item)
    this.pending.delete(item)
    if (shown) this.log.settle(shown, messageId, sequence)
    this.its.tell?.('message:sent', { messageId, sequence, customerThreadId })
    this.start()
    this.its.onSent?.()
  }

  async refused(item, refused) {
    item.refused = refused
    return refused.status === 401 && this.its.renew(true)
  }

  typing() {
    if (!this.stream || !this.text.value || Date.now() - (this.typedAt || 0) < TYPING_EVERY_MS) return
    this.typedAt = Date.now()
    this.typed = this.post('typing', {}).catch(() => {})
  }

  async post(path, body) {
    return ask(path, { headers: await this.its.ensure(), body })
  }

  showTyping(name) {
    clearTimeout(this.typingEnds)
    byId('typing').textContent = name === false ? '' : name ? filled(this.texts.typing, { name }) : this.texts.someoneTyping
    if (name !== false) this.typingEnds = setTimeout(() => this.showTyping(false), TYPING_ENDS_MS)
  }

  showPresence(isOnline = this.isOnline) {
    this.isOnline = isOnline
    byId('presence').textContent = isOnline ? this.texts.online : this.config.business.presence
    byId('presence').classList.toggle('online', Boolean(isOnline))
  }

  showStatus(status) {
    byId('state').hidden = status !== 'resolved'
  }

  /** Show a banner only for a lasting failure, not for one of a second. */
  setUp(isUp, isCertain) {
    const banner = byId('banner')
    const show = () => {
      banner.textContent = navigator.onLine ? this.texts.reconnecting : this.texts.offline
      banner.hidden = false
      this.say(banner.textContent)
    }
    if (isUp || isCertain || !navigator.onLine) {
      clearTimeout(this.down)
      this.down = null
    }
    if (isUp) {
      if (!banner.hidden) this.say(this.texts.backOnline)
      banner.hidden = true
      this.outgoing.flush()
    } else if (isCertain || !navigator.onLine) show()
    else this.down ??= setTimeout(show, OFFLINE_BANNER_MS) // from the first failure on
  }

  /** Announce a text to screen readers; show it as well if it concerns everyone. */
  say(text, isShown = false) {
    const status = byId('status')
    status.textContent = ''
    status.classList.toggle('unseen', !isShown)
    clearTimeout(this.saying)
    setTimeout(() => (status.textContent = text), 50) // so that the same text is announced again
    this.saying = setTimeout(() => {
      status.textContent = ''
      status.classList.add('unseen')
    }, 8000)
  }
}

/** Insert a text that the page proposes. A draft stays, unless it `isForced`. */
function suggest(field, text, isForced = false) {
  if (!isForced && field.value && field.value !== field.dataset.suggested) return
  field.value = text
  field.dataset.suggested = field.value
}

/** Whether a message from the stream is the one that the queue is sending now. */
function isTwin({ state, text, file }, message) {
  if (state !== 'sending') return false
  return file ? Boolean(message.attachment) : message.text === text && !message.attachment
}
