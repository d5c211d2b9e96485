// Windows by name, and the row of choices above the tools.

const CT = [
  ["Soft tissue", 40, 400],
  ["Lung", -600, 1500],
  ["Bone", 480, 2500],
  ["Brain", 40, 80],
  ["Liver", 90, 150],
  ["Vessels", 300, 600],
];

/// The windows that an image may be seen with: [{ name, window }]; null is the image's own.
export function presets(source, at) {
  const look = source.look(at);
  if (look.colour) return [];
  const own = source.windows(at);
  const found = own.length > 1
    ? own.map(([center, width, name], which) => ({ name: name || `Window ${which + 1}`, window: which ? { center, width } : null }))
    : [{ name: own[0]?.[2] || "Default", window: null }];
  for (const [name, center, width] of source.modality === "CT" ? CT : []) {
    found.push({ name, window: { center, width } });
  }
  const [low, high] = look.range ?? [0, 0];
  if (high - low > 1) found.push({ name: "Full", window: { center: (low + high) / 2, width: high - low } });
  return found;
}

export function isSame(one, other) {
  return one === other || Boolean(one && other && one.center === other.center && one.width === other.width);
}

/// Fill a row with groups of choices: [{ label, choices: [{ name, isOn, choose }] }].
export function fill(row, groups) {
  const before = row.firstElementChild?.getAttribute("aria-label");
  row.replaceChildren(...groups.map(({ label, choices }) => {
    const group = document.createElement("div");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", label);
    group.append(...choices.map(({ name, isOn, choose }) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.setAttribute("aria-pressed", String(isOn));
      button.addEventListener("click", () => {
        const which = [...row.querySelectorAll("button")].indexOf(button);
        choose();
        // What was pressed has been made anew.
        const fresh = row.querySelectorAll("button")[which];
        fresh?.focus();
        fresh?.scrollIntoView({ block: "nearest", inline: "center" });
      });
      return button;
    }));
    return group;
  }));
  row.hidden = groups.length === 0;
  if (groups[0]?.label !== before) row.scrollLeft = 0;
}

/// Call by name what is pressed while nothing is typed and no dialog is open.
export function keyboard(keys) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const on = event.target;
    if (on.closest("select, textarea, input:not([type=range]), video")) return;
    // In a dialog that has just closed the focus stays for a moment.
    const isControl = !on.closest("dialog") && on.closest("button, a, input");
    if (isControl && [" ", "Enter"].includes(event.key)) return;
    if (on.matches?.("input[type=range]") && /^(Arrow|Page|Home|End)/.test(event.key)) return;
    const deed = keys[event.key] ?? keys[event.key.toLowerCase()];
    if (!deed) return;
    event.preventDefault();
    deed();
  });
}
