// A table whose rows are all on the page: a click on a heading sorts by its column; a second click turns the order.
import { element, every, language } from "./enhance.js";

const collator = new Intl.Collator(language, { sensitivity: "base", numeric: true });

function sortRows(heading) {
  const isAscending = heading.getAttribute("aria-sort") !== "ascending";
  const body = heading.closest("table").tBodies[0];
  const textOf = (row) => row.cells[heading.cellIndex].textContent.trim();
  const rows = [...body.rows].sort((first, second) => collator.compare(textOf(first), textOf(second)) * (isAscending ? 1 : -1));
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", isAscending ? "ascending" : "descending");
  body.append(...rows);
}

every("[data-sort-rows] th[scope=col]", (heading) => {
  const button = element("button", { type: "button", class: "sort" }, ...heading.childNodes);
  button.addEventListener("click", () => sortRows(heading));
  heading.append(button);
});
