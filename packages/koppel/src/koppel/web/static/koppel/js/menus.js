// Menus: native popovers that stay inside the window, are walked with arrows and return the focus.
//   <button popovertarget="ID">…</button> <div popover id="ID" data-menu>…</div>
// `data-menu="filter"`: its form is sent when the menu closes with other ticks than it opened with.
// `<details class="menu">` of pages that are not converted closes on a click outside and on Escape.
import { enhance, every } from "./enhance.js";

const MARGIN = 8;
const GAP = 4;
const clamp = (value, low, high) => Math.max(low, Math.min(value, high));

const invokerOf = (menu) => document.querySelector(`[popovertarget="${CSS.escape(menu.id)}"]`);

// Below the button, or above it where there is more room; never outside the window.
export function place(menu, button) {
  Object.assign(menu.style, { position: "fixed", margin: "0", inset: "auto", maxHeight: "", maxWidth: `calc(100vw - ${2 * MARGIN}px)` });
  const anchor = button.getBoundingClientRect();
  const [width, height] = [menu.offsetWidth, menu.offsetHeight];
  const below = innerHeight - anchor.bottom - GAP - MARGIN;
  const above = anchor.top - GAP - MARGIN;
  const isUp = height > below && above > below;
  const room = Math.max(isUp ? above : below, 0);
  const isAtEnd = anchor.left + width > innerWidth - MARGIN;
  menu.style.left = `${clamp(isAtEnd ? anchor.right - width : anchor.left, MARGIN, Math.max(innerWidth - width - MARGIN, MARGIN))}px`;
  menu.style.top = `${isUp ? Math.max(anchor.top - GAP - Math.min(height, room), MARGIN) : anchor.bottom + GAP}px`;
  menu.style.maxHeight = `${room}px`;
  menu.style.overflowY = height > room ? "auto" : "";
}

const boxes = (menu) => [...menu.querySelectorAll("input[type=checkbox], input[type=radio]")].map((box) => box.checked).join();
const entries = (menu) => [...menu.querySelectorAll("a[href], button:not([disabled]), input:not([type=hidden], [disabled]), select, textarea")].filter((entry) => entry.offsetParent || entry.getClientRects().length);

enhance("[popover][data-menu]", (menu) => {
  let before = "";
  menu.addEventListener("toggle", (event) => {
    const button = invokerOf(menu);
    button?.setAttribute("aria-expanded", String(event.newState === "open"));
    if (event.newState === "open") {
      if (button) place(menu, button);
      before = boxes(menu);
      menu.querySelector("[data-filter-options]")?.focus();
    } else if (menu.dataset.menu === "filter" && boxes(menu) !== before) {
      (menu.closest("form") ?? menu.querySelector("form"))?.requestSubmit();
    }
  });
  invokerOf(menu)?.setAttribute("aria-expanded", "false");
  menu.addEventListener("keydown", (event) => walk(event, menu));
});

function walk(event, menu) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const isText = event.target.matches("select, textarea, input:not([type=checkbox], [type=radio], [type=search])");
  if (!step || isText) return;
  const places = entries(menu);
  event.preventDefault();
  places[(places.indexOf(document.activeElement) + step + places.length) % places.length]?.focus();
}

document.addEventListener("keydown", (event) => {
  const button = event.key === "ArrowDown" ? event.target.closest?.("[popovertarget]") : null;
  const menu = button ? document.getElementById(button.getAttribute("popovertarget")) : null;
  if (!menu?.matches("[data-menu]")) return;
  event.preventDefault();
  menu.showPopover();
  entries(menu)[0]?.focus();
});

const placeOpen = () => every("[popover][data-menu]:popover-open", (menu) => { const button = invokerOf(menu); if (button) place(menu, button); });
addEventListener("resize", placeOpen);
addEventListener("scroll", placeOpen, { passive: true, capture: true });

// Options of a long menu, narrowed by what is typed.
document.addEventListener("input", (event) => {
  const input = event.target;
  if (input.dataset.filterOptions === undefined) return;
  const words = input.value.trim().toLocaleLowerCase();
  every("label", (label) => { label.hidden = !label.textContent.toLocaleLowerCase().includes(words); }, input.closest("fieldset, [data-menu], .menu-body"));
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.dataset?.filterOptions !== undefined) event.preventDefault();
});

document.addEventListener("click", (event) => {
  every("details.menu[open]", (menu) => { if (!menu.contains(event.target)) menu.open = false; });
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
});
