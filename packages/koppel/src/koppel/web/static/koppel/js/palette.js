// The command palette: Ctrl-K or ⌘K, a dialog over what the server finds for this person. Arrows walk, Enter goes,
// and with nothing typed it shows what was chosen last and the pages.
import { csrfToken, text } from "./enhance.js";

const DELAY_MS = 120;
const RECENT_MAX = 6;

const dialog = document.getElementById("palette");
const input = document.getElementById("palette-input");
const results = document.getElementById("palette-results");
const status = document.getElementById("palette-status");

// By person: a browser may be shared.
const RECENT = `palette ${dialog?.dataset.person}`;

const options = () => [...results.querySelectorAll("[role=option]")];
let active = null;
let requestNumber = 0;
let timer = null;

function mark(option) {
  options().forEach((each) => each.setAttribute("aria-selected", String(each === option)));
  active = option ?? null;
  if (active) {
    input.setAttribute("aria-activedescendant", active.id);
    active.scrollIntoView({ block: "nearest" });
  } else {
    input.removeAttribute("aria-activedescendant");
  }
}

function recentLinks() {
  try { return JSON.parse(localStorage.getItem(RECENT) ?? "[]"); } catch { return []; }
}

// What the person chose last comes first, if the server still names it.
function remember(option) {
  const key = option.dataset.key;
  if (!key) return;
  const keys = [key, ...recentLinks().filter((other) => other !== key)].slice(0, RECENT_MAX);
  localStorage.setItem(RECENT, JSON.stringify(keys));
}

async function search() {
  const number = (requestNumber += 1);
  const url = new URL(dialog.dataset.palette, location.href);
  const words = input.value.trim();
  if (words) url.searchParams.set("q", words);
  else recentLinks().forEach((key) => url.searchParams.append("recent", key));
  if (dialog.dataset.administration) url.searchParams.set("administration", dialog.dataset.administration);
  const answer = await fetch(url, { headers: { "HX-Request": "true" } }).catch(() => null);
  // An answer that comes late replaces nothing and opens nothing.
  if (number !== requestNumber || !dialog.open) return;
  if (!answer?.ok || answer.redirected) return;
  results.innerHTML = await answer.text();
  const count = options().length;
  results.hidden = count === 0;
  input.setAttribute("aria-expanded", String(count > 0));
  status.textContent = count === 1 ? text("results_one") : count ? text("results_many", { count }) : text("no_results");
  status.classList.toggle("visually-hidden", count > 0);
  mark(options()[0]);
}

function openPalette() {
  if (!dialog || dialog.open || document.querySelector("dialog[open]:modal")) return;
  dialog.showModal();
  input.select();
  search();
}

function walk(event) {
  const all = options();
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && all.length) {
    event.preventDefault();
    mark(all[(all.indexOf(active) + step + all.length) % all.length]);
  } else if (event.key === "Home" && event.ctrlKey) {
    mark(all[0]);
  } else if (event.key === "Enter") {
    event.preventDefault();
    if (!active) return;
    if (active.tagName === "A" && (event.ctrlKey || event.metaKey)) { remember(active); window.open(active.href); } else active.click();
  }
}

document.addEventListener("keydown", (event) => {
  if (!dialog || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey || event.key.toLowerCase() !== "k") return;
  event.preventDefault();
  if (dialog.open) dialog.close();
  else openPalette();
});
document.addEventListener("click", (event) => { if (event.target.closest("[data-palette-open]")) openPalette(); });

if (dialog) {
  input.addEventListener("keydown", walk);
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, DELAY_MS); });
  dialog.addEventListener("close", () => { requestNumber += 1; input.value = ""; results.replaceChildren(); status.textContent = ""; });
  results.addEventListener("mousemove", (event) => { const option = event.target.closest("[role=option]"); if (option && option !== active) mark(option); });
  results.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (!option) return;
    remember(option);
    if (option.dataset.post) post(option.dataset.post);
  });
}

function post(url) {
  const form = document.createElement("form");
  form.method = "post";
  form.action = url;
  for (const [name, value] of [["csrfmiddlewaretoken", csrfToken()], ["next", `${location.pathname}${location.search}`]]) {
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name, value });
    form.append(field);
  }
  document.body.append(form);
  form.submit();
}
