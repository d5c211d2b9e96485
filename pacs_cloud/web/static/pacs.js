// What makes forms easier; every page does without.

for (const input of document.querySelectorAll("input[type=password]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Show";
  const label = input.labels[0]?.textContent.trim() ?? "password";
  button.setAttribute("aria-label", `Show ${label.toLowerCase()}`);
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    const isShown = input.type === "text";
    input.type = isShown ? "password" : "text";
    button.textContent = isShown ? "Show" : "Hide";
    button.setAttribute("aria-pressed", String(!isShown));
    input.focus();
  });
  // Not moved: it would lose the focus that the page gave it.
  input.closest(".row")?.append(button);
  // Password managers take a field of type text for no password.
  input.form?.addEventListener("submit", () => { input.type = "password"; });
}

for (const button of document.querySelectorAll("button[data-copies]")) {
  const what = document.getElementById(button.dataset.copies);
  if (!what || !navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const lines = [...what.querySelectorAll(".secret")].map((line) => line.textContent.trim());
    try {
      await navigator.clipboard.writeText(lines.length ? lines.join("\n") : what.textContent.trim());
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it, and copy it by hand";
    }
  });
}

// A form that changes something is sent once, however often its button is pressed; one that has
// `data-again` leaves the page where it is, as downloads do.
for (const form of document.querySelectorAll("form[method=post]:not([data-again])")) {
  let isSent = false;
  form.addEventListener("submit", (event) => {
    if (isSent) event.preventDefault();
    isSent = true;
  });
  addEventListener("pageshow", () => { isSent = false; });
}

// A picture that cannot be had, as of a study that is cold, leaves its place empty.
function leave(image) {
  if (image.localName === "img" && image.complete && !image.naturalWidth) image.classList.add("gone");
}
for (const image of document.images) leave(image);
document.addEventListener("error", (event) => leave(event.target), true);

// Said before somebody types a password, not after.
if (!isSecureContext) document.getElementById("unprotected")?.removeAttribute("hidden");
