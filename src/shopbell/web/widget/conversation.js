// The conversation page: what the server put into it, kept up to date. Without this script it is a page with a form.

function runPage(config) {
  const headers = { 'Shopbell-Thread': config.threadId }
  const talk = new Talk({
    config,
    kept: keptUnder(`shopbell:thread:${config.threadId}`),
    headers: () => headers,
    ensure: async () => headers,
    renew: async () => (location.reload(), false), // the server's page says what to do
    channel: () => `shopbell:thread:${config.threadId}`,
    isSeen: () => document.visibilityState === 'visible',
    onUnread: (count) => (document.title = count ? `(${count}) ${title}` : title),
  })
  const { title } = document
  for (const plain of document.querySelectorAll('.plain')) plain.remove()
  for (const scripted of document.querySelectorAll('.scripted')) scripted.hidden = false
  byId('print').addEventListener('click', () => print())
  talk.log.toEnd()
  talk.start()
}

runPage(JSON.parse(byId('config').textContent))
