/* Optional: every page does the same without this file.
   The browser's time zone is remembered, an entry opens beside the list, single keys lead through
   entries, JSON is copied. */
"use strict";

if (!/(^|; )time_zone=/.test(document.cookie)) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) {
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `time_zone=${zone}; path=/; max-age=31536000; samesite=lax${secure}`;
  }
}

// Signed out meanwhile: what answers then is the page to sign in, which belongs nowhere in this one.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const { pathname } = new URL(detail.pathInfo.finalRequestPath, location.href);
  if (new URL(detail.xhr.responseURL).pathname !== pathname) detail.shouldSwap = false;
});

// -- Menus: one at a time, and closed by Escape or a click elsewhere

const openMenus = () => document.querySelectorAll("details.menu[open]");

document.addEventListener("click", ({ target }) => {
  for (const menu of openMenus()) if (!menu.contains(target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const [menu] = openMenus();
  if (event.key !== "Escape" || !menu) return;
  event.stopImmediatePropagation(); // an entry beside the list stays open
  menu.open = false;
  menu.querySelector("summary").focus();
});

// -- An entry beside the list. Its address is that of the page, so that it can be sent to somebody,
// and the way back leads to the list.

const log = document.querySelector(".listing");
const beside = document.querySelector(".pane");
const isWide = matchMedia("(min-width: 64rem)");
const list = location.href; // the address of the list
let asked = null; // the link whose entry is to be open
let opened = null; // the one whose entry is

function close() {
  beside.hidden = true;
  log.classList.remove("with-pane");
  opened?.closest("tr").classList.remove("opened");
  opened?.focus();
  asked = opened = null;
}

function leave() {
  if (location.href !== list) history.pushState(null, "", list);
  close();
}

function open(link) {
  asked = link;
  const place = beside.querySelector("div");
  const asking = { source: place, target: place, select: "#content > div > *", swap: "innerHTML" };
  htmx.ajax("GET", link.href, asking);
}

function show(link) {
  opened?.closest("tr").classList.remove("opened");
  beside.querySelector("[data-back]")?.remove(); // the list is right here
  beside.querySelector("a").href = link.href;
  if (location.href !== link.href) {
    if (opened) history.replaceState(null, "", link.href);
    else history.pushState(null, "", link.href);
  }
  offerCopies(beside);
  beside.hidden = false;
  beside.scrollTop = 0;
  log.classList.add("with-pane");
  opened = link;
  link.closest("tr").classList.add("opened");
  link.scrollIntoView({ block: "nearest" });
  const heading = beside.querySelector("h1");
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}

if (beside) {
  beside.querySelector("button").addEventListener("click", leave);
  // Answers come in the order of the clicks, some of which were given up by then.
  const isAsked = ({ pathInfo }) => pathInfo.requestPath === asked?.href;
  beside.addEventListener("htmx:afterSwap", ({ detail }) => isAsked(detail) && show(asked));
  beside.addEventListener("htmx:afterRequest", ({ detail }) => {
    // The page itself says best what else answered.
    if (isAsked(detail) && asked !== opened) location.assign(asked.href);
  });
  log.addEventListener("click", (event) => {
    const link = event.target.closest("td.when a");
    const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
    if (!link || !isPlain || !isWide.matches || !window.htmx) return;
    event.preventDefault();
    open(link);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && opened) leave();
  });
  addEventListener("popstate", () => {
    const links = [...document.querySelectorAll("#entries td.when a")];
    const link = links.find(({ href }) => href === location.href);
    if (link) open(link);
    else if (opened) close();
  });
}

// -- The palette: what the page of the search finds, over the page on which one is

const finder = document.querySelector("a.find");

function openPalette() {
  const dialog = Object.assign(document.createElement("dialog"), { className: "palette" });
  dialog.setAttribute("aria-label", "Search");
  const form = Object.assign(document.createElement("form"), { className: "ask", action: finder.href });
  form.setAttribute("role", "search");
  const input = Object.assign(document.createElement("input"), { type: "search", name: "q", autocomplete: "off", maxLength: 200 });
  input.placeholder = "Pages, projects, people, API keys, or a question";
  input.setAttribute("aria-label", input.placeholder);
  const found = Object.assign(document.createElement("div"), { className: "found-here" });
  form.append(finder.querySelector("svg").cloneNode(true), input);
  dialog.append(form, found);

  let asked = 0;
  async function look() {
    const turn = ++asked;
    const address = `${finder.href}?q=${encodeURIComponent(input.value)}`;
    const answer = await fetch(address);
    if (turn !== asked) return; // something else was typed meanwhile
    const list = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("found");
    if (!list) return location.assign(address); // signed out meanwhile, or an error: the page says it
    if (turn === asked) found.replaceChildren(...list.childNodes);
  }

  let waits;
  input.addEventListener("input", () => {
    asked++;
    clearTimeout(waits);
    waits = setTimeout(look, 120);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearTimeout(waits);
    await look();
    found.querySelector("a")?.click();
  });
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const stops = [input, ...found.querySelectorAll("a")];
    stops[Math.max(0, stops.indexOf(document.activeElement) + step)]?.focus();
  });
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  look();
}

document.addEventListener("keydown", (event) => {
  if (!finder || event.key !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
  event.preventDefault();
  if (!document.querySelector("dialog[open]")) openPalette();
});
document.addEventListener("click", (event) => {
  const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
  if (!isPlain || !event.target.closest("a.find, a[data-palette]")) return;
  event.preventDefault();
  openPalette();
});

// -- Keys: single letters, which can be switched off, as WCAG 2.1.4 asks

const KEYS = [
  ["j", "next older entry"],
  ["k", "next newer entry"],
  ["u", "back to the list"],
  ["/", "go to the question bar"],
  ["Ctrl K", "search pages, projects, people, keys"],
  ["?", "show this list"],
];
const areKeysOn = () => localStorage.getItem("keys") !== "off";

function tellKeys() {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "keys-title");
  const title = document.createElement("h2");
  title.id = "keys-title";
  title.textContent = "Keyboard shortcuts";
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
  label.append(box, "Enable single-letter shortcuts (? always works)");
  const shut = Object.assign(document.createElement("button"), { textContent: "Close", className: "button" });
  shut.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  dialog.append(title, list, label, shut);
  document.body.append(dialog);
  dialog.showModal();
}

function step(direction) {
  const links = [...document.querySelectorAll("#entries td.when a")].filter((link) => link.offsetParent);
  const at = links.indexOf(asked ?? document.activeElement);
  const next = at < 0 ? links[0] : links[at + direction];
  if (!next) return;
  if (asked) open(next);
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

for (const button of document.querySelectorAll("[data-keys]")) {
  button.hidden = false;
  button.addEventListener("click", tellKeys);
}

function offerCopies(place) {
  // A page without TLS has no clipboard.
  for (const button of place.querySelectorAll("[data-copies]")) button.hidden = !navigator.clipboard;
}

offerCopies(document);
document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-copies]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent);
  button.querySelector("span").textContent = "Copied";
  button.classList.add("copied");
});
