// Toasts: announced, closed by hand or after a while, and never while the pointer or the focus is in them.
//   <div data-toasts aria-live="polite"> <div data-toast> text <form>Undo</form> <button data-toast-close> </div> </div>
// `data-toast-stays`: an error, which stays until it is closed. From htmx: HX-Trigger {"toast": {"text": …, "undo_url": …}}.
import { csrfToken, element, enhance, text } from "./enhance.js";

const SECONDS = 8;
const SECONDS_WITH_ACTION = 20;

enhance("[data-toast]", (toast) => {
  const close = toast.querySelector("[data-toast-close]");
  if (close) close.hidden = false;
  if (toast.dataset.toastStays !== undefined) return;
  const seconds = toast.querySelector("form, a, button:not([data-toast-close])") ? SECONDS_WITH_ACTION : SECONDS;
  let timer = null;
  const start = () => { clearTimeout(timer); timer = setTimeout(end, seconds * 1000); };
  const end = () => (toast.matches(":hover, :focus-within") ? start() : toast.remove());
  start();
});

function remove(toast) {
  const region = toast.closest("[data-toasts]");
  const hadFocus = toast.contains(document.activeElement);
  toast.remove();
  if (hadFocus) (region?.querySelector("[data-toast-close]") ?? document.getElementById("main"))?.focus();
}

document.addEventListener("click", (event) => {
  const toast = event.target.closest("[data-toast-close]")?.closest("[data-toast]");
  if (toast) remove(toast);
});
document.addEventListener("keydown", (event) => {
  const toast = event.key === "Escape" && event.target.closest?.("[data-toast]");
  if (toast) remove(toast);
});

// A live region announces what is put into it, not what it had when the page was loaded.
const region = document.querySelector("[data-toasts]");
if (region?.children.length) {
  const loaded = [...region.children];
  region.replaceChildren();
  requestAnimationFrame(() => region.prepend(...loaded));
}

export function showToast(sentence, { undoUrl } = {}) {
  const undo = undoUrl
    ? element("form", { method: "post", action: undoUrl, "data-once": true },
      element("input", { type: "hidden", name: "csrfmiddlewaretoken", value: csrfToken() }),
      element("button", { class: "button button-quiet" }, text("undo")))
    : null;
  const close = element("button", { class: "toast-close", type: "button", "data-toast-close": true, "aria-label": text("close") }, "×");
  region?.append(element("div", { class: "toast", "data-toast": true }, element("span", {}, sentence), undo, close));
  document.dispatchEvent(new Event("htmx:afterSettle"));
}
document.addEventListener("toast", (event) => showToast(event.detail.text, { undoUrl: event.detail.undo_url }));
