// Dialogs. The browser traps the focus, closes on Escape and returns the focus to the button.
//   <button type="button" data-dialog="ID">, <dialog id="ID">, <button type="button" data-dialog-close>
// Confirmation of a form or of its button:
//   data-confirm="Question" data-confirm-detail="Consequence" data-confirm-button="Delete 12" data-confirm-danger
//   data-confirm-typed="Zuid": the word that must be typed first
import { element, enhance, text } from "./enhance.js";

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) {
    event.preventDefault(); // a link leads to the page with the same question where there are no scripts
    document.getElementById(opener.dataset.dialog)?.showModal();
  }
  if (event.target.closest("[data-dialog-close]")) event.target.closest("dialog")?.close();
  if (event.target.matches("dialog:modal") && isOutside(event)) event.target.close();
});

function isOutside(event) {
  const box = event.target.getBoundingClientRect();
  return event.detail > 0 && (event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom);
}

// Buttons stay disabled until the word is typed as it is shown.
export function requireTyped(input, buttons) {
  const update = () => buttons.forEach((button) => { button.disabled = input.value.trim() !== input.dataset.typed; });
  input.addEventListener("input", update);
  update();
}
enhance("input[data-typed]", (input) => requireTyped(input, [...input.form.querySelectorAll("button:not([type=button], [value=cancel])")]));

let count = 0;
function confirmation(asked) {
  const id = `confirmation-${(count += 1)}`;
  const typed = asked.confirmTyped;
  const field = typed ? element("input", { id: `${id}-typed`, "data-typed": typed, autocomplete: "off", required: true }) : null;
  const kind = asked.confirmDanger === undefined ? "button-primary" : "button-danger";
  const proceed = element("button", { class: `button ${kind}`, value: "proceed" }, asked.confirmButton || text("confirm"));
  const cancel = element("button", { class: "button", type: "button", "data-dialog-close": true, autofocus: !typed }, text("cancel"));
  if (field) requireTyped(field, [proceed]);
  return element(
    "dialog",
    { class: "dialog dialog-confirm", "aria-labelledby": id, "aria-describedby": asked.confirmDetail ? `${id}-detail` : null, role: "alertdialog" },
    element(
      "form",
      { method: "dialog" },
      element("h2", { id }, asked.confirm),
      asked.confirmDetail ? element("p", { id: `${id}-detail` }, asked.confirmDetail) : null,
      field ? element("p", { class: "field" }, element("label", { for: field.id }, text("type_to_confirm", { word: typed })), field) : null,
      element("div", { class: "actions dialog-actions" }, proceed, cancel),
    ),
  );
}

// Ask first; the form is sent by the same button when the answer is yes.
document.addEventListener("submit", (event) => {
  const form = event.target;
  const source = event.submitter?.dataset.confirm !== undefined ? event.submitter : form;
  if (source.dataset.confirm === undefined) return;
  if (form.dataset.confirmed) { delete form.dataset.confirmed; return; }
  event.preventDefault();
  event.stopImmediatePropagation();
  const submitter = event.submitter;
  const dialog = confirmation(source.dataset);
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (dialog.returnValue !== "proceed") return;
    form.dataset.confirmed = "1";
    form.requestSubmit(submitter);
  });
  document.body.append(dialog);
  dialog.showModal();
}, { capture: true });
