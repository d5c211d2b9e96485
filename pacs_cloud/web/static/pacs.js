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

// A form is sent once, however often its button is pressed.
for (const form of document.querySelectorAll("form")) {
  let isSent = false;
  form.addEventListener("submit", (event) => {
    if (isSent) event.preventDefault();
    isSent = true;
  });
  addEventListener("pageshow", () => { isSent = false; });
}

// Said before somebody types a password, not after.
if (!isSecureContext) document.getElementById("unprotected")?.removeAttribute("hidden");
