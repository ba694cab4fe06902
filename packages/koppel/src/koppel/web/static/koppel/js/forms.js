// Forms: sent once, sent on change, the refused field in focus, columns pasted, texts copied.
import { enhance, every } from "./enhance.js";

document.addEventListener("change", (event) => {
  if (event.target.dataset.submitOnChange !== undefined) event.target.form.requestSubmit();
  if (event.target.dataset.reasonFor) showSector(event.target);
});

// A double click sends a form once.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.once === undefined || event.defaultPrevented) return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "1";
  setTimeout(() => { delete form.dataset.sent; }, 5000);
});
window.addEventListener("pageshow", () => every("form[data-sent]", (form) => { delete form.dataset.sent; }));

document.addEventListener("click", (event) => {
  if (event.target.dataset.selectAll !== undefined) event.target.select();
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
  event.target.closest("[data-close]")?.parentElement.remove();
});

// A button beside a password shows it while it is pressed in.
enhance("[data-reveal]", (button) => {
  const field = document.getElementById(button.dataset.reveal);
  button.hidden = false;
  const show = (isShown) => {
    field.type = isShown ? "text" : "password";
    button.setAttribute("aria-pressed", String(isShown));
  };
  button.addEventListener("click", () => show(field.type === "password"));
  field.form.addEventListener("submit", () => show(false)); // or the browser keeps it as a text to offer again
});

async function copy(button) {
  const source = document.querySelector(button.dataset.copy);
  await navigator.clipboard.writeText(source.value ?? source.textContent);
  button.textContent = button.dataset.copied;
}
if (navigator.clipboard) enhance("[data-copy]", (button) => { button.hidden = false; });
enhance("[data-close]", (button) => { button.hidden = false; });

function showSector(select) {
  const sector = document.getElementById(select.dataset.reasonFor);
  if (sector) sector.hidden = !select.value;
}
enhance("select[data-reason-for]", showSector);

// A column of numbers pasted into one field fills the fields below it; an empty cell leaves its field as it is.
document.addEventListener("paste", (event) => {
  const target = event.target;
  if (target.dataset.column === undefined || target.tagName !== "INPUT") return;
  const lines = event.clipboardData.getData("text").replace(/\r?\n$/, "").split(/\r?\n/).map((line) => line.trim());
  if (lines.length < 2) return;
  event.preventDefault();
  const column = [...document.querySelectorAll("input[data-column]")].filter((field) => !field.closest("tr").hidden);
  lines.forEach((line, index) => {
    const field = column[column.indexOf(target) + index];
    if (field && line) { field.value = line; field.dispatchEvent(new Event("change", { bubbles: true })); }
  });
});

// A form that comes back with a refused field: that field has the focus, wherever on the page it is.
const refused = [...document.querySelectorAll("main form [aria-invalid=true]")].find((field) => field.offsetParent && !field.closest("#identities"));
if (refused && document.activeElement === document.body) refused.focus();

const narrow = matchMedia("(max-width: 720px)");
const foldNavigation = () => every(".rail-fold", (fold) => fold.toggleAttribute("open", !narrow.matches));
foldNavigation();
narrow.addEventListener("change", foldNavigation); // a tablet that is turned

// Where tabs do not fit, the open one is in view.
every(":is(.tabs, .subtabs) [aria-current]", (tab) => { tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.offsetLeft - 16; });

// A search that asks for nothing stays out of the address bar.
document.addEventListener("formdata", (event) => {
  if (event.target.matches("[data-filters]") && !event.formData.get("q")) event.formData.delete("q");
});
