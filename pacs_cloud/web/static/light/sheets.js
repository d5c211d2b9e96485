// Dialogs that rise from below: closed by their button, by Escape, or by a touch beside them.

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-closes]")) dialog.close();
  });
}

export function open(id) {
  const dialog = document.getElementById(id);
  if (dialog && !dialog.open) dialog.showModal();
}

export function close(id) {
  document.getElementById(id)?.close();
}

/// Say something to whoever cannot see, and show it for a moment to everybody else.
export function say(text) {
  const said = document.getElementById("said");
  said.textContent = text;
  const toast = document.createElement("p");
  toast.className = "toast";
  toast.setAttribute("aria-hidden", "true");
  toast.textContent = text;
  document.querySelector(".toast")?.remove();
  document.getElementById("stage").append(toast);
  setTimeout(() => toast.remove(), 2600);
}
