// Keep the conversation page up to date. Without this script, the server's page and its form still work.

function runPage(config) {
  const headers = { 'Shopbell-Thread': config.threadId }
  const talk = new Talk({
    config,
    kept: keptUnder(`shopbell:thread:${config.threadId}`),
    headers: () => headers,
    ensure: async () => headers,
    renew: async () => (location.reload(), false), // the server's page explains what to do
    scroller: document.scrollingElement,
    channel: () => `shopbell:thread:${config.threadId}`,
    isSeen: () => document.visibilityState === 'visible',
    onUnread: (count) => (document.title = count ? `(${count}) ${title}` : title),
  })
  const { title } = document
  for (const scripted of document.querySelectorAll('.scripted')) scripted.hidden = false
  const file = byId('file') // the button beside the text field opens it
  if (file) {
    file.className = 'unseen'
    file.tabIndex = -1
    file.multiple = true
    document.querySelector('.plain-file').className = 'unseen'
  }
  byId('print').addEventListener('click', () => print())
  talk.outgoing.resume()
  talk.log.toEnd()
  talk.start()
}

runPage(JSON.parse(byId('config').textContent))
