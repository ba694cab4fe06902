// Small habits of all pages. Everything works without it; this makes it quicker.

const every = (selector, action, root = document) => root.querySelectorAll(selector).forEach(action);

function shownBoxes(name) {
  return [...document.querySelectorAll(`input[type=checkbox][name="${CSS.escape(name)}"]`)].filter((box) => !box.disabled && !box.closest("tr")?.hidden);
}

function countBoxes() {
  every("[data-count-of]", (counter) => {
    const boxes = [...document.querySelectorAll(`input[type=checkbox][name="${CSS.escape(counter.dataset.countOf)}"]:checked:not(:disabled)`)];
    counter.textContent = boxes.length.toLocaleString(document.documentElement.lang);
    const button = counter.closest("button");
    if (button && button.dataset.needsSome !== undefined) button.disabled = boxes.length === 0;
  });
  every("[data-check-all]", (all) => {
    const boxes = shownBoxes(all.dataset.checkAll);
    const ticked = boxes.filter((box) => box.checked).length;
    all.checked = boxes.length > 0 && ticked === boxes.length;
    all.indeterminate = ticked > 0 && ticked < boxes.length;
  });
}

// As the server's search: without case and accents.
const LETTERS = { "æ": "a", "œ": "o", "ø": "o" };
function folded(text) {
  return text.toLocaleLowerCase().normalize("NFD").replace(/\p{M}/gu, "").replace(/[æœø]/g, (letter) => LETTERS[letter]);
}

// A number is found however it is typed: 580 615 68, 58.061.568 and NL58061568 are also 58061568.
function isFound(search, text) {
  const words = folded(search).trim().split(/\s+/);
  const where = folded(text);
  if (words.every((word) => where.includes(word))) return true;
  const digits = folded(search).trim().match(/^(?:[a-z]{2}[ .-]?)?(\d[\d .\-/]*\d)$/)?.[1].replace(/\D/g, "") ?? "";
  return digits.length >= 7 && where.replace(/[ .\-/]/g, "").includes(digits);
}

// What stands in a row: what is typed into its fields too, but not all that could be chosen in it.
function wordsOf(row) {
  const fields = [...row.querySelectorAll("input:not([type=checkbox]), select")];
  if (!fields.length) return row.textContent;
  const copy = row.cloneNode(true);
  every("select", (select) => select.remove(), copy);
  const chosen = fields.map((field) => (field.selectedOptions ? field.value && field.selectedOptions[0].text : field.value));
  return [copy.textContent, ...chosen].join(" ");
}

function filterRows(input) {
  const words = input.value.trim();
  const only = [...document.querySelectorAll(`[data-only-rows="${input.dataset.filterRows}"]:checked`)].map((box) => box.value);
  every(`${input.dataset.filterRows} tbody tr`, (row) => {
    row.hidden = (words && !isFound(words, wordsOf(row))) || only.some((mark) => !row.dataset.marks?.includes(mark));
  });
  // What is not seen is not applied, where a button acts on the ticked rows at once.
  if (input.dataset.skipHidden !== undefined) every(`${input.dataset.filterRows} tbody input[type=checkbox]`, (box) => { box.disabled = box.closest("tr").hidden; });
  countBoxes();
  every(`[data-shown-rows="${input.dataset.filterRows}"]`, (counter) => showRowCount(counter, words || only.length));
}

function showRowCount(counter, isFiltered) {
  const rows = [...document.querySelectorAll(`${counter.dataset.shownRows} tbody tr`)];
  const shown = rows.filter((row) => !row.hidden).length;
  const [some, all] = [shown, rows.length].map((count) => count.toLocaleString(document.documentElement.lang));
  counter.textContent = !isFiltered ? "" : shown ? `${some} ${counter.dataset.of} ${all}` : counter.dataset.none;
}

document.addEventListener("change", (event) => {
  const target = event.target;
  if (target.dataset.submitOnChange !== undefined) target.form.requestSubmit();
  if (target.dataset.checkAll) shownBoxes(target.dataset.checkAll).forEach((box) => { box.checked = target.checked; });
  if (target.dataset.onlyRows) every(`[data-filter-rows="${target.dataset.onlyRows}"]`, filterRows);
  if (target.type === "checkbox") countBoxes();
  if (target.dataset.reasonFor) showSector(target);
});

