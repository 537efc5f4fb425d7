/* Optional: reports new entries while someone watches the list, and shows them in it
   when asked to. Nothing moves by itself; a page further down, with its cursor, stays as it is.
   htmx asks, every few seconds; here is when it does not, and what is said. */

const SLOWEST = 60_000; // milliseconds between two tries while the server does not answer

const live = document.querySelector("#live");
const [news, show, pause] = ["#news", "a", "button"].map((name) => live?.querySelector(name));
const title = document.title;
let isPaused = false;
let isShowing = false;
let wait = 0;
let notBefore = 0;

const links = () => [...document.querySelectorAll("#entries td.when a")];

function say(text) {
  if (news.textContent !== text) news.textContent = text;
}

function fail() {
  wait = Math.min(wait * 2 || 10_000, SLOWEST);
  notBefore = Date.now() + wait;
  say("The server is not responding. Trying again.");
}

function end() {
  say("You are signed out. Updates have stopped.");
  document.querySelector("#watch").remove();
  pause.hidden = show.hidden = true;
}

async function refresh() {
  const known = new Set(links().map((link) => link.pathname));
  const last = document.querySelector("#entries");
  await htmx.ajax("GET", show.href, {
    source: show,
    swap: "none",
    selectOOB: "#count,#chart,#facets,#watch,#entries,#pages",
  });
  const entries = document.querySelector("#entries");
  if (entries === last) throw new Error("not the list");
  const fresh = links().filter((link) => !known.has(link.pathname));
  for (const link of fresh) link.closest("tr").classList.add("fresh");
  document.title = title;
  say(`${fresh.length} new ${fresh.length === 1 ? "entry" : "entries"} shown.`);
  entries.focus({ preventScroll: true });
}

if (live) {
  live.hidden = false;
  live.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id !== "watch") return;
    const isSeen = document.visibilityState === "visible";
    if (isPaused || isShowing || !isSeen || Date.now() < notBefore) event.preventDefault();
  });
  news.addEventListener("htmx:beforeSwap", ({ detail }) => {
    wait = 0;
    // What is said already would be read out once more; what comes late is about another list.
    const isSaid = news.innerHTML.trim() === detail.serverResponse.trim();
    if (isSaid || isPaused || isShowing) detail.shouldSwap = false;
  });
  news.addEventListener("htmx:afterSwap", () => {
    const count = news.querySelector("[data-news]")?.dataset.news;
    document.title = count ? `(${count}) ${title}` : title;
  });
  live.addEventListener("htmx:sendError", fail);
  live.addEventListener("htmx:responseError", ({ detail }) => {
    if (detail.xhr.status === 403 || detail.xhr.status === 404) end();
    else fail();
  });
  live.addEventListener("htmx:afterRequest", ({ detail }) => {
    const { pathname } = new URL(detail.pathInfo.finalRequestPath, location.href);
    const answered = detail.xhr.responseURL;
    if (answered && new URL(answered).pathname !== pathname && !isShowing) end();
  });
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.setAttribute("aria-pressed", String(isPaused));
    say(isPaused ? "Paused." : "Watching for new entries.");
  });
  show.addEventListener("click", (event) => {
    const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
    if (!isPlain) return;
    event.preventDefault();
    isShowing = true;
    refresh()
      .catch(() => location.assign(show.href))
      .finally(() => {
        isShowing = false;
      });
  });
}
