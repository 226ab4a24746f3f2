/*
 * The loader. It draws the bubble at once, and the panel (an iframe from this script's server) on the
 * first interaction. Before that it sets no cookie, stores nothing and requests nothing.
 *
 *   <script async src="https://chat.example.org/widget.js" data-key="pk_live_…" data-business="12345"></script>
 *
 *   Shopbell('boot', { key, business, locale, position, theme, zIndex, launcher, color, name, endpoint, headers, getToken })
 *   Shopbell('open' | 'close' | 'toggle' | 'show' | 'hide' | 'update' | 'reset' | 'destroy' | 'identify'
 *            | 'newMessage' | 'setBusiness', argument)
 *   const off = Shopbell('on', 'message:received', (detail) => …)
 *
 * A second widget on a page needs a name (`data-name`, or `name` of 'boot'), for example Shopbell('sales:open').
 */
(() => {
  'use strict'
  // By locale: open, close, the panel's name, "unavailable". The server inserts them.
  const LABELS = __LABELS__
  const PHONE = '(max-width:480px),(max-height:420px)'
  const PATIENCE_MS = 20000
  const SHORT_MS = 3000
  const WAKE_MS = 1000
  const MAIN = 'main'
  const LOADED = Symbol.for('shopbell')

  const { console, document } = window
  const warn = (...words) => console.warn('[shopbell]', ...words)
  const { currentScript } = document
  // A module has no current script.
  const scripts = currentScript ? [currentScript] : [...document.querySelectorAll('script[type=module][src*="/widget.js"]')]
  const { q: queue = [] } = window.Shopbell || {}
  const start = (Shopbell) => {
    window.Shopbell = Shopbell
    scripts.forEach(Shopbell.tag)
    queue.forEach((call) => Shopbell(...call))
  }
  // The script runs again if the page has two tags, or when Turbo inserts the next page.
  if (window[LOADED]) return start(window[LOADED])
  if (!scripts[0]) return warn('no script tag')
  const { src } = scripts[0]
  const page = () => document.documentElement

  const CSS = `
:host{all:initial!important;position:fixed!important;z-index:var(--z)!important}
[hidden]{display:none!important}
button{all:unset;width:56px;height:56px;border-radius:50%;display:grid;place-items:center;cursor:pointer;background:var(--color);color:var(--ink);box-shadow:0 4px 20px #0005}
button,.frame{position:fixed;right:calc(20px + var(--n)*72px + env(safe-area-inset-right));bottom:calc(20px + env(safe-area-inset-bottom))}
.left button,.left .frame{right:auto;left:calc(20px + var(--n)*72px + env(safe-area-inset-left))}
button:focus-visible{outline:3px solid var(--color);outline-offset:3px;box-shadow:0 0 0 3px #fff}
svg{width:26px;fill:none;stroke:currentColor;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
b{position:absolute;top:-5px;right:-5px;min-width:max-content;padding:0 5px;border:2px solid #fff;border-radius:12px;background:#c0182b;color:#fff;font:700 12px/18px system-ui;text-align:center}.left b{right:auto;left:-5px}
i{position:fixed;clip-path:inset(50%)}
.frame{--n:0;bottom:calc(92px + env(safe-area-inset-bottom));width:min(400px,100vw - 40px);height:min(660px,100vh - 112px);border-radius:16px;overflow:hidden;background:Canvas;color:CanvasText;color-scheme:light dark;box-shadow:0 8px 40px #0005,0 0 0 1px #8884;animation:up .18s}
.light .frame{color-scheme:light}
.dark .frame{color-scheme:dark}
iframe{display:block;width:100%;height:100%;border:0}
@keyframes up{from{opacity:0;transform:translateY(12px)}}
@media ${PHONE}{.all .frame{inset:0;width:auto;height:100vh;height:100dvh;border-radius:0}}
@media ${PHONE}{.open button{display:none}}
@media (prefers-reduced-motion){.frame{animation:none}}
@media (forced-colors:active){button,.frame{border:2px solid}}
@media print{.all{display:none}}`

  // By widget name: its calls, and the script tag that created it.
  const widgets = new Map()
  const tags = new Map()

  const make = (tag, properties, attributes = {}) => {
    const made = Object.assign(document.createElement(tag), properties)
    for (const name in attributes) made.setAttribute(name, attributes[name])
    return made
  }

  /** Black or white: one of them has a contrast of at least 4.5 with any color. */
  const inkOn = (color) => {
    const [r, g, b] = [1, 3, 5].map((at) => (parseInt(color.slice(at, at + 2), 16) / 255) ** 2.2)
    return r * 0.21 + g * 0.72 + b * 0.07 > 0.18 ? '#000' : '#fff'
  }

  const icon = (path) => {
    const [svg, line] = ['svg', 'path'].map((tag) => document.createElementNS('http://www.w3.org/2000/svg', tag))
    svg.setAttribute('viewBox', '0 0 24 24')
    line.setAttribute('d', path)
    svg.append(line)
    return svg
  }

  function widget(name, options) {
    const host = make('shopbell-widget')
    const root = host.attachShadow({ mode: 'closed' })
    const all = make('div')
    const bubble = make('button', { type: 'button' })
    const badge = make('b', {}, { 'aria-hidden': true })
    const status = make('i', {}, { role: 'status' })
    const phone = matchMedia(PHONE)
    let isOpen, hasFailed, frame, iframe, port, deadline, opener, confined, unread, unreadText
    let early = [] // messages for a panel that is not ready yet

    const locale = () => options.locale || page().lang || navigator.language
    const label = (index) => (LABELS[locale().slice(0, 2).toLowerCase()] || LABELS.en)[index]
    const place = () => JSON.stringify([options.key, options.business, options.endpoint, options.locale])

    const fire = (event, detail) =>
      document.dispatchEvent(new CustomEvent('shopbell:' + event, { detail: { ...detail, widget: name } }))
    function draw() {
      const color = /^#[0-9a-f]{6}$/i.test(options.color) ? options.color : '#1f5fbf'
      host.dir = /^(ar|fa|he|ur)/.test(locale()) ? 'rtl' : 'ltr'
      host.lang = locale()
      const side = options.position || (host.dir === 'rtl' ? 'left' : 'right')
      bubble.hidden = ![undefined, true].includes(options.launcher)
      calls.side = bubble.hidden || side
      const values = [...widgets.values()]
      const beside = values.slice(0, values.indexOf(calls)).filter((one) => one.side === calls.side).length
      const looks = { z: options.zIndex || 2147483000, color, ink: inkOn(color), n: beside }
      for (const each in looks) host.style.setProperty('--' + each, looks[each])
      all.className = `all ${side} ${options.theme} ${isOpen ? 'open' : ''}`
      bubble.setAttribute('aria-expanded', Boolean(isOpen))
      bubble.setAttribute('aria-label', label(isOpen ? 1 : 0) + (unread ? ', ' + unreadText : ''))
      badge.textContent = hasFailed ? '! ' + label(3) : unread > 99 ? '99+' : unread
      badge.hidden = !unread && !hasFailed
      bubble.replaceChildren(icon(isOpen ? 'm5 9 7 7 7-7' : 'M21 12a8 8 0 0 1-8 8H4l2-3.5A8 8 0 1 1 21 12Z'), badge)
    }

    /** A click on an element of the page that opens the chat. */
    function clicked(event) {
      const { launcher } = options
      const isIts = (one) => one === launcher || (launcher.trim && one.matches && one.matches(launcher))
      const its = launcher && event.composedPath().find(isIts)
      if (its) event.preventDefault(), toggle(its)
    }

    const toggle = (by) => (isOpen ? close() : open(by))

    function open(by) {
      if (isOpen) return
      const active = document.activeElement
      opener = by || (active === document.body ? bubble : active)
      for (const one of widgets.values()) one.close()
      load()
      isOpen = true
      hasFailed = false
      unread = 0
      frame.hidden = false
      draw()
      confine()
      // Opened by the page, not by the visitor: leave the focus where the visitor is typing.
      const focus = Boolean(by || phone.matches || (navigator.userActivation || {}).isActive)
      if (focus) iframe.focus()
      tell({ type: 'opened', focus })
      fire('opened')
    }

    function close() {
      if (!isOpen) return
      const hadFocus = document.activeElement === host
      isOpen = false
      confine()
      draw()
      frame.hidden = true
      tell({ type: 'closed' })
      if (hadFocus) (opener.isConnected && opener !== host ? opener : bubble).focus()
      fire('closed')
    }

    /** On a phone the panel covers the page, so the page behind it must not be focusable. */
    function confine() {
      const isModal = Boolean(isOpen && phone.matches)
      frame && frame.setAttribute('aria-modal', isModal)
      if (isModal === Boolean(confined)) return
      const { body } = document
      const now = confined || { inert: true, overflow: 'hidden' }
      confined = isModal && { inert: body.inert, overflow: page().style.overflow }
      body.inert = now.inert
      page().style.overflow = now.overflow
    }

    function load() {
      if (frame) return
      const hadFocus = document.activeElement === host
      // Outside the body, which single-page frameworks replace: moving an iframe reloads it.
      if (host.parentNode !== page()) page().append(host)
      if (hadFocus) bubble.focus()
      const { key, business, theme, endpoint } = options
      const url = new URL('widget/panel', src)
      const given = { ...(endpoint ? {} : { key, business }), locale: locale(), theme }
      for (const each in given) if (given[each]) url.searchParams.set(each, given[each])
      iframe = make('iframe', { src: url.href, title: label(2), onload: connect })
      frame = make('div', {}, { class: 'frame', role: 'dialog', 'aria-label': label(2) })
      frame.append(iframe)
      bubble.before(frame)
      deadline = setTimeout(unreachable, PATIENCE_MS)
    }

    function unload() {
      clearTimeout(deadline)
      if (port) port.close()
      if (frame) frame.remove()
      port = frame = iframe = null
      early = []
    }

    /** Remember that the visitor has a conversation, so that the next page counts unread messages. Store nothing else. */
    function used(isUsed) {
      const mark = `shopbell-used:${options.key}:${options.business}`
      try {
        if (isUsed) localStorage[mark] = 1
        else if (isUsed === false) delete localStorage[mark]
        return localStorage[mark]
      } catch {} // storage is blocked for this page
    }

    /** Give the panel one port of a message channel. A document of another origin in the iframe never receives it. */
    function connect() {
      const { port1, port2 } = new MessageChannel()
      port1.onmessage = ({ data }) => hear(port1, data)
      port = null
      clearTimeout(deadline)
      deadline = setTimeout(unreachable, SHORT_MS)
      iframe.contentWindow.postMessage({ shopbell: 1 }, new URL(src).origin, [port2])
    }

    /** The mark says so, and the next opening tries again. */
    function unreachable() {
      hasFailed = isOpen
      close()
      unload()
      if (!hasFailed) return
      status.textContent = label(3)
      draw()
      warn('the panel does not answer: key or origin?')
      fire('error', { code: 'unreachable' })
    }

    function tell(message) {
      if (port) port.postMessage(message)
      else early.push(message)
    }

    function hear(from, { type, id, count, text, isUsed, body, name: event, detail }) {
      if (type === 'ready') {
        clearTimeout(deadline)
        port = from
        early.splice(0).forEach(tell)
        tell({ type: 'profile', profile: options.profile })
        fire(type)
      } else if (type === 'close') close()
      else if (type === 'used') used(isUsed)
      else if (type === 'event') fire(event, detail)
      else if (type === 'unread') {
        if (count > (unread || 0)) status.textContent = text
        unread = count
        unreadText = text
        draw()
        fire(type, { count })
      } else if (type === 'token') answer(from, id, options.getToken || (() => {}))
      else if (type === 'send') answer(from, id, async () => (await import(new URL('widget/form.js', src))).send(options, body))
    }

    /** undefined if it is unknown; null means that no one is signed in. */
    async function answer(to, id, act) {
      let value
      try {
        value = await act()
      } catch (error) {
        warn(error)
      }
      to.postMessage({ type: 'answer', id, value })
    }

    function update(changes) {
      const before = place()
      Object.assign(options, changes)
      if (place() !== before) {
        const wasOpen = isOpen
        close()
        unload()
        unread = 0
        if (wasOpen) open(opener)
      } else {
        tell({ type: 'theme', theme: options.theme })
        if (changes.getToken) tell({ type: 'identify' })
      }
      draw()
    }

    const calls = {
      draw,
      update,
      close,
      open: () => open(),
      toggle: () => toggle(),
      show: () => (all.hidden = false),
      hide: () => (close(), (all.hidden = true)),
      setBusiness: (business) => update({ business }),
      identify: (profile) => {
        options.profile = profile
        if (port) tell({ type: 'identify', profile })
      },
      newMessage: (text = '') => {
        open()
        tell({ type: 'compose', text: String(text) })
      },
      /** Forget the visitor. Only the panel can clear its storage. */
      reset: () => {
        options.profile = null
        load()
        frame.hidden = !isOpen
        tell({ type: 'reset' })
      },
      destroy: () => {
        close()
        unload()
        widgets.delete(name)
        host.remove()
        removeEventListener('click', clicked, true)
        phone.removeEventListener('change', confine)
        for (const one of widgets.values()) one.draw()
        fire('destroyed')
      },
    }

    widgets.set(name, calls)
    try {
      // The page's Content-Security-Policy need not allow this.
      root.adoptedStyleSheets = [new CSSStyleSheet()]
      root.adoptedStyleSheets[0].replaceSync(CSS)
    } catch {
      import(new URL('widget/looks.js', src)).then((old) => old.paint(host, root, CSS)).catch(warn) // Safari before 16.4
    }
    all.append(bubble, status)
    root.append(all)
    phone.addEventListener('change', confine)
    draw()

    /** First inside the body: React 18 fails to hydrate a document with other elements beside it. */
    function attach(isFirst) {
      const { body } = document
      if (widgets.get(name) !== calls) return
      for (const node of [document, page(), body]) node && watch.observe(node, { childList: true })
      if (!body || host.isConnected) return
      const wasOpen = isOpen
      close()
      unload()
      ;(isFirst ? body : page()).append(host)
      // document.open() has removed all listeners.
      bubble.onclick = () => toggle(bubble)
      all.onkeydown = ({ key }) => void (key === 'Escape' && close()) // false would cancel the key
      addEventListener('click', clicked, true)
      if (wasOpen) open(opener)
      else setTimeout(wake, WAKE_MS)
    }

    /** Count the unread messages of a conversation. Not during a click: loading moves the bubble away from it. */
    function wake() {
      if (bubble.matches(':active') || document.readyState !== 'complete') return setTimeout(wake, WAKE_MS)
      if (frame || widgets.get(name) !== calls || !used()) return
      load()
      frame.hidden = true
    }

    const watch = new MutationObserver(() => host.isConnected || setTimeout(attach))
    attach(true)
  }

  function Shopbell(call, argument = {}, act) {
    try {
      const [action, name = MAIN] = String(call).split(':').reverse()
      const calls = widgets.get(action === 'boot' ? argument.name || MAIN : name)
      if (action === 'on') {
        const hear = ({ detail }) => detail.widget === name && act(detail)
        document.addEventListener('shopbell:' + argument, hear)
        return () => document.removeEventListener('shopbell:' + argument, hear)
      }
      if (action === 'boot') {
        if (!argument.key && !argument.endpoint) warn('boot needs key or endpoint')
        else if (calls) calls.update(argument)
        else widget(argument.name || MAIN, { ...argument })
      } else if (!calls) warn(`"${call}" before "boot"`)
      else if (!Object.keys(calls).includes(action) || ['draw', 'side'].includes(action)) warn(`unknown call "${call}"`)
      else calls[action](argument)
    } catch (error) {
      // An error of the chat must not break the page.
      console.error(error)
    }
  }

  /** Boot from the attributes of a script tag. After a page change, a tag reuses the previous page's widget. */
  Shopbell.tag = (tag) => {
    const options = { ...tag.dataset }
    if (options.launcher === 'none') options.launcher = false
    const id = ({ key, business, endpoint, name }) => JSON.stringify([key, business, endpoint, name])
    const isSame = ([, { dataset }]) => id(dataset) === id(options)
    const [former] = [...tags].find(isSame) || [...tags].find(([, { isConnected }]) => !isConnected) || []
    options.name = options.name || former || (widgets.has(MAIN) ? 'widget' + (widgets.size + 1) : MAIN)
    if (!options.key && !options.endpoint) return
    tags.set(options.name, tag)
    Shopbell('boot', options)
  }

  start((window[LOADED] = Shopbell))
})()
