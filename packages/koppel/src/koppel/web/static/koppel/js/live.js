// Parts that ask for themselves again: they are morphed, so that focus, scrolling, ticks, open menus and a press survive.

const BY_THE_READER = { INPUT: ["value", "checked"], TEXTAREA: ["value"], OPTION: ["selected"], DETAILS: ["open"], DIALOG: ["open"] };

// What a script has made of an element stays: a combobox beside its select, a chart.
const isMadeByScript = (node) => node.nodeType === Node.ELEMENT_NODE && node.matches(".ts-wrapper, .chart-canvas, .uplot, [data-made-by-script]");

if (window.Idiomorph) {
  Object.assign(window.Idiomorph.defaults.callbacks, {
    beforeAttributeUpdated: (name, node) => !BY_THE_READER[node.tagName]?.includes(name),
    beforeNodeRemoved: (node) => !isMadeByScript(node) && !(node.matches?.(":popover-open") ?? false),
  });
}

const isPoll = (event) => event.detail.requestConfig?.elt.getAttribute("hx-trigger")?.startsWith("every");

// A part waits while something is pressed: the release would do nothing on an element that was moved or replaced.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (isPoll(event) && document.documentElement.matches(":active")) event.detail.shouldSwap = false;
});

// A page that follows something says when no answer comes, until the next answer.
function showReachability(isReached) {
  const notice = document.getElementById("unreachable");
  if (notice && notice.hidden !== isReached) notice.hidden = isReached;
}
document.addEventListener("htmx:sendError", () => showReachability(false));
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.xhr?.status) showReachability(event.detail.xhr.status < 500);
});
