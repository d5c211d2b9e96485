// Keeps the live parts of a page up to date while somebody looks at it.
//
// The page's own address is asked for again, and each element with `data-live` takes on what it
// is there. Nothing is parsed as a string here: the browser makes the document (XMLHttpRequest),
// and what is in it is put in place node by node, so that focus and what is open stay.

const state = document.getElementById("state");
let everyMs = 1000 * Number(state?.dataset.every ?? 0);
const said = state?.querySelector(".said");
let last = Date.now();
let timer = 0;
let asking = null;

function ask() {
  return new Promise((resolve, reject) => {
    asking = new XMLHttpRequest();
    asking.open("GET", location.pathname + location.search);
    asking.responseType = "document";
    asking.overrideMimeType("text/html"); // whatever a proxy says when it has no answer
    asking.timeout = 4 * everyMs;
    asking.setRequestHeader("accept", "text/html");
    asking.setRequestHeader("x-unattended", "1");
    asking.onload = () => resolve(asking);
    asking.onerror = asking.ontimeout = asking.onabort = () => reject(new Error("no answer"));
    asking.send();
  });
}

function become(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(document.importNode(fresh, true));
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.data = fresh.data;
    return;
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !isTheirs(old, name)) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !isTheirs(old, name)) old.removeAttribute(name);
  }
  const theirs = [...fresh.childNodes];
  const ours = [...old.childNodes];
  theirs.forEach((child, n) => {
    if (n < ours.length) become(ours[n], child);
    else old.append(document.importNode(child, true));
  });
  for (const child of ours.slice(theirs.length)) child.remove();
}

// What whoever looks has opened, or is typing, is not for the server to change.
function isTheirs(element, name) {
  return (name === "open" && element.localName === "details")
    || (name === "value" && element === document.activeElement);
}

function tell(kind, text) {
  state.dataset.state = kind;
  // It changes all the time: only trouble is told aloud.
  if (kind === "stale") state.setAttribute("role", "alert");
  else state.removeAttribute("role");
  if (said.textContent !== text) said.textContent = text;
}

function tellAge() {
  const seconds = Math.round((Date.now() - last) / 1000);
  if (seconds * 1000 < 3 * everyMs) return;
  const age = seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
  tell("stale", `The archive does not answer: these figures are ${age} old`);
}

async function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    const answer = await ask();
    const page = answer.responseXML ?? answer.response;
    if (new URL(answer.responseURL).pathname !== location.pathname) {
      tell("stale", "You are signed out: open the page afresh");
      return;
    }
    if (answer.status === 200 && page) {
      for (const part of document.querySelectorAll("[data-live]")) {
        const fresh = page.getElementById(part.id);
        if (fresh) become(part, fresh);
      }
      last = Date.now();
      everyMs = 1000 * Number(page.getElementById("state").dataset.every ?? 0);
      tellNow(page.querySelector("#state .said").textContent);
    } else {
      tellAge();
    }
  } catch {
    tellAge();
  }
  if (everyMs) timer = setTimeout(look, everyMs);
}

// What will not change any more is not asked for again.
function tellNow(text) {
  if (everyMs) tell("live", text.replace("As of", "Live, as of"));
  else tell("still", text);
}

if (everyMs) {
  state.querySelector("a")?.setAttribute("hidden", "");
  tellNow(said.textContent);
  timer = setTimeout(look, everyMs);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else if (everyMs) look();
  });
  addEventListener("pagehide", () => { clearTimeout(timer); asking?.abort(); });
}

// A choice in a filter is carried out at once; without scripts there is a button for it.
for (const form of document.querySelectorAll("form[data-filter]")) {
  form.addEventListener("change", () => form.requestSubmit());
}

// A field that belongs to one choice of several can be filled in once that is made.
for (const field of document.querySelectorAll("[data-belongs-to]")) {
  const choice = document.getElementById(field.dataset.belongsTo);
  const follow = () => { field.disabled = !choice.checked; };
  for (const one of document.getElementsByName(choice.name)) one.addEventListener("change", follow);
  follow();
}

// On a phone the navigation is a line that is longer than the screen: it begins where one is.
const line = document.querySelector(".ops-nav");
const here = line?.querySelector("[aria-current]");
if (here) line.scrollLeft = here.offsetLeft - (line.clientWidth - here.offsetWidth) / 2;
