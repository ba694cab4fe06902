// Choices of the person that hold everywhere: shown at once, remembered on the server.
//   <button type="button" data-density="compact"> or data-theme="dark" in <div data-preferences-url="URL">
//   <input type="checkbox" data-preference="shortcuts"> in one
import { csrfToken, every } from "./enhance.js";

const root = document.documentElement;

export async function savePreferences(url, values) {
  const headers = { "X-CSRFToken": csrfToken(), "HX-Request": "true" };
  await fetch(url, { method: "POST", body: new URLSearchParams(values), headers }).catch(() => null);
}

const urlOf = (control) => control.closest("[data-preferences-url]")?.dataset.preferencesUrl;

document.addEventListener("click", (event) => {
  for (const name of ["density", "theme"]) {
    const button = event.target.closest(`button[data-${name}]`);
    if (!button || !urlOf(button)) continue;
    event.preventDefault();
    root.dataset[name] = button.dataset[name];
    every(`button[data-${name}]`, (each) => each.setAttribute("aria-pressed", String(each.dataset[name] === button.dataset[name])));
    savePreferences(urlOf(button), { [name]: button.dataset[name] });
  }
});

document.addEventListener("change", (event) => {
  const name = event.target.dataset.preference;
  if (!name || !urlOf(event.target)) return;
  root.dataset[name] = event.target.checked ? "on" : "off";
  savePreferences(urlOf(event.target), { [name]: event.target.checked ? "1" : "0" });
});
