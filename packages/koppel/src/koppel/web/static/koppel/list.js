// The list of administrations. Everything works without it; this makes it quicker.

// Names of filters that ask for nothing stay out of the address bar.
document.addEventListener("formdata", (event) => {
  if (event.target.matches("[data-filters]") && !event.formData.get("q")) event.formData.delete("q");
});

// "All that match" counts for the whole filter, ticks or no ticks.
const allMatching = () => document.querySelector("[data-all-matching]");

function showAll() {
  const all = allMatching();
  if (!all?.checked) return;
  document.querySelectorAll(".bulkbar [data-needs-some]").forEach((button) => { button.disabled = false; });
  document.querySelectorAll(".bulkbar [data-count-of]").forEach((counter) => {
    counter.textContent = Number(all.dataset.allMatching).toLocaleString(document.documentElement.lang);
  });
}

document.addEventListener("change", (event) => {
  if (event.target === allMatching() && !event.target.checked) document.dispatchEvent(new Event("htmx:afterSwap"));
  queueMicrotask(showAll);
});
document.addEventListener("htmx:afterSwap", () => queueMicrotask(showAll));
