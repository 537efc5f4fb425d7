/* Optional: the question bar offers what may follow, as an editable combobox with a listbox
   (WAI-ARIA Authoring Practices). Without this file it is a plain text field. htmx fetches the
   options; each has its text and from which character on it replaces what was typed. */

const bar = document.querySelector("input[data-completed]");
const list = document.querySelector("#may-follow");
const said = document.querySelector("#may-follow-said");
let active = -1;
let isWanted = false; // what is offered may still come

function close() {
  isWanted = false;
  list.hidden = true;
  list.replaceChildren();
  active = -1;
  bar.setAttribute("aria-expanded", "false");
  bar.removeAttribute("aria-activedescendant");
}

function offer() {
  isWanted = true;
  htmx.trigger(bar, "offer");
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

function take({ dataset: { text, start } }) {
  const isOpen = text.endsWith(":"); // a qualifier, of which the value is still to come
  const rest = bar.value.slice(bar.selectionStart).replace(/^\s+/, "");
  const before = `${bar.value.slice(0, Number(start))}${text}${isOpen ? "" : " "}`;
  bar.value = before + rest;
  bar.setSelectionRange(before.length, before.length);
  close();
  bar.focus();
  if (isOpen) offer();
}

function show() {
  const count = list.children.length;
  active = -1;
  bar.removeAttribute("aria-activedescendant");
  list.hidden = count === 0;
  bar.setAttribute("aria-expanded", String(count > 0));
  said.textContent = count ? `${count} suggestion${count === 1 ? "" : "s"}` : "";
}

function press(event) {
  const last = list.children.length - 1;
  if (event.isComposing) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (list.hidden) offer();
    else if (event.key === "ArrowDown") mark(active >= last ? -1 : active + 1);
    else mark(active < 0 ? last : active - 1);
  } else if ((event.key === "Enter" || event.key === "Tab") && active >= 0) {
    event.preventDefault();
    take(list.children[active]);
  } else if (event.key === "Escape" && !list.hidden) {
    event.preventDefault();
    event.stopPropagation(); // an entry beside the list stays open
    close();
  }
}

if (bar) {
  for (const [name, value] of Object.entries({
    role: "combobox",
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": list.id,
    spellcheck: "false",
  })) {
    bar.setAttribute(name, value);
  }
  bar.addEventListener("input", () => {
    isWanted = true;
  });
  bar.addEventListener("click", () => list.hidden && offer());
  bar.addEventListener("keydown", press);
  bar.addEventListener("blur", close);
  bar.form.addEventListener("submit", close);
  bar.addEventListener("htmx:configRequest", ({ detail }) => {
    detail.parameters.ask = bar.value.slice(0, bar.selectionStart);
  });
  bar.addEventListener("htmx:beforeRequest", (event) => {
    if (!isWanted) event.preventDefault();
  });
  list.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (!isWanted || document.activeElement !== bar) detail.shouldSwap = false;
  });
  list.addEventListener("htmx:afterSwap", show);
  // Before the field loses the focus, which would close the list.
  list.addEventListener("pointerdown", (event) => event.preventDefault());
  list.addEventListener("click", ({ target }) => {
    const option = target.closest("[role=option]");
    if (option) take(option);
  });
}
