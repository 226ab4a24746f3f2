const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

const reference = document.getElementById("reference");
const ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  validatorUrl: null, // it would send the document to a third-party server
  onComplete: () => reference.dataset.token && ui.preauthorizeApiKey("apiToken", reference.dataset.token), // the demo's
});

// Swagger UI's output lacks what keyboards and screen readers need; this adds it.
const named = (element, name) => element.hasAttribute("aria-label") || element.setAttribute("aria-label", name);
const mend = () => {
  // A link inside a button would be two nested controls: the button opens the operation and announces its path.
  for (const link of reference.querySelectorAll(".opblock-summary-control a[href]")) link.removeAttribute("href");
  for (const heading of reference.querySelectorAll("h3.opblock-tag, .models > h4, .modal-ux h3")) heading.setAttribute("aria-level", "2");
  for (const heading of reference.querySelectorAll(".opblock-section-header h4, .modal-ux h4, .responses-inner h4, .responses-inner h5"))
    heading.setAttribute("aria-level", "3");
  for (const dialog of reference.querySelectorAll(".modal-ux:not([role])")) {
    dialog.setAttribute("role", "dialog");
    dialog.setAttribute("aria-modal", "true");
    named(dialog, "Authorize");
  }
  for (const button of reference.querySelectorAll(".close-modal")) named(button, "Close");
  for (const button of reference.querySelectorAll(".copy-to-clipboard button")) named(button, "Copy");
  for (const area of reference.querySelectorAll("textarea")) named(area, "Request body");
  for (const block of reference.querySelectorAll("pre.microlight")) block.tabIndex = 0;
  for (const select of reference.querySelectorAll("select:not([aria-label])")) {
    const place = select.closest("[data-param-name]")?.dataset.paramName;
    named(select, place ?? (select.id === "servers" ? "Server" : select.closest(".examples-select") ? "Example" : "Media type"));
  }
};
let waits = false;
new MutationObserver(() => {
  if (waits) return;
  waits = true;
  requestAnimationFrame(() => { waits = false; mend(); });
}).observe(reference, { childList: true, subtree: true });
