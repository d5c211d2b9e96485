// Files that are dropped or chosen go to the archive, some at a time, each with its progress.
// Without this the page is a plain form.

import { zone } from "../zone.js";

const form = document.getElementById("upload");
const drop = document.getElementById("drop");
const whose = document.getElementById("whose");
const fault = document.getElementById("whose-fault");
const list = document.getElementById("files");
const whole = document.getElementById("whole");
const told = document.getElementById("told");
const retry = document.getElementById("retry");
const stop = document.getElementById("stop");
const goButton = form.querySelector(".go");

const BATCH_FILES = 100;
const BATCH_BYTES = 16 << 20;
const AT_ONCE = 2;
const PAUSES_S = [2, 8]; // before what broke off is tried again by itself
const LISTED = 2000;
const SEEN = 50; // pictures that are shown small: each is decoded for it
const WORDS = {
  asks: "Waits", waiting: "Waits", sending: "", stored: "Stored", there: "Was there already",
  failed: "Not stored", cancelled: "Cancelled",
};
const CHIPS = { stored: "good", failed: "bad" };
const isOver = (one) => ["stored", "there", "failed", "cancelled"].includes(one.state);

let entries = [];
let number = 1; // of the next photograph, video or document in its series
const running = new Set();
const studies = new Map(); // what they are called, by their UIDs

form.elements.zone.value = zone;

// What a file is, as far as it matters here; the archive looks itself.
const startsWith = (bytes, text, at = 0) => [...text].every((c, i) => bytes[at + i] === c.charCodeAt(0));
const kindOf = async (file) => {
  let head;
  try {
    head = new Uint8Array(await file.slice(0, 1024).arrayBuffer());
  } catch {
    return "other"; // it cannot be read: sending it says so
  }
  if (startsWith(head, "DICM", 128)) return "dicom";
  if (head[0] === 0xff && head[1] === 0xd8) return "wrapped";
  if (startsWith(head, "\x89PNG") || startsWith(head, "%PDF-")) return "wrapped";
  const isHeif = startsWith(head, "ftyp", 4) && /^(hei|mif|msf|avi)/.test(String.fromCharCode(...head.slice(8, 11)));
  if (isHeif || file.type.startsWith("image/")) return "picture";
  return startsWith(head, "ftyp", 4) ? "wrapped" : "other";
};

// A picture that the browser knows, and DICOM does not: HEIC in Safari, WebP, …
const asJpeg = async (file) => {
  try {
    const bitmap = await createImageBitmap(file);
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, bitmap.width, bitmap.height);
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
    return new File([blob], `${file.name.replace(/\.\w+$/, "")}.jpg`, { type: "image/jpeg" });
  } catch {
    return file; // the archive says what is wrong with it
  }
};

