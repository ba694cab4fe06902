// A panel at the right with the facts of a row, which the address keeps (`peek=12`).
//   <tr data-key="12" data-peek="URL of the fragment" data-open="URL of the page">, <aside id="peek" hidden> with #peek-body
import { enhance, every } from "./enhance.js";

const panel = document.getElementById("peek");
const body = document.getElementById("peek-body");
let openKey = null;

const rowOf = (key) => document.querySelector(`tr[data-peek][data-key="${CSS.escape(key)}"]`);

function remember(key) {
  const address = new URL(location.href);
  if (key) address.searchParams.set("peek", key);
  else address.searchParams.delete("peek");
  history.replaceState(history.state, "", address);
}

function markRow() {
  every("tr[data-peek]", (row) => row.toggleAttribute("data-peeked", row.dataset.key === openKey));
}

export const isPeekOpen = () => Boolean(panel && !panel.hidden);

export async function openPeek(row, { focus = false } = {}) {
  if (!panel) { location.assign(row.dataset.open); return; }
  openKey = row.dataset.key;
  markRow();
  remember(openKey);
  panel.hidden = false;
  panel.setAttribute("aria-busy", "true");
  const requestedKey = openKey;
  const answer = await fetch(row.dataset.peek, { headers: { "HX-Request": "true" } }).catch(() => null);
  if (requestedKey !== openKey) return;
  if (!answer?.ok || answer.redirected) { location.assign(row.dataset.open); return; }
  body.innerHTML = await answer.text();
  panel.removeAttribute("aria-busy");
  window.htmx?.process(body);
  document.dispatchEvent(new Event("htmx:afterSettle"));
  if (focus) panel.focus({ preventScroll: true });
}

export function closePeek() {
  if (!isPeekOpen()) return;
  const row = rowOf(openKey);
  openKey = null;
  panel.hidden = true;
  body.replaceChildren();
  markRow();
  remember(null);
  row?.focus({ preventScroll: true });
}

const INTERACTIVE = "a, button, input, label, select, textarea, summary, details, [role=separator], [popover]";

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-peek-close]")) { closePeek(); return; }
  const row = event.target.closest("tr[data-peek]");
  if (!row || event.target.closest(INTERACTIVE) || event.ctrlKey || event.metaKey || String(getSelection())) return;
  if (row.dataset.key === openKey) closePeek();
  else openPeek(row);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || !isPeekOpen()) return;
  if (document.querySelector("dialog[open]:modal, [popover]:popover-open, details.menu[open]")) return;
  closePeek();
});

enhance("tr[data-peek]", (row) => {
  row.tabIndex = -1;
  row.toggleAttribute("data-peeked", row.dataset.key === openKey);
});

const shared = new URLSearchParams(location.search).get("peek");
const sharedRow = shared && panel && rowOf(shared);
if (sharedRow) openPeek(sharedRow);
