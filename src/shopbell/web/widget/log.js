// The list of messages. Everything that people wrote is inserted as text, never as markup.

const LINK = /\bhttps?:\/\/[^\s<>"'`]+/gi
const PICTURE = /^image\/(png|jpeg|gif|webp|avif)$/
const NEAR_END_PX = 80
const TOGETHER_MS = 300000 // messages of one person within this time form a group

/** A text with clickable URLs. */
function withLinks(text) {
  const parts = document.createDocumentFragment()
  let end = 0
  for (const found of text.matchAll(LINK)) {
    const address = found[0].replace(/[).,;:!?\]}]+$/, '')
    parts.append(text.slice(end, found.index))
    end = found.index + address.length
    parts.append(element('a', { href: address, target: '_blank', rel: 'noopener noreferrer nofollow ugc' }, address))
  }
  parts.append(text.slice(end))
  return parts
}

/** How large a file is, in the words of a language. */
function sizeText(bytes, locale) {
  const [unit, size] = bytes < 1e6 ? ['kilobyte', Math.max(1, bytes / 1e3)] : ['megabyte', bytes / 1e6]
  return new Intl.NumberFormat(locale, { style: 'unit', unit, maximumFractionDigits: unit === 'megabyte' ? 1 : 0 }).format(size)
}

/** The list of messages, ordered by sequence; unsent messages are at the end. */
class Log {
  /** @param {{region: HTMLElement, list: HTMLElement, scroller: HTMLElement, texts: Object, locale: string, business: string}} its
   *   `scroller` is the region, or the page where the region is as long as its messages */
  constructor({ region, list, scroller, texts, locale, business }) {
    Object.assign(this, { region, list, scroller, texts, locale, business })
    this.isLive = true
    this.sticks = true // stays scrolled to the end when the size of the log changes
    const scrolled = scroller === region ? region : document
    scrolled.addEventListener('scroll', () => this.follow(), { passive: true })
    const observer = new ResizeObserver(() => this.sticks && this.toEnd())
    for (const each of [region, list]) observer.observe(each)
    this.shown = new Map() // by id of message
    this.last = 0
    this.readByStore = 0
    this.clock = new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit' })
    this.calendar = new Intl.DateTimeFormat(locale, { weekday: 'long', day: 'numeric', month: 'long' })
    this.adopt()
    this.size = this.measure()
  }

  /** Adopt the messages that the server rendered. */
  adopt() {
    for (const item of this.list.querySelectorAll('[data-message-id]')) {
      const { messageId, sequence, createdAt } = item.dataset
      item.at = Number(createdAt)
      item.sequence = Number(sequence)
      item.querySelector('time').textContent = this.clock.format(item.at)
      this.linkUp(item.querySelector('.text'))
      this.shown.set(messageId, item)
      this.last = Math.max(this.last, item.sequence)
    }
    this.tidy()
  }

  linkUp(text) {
    if (text) text.replaceChildren(withLinks(text.textContent))
  }

  /** Remove the stored messages; unsent messages stay. */
  clear() {
    for (const item of [...this.list.children]) if (!item.dataset.client) item.remove()
    this.shown.clear()
    this.region.classList.toggle('begun', this.list.children.length > 0)
    this.last = this.readByStore = 0
    this.sticks = true
  }

  /** Silence screen readers while history is loading. */
  setLive(isLive) {
    this.isLive = isLive
    if (isLive) this.tidy()
    this.region.setAttribute('aria-live', isLive ? 'polite' : 'off')
  }

  /**
   * Show a message, or what has changed of it.
   * @param {Object} message as the stream gives it
   * @returns {boolean} whether it is new here
   */
  show(message) {
    const earlier = this.shown.get(message.messageId)
    if (earlier && !message.attachment) {
      if (message.fromCustomer) this.setState(earlier, message.sequence <= this.readByStore ? 'read' : 'sent')
      return false // inserting it again would make a screen reader read it again
    }
    const item = this.draw(message)
    // History follows as a whole: a layout for each of its messages would take long.
    const follows = this.isLive && this.isFollowing()
    if (earlier) earlier.replaceWith(item)
    else this.place(item)
    this.shown.set(message.messageId, item)
    if (this.isLive) this.tidy()
    if (follows) this.toEnd()
    return !earlier
  }

  place(item) {
    const later = [...this.list.children].find((one) => one.dataset.client || one.sequence > item.sequence)
    this.list.insertBefore(item, later || null)
    this.region.classList.add('begun')
  }

  draw({ messageId, sequence, fromCustomer, text, createdAt, employeeName, attachment }) {
    const who = fromCustomer ? this.texts.you : employeeName || this.business
    const item = element(
      fromCustomer ? 'li.mine' : 'li.theirs',
      { 'data-message-id': messageId, 'data-who': who },
      element(fromCustomer ? 'span.who.unseen' : 'span.who', { dir: 'auto' }, who),
      text ? element('p.text', { dir: 'auto' }, withLinks(text)) : null,
      attachment ? this.drawFile(attachment) : null,
      element('span.meta', {}, element('time', { datetime: new Date(createdAt).toISOString() }, this.clock.format(createdAt))),
    )
    item.at = createdAt
    item.sequence = sequence
    if (fromCustomer) this.setState(item, sequence <= this.readByStore ? 'read' : 'sent')
    return item
  }

