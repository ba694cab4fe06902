// Charts drawn from a table of the page, which stays as the accessible version.
//   <figure data-chart="columns" data-chart-library="URL of uPlot"> <details> <table> … <td data-value="12.5">12,50</td>
// The first column has the labels; every other one is a series, named by its heading.
// <span data-sparkline="3,4,9" role="img" aria-label="…">: a line without axes.
import { element, enhance, language } from "./enhance.js";

const HEIGHT = 240;
const SPARKLINE = { width: 96, height: 24, padding: 2 };

const libraries = new Map();
function load(url) {
  if (!libraries.has(url)) {
    libraries.set(url, new Promise((resolve, reject) => {
      const script = element("script", { src: url });
      script.addEventListener("load", resolve);
      script.addEventListener("error", reject);
      document.head.append(script);
    }));
  }
  return libraries.get(url);
}

function readTable(table) {
  const [first, ...names] = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
  const rows = [...table.tBodies[0].rows];
  const value = (row, column) => Number(row.cells[column].dataset.value ?? NaN);
  return {
    first,
    names,
    labels: rows.map((row) => row.cells[0].dataset.label ?? row.cells[0].textContent.trim()),
    values: names.map((_name, index) => rows.map((row) => value(row, index + 1))),
    texts: names.map((_name, index) => rows.map((row) => row.cells[index + 1].textContent.trim())),
  };
}

const plain = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: 1 });

// Side by side within each period: every series has its own slice of the column.
function columnPaths(index, count) {
  const share = 0.8 / count;
  return window.uPlot.paths.bars({ size: [share, 48], align: 0, disp: {
    x0: { unit: 1, values: (chart) => chart.data[0].map((x) => x - 0.4 + share * index) },
    size: { unit: 1, values: (chart) => chart.data[0].map(() => share * 0.92) },
  } });
}

function options(data, width, color) {
  const axis = { stroke: color("--chart-axis", "--soft"), grid: { stroke: color("--chart-grid", "--line"), width: 1 }, ticks: { show: false }, font: `12px ${getComputedStyle(document.body).fontFamily}` };
  return {
    width,
    height: HEIGHT,
    cursor: { x: false, y: false, drag: { x: false, y: false }, points: { show: false } },
    legend: { show: true, live: true },
    scales: { x: { time: false, range: () => [-0.5, Math.max(data.labels.length, 6) - 0.5] }, y: { range: (_chart, low, high) => [Math.min(low, 0) * 1.05, Math.max(high, 0) * 1.05 || 1] } },
    axes: [
      { ...axis, grid: { show: false }, splits: () => data.labels.map((_label, at) => at), values: (_chart, splits) => splits.map((at) => data.labels[at] ?? "") },
      { ...axis, size: 64, values: (_chart, splits) => splits.map((amount) => (Math.abs(amount) < 1e6 ? plain : compact).format(amount)) },
    ],
    series: [
      { label: data.first, value: (_chart, _raw, _series, at) => (at === null ? "–" : data.labels[at]) },
      ...data.names.map((name, index) => ({
        label: name,
        fill: color(`--chart-${index + 1}`, `--series-${index + 1}`),
        stroke: color(`--chart-${index + 1}`, `--series-${index + 1}`),
        paths: columnPaths(index, data.names.length),
        points: { show: false },
        value: (_chart, _raw, _series, at) => (at === null ? "–" : data.texts[index][at]),
      })),
    ],
  };
}

function drawColumns(figure, table) {
  const data = readTable(table);
  const probe = figure.appendChild(element("span", { hidden: true }));
  // A canvas knows no variables and no light-dark(): the browser computes the colour.
  const color = (name, fallback) => { probe.style.color = `var(${name}, var(${fallback}))`; return getComputedStyle(probe).color; };
  const canvas = figure.querySelector(":scope > .chart-canvas") ?? element("div", { class: "chart-canvas", "aria-hidden": "true" });
  if (!canvas.isConnected) figure.prepend(canvas);
  canvas.replaceChildren();
  const width = Math.max(canvas.clientWidth, 240);
  const drawing = options(data, width, color);
  probe.remove();
  return new window.uPlot(drawing, [data.labels.map((_label, index) => index), ...data.values], canvas);
}

enhance("figure[data-chart]", async (figure) => {
  const table = figure.querySelector("table");
  if (!table?.tBodies[0]?.rows.length || !figure.dataset.chartLibrary) return;
  await load(figure.dataset.chartLibrary);
  const chart = drawColumns(figure, table);
  let current = chart;
  const redraw = () => { current.destroy(); current = drawColumns(figure, table); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  new ResizeObserver(([entry]) => {
    const width = Math.round(entry.contentRect.width);
    if (width && width !== current.width) current.setSize({ width, height: HEIGHT });
  }).observe(figure.querySelector(".chart-canvas"));
});

const SVG = "http://www.w3.org/2000/svg";
function svg(tag, attributes) {
  const shape = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
  return shape;
}

enhance("[data-sparkline]", (holder) => {
  const values = holder.dataset.sparkline.split(",").map(Number).filter(Number.isFinite);
  if (values.length < 2) return;
  const { width, height, padding } = SPARKLINE;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (index) => padding + (index * (width - 2 * padding)) / (values.length - 1);
  const y = (value) => (high === low ? height / 2 : height - padding - ((value - low) * (height - 2 * padding)) / (high - low));
  const points = values.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "sparkline", "aria-hidden": "true" });
  picture.append(
    svg("polyline", { points, fill: "none", stroke: "currentColor", "stroke-width": 1.5, "stroke-linejoin": "round" }),
    svg("circle", { cx: x(values.length - 1).toFixed(1), cy: y(values.at(-1)).toFixed(1), r: 2, fill: "currentColor" }),
  );
  holder.replaceChildren(picture);
});
