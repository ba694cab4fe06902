// Lists whose order is chosen: dragged by a handle, or moved with arrow up and down while the handle has the focus.
//   <ul data-sortable> <li> <button type="button" data-sort-handle aria-label="Move Name"> … </li> </ul>
// The order is the order of the fields in the form. A `change` event of the list follows each move.
import { element, enhance, text } from "./enhance.js";

const announcer = element("div", { class: "visually-hidden", "aria-live": "assertive", "data-made-by-script": true });
document.body.append(announcer);

const isMovable = (item) => item && item.dataset.fixed === undefined;

function announce(item) {
  const items = [...item.parentElement.children];
  announcer.textContent = text("moved", { position: items.indexOf(item) + 1, count: items.length });
}

function move(item, other, isAfter) {
  if (!isMovable(other)) return false;
  if (isAfter) other.after(item);
  else other.before(item);
  return true;
}

enhance("[data-sortable]", (list) => {
  const changed = (item) => { announce(item); list.dispatchEvent(new Event("change", { bubbles: true })); };

  list.addEventListener("keydown", (event) => {
    const handle = event.target.closest("[data-sort-handle]");
    if (!handle || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    const item = handle.closest("li");
    const isDown = event.key === "ArrowDown";
    if (!move(item, isDown ? item.nextElementSibling : item.previousElementSibling, isDown)) return;
    handle.focus();
    changed(item);
  });

  list.addEventListener("pointerdown", (event) => {
    const handle = event.target.closest("[data-sort-handle]");
    if (!handle || event.button !== 0) return;
    event.preventDefault();
    const item = handle.closest("li");
    const before = [...list.children].indexOf(item);
    item.classList.add("is-dragged");
    const drag = (moved) => {
      const other = document.elementFromPoint(moved.clientX, moved.clientY)?.closest("[data-sortable] > li");
      if (!other || other === item || other.parentElement !== list) return;
      const box = other.getBoundingClientRect();
      move(item, other, moved.clientY > box.top + box.height / 2);
    };
    const drop = () => {
      document.removeEventListener("pointermove", drag);
      item.classList.remove("is-dragged");
      handle.focus();
      if ([...list.children].indexOf(item) !== before) changed(item);
    };
    document.addEventListener("pointermove", drag);
    document.addEventListener("pointerup", drop, { once: true });
    document.addEventListener("pointercancel", drop, { once: true });
  });
});
