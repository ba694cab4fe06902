"""What a browser tells about a page that it shows: layout shift, overflow, text cut off, parts that leave the
window, and weight.

Each measure returns findings as sentences; none means that all is well.
"""

import gzip
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page

WIDTHS = (1440, 1366, 1280, 820, 390)
DESK_WIDTH = 1280
"""From here on every column of a table is in view."""
ZOOMED_WIDTH = 720
"""What is left of 1440 pixels at 200 % zoom."""
WEIGHT_MAX = 150_000
"""Bytes of a page with all that it loads, compressed, without fonts."""
FONTS_MAX = 120_000

TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Resolved when observers of sizes have run and what they changed is laid out."""

OBSERVE_SHIFTS = """
window.layoutShifts = [];
new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
  if (entry.hadRecentInput) return;
  const places = entry.sources.map(({ node, previousRect, currentRect }) => {
    const element = node?.nodeType === 1 ? node : node?.parentElement;
    const name = element ? `${element.tagName.toLowerCase()}.${[...element.classList].join(".")}` : "removed";
    return `${name} ${previousRect.x},${previousRect.y},${previousRect.width}×${previousRect.height} to `
      + `${currentRect.x},${currentRect.y},${currentRect.width}×${currentRect.height}`;
  });
  layoutShifts.push(`shifts by ${entry.value.toFixed(4)}: ${places.slice(0, 3).join("; ")}`);
})).observe({ type: "layout-shift", buffered: true });
"""

CUT_TEXT = """() => {
  const isOwnText = (node) => node.nodeType === 3 && node.textContent.trim();
  const findings = [];
  for (const element of document.querySelectorAll("body *")) {
    if (element.closest("svg, .visually-hidden, .ts-hidden-accessible, select, textarea, pre")) continue;
    if (![...element.childNodes].some(isOwnText) || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    if (style.display === "inline" || element.clientWidth <= 1 || style.clipPath !== "none") continue;
    if (element.closest("thead")?.offsetHeight === 1) continue;
    const isIntended = style.textOverflow === "ellipsis" || ["auto", "scroll"].includes(style.overflowX);
    const wider = element.scrollWidth - element.clientWidth;
    const higher = style.overflowY === "hidden" && style.webkitLineClamp === "none"
      ? element.scrollHeight - element.clientHeight : 0;
    if ((wider > 1 && !isIntended) || higher > 2) {
      const classes = [...element.classList].join(".");
      findings.push(`cuts ${element.tagName.toLowerCase()}.${classes} by ${wider}×${higher}: `
        + element.textContent.trim().replace(/\\s+/g, " ").slice(0, 60));
    }
  }
  return findings;
}"""

OPENED_PARTS = """async () => {
  const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const findings = [];
  const distances = (part) => {
    const box = part.getBoundingClientRect();
    return [box.left, innerWidth - box.right, box.top, innerHeight - box.bottom].map(Math.round);
  };
  // Scrolling and placing take some frames, more on a busy machine; a page may scroll by itself meanwhile.
  const check = async (part, name, button) => {
    let out = [];
    for (let frames = 0; frames < 60; frames += 1) {
      button?.scrollIntoView({ block: "nearest" });
      await frame();
      out = distances(part);
      if (Math.min(...out) >= 0) return;
    }
    findings.push(`${name} leaves the window: ${out}`);
  };
  for (const button of document.querySelectorAll("[popovertarget]")) {
    const part = document.getElementById(button.getAttribute("popovertarget"));
    if (!part || !button.checkVisibility() || part.matches(":popover-open")) continue;
    const y = scrollY;
    part.showPopover({ source: button });
    await check(part, `#${part.id}`, button);
    part.hidePopover();
    scrollTo(0, y);
  }
  for (const dialog of document.querySelectorAll("dialog[id]")) {
    if (dialog.open) continue;
    dialog.showModal();
    await check(dialog, `#${dialog.id}`);
    dialog.close();
  }
  return findings;
}"""

HIDDEN_CELLS = """(desk) => {
  const findings = [];
  for (const table of document.querySelectorAll("main table")) {
    const box = table.parentElement;
    if (!table.checkVisibility() || !["auto", "scroll"].includes(getComputedStyle(box).overflowX)) continue;
    if (box.scrollWidth <= box.clientWidth + 1) continue;
    const edge = box.getBoundingClientRect().left + box.clientLeft + box.clientWidth + 1;
    const isOut = (element) => element.checkVisibility() && element.getBoundingClientRect().right > edge;
    const isMeant = innerWidth < desk || table.dataset.report === "periods";
    const heads = isMeant ? [] : [...table.querySelectorAll("thead :is(th, td)")].filter(isOut);
    const controls = [...table.querySelectorAll("td :is(a.button, button, input, select)")].filter(isOut);
    if (!heads.length && !controls.length) continue;
    const words = [...heads, ...controls].map((element) => element.textContent.trim().slice(0, 20) || "?");
    const name = table.id || box.getAttribute("aria-label");
    findings.push(`hides of the table ${name}: ${[...new Set(words)].slice(0, 4).join(", ")}`);
  }
  return findings;
}"""

TOO_WIDE = """() => {
  const root = document.documentElement;
  if (root.scrollWidth <= root.clientWidth) return [];
  const isOut = (element) => element.getBoundingClientRect().right > root.clientWidth + 1;
  const farthest = [...document.querySelectorAll("main *")].filter(isOut).slice(0, 3);
  const nameOf = (element) => `${element.tagName.toLowerCase()}.${[...element.classList].join(".")}`;
  const names = farthest.map(nameOf);
  return [`is ${root.scrollWidth - root.clientWidth} pixels too wide: ${names.join(", ")}`];
}"""


def observe(context: BrowserContext) -> None:
    """Record the layout shifts of each page that this context loads from now on."""
    context.add_init_script(OBSERVE_SHIFTS)


def layout_shifts(page: Page) -> list[str]:
    """Since the page was loaded, with what moved. Needs `observe`."""
    page.evaluate(TWO_FRAMES)
    return list(page.evaluate("layoutShifts"))


def overflow(page: Page) -> list[str]:
    return list(page.evaluate(TOO_WIDE))


def cut_text(page: Page) -> list[str]:
    """Text that is wider or higher than its element, unless an ellipsis or a scroll bar is meant."""
    return list(page.evaluate(CUT_TEXT))


def hidden_cells(page: Page) -> list[str]:
    """Tables that scroll in their box while a button is out of it; on a desk, any column. A trial balance per
    period may have as many columns as there are periods.
    """
    return list(page.evaluate(HIDDEN_CELLS, DESK_WIDTH))


def opened_parts(page: Page) -> list[str]:
    """Open each menu and dialog and close it again."""
    return list(page.evaluate(OPENED_PARTS))


@dataclass
class Scales:
    """Weighs pages. A file that several pages load is compressed once."""

    _bytes_by_path: dict[str, int] = field(default_factory=dict)
    heaviest: tuple[int, str] = (0, "")
    fonts_max: int = 0

    def weigh(self, page: Page, document: bytes, name: str) -> list[str]:
        """`document`: the page as it was sent."""
        loaded = page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
        paths = {urlsplit(url).path: url for url in loaded if urlsplit(url).path.startswith("/static/")}
        for path in paths.keys() - self._bytes_by_path.keys():
            body = page.context.request.get(paths[path]).body()
            self._bytes_by_path[path] = len(body if path.endswith(".woff2") else gzip.compress(body, 9))
        fonts = sum(self._bytes_by_path[path] for path in paths if path.endswith(".woff2"))
        total = sum(self._bytes_by_path[path] for path in paths) - fonts + len(gzip.compress(document, 6))
        self.heaviest = max(self.heaviest, (total, name))
        self.fonts_max = max(self.fonts_max, fonts)
        findings = [f"weighs {total} bytes"] if total > WEIGHT_MAX else []
        return findings + ([f"loads {fonts} bytes of fonts"] if fonts > FONTS_MAX else [])