  drawFile({ name, contentType, lengthBytes, url }) {
    const address = new URL(url, location.href).href
    const isPicture = PICTURE.test(contentType)
    const shown = isPicture
      ? element('img', { src: address, alt: filled(this.texts.picture, { name }), loading: 'lazy' })
      : element('span', { dir: 'auto' }, name, element('small', {}, ` ${sizeText(lengthBytes, this.locale)}`))
    return element(isPicture ? 'a.picture' : 'a.file', { href: address, target: '_blank', rel: 'noopener' }, shown)
  }

  /** Show an unsent message. */
  drawPending({ clientMessageId, text, file }) {
    const item = element(
      'li.mine.pending',
      { 'data-client': clientMessageId, 'data-who': this.texts.you },
      element('span.who.unseen', {}, this.texts.you),
      text ? element('p.text', { dir: 'auto' }, withLinks(text)) : null,
      file ? element('span.file', { dir: 'auto' }, file.name || this.texts.file) : null,
      element('span.meta', {}, element('time', {}, this.clock.format(Date.now()))),
    )
    item.at = Date.now()
    this.list.append(item)
    this.tidy()
    this.toEnd()
    return item
  }

  /** The message is stored. The stream may already have delivered it, or will deliver the link to its file. */
  settle(item, messageId, sequence) {
    if (this.shown.has(messageId)) item.remove()
    else {
      item.sequence = sequence
      item.classList.remove('pending')
      item.querySelector('progress')?.remove()
      delete item.dataset.client
      item.dataset.messageId = messageId
      this.setState(item, sequence <= this.readByStore ? 'read' : 'sent')
      this.shown.set(messageId, item)
      if (item.nextElementSibling && !item.nextElementSibling.dataset.client) this.place(item)
    }
    this.tidy()
  }

  /** The state below one's own message. Screen readers ignore its changes; the status line announces what matters. */
  setState(item, state, text = this.texts[state]) {
    const meta = item.querySelector('.meta')
    let shown = meta.querySelector('.state')
    if (!shown) meta.append((shown = element('span.state', { 'aria-live': 'off' })))
    item.dataset.state = state
    shown.textContent = text || ''
  }

  /** The business has read the messages up to here. */
  storeHasRead(sequence) {
    this.readByStore = Math.max(this.readByStore, sequence)
    for (const item of this.list.querySelectorAll('.mine[data-state=sent]'))
      if (item.sequence <= this.readByStore) this.setState(item, 'read')
  }

  /**
   * Days between the messages, a name at the first of several, the state at the last of one's own. What stays as it
   * is, is not touched: whatever is added would be read out.
   */
  tidy() {
    let before = null
    for (const item of [...this.list.children]) {
      if (item.classList.contains('day')) continue
      const above = item.previousElementSibling
      const day = above && above.classList.contains('day') ? above : null
      const isNewDay = !before || new Date(before.at).toDateString() !== new Date(item.at).toDateString()
      if (isNewDay && !day) item.before(element('li.day', {}, element('span', {}, this.dayText(item.at))))
      else if (!isNewDay && day) day.remove()
      const isClose = !isNewDay && item.at - before.at < TOGETHER_MS
      item.classList.toggle('follows', isClose && before.dataset.who === item.dataset.who)
      item.classList.remove('last', 'followed')
      if (item.classList.contains('follows')) before.classList.add('followed')
      before = item
    }
    this.region.classList.toggle('begun', Boolean(before))
    const mine = this.list.querySelectorAll('.mine')
    if (mine.length) mine[mine.length - 1].classList.add('last')
  }

  dayText(at) {
    const day = new Date(at).toDateString()
    if (day === new Date().toDateString()) return this.texts.today
    if (day === new Date(Date.now() - 864e5).toDateString()) return this.texts.yesterday
    return this.calendar.format(at)
  }

  /** Whether the last message is visible, or nearly. */
  get isAtEnd() {
    const bottom = this.scroller === this.region ? this.region.getBoundingClientRect().bottom : innerHeight
    return this.list.getBoundingClientRect().bottom - bottom < NEAR_END_PX
  }

  /** Whether to scroll to the end when something comes. */
  isFollowing() {
    // The browser reports a scroll only with the next frame.
    if (!this.isAtEnd && this.measure() === this.size) this.sticks = false
    return this.sticks
  }

  toEnd() {
    this.sticks = true
    this.scroller.scrollTop = this.scroller.scrollHeight
    this.size = this.measure()
  }

  /** Only the visitor scrolls away from the end. After a change of size, the browser may have scrolled the log. */
  follow() {
    const size = this.measure()
    if (this.isAtEnd) this.sticks = true
    else if (size === this.size) this.sticks = false
    this.size = size
  }

  measure() {
    return `${this.scroller.scrollHeight} ${this.scroller.clientHeight}`
  }
}
