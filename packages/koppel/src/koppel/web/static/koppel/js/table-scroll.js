// A table that fits its page scrolls with it, so that its head stays below the page's bar; only a wider one scrolls in its own box.
const measure = (box) => {
  const table = box.querySelector("table");
  if (table) box.toggleAttribute("data-fits", table.scrollWidth <= box.parentElement.clientWidth + 1);
};
const observer = new ResizeObserver((entries) => entries.forEach((entry) => measure(entry.target)));
const observe = (root) => root.querySelectorAll?.(".table-scroll").forEach((box) => { measure(box); observer.observe(box); });

observe(document);
document.addEventListener("htmx:load", (event) => observe(event.detail.elt.parentElement ?? document));
