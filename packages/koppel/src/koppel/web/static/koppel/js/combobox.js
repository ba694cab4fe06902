// Searchable selects (Tom Select): <select data-combobox>, one value or `multiple`.
// `data-source="/url"`: options beyond those on the page come from {"options": [{value, text, detail}]} to `?q=`.
// Without scripts it is the native select.
import { element, enhance, every, text } from "./enhance.js";

const DELAY_MS = 150;
const OPTIONS_MAX = 200;

let library = null;
const load = () => (library ??= import("../../vendor/tom-select/tom-select.popular.min.js"));

function remote(select) {
  if (!select.dataset.source) return {};
  return {
    loadThrottle: DELAY_MS,
    preload: "focus",
    shouldLoad: () => true,
    load: async (words, show) => {
      const url = new URL(select.dataset.source, location.href);
      url.searchParams.set("q", words);
      const answer = await fetch(url, { headers: { Accept: "application/json" } }).catch(() => null);
      show(answer?.ok ? (await answer.json()).options : []);
    },
    score: () => () => 1, // the server has ranked them
  };
}

function option(item, escape) {
  const detail = item.detail ? ` <span class="hint">${escape(item.detail)}</span>` : "";
  return `<div>${escape(item.text)}${detail}</div>`;
}

function settings(select) {
  const isMultiple = select.multiple;
  return {
    plugins: isMultiple ? { remove_button: { title: text("remove"), label: "×" } } : {},
    refreshThrottle: 0, // or Enter right after typing takes the first option
    maxOptions: OPTIONS_MAX,
    allowEmptyOption: !isMultiple,
    hideSelected: isMultiple,
    closeAfterSelect: !isMultiple,
    clearAfterSelect: true, // or what is typed next is searched behind the last search
    placeholder: select.dataset.placeholder ?? "",
    valueField: "value",
    labelField: "text",
    searchField: ["text", "detail"],
    render: {
      option,
      item: (item, escape) => `<div>${escape(item.text)}</div>`,
      no_results: () => element("div", { class: "no-results" }, text("no_results")),
      loading: () => element("div", { class: "loading" }, text("loading")),
    },
    ...remote(select),
  };
}

// Names for the parts that Tom Select makes.
function describe(select, control) {
  const name = select.getAttribute("aria-label") ?? select.labels?.[0]?.textContent.trim() ?? select.title;
  control.dropdown_content.setAttribute("aria-label", name);
  control.control_input.setAttribute("aria-label", name);
  if (select.getAttribute("aria-describedby")) control.control_input.setAttribute("aria-describedby", select.getAttribute("aria-describedby"));
  if (select.getAttribute("aria-invalid")) control.control_input.setAttribute("aria-invalid", "true");
  control.on("item_add", () => announceRemoval(control));
  announceRemoval(control);
}

function announceRemoval(control) {
  every(".item", (item) => {
    const remove = item.querySelector(".remove");
    if (!remove) return;
    remove.setAttribute("role", "button");
    remove.setAttribute("aria-label", `${text("remove")} ${item.firstChild.textContent.trim()}`);
  }, control.control);
}

enhance("select[data-combobox]", async (select) => {
  await load();
  if (select.tomselect || !select.isConnected) return;
  const hadFocus = document.activeElement === select;
  const control = new window.TomSelect(select, settings(select));
  describe(select, control);
  select.setAttribute("aria-hidden", "true"); // its options are those of the combobox
  if (hadFocus) control.focus();
  select.form?.addEventListener("reset", () => setTimeout(() => control.sync()));
});
