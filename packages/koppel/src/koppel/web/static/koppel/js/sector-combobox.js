// Choosing a sector by typing: a combobox over what the server finds among sections, examples and divisions, in both languages.
// Without it the field takes a letter or a name all the same.

let count = 0;

function enhance(field) {
  if (field.dataset.ready || field.readOnly) return;
  field.dataset.ready = "1";
  const list = document.createElement("ul");
  list.id = `sectors-found-${count += 1}`;
  list.className = "found";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", field.getAttribute("aria-label") || field.labels?.[0]?.textContent || field.placeholder);
  list.hidden = true;
  field.after(list);
  for (const [name, value] of Object.entries({ role: "combobox", "aria-expanded": "false", "aria-controls": list.id, "aria-autocomplete": "list" })) field.setAttribute(name, value);
  let at = -1, requestNumber = 0, timer;

  // An answer that comes late neither opens what was closed nor replaces what somebody walks through.
  const outdate = () => { clearTimeout(timer); requestNumber += 1; };
  const close = () => { outdate(); list.hidden = true; at = -1; field.setAttribute("aria-expanded", "false"); field.removeAttribute("aria-activedescendant"); };
  const choose = (option) => { field.value = option.dataset.text; close(); field.dispatchEvent(new Event("change", { bubbles: true })); };
  const mark = (to) => {
    const options = [...list.children];
    if (!options.length) return;
    outdate();
    at = (to + options.length) % options.length;
    options.forEach((option, index) => option.setAttribute("aria-selected", String(index === at)));
    options[at].scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", options[at].id);
  };
  const show = (sectors) => {
    list.replaceChildren(...sectors.map((sector, index) => {
      const option = document.createElement("li");
      option.id = `${list.id}-${index}`;
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", "false");
      option.dataset.text = sector.text;
      const more = document.createElement("span");
      more.className = "hint";
      more.textContent = sector.matched_division || sector.example;
      option.append(sector.text, document.createElement("br"), more);
      option.addEventListener("mousedown", (event) => { event.preventDefault(); choose(option); });
      return option;
    }));
    list.hidden = sectors.length === 0;
    at = -1;
    field.removeAttribute("aria-activedescendant");
    field.setAttribute("aria-expanded", String(sectors.length > 0));
  };
  const ask = async (words) => {
    const thisRequest = requestNumber += 1;
    const answer = await fetch(`${field.dataset.sectors}?q=${encodeURIComponent(words)}`, { headers: { Accept: "application/json" } });
    if (thisRequest === requestNumber && answer.ok && document.activeElement === field) show((await answer.json()).sectors);
  };

  field.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => ask(field.value), 120); });
  field.addEventListener("blur", close);
  field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) ask(field.value.includes("–") ? "" : field.value);
      else mark(event.key === "ArrowDown" ? at + 1 : at - 1);
    } else if (event.key === "Enter" && !list.hidden && at >= 0) {
      event.preventDefault();
      choose(list.children[at]);
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      close();
    }
  });
}

document.querySelectorAll("input[data-sectors]").forEach(enhance);
document.addEventListener("focusin", (event) => { if (event.target.matches?.("input[data-sectors]")) enhance(event.target); });
