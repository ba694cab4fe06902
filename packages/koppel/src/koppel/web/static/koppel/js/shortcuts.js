// Single keys in lists: j k move, x ticks, o and Enter open, e edits; ? shows the keys. Never while typing or in a dialog.
import { isTyping } from "./enhance.js";
import { isPeekOpen, openPeek } from "./peek.js";

const rows = () => [...document.querySelectorAll("[data-rows] > tr")].filter((row) => !row.hidden);
const current = () => document.activeElement?.closest?.("[data-rows] > tr") ?? document.querySelector("[data-rows] > tr[data-peeked]");

function goTo(row) {
  if (!row) return;
  row.tabIndex = -1;
  row.focus();
  row.scrollIntoView({ block: "nearest" });
  if (isPeekOpen() && row.dataset.peek) openPeek(row);
}

function step(by) {
  const all = rows();
  const at = all.indexOf(current());
  goTo(all[at < 0 ? 0 : Math.max(0, Math.min(at + by, all.length - 1))]);
}

function open(row) {
  if (row?.dataset.peek) openPeek(row, { focus: true });
  else if (row?.dataset.open) location.assign(row.dataset.open);
}

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  x: (row) => row?.querySelector("input[type=checkbox]")?.click(),
  o: open,
  e: (row) => { if (row?.dataset.edit) location.assign(row.dataset.edit); },
  "/": () => document.querySelector("[data-filters] input[type=search], main input[type=search]")?.focus(),
  "?": () => document.getElementById("shortcuts")?.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (document.documentElement.dataset.shortcuts === "off" || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (document.querySelector("dialog[open]:modal, [popover]:popover-open")) return;
  if (event.key === "Enter") {
    if (event.target.matches("[data-rows] > tr")) { event.preventDefault(); open(event.target); }
    return;
  }
  const action = KEYS[event.key];
  if (!action || event.repeat && !"jk".includes(event.key)) return;
  event.preventDefault();
  action(current());
});
