// The colours, chosen before anything is painted: dark, unless somebody has chosen otherwise here.
// No module: those wait, and the page would flash.
(() => {
  const KEY = "pacs-theme";
  const NAMES = { dark: "dark", light: "light", auto: "as this device has them" };
  const root = document.documentElement;
  const lightDevice = matchMedia("(prefers-color-scheme: light)");

  const chosen = () => {
    try {
      const kept = localStorage.getItem(KEY);
      return kept in NAMES ? kept : "dark";
    } catch {
      return "dark"; // where nothing may be kept
    }
  };

  const apply = () => {
    const theme = chosen();
    const isLight = theme === "light" || (theme === "auto" && lightDevice.matches);
    root.dataset.theme = isLight ? "light" : "dark";
    document.querySelector("meta[name=theme-color]").content = isLight ? "#ffffff" : "#131922";
    const button = document.querySelector(".theme");
    if (!button) return;
    button.hidden = false;
    button.dataset.chosen = theme;
    button.title = `Colours: ${NAMES[theme]}`;
    button.setAttribute("aria-label", button.title);
  };

  root.dataset.scripts = "";
  apply();
  lightDevice.addEventListener("change", apply);
  addEventListener("storage", apply);
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.querySelector(".theme")?.addEventListener("click", () => {
      const all = Object.keys(NAMES);
      try {
        localStorage.setItem(KEY, all[(all.indexOf(chosen()) + 1) % all.length]);
      } catch { /* it stays as it is */ }
      apply();
    });
  });
})();
