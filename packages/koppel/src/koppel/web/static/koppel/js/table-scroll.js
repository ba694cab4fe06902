// A table that fits its page scrolls with it, so that its head stays below the page's bar; only a wider one scrolls in its own box.
const measure = (box) => {
  const table = box.querySelector("table");
  const borders = box.clientLeft * 2;
  if (!table) return;
  const fits = table.scrollWidth <= box.offsetWidth - borders;
  box.toggleAttribute("data-fits", fits);
  box.toggleAttribute("data-wide", !fits);
  fade(box);
};
const fade = (box) => box.toggleAttribute("data-more", box.scrollLeft + box.clientWidth < box.scrollWidth - 1 && !box.hasAttribute("data-fits"));
const observer = new ResizeObserver((entries) => entries.forEach((entry) => measure(entry.target)));
const observe = (root) => root.querySelectorAll?.(".table-scroll").forEach((box) => { measure(box); observer.observe(box); });

observe(document);
document.addEventListener("scroll", (event) => { if (event.target.matches?.(".table-scroll")) fade(event.target); }, { capture: true, passive: true });
document.addEventListener("htmx:load", (event) => observe(event.detail.elt.parentElement ?? document));
