// The demo shop uses only the public interface of the widget, like any other page.

window.Shopbell = window.Shopbell || ((...call) => (window.Shopbell.q = window.Shopbell.q || []).push(call))

document.getElementById('ask').addEventListener('click', () => window.Shopbell('newMessage', 'Hello, is The Errand in stock?'))

document.addEventListener('shopbell:message:sent', ({ detail }) => {
  for (const place of document.querySelectorAll('.thread')) place.textContent = detail.customerThreadId
})
