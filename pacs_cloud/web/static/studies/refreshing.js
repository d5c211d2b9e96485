// A part of a page that is looked for again while something goes on: [data-look] says after how
// many seconds, [data-from] where. What comes is parsed as a document, which runs nothing.

let timer = 0;
let failures = 0;

const fetched = (url) =>
  new Promise((resolve, reject) => {
    const asked = new XMLHttpRequest();
    asked.open("GET", url);
    asked.responseType = "document";
    asked.setRequestHeader("accept", "text/html");
    asked.setRequestHeader("x-unattended", "1"); // nobody's session goes on by it
    asked.timeout = 30_000;
    asked.onload = () => {
      // An archive that starts again, or a proxy before it, is asked again later.
      if (asked.response && asked.status < 500) resolve(asked.response);
      else reject(new Error("no page"));
    };
    asked.onerror = asked.ontimeout = () => reject(new Error("no answer"));
    asked.send();
  });

const look = async () => {
  const old = document.querySelector("[data-look]");
  if (!old) return;
  try {
    const page = await fetched(old.dataset.from || location.href);
    const found = page.getElementById(old.id);
    if (!found) {
      location.reload(); // signed out, perhaps: the page itself says so
      return;
    }
    const now = document.importNode(found, true);
    // Nobody loses what they are writing.
    const isUsed = old.querySelector("details[open]") || document.activeElement?.closest("[data-look] input");
    if (!isUsed && !now.isEqualNode(old)) old.replaceWith(now);
    failures = 0;
  } catch {
    failures += 1;
  }
  wait();
};

const wait = () => {
  clearTimeout(timer);
  const seconds = Number(document.querySelector("[data-look]")?.dataset.look ?? 0);
  if (!seconds || document.hidden) return;
  timer = setTimeout(look, Math.min(seconds * 2 ** failures, 300) * 1000);
};

document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
wait();
