// Puts the viewer's worker in its place. Everything goes on without it.

const WORKER = "/light/worker.js";

export function install() {
  // Of an installed viewer "back" stays within it.
  const back = document.querySelector('.head a[href="/"]');
  if (back && matchMedia("(display-mode: standalone)").matches) back.href = "/light/";
  if (!navigator.serviceWorker || !isSecureContext) return;
  // Pages take script addresses from a policy only; this one knows a single one.
  const policy = globalThis.trustedTypes?.createPolicy("light-worker", { createScriptURL: () => WORKER });
  navigator.serviceWorker.register(policy?.createScriptURL("") ?? WORKER, { scope: "/light/" }).catch(() => {});
}
