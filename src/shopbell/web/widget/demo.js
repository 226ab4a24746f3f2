// The demo's shop is a page like any other: it knows the widget by its interface alone.

window.Shopbell = window.Shopbell || ((...call) => (window.Shopbell.q = window.Shopbell.q || []).push(call))

document.getElementById('ask').addEventListener('click', () => window.Shopbell('newMessage', 'Hello, is The Errand in stock?'))

document.addEventListener('shopbell:message:sent', ({ detail }) => {
  for (const place of document.querySelectorAll('.thread')) place.textContent = detail.customerThreadId
})
