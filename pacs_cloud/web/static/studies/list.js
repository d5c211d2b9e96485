// The study list while somebody types, scrolls, and goes by keys. Without it all works by links.

import { zone } from "../zone.js";

// Which day is today is asked where somebody sits: the archive may stand elsewhere.
document.cookie = `zone=${zone}; path=/; samesite=strict`;

// htmx makes pages of text, which Trusted Types forbid. What it may make them of is the answer that
// it has just had from this origin, whose templates escape whatever studies say; and nothing else.
const SINKS = ["Document parseHTMLUnsafe", "DOMParser parseFromString"];
let answer = "";
globalThis.trustedTypes?.createPolicy("default", {
  createHTML: (text, _type, sink) =>
    answer && SINKS.includes(sink) && text.includes(answer) ? text : null,
});
document.addEventListener("htmx:beforeSwap", ({ detail }) => { answer = detail.serverResponse; });
document.addEventListener("htmx:afterRequest", () => { answer = ""; });

const search = document.getElementById("search");
const told = document.getElementById("told");
const keys = document.getElementById("keys");
const MOST_ROWS = 300;

// A problem in words, not a page; whoever is signed out meanwhile comes by the sign-in page.
document.addEventListener("htmx:configRequest", ({ detail }) => {
  detail.headers.Accept = "application/problem+json";
});
document.addEventListener("htmx:beforeOnLoad", (event) => {
  const { xhr } = event.detail;
  if (xhr.status < 400) return;
  event.preventDefault();
  if (xhr.status === 401) return location.reload();
  try {
    told.textContent = JSON.parse(xhr.responseText).detail;
  } catch {
    told.textContent = "This went wrong. Open the page afresh.";
  }
});
document.addEventListener("htmx:sendError", () => {
  told.textContent = "The archive does not answer. Look at your network, and try again.";
});

// What is said in one field is one step back, however many letters it took.
let field = null;
let saidLast = null;
search.addEventListener("input", ({ target }) => { field = target; });
search.addEventListener("focusout", () => { saidLast = null; });
document.addEventListener("htmx:beforeHistoryUpdate", ({ detail }) => {
  if (field && field === saidLast) detail.history.type = "replace";
  saidLast = field;
});

// What comes in while somebody scrolls pushes the others on: none is listed twice.
const listOnce = () => {
  const listed = new Set();
  for (const row of rows()) {
    const { value } = row.querySelector("input");
    if (listed.has(value)) row.remove();
    listed.add(value);
  }
};

// Whoever comes back finds as many studies as they had scrolled through.
document.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.requestConfig.elt === search) {
    showFilters();
    return;
  }
  if (!detail.requestConfig.elt.closest?.("#more")) return;
  listOnce();
  const url = new URL(location.href);
  url.searchParams.set("rows", Math.min(rows().length, MOST_ROWS));
  if (!url.searchParams.has("from")) history.replaceState(history.state, "", url);
});

const rows = () => [...document.querySelectorAll("tr.study")];
const rowOf = (one) => one?.closest?.("tr.study");

// Filters fold away on a phone.
const fold = search.querySelector(".fold");
fold.addEventListener("click", () => {
  const isOpen = fold.getAttribute("aria-expanded") !== "true";
  fold.setAttribute("aria-expanded", String(isOpen));
});

// The archive counts them; what it lists says how many.
const showFilters = () => {
  const { folded, asks } = document.getElementById("results").dataset;
  document.querySelector(".clear").hidden = asks === undefined;
  const words = fold.querySelector("span");
  words.textContent = folded === "0" ? "Filters" : "Filters ";
  if (folded === "0") return;
  const count = document.createElement("b");
  count.className = "count";
  count.textContent = folded;
  words.append(count);
};

// All of a row leads to its study; but text can be selected, and buttons are buttons.
document.addEventListener("click", (event) => {
  const row = rowOf(event.target);
  if (!row || event.target.closest("a, input, button, label") || !getSelection().isCollapsed) return;
  const link = row.querySelector(".who a");
  if (event.ctrlKey || event.metaKey) open(link.href, "_blank", "noopener");
  else link.click();
});

// Selecting all that are listed.
document.addEventListener("change", (event) => {
  if (event.target.id !== "every") return;
  for (const row of rows()) row.querySelector("input").checked = event.target.checked;
  document.getElementById("selection").dispatchEvent(new Event("change", { bubbles: true }));
});
const showEvery = () => {
  const every = document.getElementById("every");
  if (every) every.hidden = false;
};
showEvery();
document.addEventListener("htmx:afterSettle", showEvery);

// Keys.
const keysButton = document.querySelector("button.keys");
keysButton.hidden = false;
keysButton.addEventListener("click", () => keys.showModal());

const go = (by) => {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(rowOf(document.activeElement));
  const next = all[Math.max(0, Math.min(all.length - 1, at + by))];
  next.querySelector(".who a").focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
};

const DOES = {
  "/": () => { search.elements.name.focus(); search.elements.name.select(); },
  j: () => go(1),
  k: () => go(-1),
  ArrowDown: () => go(1),
  ArrowUp: () => go(-1),
  v: () => {
    const row = rowOf(document.activeElement);
    if (row && keys.dataset.opens) location.assign(keys.dataset.opens + row.querySelector("input").value);
  },
  x: () => rowOf(document.activeElement)?.querySelector("input").click(),
  "?": () => keys.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (keys.open || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const { target } = event;
  const isWriting = target.matches("input:not([type=checkbox]), select, textarea");
  if (isWriting) {
    if (event.key === "Escape") target.blur();
    if (event.key === "ArrowDown" && target.matches("[type=search]")) go(1);
    else return;
  } else if (!DOES[event.key] || target.closest("dialog")) {
    return;
  } else {
    DOES[event.key]();
  }
  event.preventDefault();
});
