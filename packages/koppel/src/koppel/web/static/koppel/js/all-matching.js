// "All that match" of a list's filter: counts for the whole filter, ticks or no ticks.
import { every, language } from "./enhance.js";

const allMatching = () => document.querySelector("[data-all-matching]");

function showAll() {
  const all = allMatching();
  if (!all?.checked) return;
  every(".bulkbar [data-needs-some]", (button) => { button.disabled = false; });
  every(".bulkbar [data-count-of]", (counter) => {
    counter.textContent = Number(all.dataset.allMatching).toLocaleString(language);
  });
}

document.addEventListener("change", (event) => {
  if (event.target === allMatching() && !event.target.checked) document.dispatchEvent(new Event("htmx:afterSwap"));
  queueMicrotask(showAll);
});
document.addEventListener("htmx:afterSwap", () => queueMicrotask(showAll));
