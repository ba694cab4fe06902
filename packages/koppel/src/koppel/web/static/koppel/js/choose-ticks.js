// Choose: each tick is stored as it is made, so that a reload or another tab loses none.
import { every } from "./enhance.js";
import { fetchJson, REFUSED, runInSequence } from "./requests.js";

const DELAY_MS = 300;
const RETRY_MS = 2000;
const form = document.querySelector("form[data-ticks-url]");
const boxes = () => [...form.querySelectorAll("input[name=company]")];
const tickedNow = () => new Set(boxes().filter((box) => box.checked).map((box) => box.value));
// The companies that were chosen when the page was made; the form sends them, so that the server sees other changes.
const baseInput = form?.querySelector("input[name=base]");
let stored = new Set(baseInput?.value ? baseInput.value.split(",") : []);
let timer = null;

function changes() {
  const ticked = tickedNow();
  const listedIds = boxes().map((box) => box.value);
  return {
    ticked: listedIds.filter((id) => ticked.has(id) && !stored.has(id)),
    cleared: listedIds.filter((id) => !ticked.has(id) && stored.has(id)),
  };
}

function request({ ticked, cleared }) {
  const body = new URLSearchParams([...ticked.map((id) => ["ticked", id]), ...cleared.map((id) => ["cleared", id])]);
  return { method: "POST", body, headers: { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value } };
}

// What another tab has ticked meanwhile is ticked here too, and said.
function showOthers(chosen, sent) {
  const others = new Set(chosen.filter((id) => !stored.has(id) && !sent.includes(id)));
  every("input[name=company]", (box) => {
    if (!others.has(box.value) || box.checked) return;
    box.checked = true;
    box.dispatchEvent(new Event("change", { bubbles: true }));
  });
  if (others.size) document.querySelector("[data-other-tab]").hidden = false;
}

async function store() {
  const { ticked, cleared } = changes();
  if (!ticked.length && !cleared.length) return;
  const answer = await fetchJson(form.dataset.ticksUrl, request({ ticked, cleared }));
  if (answer === REFUSED) return;
  if (answer === null) return void setTimeout(() => runInSequence(store), RETRY_MS);
  const chosen = answer.chosen.map(String);
  showOthers(chosen, ticked);
  stored = new Set(chosen);
  baseInput.value = chosen.join(",");
}

function storeSoon() {
  clearTimeout(timer);
  timer = setTimeout(() => runInSequence(store), DELAY_MS);
}

// A page that is left within the delay stores its ticks on the way.
function storeOnLeaving() {
  const left = changes();
  if (left.ticked.length || left.cleared.length) fetch(form.dataset.ticksUrl, { ...request(left), keepalive: true });
}

if (form) {
  document.addEventListener("change", (event) => { if (event.target.type === "checkbox") storeSoon(); });
  document.addEventListener("click", (event) => { if (event.shiftKey) storeSoon(); });
  let isSent = false;
  form.addEventListener("submit", () => { isSent = true; clearTimeout(timer); });
  addEventListener("pagehide", () => { if (!isSent) storeOnLeaving(); });
}
