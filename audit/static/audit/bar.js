/* Comfort alone: the question bar offers what may follow, as an editable combobox with a listbox
   (WAI-ARIA Authoring Practices). Without this file it is a plain text field. */

const bar = document.querySelector("input[data-complete]");
const list = document.createElement("ul");
const said = document.createElement("p");
let options = []; // as the server told them
let start = 0; // from which character on an option replaces what was typed
let active = -1;
let asking = null; // the request under way
let timer = 0;

function close() {
  clearTimeout(timer);
  asking?.abort();
  list.hidden = true;
  list.replaceChildren();
  options = [];
  active = -1;
  bar.setAttribute("aria-expanded", "false");
  bar.removeAttribute("aria-activedescendant");
}

function mark(place) {
  list.children[active]?.setAttribute("aria-selected", "false");
  active = place;
  const option = list.children[active];
  if (!option) {
    bar.removeAttribute("aria-activedescendant");
    return;
  }
  option.setAttribute("aria-selected", "true");
  option.scrollIntoView({ block: "nearest" });
  bar.setAttribute("aria-activedescendant", option.id);
}

function take(place) {
  const caret = bar.selectionStart;
  const { text } = options[place];
  const isOpen = text.endsWith(":"); // a qualifier, of which the value is still to come
  const rest = bar.value.slice(caret).replace(/^\s+/, "");
  const before = `${bar.value.slice(0, start)}${text}${isOpen ? "" : " "}`;
  bar.value = before + rest;
  bar.setSelectionRange(before.length, before.length);
  close();
  bar.focus();
  if (isOpen) offer();
}

function show(found) {
  close();
  ({ options, start } = found);
  if (!options.length) {
    said.textContent = "";
    return;
  }
  list.replaceChildren(
    ...options.map(({ text, label }, place) => {
      const option = document.createElement("li");
      option.id = `may-follow-${place}`;
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", "false");
      const words = document.createElement("span");
      words.className = "offered";
      words.textContent = text;
      option.append(words);
      if (label) {
        const means = document.createElement("span");
        means.className = "soft";
        means.textContent = label;
        option.append(" ", means);
      }
      // Before the field loses the focus, which would close the list.
      option.addEventListener("pointerdown", (event) => event.preventDefault());
      option.addEventListener("click", () => take(place));
      return option;
    }),
  );
  list.hidden = false;
  bar.setAttribute("aria-expanded", "true");
  said.textContent = `${options.length} suggestion${options.length === 1 ? "" : "s"}`;
}

async function offer() {
  asking?.abort();
  const mine = (asking = new AbortController());
  const typed = bar.value.slice(0, bar.selectionStart);
  try {
    const answer = await fetch(`${bar.dataset.complete}?${new URLSearchParams({ ask: typed })}`, {
      credentials: "same-origin",
      signal: mine.signal,
    });
    if (!answer.ok || answer.redirected) return;
    const found = await answer.json();
    if (mine === asking && document.activeElement === bar) show(found);
  } catch {
    // Superseded by the next letter, or offline: the field works without.
  }
}

function later() {
  clearTimeout(timer);
  timer = setTimeout(offer, 120);
}

function press(event) {
  const last = options.length - 1;
  if (event.isComposing) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (list.hidden) offer();
    else if (event.key === "ArrowDown") mark(active >= last ? -1 : active + 1);
    else mark(active < 0 ? last : active - 1);
  } else if (event.key === "Enter" && active >= 0) {
    event.preventDefault();
    take(active);
  } else if (event.key === "Escape" && !list.hidden) {
    event.preventDefault();
    event.stopPropagation(); // an entry beside the list stays open
    close();
  } else if (event.key === "Tab" && active >= 0) {
    event.preventDefault();
    take(active);
  }
}

if (bar) {
  list.id = "may-follow";
  list.className = "may-follow";
  list.hidden = true;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "What may follow");
  said.className = "skip";
  said.setAttribute("role", "status");
  bar.after(list, said);
  for (const [name, value] of Object.entries({
    role: "combobox",
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": list.id,
    spellcheck: "false",
  })) {
    bar.setAttribute(name, value);
  }
  bar.addEventListener("input", later);
  bar.addEventListener("click", () => list.hidden && offer());
  bar.addEventListener("keydown", press);
  bar.addEventListener("blur", close);
  bar.form.addEventListener("submit", close);
}
