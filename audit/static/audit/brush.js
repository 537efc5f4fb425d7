/* Optional: a span of the chart is chosen by dragging over it, or by arrow keys with Shift and
   then Enter. Without this file each bar is a link to its own span. */

let brush = null; // { svg, from, to }: the bars between which the span lies
let hint = ""; // what the line under the chart says while nothing is chosen
let hasDragged = false;

const edgesOf = (svg) => svg.dataset.edges.trim().split(/\s+/);
const barsOf = (svg) => [...svg.querySelectorAll("a[data-bar]")];
const numberOf = (bar) => Number(bar.dataset.bar);

function numberAt(svg, x) {
  const box = svg.getBoundingClientRect();
  const count = edgesOf(svg).length - 1;
  return Math.max(0, Math.min(count - 1, Math.floor(((x - box.left) / box.width) * count)));
}

const bordersOf = ({ from, to }) => (from < to ? [from, to] : [to, from]);

function name(edge) {
  const zone = /(?:^|; )time_zone=([^;]+)/.exec(document.cookie)?.[1];
  const asked = new URLSearchParams(location.search).get("tz");
  const parts = { dateStyle: "medium", timeStyle: "short" };
  try {
    return new Intl.DateTimeFormat("en-GB", { ...parts, timeZone: asked || decodeURIComponent(zone) }).format(new Date(edge));
  } catch {
    return edge;
  }
}

function draw() {
  const { svg } = brush;
  const [first, last] = bordersOf(brush);
  const edges = edgesOf(svg);
  let rect = svg.querySelector(".brush");
  if (!rect) {
    rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    rect.setAttribute("class", "brush");
    rect.setAttribute("height", "100");
    svg.append(rect);
  }
  const width = 1000 / (edges.length - 1);
  rect.setAttribute("x", String(first * width));
  rect.setAttribute("width", String((last - first + 1) * width));
  const within = barsOf(svg).filter((bar) => numberOf(bar) >= first && numberOf(bar) <= last);
  const count = within.reduce((sum, bar) => sum + Number(bar.dataset.count), 0);
  const said = document.querySelector("[data-brushed]");
  hint ||= said.textContent;
  const entries = `${count.toLocaleString("en")} ${count === 1 ? "entry" : "entries"}`;
  said.textContent = `${name(edges[first])} to ${name(edges[last + 1])}: ${entries}`;
}

function drop() {
  brush?.svg.querySelector(".brush")?.remove();
  const said = document.querySelector("[data-brushed]");
  if (said && hint) said.textContent = hint;
  brush = null;
  hint = "";
}

function follow() {
  const [first, last] = bordersOf(brush);
  const edges = edgesOf(brush.svg);
  const address = new URL(barsOf(brush.svg)[0].getAttribute("href"), location.href);
  address.searchParams.set("since", edges[first]);
  address.searchParams.set("until", edges[last + 1]);
  location.assign(address);
}

// -- Mouse and pen; a finger scrolls and taps

document.addEventListener("pointerdown", (event) => {
  const svg = event.target.closest?.("svg.chart[data-edges]");
  hasDragged = false;
  if (!svg || event.button !== 0 || event.pointerType === "touch") return;
  const at = numberAt(svg, event.clientX);
  drop();
  brush = { svg, from: at, to: at, pointer: event.pointerId };
});

document.addEventListener("pointermove", (event) => {
  if (brush?.pointer !== event.pointerId) return;
  const at = numberAt(brush.svg, event.clientX);
  if (at === brush.to && !hasDragged) return;
  hasDragged = true;
  brush.to = at;
  draw();
});

document.addEventListener("pointerup", (event) => {
  if (brush?.pointer !== event.pointerId) return;
  if (hasDragged) follow();
  else drop(); // a click, which the bar's link takes
});

document.addEventListener("pointercancel", drop);
document.addEventListener("dragstart", (event) => {
  if (event.target.closest?.("svg.chart")) event.preventDefault();
});
document.addEventListener("click", (event) => {
  if (hasDragged && event.target.closest?.("svg.chart")) event.preventDefault();
});

// -- Keyboard

document.addEventListener("keydown", (event) => {
  const bar = event.target.closest?.("svg.chart a[data-bar]");
  if (event.key === "Escape" && brush) return drop();
  if (!bar || event.ctrlKey || event.metaKey || event.altKey) return;
  const svg = bar.closest("svg");
  if (event.key === "Enter" && brush) {
    event.preventDefault();
    return follow();
  }
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  event.preventDefault();
  if (!event.shiftKey) {
    drop();
    const bars = barsOf(svg);
    bars[bars.indexOf(bar) + step]?.focus();
    return;
  }
  brush ??= { svg, from: numberOf(bar), to: numberOf(bar) };
  brush.to = Math.max(0, Math.min(edgesOf(svg).length - 2, brush.to + step));
  draw();
});

document.addEventListener("focusout", (event) => {
  if (brush && brush.pointer === undefined && event.target.closest?.("svg.chart")) drop();
});
