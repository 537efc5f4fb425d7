/* Comfort alone: every page does the same without this file.
   The browser's time zone is remembered, and an entry opens beside the list. */
"use strict";

if (!/(^|; )time_zone=/.test(document.cookie)) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) {
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `time_zone=${zone}; path=/; max-age=31536000; samesite=lax${secure}`;
  }
}

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