// A click with Shift does to all boxes since the last click what it does to this one.
let lastBox = null;
document.addEventListener("click", (event) => {
  const box = event.target.closest?.("tbody input[type=checkbox][name]");
  if (!box) return;
  const boxes = shownBoxes(box.name);
  const [from, to] = [boxes.indexOf(lastBox), boxes.indexOf(box)].sort((first, second) => first - second);
  if (event.shiftKey && from >= 0 && from < to) {
    boxes.slice(from, to + 1).forEach((checkbox) => { checkbox.checked = box.checked; });
    countBoxes();
  }
  lastBox = box;
});

document.addEventListener("input", (event) => {
  if (event.target.dataset.filterRows) filterRows(event.target);
});

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    document.getElementById("search")?.focus();
  }
});

document.addEventListener("click", (event) => {
  if (event.target.dataset.selectAll !== undefined) event.target.select();
  if (event.target.dataset.copy) copy(event.target);
  event.target.closest("[data-close]")?.parentElement.remove();
  every("details.menu[open]", (menu) => { if (!menu.contains(event.target)) menu.open = false; });
});

document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
});

// A double click sends a form once.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.once === undefined) return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "1";
  setTimeout(() => { delete form.dataset.sent; }, 5000);
});
window.addEventListener("pageshow", () => every("form[data-sent]", (form) => { delete form.dataset.sent; }));

async function copy(button) {
  const source = document.querySelector(button.dataset.copy);
  await navigator.clipboard.writeText(source.value ?? source.textContent);
  button.textContent = button.dataset.copied;
}
if (navigator.clipboard) every("[data-copy]", (button) => { button.hidden = false; });

function showSector(select) {
  const sector = document.getElementById(select.dataset.reasonFor);
  if (sector) sector.hidden = !select.value;
}

// A column of numbers pasted into one field fills the fields below it; an empty cell keeps its place and leaves its field as it is.
document.addEventListener("paste", (event) => {
  const target = event.target;
  if (target.dataset.column === undefined) return;
  const lines = event.clipboardData.getData("text").replace(/\r?\n$/, "").split(/\r?\n/).map((line) => line.trim());
  if (lines.length < 2) return;
  event.preventDefault();
  const column = [...document.querySelectorAll("input[data-column]")].filter((field) => !field.closest("tr").hidden);
  lines.forEach((line, index) => {
    const field = column[column.indexOf(target) + index];
    if (field && line) { field.value = line; field.dispatchEvent(new Event("change", { bubbles: true })); }
  });
});

// A form that comes back with a field that was refused: that field is what to look at, wherever on the page it stands.
const refused = [...document.querySelectorAll("main form [aria-invalid=true]")].find((field) => field.offsetParent && !field.closest("#identities"));
if (refused && document.activeElement === document.body) refused.focus();

const narrow = matchMedia("(max-width: 720px)");
const foldNavigation = () => every(".rail-fold", (fold) => fold.toggleAttribute("open", !narrow.matches));
foldNavigation();
narrow.addEventListener("change", foldNavigation); // a tablet that is turned
every("[data-close]", (button) => { button.hidden = false; });
every("select[data-reason-for]", showSector);
document.addEventListener("htmx:afterSwap", countBoxes);
countBoxes();

// Nothing is put in the place of what somebody is pressing, or letting go of it would do nothing: what a page follows comes again with the next look.
document.addEventListener("htmx:beforeSwap", (event) => {
  const follows = event.detail.requestConfig.elt.getAttribute("hx-trigger")?.startsWith("every");
  if (follows && document.documentElement.matches(":active")) event.detail.shouldSwap = false;
});

// Where tabs do not fit, the one that is open is in view.
document.querySelectorAll(":is(.tabs, .subtabs) [aria-current]").forEach((tab) => { tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.offsetLeft - 16; });

// A page that follows something says when it hears nothing any more, and takes it back with the next answer.
function showReachability(reached) {
  const words = document.getElementById("unreachable");
  if (words && words.hidden !== reached) words.hidden = reached;
}
document.addEventListener("htmx:sendError", () => showReachability(false));
document.addEventListener("htmx:afterRequest", (event) => { if (event.detail.xhr?.status) showReachability(event.detail.xhr.status < 500); });
