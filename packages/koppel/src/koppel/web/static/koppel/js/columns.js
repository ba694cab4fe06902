// Widths of a table's columns: dragged or set with arrows, remembered per person.
//   <table data-columns="administrations" data-preferences-url="URL"> <col data-column="name" width="220"> <th data-column="name">
import { element, enhance, text } from "./enhance.js";
import { savePreferences } from "./preferences.js";

const WIDTH_MIN = 64;
const WIDTH_MAX = 800;
const STEP = 16;
const clamp = (width) => Math.round(Math.max(WIDTH_MIN, Math.min(width, WIDTH_MAX)));

function widthsOf(table) {
  const sized = [...table.querySelectorAll("col[data-column][width]")];
  return sized.map((col) => `${col.dataset.column}:${col.getAttribute("width")}`).join(".");
}

function handleOf(table, head) {
  const col = table.querySelector(`col[data-column="${head.dataset.column}"]`);
  const label = `${text("column_width")}: ${head.innerText.trim()}`;
  const handle = element("span", { class: "column-resize", role: "separator", tabindex: "0", "aria-orientation": "vertical", "aria-label": label, "aria-valuemin": WIDTH_MIN, "aria-valuemax": WIDTH_MAX });
  const show = (width) => { col.setAttribute("width", width); handle.setAttribute("aria-valuenow", width); };
  const save = () => savePreferences(table.dataset.preferencesUrl, { list_name: table.dataset.columns, widths: widthsOf(table) });
  const current = () => Math.round(head.getBoundingClientRect().width);
  handle.setAttribute("aria-valuenow", clamp(col.getAttribute("width") ?? current()));

  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    const [start, width] = [event.clientX, current()];
    handle.setPointerCapture(event.pointerId);
    const move = (moved) => show(clamp(width + moved.clientX - start));
    handle.addEventListener("pointermove", move);
    handle.addEventListener("lostpointercapture", () => { handle.removeEventListener("pointermove", move); save(); }, { once: true });
  });
  let timer = null;
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key];
    if (!step) return;
    event.preventDefault();
    show(clamp(Number(handle.getAttribute("aria-valuenow")) + step));
    clearTimeout(timer);
    timer = setTimeout(save, 400);
  });
  handle.addEventListener("dblclick", () => { col.removeAttribute("width"); handle.setAttribute("aria-valuenow", clamp(current())); save(); });
  return handle;
}

enhance("table[data-columns]", (table) => {
  for (const head of table.querySelectorAll("th[data-column]")) head.append(handleOf(table, head));
});
