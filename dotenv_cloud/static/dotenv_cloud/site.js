/* Comfort alone: every page does the same without this file.
   The browser's time zone is remembered, the chart and the facets of a list are fetched when the
   list is there, an entry opens beside it, single keys lead through entries, JSON is copied. */
"use strict";

if (!/(^|; )time_zone=/.test(document.cookie)) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) {
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `time_zone=${zone}; path=/; max-age=31536000; samesite=lax${secure}`;
  }
}

async function count(link) {
  document.querySelector("#chart").setAttribute("aria-busy", "true");
  const answer = await fetch(link.dataset.counts, { credentials: "same-origin" });
  if (!answer.ok || answer.redirected) throw new Error("no counts");
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const name of ["count", "chart", "facets"]) {
    document.getElementById(name).replaceWith(page.getElementById(name));
  }
}

const counts = document.querySelector("[data-counts]");
// What fails leaves the link, which leads to a page with all of it.
if (counts) count(counts).catch(() => document.querySelector("#chart").removeAttribute("aria-busy"));

const log = document.querySelector(".log");
const isWide = matchMedia("(min-width: 64rem)");
let opened = null; // the link whose entry is open
let asked = 0;

function close() {
  asked += 1;
  document.querySelector(".beside")?.remove();
  log.classList.remove("has-beside");
  opened?.closest("tr").classList.remove("opened");
  opened?.focus();
  opened = null;
}

async function open(link) {
  const mine = (asked += 1);
  const answer = await fetch(link.href, { credentials: "same-origin" });
  // Signed out meanwhile, or anything else: the page itself says it best.
  if (!answer.ok || answer.redirected) throw new Error("not an entry");
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (mine !== asked) return; // another one was chosen meanwhile
  const entry = page.querySelector("#content");
  opened?.closest("tr").classList.remove("opened");
  document.querySelector(".beside")?.remove();

  const beside = document.createElement("aside");
  beside.className = "beside";
  beside.setAttribute("aria-label", "Entry");
  const shut = document.createElement("button");
  shut.className = "quiet";
  shut.textContent = "Close";
  shut.addEventListener("click", close);
  const whole = document.createElement("a");
  whole.href = link.href;
  whole.textContent = "Open as a page";
  const actions = document.createElement("p");
  actions.className = "ways";
  actions.append(shut, whole);
  beside.append(actions, ...entry.children);
  beside.querySelector("[data-back]")?.remove(); // the list is right here
  const heading = beside.querySelector("h1");
  heading.tabIndex = -1;

  log.append(beside);
  log.classList.add("has-beside");
  opened = link;
  link.closest("tr").classList.add("opened");
  link.scrollIntoView({ block: "nearest" });
  heading.focus({ preventScroll: true });
}

if (log) {
  log.addEventListener("click", (event) => {
    const link = event.target.closest("td.when a");
    const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
    if (!link || !isPlain || !isWide.matches) return;
    event.preventDefault();
    open(link).catch(() => location.assign(link.href));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && opened) close();
  });
}

// -- Keys: single letters, which can be switched off, as WCAG 2.1.4 asks

const KEYS = [
  ["j", "the next older entry"],
  ["k", "the next newer entry"],
  ["u", "back to the list"],
  ["/", "to the question"],
  ["?", "what the keys do"],
];
const areKeysOn = () => localStorage.getItem("keys") !== "off";

function tellKeys() {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "keys-title");
  const title = document.createElement("h2");
  title.id = "keys-title";
  title.textContent = "Keys";
  const list = document.createElement("dl");
  list.className = "facts";
  for (const [key, what] of KEYS) {
    const name = document.createElement("dt");
    name.append(Object.assign(document.createElement("kbd"), { textContent: key }));
    list.append(name, Object.assign(document.createElement("dd"), { textContent: what }));
  }
  const label = Object.assign(document.createElement("label"), { className: "check" });
  const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: areKeysOn() });
  box.addEventListener("change", () => localStorage.setItem("keys", box.checked ? "on" : "off"));
  label.append(box, "Single letters are keys (? always is)");
  const shut = Object.assign(document.createElement("button"), { textContent: "Close", className: "quiet" });
  shut.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  dialog.append(title, list, label, shut);
  document.body.append(dialog);
  dialog.showModal();
}

function step(direction) {
  const links = [...document.querySelectorAll("#entries td.when a")].filter((link) => link.offsetParent);
  const at = links.indexOf(opened ?? document.activeElement);
  const next = at < 0 ? links[0] : links[at + direction];
  if (!next) return;
  if (opened) open(next).catch(() => location.assign(next.href));
  else next.focus();
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, select, textarea, [contenteditable]");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog")) return;
  if (event.key === "?") return tellKeys();
  if (!areKeysOn()) return;
  const link = document.querySelector(`main [data-key="${CSS.escape(event.key)}"]`);
  const question = document.getElementById("ask");
  if (link) link.click();
  else if (log && event.key === "j") step(1);
  else if (log && event.key === "k") step(-1);
  else if (question && event.key === "/") {
    event.preventDefault();
    question.focus();
  }
});

for (const button of document.querySelectorAll("[data-copies]")) {
  button.hidden = !navigator.clipboard; // which a page without TLS has not
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent);
    button.textContent = "Copied";
  });
}
