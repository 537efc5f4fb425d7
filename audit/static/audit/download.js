/* Optional: an export says how far it is and can be cancelled. Without this file its link
   downloads as any other. The server reports in Audit-Count how many entries to expect, as far as it
   counted ("10000+"); every entry is one line. */

const MERGED = 8 << 20; // bytes after which parts become one blob, which the browser may keep on disk
const EVERY = 200; // milliseconds between two updates
const NEW_LINE = 10;

const number = new Intl.NumberFormat("en");
const box = document.querySelector("#download");
let running = null; // the AbortController of the download under way

function inWords(bytes) {
  const [value, unit] = bytes < 1e6 ? [bytes / 1e3, "kB"] : [bytes / 1e6, "MB"];
  return `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`;
}

function lines(part) {
  let found = 0;
  for (let at = part.indexOf(NEW_LINE); at >= 0; at = part.indexOf(NEW_LINE, at + 1)) found += 1;
  return found;
}

function save(blob, answer) {
  const named = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") ?? "");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = named ? named[1] : "audit";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function read(answer, received) {
  const merged = [];
  let parts = [];
  let pending = 0;
  for (const reader = answer.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return new Blob([...merged, ...parts], { type: answer.headers.get("Content-Type") });
    parts.push(value);
    pending += value.length;
    received.bytes += value.length;
    received.entries += lines(value);
    if (pending > MERGED) {
      merged.push(new Blob(parts));
      parts = [];
      pending = 0;
    }
  }
}

async function download(link) {
  const [status, progress, cancel] = ["p", "progress", "button"].map((name) => box.querySelector(name));
  const format = link.textContent.trim();
  const menu = link.closest("details");
  const received = { bytes: 0, entries: format === "CSV" ? -1 : 0 }; // its first line is a header
  const sofar = () => `${number.format(Math.max(0, received.entries))} entries, ${inWords(received.bytes)}`;
  const say = (text, isOver) => {
    // Read out when it begins and ends; not five times a second.
    status.setAttribute("aria-live", isOver ? "polite" : "off");
    status.textContent = text;
  };
  running = new AbortController();
  if (menu?.open) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
  box.hidden = false;
  cancel.hidden = progress.hidden = false;
  progress.removeAttribute("value");
  say(`${format}: requesting …`, true);
  let timer = 0;
  try {
    const answer = await fetch(link.href, { credentials: "same-origin", signal: running.signal });
    // Signed out meanwhile, or anything else: the page itself says it best.
    if (!answer.ok || answer.redirected) return location.assign(link.href);
    const count = answer.headers.get("Audit-Count") ?? "";
    const of = count ? ` of ${number.format(parseInt(count))}${count.endsWith("+") ? "+" : ""}` : "";
    if (/^[1-9][0-9]*$/.test(count)) progress.max = Number(count);
    timer = setInterval(() => {
      if (/^[1-9][0-9]*$/.test(count)) progress.value = Math.min(Math.max(0, received.entries), progress.max);
      say(`${format}: ${number.format(Math.max(0, received.entries))}${of} entries, ${inWords(received.bytes)}`);
    }, EVERY);
    const blob = await read(answer, received);
    // Some servers and proxies end an answer that broke off as if it were whole.
    if (count && received.entries < parseInt(count)) throw new Error("fewer entries than there are");
    save(blob, answer);
    say(`${format}: saved ${sofar()}.`, true);
  } catch (error) {
    const what = error.name === "AbortError" ? "cancelled" : "interrupted by the server or the network";
    say(`${format}: ${what} after ${sofar()}. Nothing was saved.`, true);
  } finally {
    clearInterval(timer);
    if (document.activeElement === cancel) (menu?.querySelector("summary") ?? link).focus();
    cancel.hidden = progress.hidden = true;
    running = null;
  }
}

if (box && window.ReadableStream) {
  box.querySelector("button").addEventListener("click", () => running?.abort());
  for (const link of document.querySelectorAll("a[data-download]")) {
    link.addEventListener("click", (event) => {
      const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
      if (!isPlain) return;
      event.preventDefault();
      if (!running) download(link);
    });
  }
}
