/* Comfort alone: every page does the same without this file.
   The browser's time zone is remembered, the chart and the facets of a list are fetched when the
   list is there, and an entry opens beside it. */
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
