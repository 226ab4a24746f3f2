/*
 * The loader: draws the bubble at once, and the panel (an iframe of the server that this script came from) on the
 * first interaction. It sets no cookie, stores nothing and asks for nothing before that.
 *
 *   <script async src="https://chat.example.org/widget.js" data-key="pk_live_…" data-business="12345"></script>
 *
 *   Shopbell('boot', { key, business, locale, position, theme, zIndex, launcher, color, name, endpoint, headers, getToken })
 *   Shopbell('open' | 'close' | 'toggle' | 'show' | 'hide' | 'update' | 'reset' | 'destroy' | 'identify'
 *            | 'newMessage' | 'setBusiness', argument)
 *   const off = Shopbell('on', 'message:received', (detail) => …)
 *
 * A second widget of a page has a name (`data-name`, or `name` of 'boot') and is called by it: Shopbell('sales:open').
 * The server leaves out comments and indentation when it gives this file away; whole lines only, so write them so.
 */
(() => {
  'use strict'
  // By locale: open, close, unread, the panel's name. The server puts them in.
  const LABELS = __LABELS__
  const PHONE = '(max-width:480px),(max-height:420px)'
  const PATIENCE_MS = 20000
  const SHORT_MS = 3000
  const MAIN = 'main'

  const { console, document } = window
  const page = document.documentElement
  const script = document.currentScript
  const earlier = window.Shopbell
  if (earlier && earlier.tag) return earlier.tag(script)
  const ORIGIN = new URL(script.src).origin

  const CSS = `
:host{all:initial!important;position:fixed!important;z-index:var(--z)!important}
[hidden]{display:none!important}
button{all:unset;width:56px;height:56px;border-radius:50%;display:grid;place-items:center;cursor:pointer;background:var(--color);color:var(--ink);box-shadow:0 4px 20px #0005}
button,.frame{position:fixed;right:calc(20px + var(--n)*72px + env(safe-area-inset-right));bottom:calc(20px + env(safe-area-inset-bottom))}
.left button,.left .frame{right:auto;left:calc(20px + var(--n)*72px + env(safe-area-inset-left))}
button:focus-visible{outline:3px solid var(--color);outline-offset:3px;box-shadow:0 0 0 3px #fff}
svg{width:26px;fill:none;stroke:currentColor;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
b{position:absolute;top:-5px;right:-5px;min-width:12px;padding:0 5px;border:2px solid #fff;border-radius:12px;background:#c0182b;color:#fff;font:700 12px/18px system-ui;text-align:center}
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

  /** The calls of each widget of this page, by its name. */
  const widgets = new Map()

  const warn = (...words) => console.warn('[shopbell]', ...words)
  const make = (tag, properties, attributes = {}) => {
    const made = Object.assign(document.createElement(tag), properties)
    for (const name in attributes) made.setAttribute(name, attributes[name])
    return made
  }

  /** Black or white: one of both has a contrast of at least 4.5 on any colour. */
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
    const bubble = make('button', { type: 'button', onclick: () => toggle(bubble) })
    const badge = make('b', {}, { 'aria-hidden': true })
    const status = make('i', {}, { role: 'status' })
    const phone = matchMedia(PHONE)
    let isOpen, hasFailed, frame, iframe, port, deadline, opener, confined
    let unread = 0
    // What a panel that is not ready yet will be told.
    let early = []

    const locale = () => options.locale || page.lang || navigator.language
    const label = (index) => (LABELS[locale().slice(0, 2).toLowerCase()] || LABELS.en)[index]
    const unreadLabel = () => label(2).replace('{count}', unread)
    const place = () => JSON.stringify([options.key, options.business, options.endpoint, options.locale])

    function fire(event, detail) {
      document.dispatchEvent(new CustomEvent('shopbell:' + event, { detail: { ...detail, widget: name } }))
    }

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
      bubble.setAttribute('aria-label', label(isOpen ? 1 : 0) + (unread ? ', ' + unreadLabel() : ''))
      badge.textContent = hasFailed ? '!' : unread > 99 ? '99+' : unread
      badge.hidden = !unread && !hasFailed
      bubble.replaceChildren(icon(isOpen ? 'm5 9 7 7 7-7' : 'M21 12a8 8 0 0 1-8 8H4l2-3.5A8 8 0 1 1 21 12Z'), badge)
    }

    /** A click on one of the page's own elements that open the chat. */
    function clicked(event) {
      const { launcher } = options
      const target = event.target
      if (!launcher || launcher === true || !target.closest) return
      const its = launcher.contains ? launcher.contains(target) && launcher : target.closest(launcher)
      if (!its) return
      event.preventDefault()
      toggle(its)
    }

    const toggle = (by) => (isOpen ? close() : open(by))

    function open(by) {
      if (isOpen) return
      const active = document.activeElement
      opener = by || (active === document.body ? bubble : active)
      for (const one of widgets.values()) one.close()
      if (!frame) load()
      isOpen = true
      hasFailed = false
      unread = 0
      frame.hidden = false
      draw()
      confine()
      // Opened by the page and not by somebody's act: who types stays where he types.
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

    /** On a phone the panel covers the page: then nothing behind it may be reached. */
    function confine() {
      const isModal = Boolean(isOpen && phone.matches)
      frame && frame.setAttribute('aria-modal', isModal)
      if (isModal === Boolean(confined)) return
      const { body } = document
      const now = confined || { inert: true, overflow: 'hidden' }
      confined = isModal && { inert: body.inert, overflow: page.style.overflow }
      body.inert = now.inert
      page.style.overflow = now.overflow
    }

    function load() {
      const { key, business, theme, endpoint } = options
      const url = new URL('widget/panel', script.src)
      const given = { ...(endpoint ? {} : { key, business }), locale: locale(), theme }
      for (const each in given) if (given[each]) url.searchParams.set(each, given[each])
      iframe = make('iframe', { src: url.href, title: label(3), onload: connect })
      frame = make('div', {}, { class: 'frame', role: 'dialog', 'aria-label': label(3) })
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

    /** Hand the panel one end of a channel. A document of another origin in the iframe never gets it. */
    function connect() {
      const { port1, port2 } = new MessageChannel()
      port1.onmessage = ({ data }) => hear(port1, data)
      port = null
      clearTimeout(deadline)
      deadline = setTimeout(unreachable, SHORT_MS)
      iframe.contentWindow.postMessage({ shopbell: 1 }, ORIGIN, [port2])
    }

    /** The mark says so, and the next opening tries again. */
    function unreachable() {
      close()
      unload()
      hasFailed = true
      draw()
      warn('the panel does not answer: is the server there, and may this origin use the key?')
      fire('error', { code: 'unreachable' })
    }

    function tell(message) {
      if (port) port.postMessage(message)
      else early.push(message)
    }

    function hear(from, { type, id, count, body, name: event, detail }) {
      if (type === 'ready') {
        clearTimeout(deadline)
        port = from
        early.splice(0).forEach(tell)
        tell({ type: 'profile', profile: options.profile })
        fire(type)
      } else if (type === 'close') close()
      else if (type === 'event') fire(event, detail)
      else if (type === 'unread') {
        const more = count > unread
        unread = count
        if (more) status.textContent = unreadLabel()
        draw()
        fire(type, { count })
      } else if (type === 'token') answer(from, id, options.getToken || (() => {}))
      else if (type === 'send') answer(from, id, () => post(body))
    }

    /** What could not be found out stays undefined: null says that nobody is signed in. */
    async function answer(to, id, act) {
      let value
      try {
        value = await act()
      } catch (error) {
        warn(error)
      }
      to.postMessage({ type: 'answer', id, value })
    }

    /** Send what was written in the panel to the site's own backend. */
    async function post(body) {
      const headers = { 'Content-Type': 'application/json', ...options.headers }
      // Django knows its own pages by it.
      const csrf = /(^|; )csrftoken=([^;]+)/.exec(document.cookie)
      if (csrf) headers['X-CSRFToken'] = csrf[2]
      const got = await fetch(options.endpoint, { method: 'POST', headers, body: JSON.stringify(body) })
      return { ok: got.ok, ...(await got.json().catch(() => ({}))) }
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
      hide: () => {
        close()
        all.hidden = true
      },
      setBusiness: (business) => update({ business }),
      identify: (profile) => {
        options.profile = profile
        if (port) tell({ type: 'identify', profile })
      },
      newMessage: (text = '') => {
        open()
        tell({ type: 'compose', text: String(text) })
      },
      /** Forget who is here. What is kept, is kept where only the panel reaches. */
      reset: () => {
        options.profile = null
        if (!frame) load()
        frame.hidden = !isOpen
        tell({ type: 'reset' })
      },
      destroy: () => {
        close()
        unload()
        widgets.delete(name)
        host.remove()
        document.removeEventListener('click', clicked)
        phone.removeEventListener('change', confine)
        for (const one of widgets.values()) one.draw()
        fire('destroyed')
      },
    }

    widgets.set(name, calls)
    try {
      // Needs no permission by the page's policy.
      root.adoptedStyleSheets = [new CSSStyleSheet()]
      root.adoptedStyleSheets[0].replaceSync(CSS)
    } catch {
      // Safari before 16.4 makes no style sheets by script.
      import(new URL('widget/looks.js', script.src)).then((old) => old.paint(host, root, CSS)).catch(warn)
    }
    all.append(bubble, status)
    root.append(all)
    root.addEventListener('keydown', ({ key }) => key === 'Escape' && close())
    document.addEventListener('click', clicked)
    phone.addEventListener('change', confine)
    draw()
    // Beside the body, not in it: single-page frameworks replace what is in it.
    const attach = () => widgets.get(name) === calls && page.append(host)
    if (document.body) attach()
    else document.addEventListener('DOMContentLoaded', attach)
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
        if (!argument.key && !argument.endpoint) warn('boot needs a key or an endpoint')
        else if (calls) calls.update(argument)
        else widget(argument.name || MAIN, { ...argument })
      } else if (!calls) warn(`"${call}" before "boot"`)
      else if (!Object.keys(calls).includes(action) || ['draw', 'side'].includes(action)) warn(`unknown call "${call}"`)
      else calls[action](argument)
    } catch (error) {
      // A fault of the chat must not be one of the page.
      console.error(error)
    }
  }

  /** Begin with what the attributes of a script's tag say. */
  Shopbell.tag = ({ dataset }) => {
    const options = { ...dataset }
    if (options.launcher === 'none') options.launcher = false
    if (!options.name && widgets.has(MAIN)) options.name = 'widget' + (widgets.size + 1)
    if (options.key || options.endpoint) Shopbell('boot', options)
  }

  window.Shopbell = Shopbell
  Shopbell.tag(script)
  for (const call of (earlier && earlier.q) || []) Shopbell(...call)
})()
