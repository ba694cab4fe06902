// Identify is typed like a spreadsheet: Tab runs down the numbers, then through the reasons and sectors; Enter goes down too.
// Sectors are suggested while one is typed.
import { element, every } from "./enhance.js";

const DELAY_MS = 150;
const table = document.getElementById("identities");

function fieldsInOrder() {
  const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden && row.dataset.row);
  const numbers = rows.map((row) => row.querySelector("[data-column]"));
  const others = rows.flatMap((row) => [...row.querySelectorAll("select, [data-sector]")]).filter((field) => field.offsetParent);
  return [...numbers, ...others];
}

function move(event) {
  const isNumber = event.target.dataset.column !== undefined;
  if (event.key === "Enter" && isNumber) event.preventDefault();
  else if (event.key !== "Tab" || event.altKey || event.ctrlKey || event.metaKey) return;
  const fields = fieldsInOrder();
  const at = fields.indexOf(event.target);
  const next = at < 0 ? null : fields[at + (event.shiftKey ? -1 : 1)];
  if (!next) return;
  event.preventDefault();
  next.focus();
  next.select?.();
}

async function suggestSectors(field) {
  const answer = await fetch(`${field.form.dataset.sectorsUrl}?q=${encodeURIComponent(field.value)}`);
  if (!answer.ok) return;
  const { sectors } = await answer.json();
  const options = sectors.map(({ text, match }) => element("option", { value: text, label: `${text} · ${match}` }));
  every("#sectors", (list) => list.replaceChildren(...options));
}

let timer = null;
table?.addEventListener("keydown", move);
table?.addEventListener("input", (event) => {
  if (event.target.dataset.sector === undefined) return;
  clearTimeout(timer);
  timer = setTimeout(() => suggestSectors(event.target), DELAY_MS);
});
