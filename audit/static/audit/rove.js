/* Optional: the chart and each list of values are one stop of the Tab key, within which arrow keys
   lead on. Without this file every link is a stop of its own. */

const itemsOf = (box) => [...box.querySelectorAll(box.dataset.rove)].filter((item) => item.closest("[data-rove]") === box);

function stopAt(box, chosen) {
  for (const item of itemsOf(box)) item.tabIndex = item === chosen ? 0 : -1;
}

// In the chart one begins at the newest, in a list at what was chosen, or on top.
function prepare() {
  for (const box of document.querySelectorAll("[data-rove]:not([data-roves])")) {
    box.dataset.roves = "";
    const items = itemsOf(box);
    const first = box.matches("svg") ? items.at(-1) : items.find((item) => item.ariaCurrent === "true") ?? items[0];
    stopAt(box, first);
  }
}

prepare();
// Chart and lists come after the entries, and are exchanged while one types.
new MutationObserver(prepare).observe(document.getElementById("content"), { childList: true, subtree: true });

document.addEventListener("focusin", ({ target }) => {
  const box = target.closest?.("[data-rove]");
  if (box && itemsOf(box).includes(target)) stopAt(box, target);
});

function follower(box, item, key) {
  const items = itemsOf(box);
  if (key === "Home") return items[0];
  if (key === "End") return items.at(-1);
  if (box.matches("svg")) return null; // brush.js leads from bar to bar
  const line = item.closest("li");
  const beside = itemsOf(line.parentElement).filter((other) => other.closest("li") === line);
  if (key === "ArrowRight") return beside[beside.indexOf(item) + 1];
  if (key === "ArrowLeft") return beside[beside.indexOf(item) - 1];
  const next = key === "ArrowDown" ? line.nextElementSibling : key === "ArrowUp" ? line.previousElementSibling : null;
  const there = items.filter((other) => other.closest("li") === next);
  return there[Math.min(beside.indexOf(item), there.length - 1)];
}

document.addEventListener("keydown", (event) => {
  const box = event.target.closest?.("[data-rove]");
  if (!box || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const next = follower(box, event.target, event.key);
  if (!next) return;
  event.preventDefault();
  next.focus();
});
