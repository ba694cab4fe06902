// The wizard: what the background finds out fills the open page; Identify is typed like a spreadsheet and stored row by row.

const table = document.getElementById("identities");
const form = document.getElementById("identify");
const touched = new Set();
document.addEventListener("input", (event) => touched.add(event.target.name));

// An answer that does not come, or comes broken, is asked for again: the server may just begin anew. What it refuses stays refused.
const REFUSED = Symbol("refused");
async function fetchJson(address, sent = {}) {
  try {
    const answer = await fetch(address, { headers: { Accept: "application/json" }, ...sent });
    if (answer.redirected || (answer.status >= 400 && answer.status < 500)) return REFUSED;
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

// What a worker hears from the accounting system.

const notice = document.querySelector("[data-poll]");

function fillCompany(company) {
  for (const key of ["name", "number", "country", "currency"]) {
    const cell = document.querySelector(`[data-cell="${key}-${company.id}"]`);
    if (cell && company[key]) cell.textContent = company[key];
  }
  const field = document.querySelector(`[data-guess="${company.id}"]`);
  if (field && !field.value && !touched.has(field.name) && company.guess) {
    field.value = company.guess;
    pendingRows.add(field.closest("tr").dataset.row);
  }
}

async function poll(turns) {
  const status = await fetchJson(notice.dataset.poll);
  const isKnown = status && status !== REFUSED;
  if (isKnown) showProgress(status);
  if (status !== REFUSED && status?.left !== 0 && turns > 0) setTimeout(() => poll(turns - 1), 1000);
  else if (notice.dataset.pollReload !== undefined && isKnown && status.left === 0) reloadKeepingTicks();
  else notice.dataset.over = ""; // it keeps its place: what somebody is about to press stays where it is
}

function showProgress(status) {
  status.companies.forEach(fillCompany);
  runInSequence(fetchMarks);
  notice.querySelector("[data-poll-left]").textContent = status.left;
  const bar = notice.querySelector("progress");
  if (bar) bar.value = status.companies.length;
}

// Reload the list and tick again what was ticked.
const TICKS = `ticks ${location.pathname}`;
function reloadKeepingTicks() {
  const unticked = [...document.querySelectorAll("input[name=company]:not(:checked)")].map((box) => box.value);
  sessionStorage.setItem(TICKS, JSON.stringify(unticked));
  location.reload();
}

function restoreTicks() {
  const unticked = JSON.parse(sessionStorage.getItem(TICKS) ?? "[]");
  sessionStorage.removeItem(TICKS);
  for (const box of document.querySelectorAll("input[name=company]")) {
    if (!unticked.includes(box.value)) continue;
    box.checked = false;
    box.dispatchEvent(new Event("change", { bubbles: true }));
  }
}

// Identify.

const pendingRows = new Set();

// Requests run one after the other: one that overtakes another would undo what was typed since.
let lastTask = Promise.resolve();
function runInSequence(task) {
  lastTask = lastTask.catch(() => {}).then(task);
}

function showRowState(row, answer) {
  row.dataset.marks = answer.complete ? "complete" : "incomplete";
  if (answer.complete) row.classList.remove("row-bad");
  const field = row.querySelector("[data-column]");
  field.toggleAttribute("aria-invalid", answer.tone === "bad");
  if (answer.tone === "bad") field.setAttribute("aria-invalid", "true");
  const mark = row.querySelector("[data-mark]");
  mark.className = `mark mark-${answer.tone}`;
  mark.textContent = answer.message;
  const sector = row.querySelector("[data-sector-mark]");
  sector.textContent = answer.problems.sector || "";
  showDiscrepancy(row, answer.question);
  showSuccession(row, answer);
  showSuggestions(row, answer.suggestions);
  if (answer.waiting) pendingRows.add(row.dataset.row);
  else pendingRows.delete(row.dataset.row);
}

// A box that is hidden is not ticked: the answer would be about something that nobody sees.
function showDiscrepancy(row, isVisible) {
  const question = row.querySelector("[data-discrepancy]");
  question.hidden = !isVisible;
  if (!isVisible) question.querySelector("input").checked = false;
  document.querySelector("[data-discrepancies]").hidden = !table.querySelector("[data-discrepancy]:not([hidden])");
}

function showSuccession(row, answer) {
  const question = row.querySelector("[data-succession]");
  question.hidden = !answer.predecessor;
  question.querySelector("[data-predecessor]").textContent = answer.predecessor;
  for (const button of question.querySelectorAll("[data-continues]")) {
    button.setAttribute("aria-pressed", String(String(answer.continues) === button.dataset.continues));
  }
}

function showSuggestions(row, suggestions) {
  const buttons = suggestions.map((suggestion) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button button-quiet";
    button.dataset.suggest = suggestion.number;
    button.append(`${suggestion.number} `);
    const name = document.createElement("span");
    name.className = "hint";
    name.textContent = suggestion.name;
    button.append(name);
    return button;
  });
  row.querySelector("[data-suggestions]").replaceChildren(...buttons);
}

// The figures are those of all rows, of other pages too.
function updateTally(states) {
  for (const key of ["incomplete", "complete"]) {
    document.querySelector(`[data-tally="${key}"]`).textContent = states[key].toLocaleString(document.documentElement.lang);
  }
  waiting = states.waiting;
  const left = states.incomplete;
  const label = document.querySelector("[data-tally-words]");
  label.textContent = left === 1 ? label.dataset.one : label.dataset.many;
  document.querySelector("[data-tally-open]").hidden = !left;
  document.querySelector("[data-tally-done]").hidden = Boolean(left);
  document.querySelector("[data-suggested]").hidden = !states.suggested;
  document.querySelector("[data-suggested-count]").textContent = states.suggested.toLocaleString(document.documentElement.lang);
}

async function storeRows(rows) {
  const sent = new URLSearchParams();
  for (const row of rows) {
    for (const name of ["number", "reason", "sector"]) {
      const key = `${name}-${row.dataset.row}`;
      sent.set(key, form.elements[key].value);
    }
  }
  const token = form.elements.csrfmiddlewaretoken.value;
  const answer = await fetchJson(form.dataset.rowUrl, { method: "POST", body: sent, headers: { "X-CSRFToken": token } });
  if (answer === REFUSED) return;
  if (answer === null) return void setTimeout(() => runInSequence(() => storeRows(rows)), 2000); // as they are typed by then
  showRows(answer);
  scheduleFetchMarks();
}

function showRows(states) {
  for (const state of states.rows) {
    const row = table.querySelector(`tr[data-row="${state.id}"]`);
    if (row) showRowState(row, state);
  }
  updateTally(states);
}

let timer = null;
let waiting = Number(document.getElementById("tally")?.dataset.waiting ?? 0);
function scheduleFetchMarks() {
  if ((pendingRows.size || waiting) && !timer) timer = setTimeout(() => { timer = null; runInSequence(fetchMarks); }, 1500);
}

let turns = 600;
async function fetchMarks() {
  if (!table || !(pendingRows.size || waiting) || turns-- <= 0) return;
  const query = new URLSearchParams([...pendingRows].slice(0, 250).map((id) => ["id", id]));
  const answer = await fetchJson(`${form.dataset.statesUrl}?${query}`);
  if (answer === REFUSED) return;
  if (answer) showRows(answer);
  scheduleFetchMarks();
}

// Tab runs down the numbers, then through the reasons and sectors; Enter goes down too.

function order() {
  const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden && row.dataset.row);
  const numbers = rows.map((row) => row.querySelector("[data-column]"));
  const others = rows.flatMap((row) => [...row.querySelectorAll("select, [data-sector]")]).filter((field) => field.offsetParent);
  return [...numbers, ...others];
}

