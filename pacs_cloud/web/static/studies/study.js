// Back to the list as it was: its filters, and how far it was scrolled.
const back = document.querySelector("[data-back]");
back?.addEventListener("click", (event) => {
  if (!document.referrer || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const from = new URL(document.referrer);
  if (from.origin !== location.origin || from.pathname !== "/" || history.length < 2) return;
  event.preventDefault();
  history.back();
});
