// The loader's styles for browsers without constructable style sheets (Safari before 16.4), as inline styles.

const RULE = /(?:@media (.*?)\{)?([^{}@\n]+)\{([^{}]*)\}/g

/**
 * Apply the rules of a style sheet to a widget's elements, now and whenever they change. Inline styles set by a script
 * are allowed by every Content-Security-Policy; a `<style>` is not.
 * @param {HTMLElement} host
 * @param {ShadowRoot} root
 * @param {string} css one rule per line; a media query contains one rule
 */
export function paint(host, root, css) {
  let isCovered = false
  const draw = () => {
    for (const one of root.querySelectorAll('*')) one.style.cssText = ''
    for (const [, media, selector, looks] of css.matchAll(RULE)) {
      if (media && !matchMedia(media).matches) continue
      const those = selector === ':host' ? [host] : root.querySelectorAll(selector)
      for (const one of those) one.style.cssText += looks
    }
    // Safari before 15.5 has no "inert" either: hide the page behind the panel from focus.
    const mustCover = !('inert' in HTMLElement.prototype) && root.querySelector('[aria-modal=true]') !== null
    if (mustCover !== isCovered) document.body.style.visibility = mustCover ? 'hidden' : ''
    isCovered = mustCover
  }
  const changes = { subtree: true, childList: true, attributeFilter: ['class', 'hidden', 'aria-modal'] }
  new MutationObserver(draw).observe(root, changes)
  for (const event of ['focusin', 'focusout']) root.addEventListener(event, draw)
  addEventListener('resize', draw)
  draw()
}