function move(event) {
  const isNumber = event.target.dataset.column !== undefined;
  if (event.key === "Enter" && isNumber) event.preventDefault();
  else if (event.key !== "Tab" || event.altKey || event.ctrlKey || event.metaKey) return;
  const fields = order();
  const at = fields.indexOf(event.target);
  const next = at < 0 ? null : fields[at + (event.shiftKey ? -1 : 1)];
  if (!next) return;
  event.preventDefault();
  next.focus();
  next.select?.();
}

let pasted = [];
function changed(event) {
  const row = event.target.closest("tr[data-row]");
  if (!row) return;
  // A pasted column changes many fields at once: they are stored together.
  pasted.push(row);
  if (pasted.length === 1) setTimeout(() => runInSequence(() => { const rows = new Set(pasted); pasted = []; return storeRows(rows); }), 30);
}

let typing = null;
async function suggestSectors(field) {
  const answer = await fetch(`${form.dataset.sectorsUrl}?q=${encodeURIComponent(field.value)}`);
  if (!answer.ok) return;
  const options = (await answer.json()).sectors.map((sector) => {
    const option = document.createElement("option");
    option.value = sector.text;
    option.label = `${sector.text} · ${sector.match}`;
    return option;
  });
  document.getElementById("sectors").replaceChildren(...options);
}

if (table) {
  table.addEventListener("keydown", move);
  table.addEventListener("change", changed);
  table.addEventListener("click", (event) => {
    const button = event.target.closest("[data-suggest]");
    if (!button) return;
    const field = button.closest("tr").querySelector("[data-column]");
    field.value = button.dataset.suggest;
    field.focus();
    field.dispatchEvent(new Event("change", { bubbles: true }));
  });
  table.addEventListener("input", (event) => {
    if (event.target.dataset.sector === undefined) return;
    clearTimeout(typing);
    typing = setTimeout(() => suggestSectors(event.target), 150);
  });
  for (const row of table.tBodies[0].rows) if (row.querySelector(".mark-busy, .mark-ok")) pendingRows.add(row.dataset.row);
  scheduleFetchMarks();
  const first = document.querySelector("#identities [aria-invalid=true]");
  if (first) {
    first.id ||= "first-problem";
    first.scrollIntoView({ block: "center" });
    first.focus();
    document.querySelector('a[href="#first-problem"]')?.addEventListener("click", (event) => { event.preventDefault(); first.focus(); });
  }
}
// Choose: a click on a heading sorts by its column; a second click turns the order.

const collator = new Intl.Collator(document.documentElement.lang, { sensitivity: "base", numeric: true });
function sortRows(heading) {
  const isAscending = heading.getAttribute("aria-sort") !== "ascending";
  const body = heading.closest("table").tBodies[0];
  const textOf = (row) => row.cells[heading.cellIndex].textContent.trim();
  const rows = [...body.rows].sort((first, second) => collator.compare(textOf(first), textOf(second)) * (isAscending ? 1 : -1));
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", isAscending ? "ascending" : "descending");
  body.append(...rows);
}
for (const heading of document.querySelectorAll("[data-sort-rows] th[scope=col]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "sort";
  button.append(...heading.childNodes);
  button.addEventListener("click", () => sortRows(heading));
  heading.append(button);
}

restoreTicks();
if (notice && !notice.hidden) poll(300);
