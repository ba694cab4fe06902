// Search everywhere: arrows walk through what was found, Escape closes it, Enter in the field shows the list.

const field = document.getElementById("search");
const hits = document.getElementById("hits");

const links = () => [...hits.querySelectorAll("a")];

let wanted = false;
function close() {
  wanted = false;
  hits.replaceChildren();
}

function walk(event) {
  if (event.key === "Escape") { close(); field.focus(); return; }
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || links().length === 0) return;
  event.preventDefault();
  const places = [field, ...links()];
  const next = (places.indexOf(document.activeElement) + step + places.length) % places.length;
  places[next].focus();
}

if (field && hits) {
  field.addEventListener("keydown", walk);
  hits.addEventListener("keydown", walk);
  field.addEventListener("input", () => { if (field.value.trim()) wanted = true; else close(); });
  // An answer that comes late neither opens what was closed nor replaces what somebody walks through or presses.
  hits.addEventListener("htmx:beforeSwap", (event) => {
    if (!wanted || hits.matches(":focus-within, :active")) event.detail.shouldSwap = false;
  });
  document.addEventListener("click", (event) => { if (!event.target.closest(".search")) close(); });
  document.addEventListener("focusin", (event) => { if (!event.target.closest(".search")) close(); });
}
