// Identify: each row is stored as it is typed, and marked with what the server and the registers say of it.
import { element, every, language } from "./enhance.js";
import { fetchJson, REFUSED, runInSequence } from "./requests.js";

const RETRY_MS = 2000;
const MARKS_MS = 1500;
const ROWS_MAX = 250;
const PASTE_MS = 30;

const table = document.getElementById("identities");
const form = document.getElementById("identify");
const pendingRows = new Set();
let waitingCount = Number(document.getElementById("tally")?.dataset.waiting ?? 0);

export function awaitRow(row) {
  pendingRows.add(row.dataset.row);
}

function showRow(row, answer) {
  row.dataset.marks = answer.complete ? "complete" : "incomplete";
  if (answer.complete) row.classList.remove("row-bad");
  const field = row.querySelector("[data-column]");
  field.toggleAttribute("aria-invalid", answer.tone === "bad");
  if (answer.tone === "bad") field.setAttribute("aria-invalid", "true");
  const mark = row.querySelector("[data-mark]");
  mark.className = `mark mark-${answer.tone}`;
  mark.textContent = answer.message;
  row.querySelector("[data-sector-mark]").textContent = answer.problems.sector || "";
  showDiscrepancy(row, answer.question);
  showExclusive(row, field, answer);
  showShared(row, answer);
  showSuccession(row, answer);
  row.querySelector("[data-suggestions]").replaceChildren(...answer.suggestions.map(suggestionButton));
  if (answer.waiting) awaitRow(row);
  else pendingRows.delete(row.dataset.row);
}

// A hidden box is not ticked: the answer would be about something that is not seen.
function showDiscrepancy(row, isVisible) {
  const question = row.querySelector("[data-discrepancy]");
  question.hidden = !isVisible;
  if (!isVisible) question.querySelector("input").checked = false;
  document.querySelector("[data-discrepancies]").hidden = !table.querySelector("[data-discrepancy]:not([hidden])");
}

// A number and a reason exclude each other. A field that is being typed in is left alone.
function showExclusive(row, field, answer) {
  const reason = row.querySelector("[data-reason-for]");
  if (!answer.number && answer.reason && field !== document.activeElement) field.value = "";
  if (!answer.reason && answer.number && reason !== document.activeElement && reason.value) {
    reason.value = "";
    document.getElementById(reason.dataset.reasonFor).hidden = true;
  }
}

function showShared(row, answer) {
  row.querySelector("[data-rejected]").hidden = !answer.rejected;
  row.querySelector("[data-rejected-number]").textContent = answer.rejected;
  row.querySelector("[data-shared]").hidden = !answer.asks_about_number;
  row.querySelector("[data-shared-with]").textContent = answer.shared;
  const reason = row.querySelector("[data-shared-reason]");
  if (reason !== document.activeElement) reason.value = answer.shared_reason;
}

function showSuccession(row, answer) {
  const question = row.querySelector("[data-succession]");
  question.hidden = !answer.predecessor || !answer.asks_about_succession;
  question.querySelector("[data-predecessor]").textContent = answer.predecessor;
  for (const button of question.querySelectorAll("[data-continues]")) {
    button.setAttribute("aria-pressed", String(String(answer.continues) === button.dataset.continues));
  }
}

function suggestionButton({ number, name, is_closed: isClosed }) {
  const attributes = { type: "button", class: "button button-small", "data-suggest": number };
  const closed = table.querySelector("[data-suggestions]").dataset.closed;
  const tags = isClosed ? [" ", element("span", { class: "tag" }, closed)] : [];
  return element("button", attributes, `${number} `, element("span", { class: "hint" }, name), ...tags);
}

