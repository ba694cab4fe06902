// Narrows the rows of a table to what is typed above it.
import { countBoxes } from "./checkboxes.js";
import { every, language } from "./enhance.js";

// What a row shows: typed values of its fields too, but not all that could be chosen in it.
function textOf(row) {
  const fields = [...row.querySelectorAll("input:not([type=checkbox]), select")];
  if (!fields.length) return row.textContent.toLocaleLowerCase();
  const copy = row.cloneNode(true);
  every("select", (select) => select.remove(), copy);
  const values = fields.map((field) => (field.selectedOptions ? field.value && field.selectedOptions[0].text : field.value));
  return [copy.textContent, ...values].join(" ").toLocaleLowerCase();
}

function filterRows(input) {
  const words = input.value.trim().toLocaleLowerCase();
  const rows = input.dataset.filterRows;
  const only = [...document.querySelectorAll(`[data-only-rows="${rows}"]:checked`)].map((box) => box.value);
  every(`${rows} tbody tr`, (row) => {
    row.hidden = (words && !textOf(row).includes(words)) || only.some((mark) => !row.dataset.marks?.includes(mark));
  });
  countBoxes();
  every(`[data-shown-rows="${rows}"]`, (counter) => showRowCount(counter, words || only.length));
}

function showRowCount(counter, isFiltered) {
  const rows = [...document.querySelectorAll(`${counter.dataset.shownRows} tbody tr`)];
  const shown = rows.filter((row) => !row.hidden).length;
  const [some, all] = [shown, rows.length].map((count) => count.toLocaleString(language));
  counter.textContent = !isFiltered ? "" : shown ? `${some} ${counter.dataset.of} ${all}` : counter.dataset.none;
}

document.addEventListener("input", (event) => {
  if (event.target.dataset.filterRows) filterRows(event.target);
});
document.addEventListener("change", (event) => {
  if (event.target.dataset.onlyRows) every(`[data-filter-rows="${event.target.dataset.onlyRows}"]`, filterRows);
});
