// Narrows the rows of a table to what is typed above it.
import { countBoxes } from "./checkboxes.js";
import { every, language } from "./enhance.js";

// As the server's search: without case and accents.
const LETTERS = { "æ": "a", "œ": "o", "ø": "o" };
function folded(text) {
  return text.toLocaleLowerCase().normalize("NFD").replace(/\p{M}/gu, "").replace(/[æœø]/g, (letter) => LETTERS[letter]);
}

// A number is found however it is typed: 580 615 68, 58.061.568 and NL58061568 are also 58061568.
function isFound(search, text) {
  const where = folded(text);
  const typed = folded(search).trim();
  if (where.includes(typed)) return true;
  const digits = typed.match(/^(?:[a-z]{2}[ .-]?)?(\d[\d .\-/]*\d)$/)?.[1].replace(/\D/g, "") ?? "";
  return digits.length >= 7 && where.replace(/[ .\-/]/g, "").includes(digits);
}

// What a row shows: typed values of its fields too, but not all that could be chosen in it.
function textOf(row) {
  const fields = [...row.querySelectorAll("input:not([type=checkbox]), select")];
  if (!fields.length) return row.textContent;
  const copy = row.cloneNode(true);
  every("select", (select) => select.remove(), copy);
  const values = fields.map((field) => (field.selectedOptions ? field.value && field.selectedOptions[0].text : field.value));
  return [copy.textContent, ...values].join(" ");
}

function filterRows(input) {
  const words = input.value.trim();
  const rows = input.dataset.filterRows;
  const only = [...document.querySelectorAll(`[data-only-rows="${rows}"]`)].filter((field) => field.checked || (field.options && field.value));
  const isOnly = (row, field) => (field.options ? row.dataset[field.dataset.onlyKey] === field.value : row.dataset.marks?.includes(field.value));
  every(`${rows} tbody tr`, (row) => {
    row.hidden = (words && !isFound(words, textOf(row))) || only.some((field) => !isOnly(row, field));
  });
  // What is not seen is not applied, where a button acts on the ticked rows at once.
  if (input.dataset.skipHidden !== undefined) {
    every(`${rows} tbody input[type=checkbox]`, (box) => { box.disabled = box.closest("tr").hidden; });
  }
  countBoxes();
  every(`[data-shown-rows="${rows}"]`, (counter) => showRowCount(counter, words || only.length));
}

function showRowCount(counter, isFiltered) {
  const rows = [...document.querySelectorAll(`${counter.dataset.shownRows} tbody tr`)];
  const visibleCount = rows.filter((row) => !row.hidden).length;
  const [some, all] = [visibleCount, rows.length].map((count) => count.toLocaleString(language));
  counter.textContent = !isFiltered ? "" : visibleCount ? `${some} ${counter.dataset.of} ${all}` : counter.dataset.none;
}

every("[data-filter-rows]", (input) => input.value && filterRows(input));
document.addEventListener("input", (event) => {
  if (event.target.dataset.filterRows) filterRows(event.target);
});
document.addEventListener("change", (event) => {
  if (event.target.dataset.onlyRows) every(`[data-filter-rows="${event.target.dataset.onlyRows}"]`, filterRows);
});
