// The loader's looks where a script can make no style sheet, as in Safari before 16.4: each element gets them itself.

const RULE = /(?:@media (.*?)\{)?([^{}@\n]+)\{([^{}]*)\}/g

/**
 * Give the elements of a widget what its rules say, now and whenever they change. A style that a script sets needs no
 * permission by the page's policy; a `<style>` does.
 * @param {HTMLElement} host
 * @param {ShadowRoot} root
 * @param {string} css one rule a line; a media query has one rule
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
    // Safari before 15.5 has no "inert" either: what is hidden cannot be reached behind the panel.
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
