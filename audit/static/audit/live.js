/* Comfort alone: tells of entries that come while somebody watches the list, and shows them in it
   when asked to. Nothing moves by itself; a page further down, with its cursor, stays as it is. */

const EVERY = 5_000; // milliseconds
const SLOWEST = 60_000; // after errors

const live = document.querySelector("#live");
const [status, show, pause] = ["[role=status]", "a", "button"].map((name) => live?.querySelector(name));
const title = document.title;
let timer = 0;
let wait = EVERY;
let isPaused = false;
let isShowing = false;

const links = () => [...document.querySelectorAll("#entries td.when a")];
const idOf = (link) => link.pathname.split("/").pop().toUpperCase();

function say(text) {
  if (status.textContent !== text) status.textContent = text;
}

function tell(count, isAll) {
  show.hidden = count === 0;
  document.title = count ? `(${count}${isAll ? "" : "+"}) ${title}` : title;
  if (count) say(`${count}${isAll ? "" : " or more"} new ${count === 1 && isAll ? "entry" : "entries"}.`);
  else say("Watching for new entries.");
}

/* Those that are not on the page and would be: newer than its last line, if it is full. */
function unseen(ids) {
  const shown = links().map(idOf);
  const isFull = document.querySelector(".pages [rel=next]") !== null;
  const oldest = isFull ? shown.at(-1) : "";
  const known = new Set(shown);
  return ids.filter((id) => !known.has(id) && id > oldest);
}

async function look() {
  const answer = await fetch(live.dataset.new, { credentials: "same-origin" });
  if (answer.redirected || answer.status === 403 || answer.status === 404) {
    say("Signed out: nothing new is looked for.");
    pause.hidden = show.hidden = true;
    isPaused = true;
    return;
  }
  if (!answer.ok) throw new Error("no answer");
  const { entries, is_all: isAll } = await answer.json();
  if (!isPaused && !isShowing) tell(unseen(entries).length, isAll);
}

function next() {
  clearTimeout(timer);
  if (isPaused || document.visibilityState !== "visible") return;
  timer = setTimeout(async () => {
    try {
      await look();
      wait = EVERY;
    } catch {
      wait = Math.min(wait * 2, SLOWEST);
      say("The server does not answer; trying again.");
    }
    next();
  }, wait);
}

async function page(address) {
  const answer = await fetch(address, { credentials: "same-origin" });
  if (!answer.ok || answer.redirected) throw new Error("not the list");
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

async function refresh() {
  const known = new Set(links().map(idOf));
  const fetched = await page(show.href);
  for (const name of ["#entries", ".pages"]) {
    document.querySelector(name).replaceWith(fetched.querySelector(name));
  }
  live.dataset.new = fetched.querySelector("#live").dataset.new;
  const fresh = links().filter((link) => !known.has(idOf(link)));
  for (const link of fresh) link.closest("tr").classList.add("fresh");
  document.title = title;
  show.hidden = true;
  say(`${fresh.length} new ${fresh.length === 1 ? "entry" : "entries"} shown.`);
  document.querySelector("#entries").focus({ preventScroll: true });
  const counts = fetched.querySelector("[data-counts]");
  if (!counts) return;
  const counted = await page(counts.dataset.counts);
  for (const name of ["count", "chart", "facets"]) {
    document.getElementById(name).replaceWith(counted.getElementById(name));
  }
}

if (live) {
  live.hidden = false;
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.setAttribute("aria-pressed", String(isPaused));
    say(isPaused ? "Paused." : "Watching for new entries.");
    if (isPaused) clearTimeout(timer);
    else next();
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
        next();
      });
  });
  document.addEventListener("visibilitychange", next);
  next();
}
