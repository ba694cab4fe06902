// Ticks in tables: counters, select all, a range with Shift.
import { every, language } from "./enhance.js";

function visibleBoxes(name) {
  const boxes = document.querySelectorAll(`input[type=checkbox][name="${CSS.escape(name)}"]`);
  return [...boxes].filter((box) => !box.disabled && !box.closest("tr")?.hidden);
}

export function countBoxes() {
  every("[data-count-of]", showCount);
  every("[data-check-all]", (all) => {
    const boxes = visibleBoxes(all.dataset.checkAll);
    const ticked = boxes.filter((box) => box.checked).length;
    all.checked = boxes.length > 0 && ticked === boxes.length;
    all.indeterminate = ticked > 0 && ticked < boxes.length;
  });
}

function showCount(counter) {
  const name = CSS.escape(counter.dataset.countOf);
  const count = document.querySelectorAll(`input[type=checkbox][name="${name}"]:checked:not(:disabled)`).length;
  counter.textContent = count.toLocaleString(language);
  const button = counter.closest("button");
  if (button && button.dataset.needsSome !== undefined) button.disabled = count === 0;
}

document.addEventListener("change", (event) => {
  const all = event.target.dataset.checkAll;
  if (all) visibleBoxes(all).forEach((box) => { box.checked = event.target.checked; });
  if (event.target.type === "checkbox") countBoxes();
});

// A click with Shift does to all boxes since the last click what it does to this one.
let lastBox = null;
document.addEventListener("click", (event) => {
  const box = event.target.closest?.("tbody input[type=checkbox][name]");
  if (!box) return;
  const boxes = visibleBoxes(box.name);
  const [from, to] = [boxes.indexOf(lastBox), boxes.indexOf(box)].sort((first, second) => first - second);
  if (event.shiftKey && from >= 0 && from < to) {
    boxes.slice(from, to + 1).forEach((checkbox) => { checkbox.checked = box.checked; });
    countBoxes();
  }
  lastBox = box;
});

document.addEventListener("htmx:afterSwap", countBoxes);
countBoxes();