// The figures are those of all rows, of other pages too.
function showTally(states) {
  for (const key of ["incomplete", "complete"]) {
    every(`[data-tally="${key}"]`, (figure) => { figure.textContent = states[key].toLocaleString(language); });
  }
  waitingCount = states.waiting;
  const left = states.incomplete;
  every("[data-tally-words]", (label) => { label.textContent = left === 1 ? label.dataset.one : label.dataset.many; });
  every("[data-open-count]", (figure) => { figure.textContent = left.toLocaleString(language); });
  every("[data-open-banner]", (banner) => { banner.hidden = !left; });
  document.querySelector("[data-tally-open]").hidden = !left;
  document.querySelector("[data-tally-done]").hidden = Boolean(left);
  document.querySelector("[data-suggested]").hidden = !states.suggested;
  document.querySelector("[data-suggested-count]").textContent = states.suggested.toLocaleString(language);
}

function showStates(states) {
  for (const state of states.rows) {
    const row = table.querySelector(`tr[data-row="${state.id}"]`);
    if (row) showRow(row, state);
  }
  showTally(states);
}

async function storeRows(rows) {
  const body = new URLSearchParams();
  for (const row of rows) {
    for (const name of ["number", "reason", "sector", "shared_reason"]) {
      const key = `${name}-${row.dataset.row}`;
      body.set(key, form.elements[key].value);
    }
  }
  const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
  const answer = await fetchJson(form.dataset.rowUrl, { method: "POST", body, headers });
  if (answer === REFUSED) return;
  if (answer === null) return void setTimeout(() => runInSequence(() => storeRows(rows)), RETRY_MS); // as they are typed by then
  showStates(answer);
  scheduleMarks();
}

let timer = null;
function scheduleMarks() {
  if ((pendingRows.size || waitingCount) && !timer) timer = setTimeout(() => { timer = null; runInSequence(fetchMarks); }, MARKS_MS);
}

let turns = 600;
export async function fetchMarks() {
  if (!table || !(pendingRows.size || waitingCount) || turns-- <= 0) return;
  const query = new URLSearchParams([...pendingRows].slice(0, ROWS_MAX).map((id) => ["id", id]));
  const answer = await fetchJson(`${form.dataset.statesUrl}?${query}`);
  if (answer === REFUSED) return;
  if (answer) showStates(answer);
  scheduleMarks();
}

// A pasted column changes many fields at once: they are stored together.
let changedRows = [];
function storeSoon(event) {
  const row = event.target.closest("tr[data-row]");
  if (!row) return;
  if (event.target.dataset.column !== undefined) row.querySelector("[data-shared-reason]").value = "";
  changedRows.push(row);
  if (changedRows.length > 1) return;
  setTimeout(() => runInSequence(() => { const rows = new Set(changedRows); changedRows = []; return storeRows(rows); }), PASTE_MS);
}

function takeSuggestion(event) {
  const button = event.target.closest("[data-suggest]");
  if (!button) return;
  const field = button.closest("tr").querySelector("[data-column]");
  field.value = button.dataset.suggest;
  field.focus();
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

// The first row that needs an answer, and in it the control that gives the answer.
function showFirstOpen() {
  const row = table.querySelector('tr[data-marks="incomplete"]:not([hidden])');
  if (!row) return;
  const controls = ["[data-discrepancy] button", "[data-shared] select", "[data-sector][aria-invalid=true]", "[data-column]"];
  const visible = controls.map((selector) => row.querySelector(selector)).filter((control) => control?.offsetParent);
  const first = visible.find((control) => !(control.matches("select") && control.value)) ?? row.querySelector("[data-column]");
  row.scrollIntoView({ block: "center" });
  first.focus({ preventScroll: true });
}

if (table) {
  table.addEventListener("change", storeSoon);
  table.addEventListener("click", takeSuggestion);
  for (const row of table.tBodies[0].rows) if (row.querySelector(".mark-busy, .mark-ok")) awaitRow(row);
  scheduleMarks();
  const link = document.querySelector("[data-first-open]");
  link?.addEventListener("click", (event) => { event.preventDefault(); showFirstOpen(); });
  if (link) showFirstOpen();
}
