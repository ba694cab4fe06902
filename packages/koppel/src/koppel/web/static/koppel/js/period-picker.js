// A period from and until, with presets.
//   <fieldset data-period-picker> <select data-period-from> <select data-period-until>
//   <button type="button" data-period-preset data-from="202601" data-until="202603">
// A later "from" takes "until" along, and the other way round. A preset sends the form.
import { enhance, every } from "./enhance.js";

enhance("[data-period-picker]", (picker) => {
  const from = picker.querySelector("[data-period-from]");
  const until = picker.querySelector("[data-period-until]");
  const presets = picker.querySelectorAll("[data-period-preset]");
  const mark = () => presets.forEach((preset) => preset.setAttribute("aria-pressed", String(preset.dataset.from === from.value && preset.dataset.until === until.value)));
  from.addEventListener("change", () => { if (until.value && from.value > until.value) until.value = from.value; mark(); });
  until.addEventListener("change", () => { if (from.value && until.value && from.value > until.value) from.value = until.value; mark(); });
  presets.forEach((preset) => preset.addEventListener("click", () => {
    from.value = preset.dataset.from;
    until.value = preset.dataset.until;
    mark();
    from.form?.requestSubmit();
  }));
  every("[data-period-preset]", (preset) => { preset.hidden = false; }, picker);
  mark();
});
