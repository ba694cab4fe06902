// Sets up elements once each, on the page as it was loaded and after every swap.

const setups = [];

export function enhance(selector, setUp) {
  const enhanced = new WeakSet();
  const run = () => {
    for (const element of document.querySelectorAll(selector)) {
      if (enhanced.has(element)) continue;
      enhanced.add(element);
      setUp(element);
    }
  };
  setups.push(run);
  run();
}

document.addEventListener("htmx:afterSettle", () => setups.forEach((run) => run()));

export const every = (selector, action, root = document) => root.querySelectorAll(selector).forEach(action);

export const language = document.documentElement.lang;

// An element with attributes and children; texts are never read as markup.
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const texts = JSON.parse(document.getElementById("script-texts")?.textContent ?? "{}");

// A text in the reader's language; `{name}` is filled from `values`.
export function text(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

export const csrfToken = () => document.querySelector("input[name=csrfmiddlewaretoken]")?.value ?? "";

export function isTyping(target) {
  return target.isContentEditable || target.matches("input:not([type=checkbox], [type=radio]), textarea, select, [role=combobox]");
}
