// A page that React has rendered as a whole document, and the script that hydrates it.
// node react.cjs react18 '{"src": "https://chat.example.org/widget.js", "data-key": "pk_live_…"}' prints both as JSON.
'use strict'

const { readFileSync } = require('node:fs')
const { createRequire } = require('node:module')
const { join } = require('node:path')

const [, , version, tag] = process.argv
const requireFrom = createRequire(join(__dirname, version, 'package.json'))

function Page({ tag, createElement: element, useState }) {
  const [count, setCount] = useState(0)
  // React has finished: before that, it already marks elements which it may replace.
  const ref = (button) => {
    if (button) button.isHydrated = true
  }
  return element(
    'html',
    { lang: 'en' },
    element('head', null, element('meta', { charSet: 'utf-8' }), element('title', null, 'Shop')),
    element(
      'body',
      null,
      element('main', null, element('button', { id: 'count', ref, onClick: () => setCount(count + 1) }, `Count: ${count}`)),
      element('script', { async: true, ...tag }),
      element('script', { src: '/react.js', defer: true }),
    ),
  )
}

/** One script of a module of React and all that it requires, as they are in the package. */
function bundle(name) {
  const modules = {}
  const add = (resolved) => {
    if (modules[resolved]) return
    const source = readFileSync(resolved, 'utf8')
    const requires = {}
    modules[resolved] = { source, requires }
    const its = createRequire(resolved)
    for (const [, required] of source.matchAll(/require\(["']([^"']+)["']\)/g)) {
      requires[required] = its.resolve(required)
      add(requires[required])
    }
  }
  for (const each of [name, 'react']) add(requireFrom.resolve(each))
  const written = Object.entries(modules).map(
    ([path, { source, requires }]) =>
      `${JSON.stringify(path)}: [${JSON.stringify(requires)}, (require, module, exports, process) => {${source}\n}]`,
  )
  return `
const modules = {${written.join(',\n')}}
const loaded = {}
const load = (path) => {
  if (!loaded[path]) {
    const [requires, run] = modules[path]
    const module = (loaded[path] = { exports: {} })
    run((name) => load(requires[name]), module, module.exports, { env: { NODE_ENV: 'development' } })
  }
  return loaded[path].exports
}
const React = load(${JSON.stringify(requireFrom.resolve('react'))})
const { hydrateRoot } = load(${JSON.stringify(requireFrom.resolve(name))})
`
}

const React = requireFrom('react')
const props = JSON.parse(tag)
const { renderToString } = requireFrom('react-dom/server')
const { createElement, useState } = React
const html = '<!doctype html>' + renderToString(createElement(Page, { tag: props, createElement, useState }))
const hydrate = `
window.hydrate = () => hydrateRoot(
  document,
  React.createElement(Page, { tag: ${tag}, createElement: React.createElement, useState: React.useState }),
)
if (!window.waits) hydrate()
`
const script = `{${bundle('react-dom/client')}${Page}\n${hydrate}}`
process.stdout.write(JSON.stringify({ html, script }))
