// The list of administrations. Everything works without it; this makes it quicker.

const all = document.querySelector("[data-all-matching]");

// A menu of filters that was changed applies when it closes.
document.querySelectorAll("[data-filters] details.filter").forEach((menu) => {
  const before = () => [...menu.querySelectorAll("input[type=checkbox]")].map((box) => box.checked).join();
  let state = before();
  menu.addEventListener("toggle", () => {
    if (menu.open) {
      state = before();
      document.querySelectorAll("[data-filters] details.menu[open]").forEach((other) => { if (other !== menu) other.open = false; });
      menu.querySelector("[data-filter-options]")?.focus();
    } else if (before() !== state) {
      menu.closest("form").requestSubmit();
    }
  });
});

// Names of filters that ask for nothing stay out of the address bar.
document.querySelector("[data-filters]")?.addEventListener("formdata", (event) => {
  if (!event.formData.get("q")) event.formData.delete("q");
});

// "All that match" counts for the whole filter, ticks or no ticks.
function showAll() {
  const many = all.checked;
  document.querySelectorAll("[data-needs-some]").forEach((button) => {
    if (many) button.disabled = false;
  });
  document.querySelectorAll(".bulkbar [data-count-of]").forEach((counter) => {
    if (many) counter.textContent = Number(all.dataset.allMatching).toLocaleString(document.documentElement.lang);
  });
}
if (all) {
  document.addEventListener("change", () => queueMicrotask(showAll));
  document.addEventListener("htmx:afterSwap", () => queueMicrotask(showAll));
  all.addEventListener("change", () => { if (!all.checked) document.dispatchEvent(new Event("htmx:afterSwap")); });
}