const size = (bytes) =>
  bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB`
    : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;

const make = (name, className = "", text = "") => {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.textContent = text;
  return made;
};

const rowOf = (entry) => {
  const row = make("li");
  const what = make("div", "what");
  const name = make("span", "name", entry.file.name);
  name.dir = "auto";
  name.title = entry.file.name;
  entry.note = make("span", "small quiet", size(entry.file.size));
  what.append(name, entry.note);
  const state = make("div", "state");
  entry.bar = make("progress");
  entry.bar.setAttribute("aria-label", entry.file.name);
  entry.chip = make("span", "chip");
  entry.button = make("button", "plain");
  entry.button.type = "button";
  entry.button.addEventListener("click", () => (entry.state === "failed" ? again([entry]) : cancel(entry)));
  state.append(entry.bar, entry.chip, entry.button);
  if (entry.kind === "wrapped" && entry.file.type.startsWith("image/") && entry.number <= SEEN) {
    const picture = make("img");
    picture.alt = "";
    picture.src = URL.createObjectURL(entry.file);
    picture.onload = picture.onerror = () => URL.revokeObjectURL(picture.src);
    row.append(picture);
  }
  row.append(what, state);
  return row;
};

const show = (entry) => {
  const { row, state } = entry;
  if (!row) return;
  entry.bar.hidden = state !== "sending";
  entry.bar.value = entry.file.size ? entry.sent / entry.file.size : 0;
  entry.chip.hidden = state === "sending";
  entry.chip.className = `chip ${CHIPS[state] ?? ""}`;
  entry.chip.textContent = WORDS[state];
  entry.note.className = entry.why ? "small why" : "small quiet";
  entry.note.textContent = entry.why || size(entry.file.size);
  const verb = state === "failed" && entry.mayAgain ? "Try again" : isOver(entry) ? "" : "Cancel";
  entry.button.hidden = !verb;
  if (entry.button.textContent !== verb) {
    entry.button.textContent = verb;
    entry.button.setAttribute("aria-label", `${verb}: ${entry.file.name}`);
  }
};

const set = (entry, state, why = "") => {
  Object.assign(entry, { state, why });
  if (isOver(entry)) entry.sent = entry.file.size;
  show(entry);
};

let isDue = false;
const sum = () => {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    const live = entries.filter((one) => one.state !== "cancelled");
    const over = live.filter(isOver).length;
    const failed = live.filter((one) => one.state === "failed").length;
    const asks = live.filter((one) => one.state === "asks").length;
    const total = live.reduce((all, one) => all + one.file.size, 0);
    whole.value = total ? live.reduce((all, one) => all + Math.min(one.sent, one.file.size), 0) / total : 0;
    const words = [`${over} of ${live.length} files`];
    if (failed) words.push(`${failed} not stored`);
    if (asks) words.push(`${asks} wait to be told whose ${asks === 1 ? "it is" : "they are"}`);
    if (entries.length > LISTED) words.push(`the first ${LISTED} are listed`);
    told.textContent = words.join(" · ");
    retry.hidden = running.size > 0 || live.filter((one) => one.state === "failed" && one.mayAgain).length < 2;
    stop.hidden = over === live.length;
    goButton.hidden = !asks && !(isBounded && live.some((one) => one.state === "waiting"));
    document.getElementById("progress").hidden = entries.length === 0;
    showStudies();
  });
};

const showStudies = () => {
  const place = document.getElementById("studies");
  const found = [...studies].slice(0, 20);
  if (place.childElementCount === found.length) return;
  place.replaceChildren(
    ...found.map(([uid, label]) => {
      const link = make("a", "button", `Open ${label || "the study"}`);
      link.href = `/studies/${uid}`;
      link.dir = "auto";
      return link;
    }),
  );
};

// Files come in.
const add = async (files) => {
  for await (const given of files) {
    let kind = await kindOf(given);
    const file = kind === "picture" ? await asJpeg(given) : given;
    if (kind === "picture") kind = file === given ? "other" : "wrapped";
    const entry = { file, kind, state: "waiting", why: "", sent: 0, tries: 0, study: "" };
    if (kind === "wrapped") Object.assign(entry, { state: "asks", number: number++ });
    entries.push(entry);
    if (entries.length <= LISTED) {
      entry.row = rowOf(entry);
      list.append(entry.row);
    }
    show(entry);
    sum();
  }
  go();
  if (entries.some((one) => one.state === "asks")) whose.scrollIntoView({ block: "nearest" });
};

// Which patient or study: asked for what is no DICOM. What is sent later, or again, stays whose it
// was when somebody pressed the button.
const OF_THE_PAGE = new Set(["csrf", "upload", "zone"]);
const WRONG = new Set([400, 403, 404, 422]);
const fieldsNow = () => [...new FormData(form)].filter(([name]) => name !== "files");
const fieldsOf = (entry) => {
  if (entry.fields) return entry.fields;
  return isBounded ? fieldsNow() : fieldsNow().filter(([name]) => OF_THE_PAGE.has(name));
};
const said = () => {
  const fields = Object.fromEntries(new FormData(form));
  return Boolean(fields.study || fields.family?.trim() || fields.patient_id?.trim());
};
const isBounded = !document.getElementById("new");

const next = () => {
  const waiting = entries.filter((one) => one.state === "waiting");
  if (!waiting.length || (isBounded && !said())) return [];
  if (waiting[0].kind === "wrapped") return waiting.slice(0, 1);
  const batch = [];
  let bytes = 0;
  for (const one of waiting) {
    if (one.kind === "wrapped") continue;
    if (batch.length && (batch.length === BATCH_FILES || bytes + one.file.size > BATCH_BYTES)) break;
    batch.push(one);
    bytes += one.file.size;
  }
  return batch;
};

const go = () => {
  while (running.size < AT_ONCE) {
    const batch = next();
    if (!batch.length) break;
    send(batch);
  }
  sum();
};

const send = (batch) => {
  const asked = new XMLHttpRequest();
  const task = { asked, batch };
  running.add(task);
  for (const one of batch) {
    one.task = task;
    one.sent = 0;
    set(one, "sending");
  }
  const body = new FormData();
  for (const [name, value] of fieldsOf(batch[0])) body.append(name, name === "csrf" ? form.elements.csrf.value : value);
  body.append("number", String(batch[0].number ?? 1));
  for (const one of batch) body.append("files", one.file, one.file.name);
  asked.open("POST", "/upload");
  asked.setRequestHeader("accept", "application/json");
  asked.responseType = "json";
  asked.upload.onprogress = ({ loaded }) => {
    let left = loaded;
    for (const one of batch) {
      one.sent = Math.max(0, Math.min(one.file.size, left));
      left -= one.file.size;
      show(one);
    }
    sum();
  };
  asked.onload = () => ended(task, asked.status, asked.response);
  asked.onerror = () => ended(task, 0, null);
  asked.onabort = () => ended(task, -1, null);
  asked.send(body);
};

const ended = (task, status, answer) => {
  running.delete(task);
  isOld ||= status === 401 || status === 403;
  const batch = task.batch.filter((one) => one.state === "sending");
  if (status === 200 && answer?.files?.length === task.batch.length) {
    task.batch.forEach((one, index) => {
      const { state, why, study, again: mayAgain } = answer.files[index];
      Object.assign(one, { study, mayAgain });
      set(one, state, why);
    });
    for (const [uid, label] of Object.entries(answer.studies)) studies.set(uid, label);
  } else if (status === -1) {
    for (const one of batch) set(one, "waiting"); // somebody cancelled another one of them
  } else if (WRONG.has(status) && task.batch[0].fields) {
    for (const one of batch) set(one, "asks", answer?.detail ?? "");
  } else {
    const isPassing = status === 0 || status === 429 || status >= 500;
    const why = status === 401 ? "You are signed out. Sign in in another tab, then try again."
      : answer?.detail || (status ? "The archive could not take it." : "The connection broke off.");
    const tries = Math.max(0, ...batch.map((one) => one.tries));
    for (const one of batch) {
      Object.assign(one, { tries: tries + 1, mayAgain: true });
      set(one, "failed", why);
    }
    if (isPassing && tries < PAUSES_S.length) {
      setTimeout(() => again(batch.filter((one) => one.state === "failed"), false), PAUSES_S[tries] * 1000);
    }
  }
  go();
};

// Whoever was signed out, and is in again, has another session: its forms bring another token.
let isOld = false;
const documentAt = (url) => {
  const asked = new XMLHttpRequest();
  asked.open("GET", url);
  asked.setRequestHeader("accept", "text/html");
  asked.responseType = "document";
  const found = new Promise((come) => { asked.onloadend = () => come(asked.response); });
  asked.send();
  return { asked, found };
};
const renew = async () => {
  const page = await documentAt("/upload").found;
  const csrf = page?.getElementById("upload")?.elements.csrf.value;
  if (!csrf) return;
  form.elements.csrf.value = csrf;
  isOld = false;
};

const again = async (some, isAsked = true) => {
  if (isOld) await renew();
  for (const one of some.filter(({ state }) => ["asks", "failed"].includes(state))) {
    one.sent = 0;
    if (isAsked) one.tries = 0;
    set(one, "waiting");
  }
  go();
};

const cancel = (entry) => {
  const isSending = entry.state === "sending";
  set(entry, "cancelled");
  if (isSending) entry.task.asked.abort();
  sum();
};

// Ways in. Files come first here, then whose they are, then what becomes of them.
const columns = document.getElementById("columns");
columns.classList.add("live");
columns.append(whose, document.getElementById("progress"));
whose.append(goButton);
goButton.setAttribute("form", "upload");
drop.querySelector("label").textContent = matchMedia("(pointer: coarse)").matches
  ? "Pictures, documents, videos or DICOM files" : "Drop files or folders here";
form.querySelector(".ways").hidden = false;
const pick = document.getElementById("pick");
pick.classList.add("unseen");
goButton.hidden = true;
for (const input of form.querySelectorAll("input[type=file]")) {
  input.addEventListener("change", () => {
    add([...input.files]);
    input.value = "";
  });
}
for (const button of form.querySelectorAll("[data-picks]")) {
  button.addEventListener("click", () => document.getElementById(button.dataset.picks).click());
}

// The files of a folder, however many; what cannot be read is sent empty, and so is told of.
const within = async function* (item) {
  const unread = new File([], item.name);
  if (item.isFile) {
    yield await new Promise((found) => item.file(found, () => found(unread)));
    return;
  }
  const reader = item.createReader();
  for (;;) {
    const some = await new Promise((read) => reader.readEntries(read, () => read(null)));
    if (!some) yield unread;
    if (!some?.length) return;
    for (const one of some) yield* within(one);
  }
};

addEventListener("dragover", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  drop.classList.add("over");
});
addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
addEventListener("drop", async (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  drop.classList.remove("over");
  const { items, files } = event.dataTransfer;
  const roots = [...items].map((one) => one.webkitGetAsEntry?.()).filter(Boolean);
  if (!roots.length) return add([...files]);
  for (const root of roots) await add(within(root));
});
addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) add([...event.clipboardData.files]);
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const asks = entries.filter((one) => one.state === "asks");
  fault.hidden = true;
  if ((asks.length || isBounded) && !said()) {
    fault.textContent = isBounded ? "Choose a study." : "Say the patient's family name or their ID, or choose a study.";
    fault.hidden = false;
    whose.querySelector("input").focus();
    return;
  }
  for (const one of asks) one.fields = fieldsNow();
  again(asks);
});

retry.addEventListener("click", () => again(entries.filter((one) => one.state === "failed" && one.mayAgain)));
stop.addEventListener("click", () => { for (const one of entries) if (!isOver(one)) cancel(one); });
addEventListener("beforeunload", (event) => { if (entries.some((one) => !isOver(one))) event.preventDefault(); });

// Studies that are here are found without leaving the page.
const find = document.getElementById("find");
let asking = null;
const look = async () => {
  asking?.abort();
  const { asked, found } = documentAt(`/upload?q=${encodeURIComponent(find.elements.q.value)}`);
  asking = asked;
  const offered = (await found)?.getElementById("offered");
  if (offered) document.getElementById("offered").replaceWith(document.importNode(offered, true));
};
let timer = 0;
find.addEventListener("submit", (event) => { event.preventDefault(); look(); });
find.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(look, 300); });
