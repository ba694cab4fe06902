// The wizard: names, numbers and countries of companies fill the open page as the accounting system tells them.
import { every } from "./enhance.js";
import { awaitRow, fetchMarks } from "./identity-rows.js";
import { fetchJson, REFUSED, runInSequence } from "./requests.js";

const TURN_MS = 1000;
const TURNS = 300;
const notice = document.querySelector("[data-poll]");

const touched = new Set();
document.addEventListener("input", (event) => touched.add(event.target.name));

function fillCompany(company) {
  for (const key of ["name", "number", "country", "currency"]) {
    const cell = document.querySelector(`[data-cell="${key}-${company.id}"]`);
    if (cell && company[key]) cell.textContent = company[key];
  }
  const field = document.querySelector(`[data-guess="${company.id}"]`);
  if (field && !field.value && !touched.has(field.name) && company.guess) {
    field.value = company.guess;
    awaitRow(field.closest("tr"));
  }
}

function showProgress(status) {
  status.companies.forEach(fillCompany);
  runInSequence(fetchMarks);
  notice.querySelector("[data-poll-left]").textContent = status.left;
  const bar = notice.querySelector("progress");
  if (bar) bar.value = status.companies.length;
}

async function poll(turns) {
  const status = await fetchJson(notice.dataset.poll);
  const isKnown = status && status !== REFUSED;
  if (isKnown) showProgress(status);
  if (status !== REFUSED && status?.left !== 0 && turns > 0) setTimeout(() => poll(turns - 1), TURN_MS);
  else if (notice.dataset.pollReload !== undefined && isKnown && status.left === 0) reloadKeepingTicks();
  else notice.dataset.over = ""; // it keeps its place, so that a button below it does not move under a press
}

// Reload the list and tick again what was ticked.
const TICKS = `ticks ${location.pathname}`;
function reloadKeepingTicks() {
  const ticks = [...document.querySelectorAll("input[name=company]")].map((box) => [box.value, box.checked]);
  sessionStorage.setItem(TICKS, JSON.stringify(ticks));
  location.reload();
}

function restoreTicks() {
  const ticks = new Map(JSON.parse(sessionStorage.getItem(TICKS) ?? "[]"));
  sessionStorage.removeItem(TICKS);
  every("input[name=company]", (box) => {
    if (!ticks.has(box.value) || box.checked === ticks.get(box.value)) return;
    box.checked = ticks.get(box.value);
    box.dispatchEvent(new Event("change", { bubbles: true }));
  });
}

restoreTicks();
if (notice && !notice.hidden) poll(TURNS);
