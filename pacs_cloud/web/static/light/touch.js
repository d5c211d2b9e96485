// Fingers, a pen or a mouse on an element, told as what somebody means by them.

const STILL_PX = 6;
const HOLD_MS = 420;
const TWICE_MS = 320;
const TWICE_PX = 32;
const RECENT_MS = 90;

/// Tell `on` what happens on `element`:
/// start(), drag(dx, dy, { button, isHeld, x, y }), pinch(by, x, y, dx, dy), fling(vx, vy) in px/ms,
/// hold(), tap(x, y), twice(x, y), wheel(delta, { isZoom, x, y }), end().
export function touch(element, on) {
  const fingers = new Map();
  let state = null;
  let lastTap = { at: 0, x: 0, y: 0 };

  const at = (event) => {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const pair = () => {
    const [one, other] = [...fingers.values()];
    return {
      x: (one.x + other.x) / 2,
      y: (one.y + other.y) / 2,
      apart: Math.max(1, Math.hypot(one.x - other.x, one.y - other.y)),
    };
  };

  element.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button, a, input")) return;
    try {
      element.setPointerCapture(event.pointerId);
    } catch {
      return; // it is up again already
    }
    const place = at(event);
    fingers.set(event.pointerId, place);
    clearTimeout(state?.timer);
    if (fingers.size === 1) {
      state = { ...place, button: event.button, isMoved: false, isHeld: false, trail: [], spread: null };
      if (event.pointerType !== "mouse") {
        state.timer = setTimeout(() => {
          if (!state || state.isMoved || state.spread) return;
          state.isHeld = true;
          on.hold?.();
        }, HOLD_MS);
      }
      on.start?.();
    } else if (fingers.size === 2 && state) state.spread = pair();
  });

  element.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before || !state) return;
    const now = at(event);
    fingers.set(event.pointerId, now);
    if (state.spread) {
      if (fingers.size !== 2) return;
      const spread = pair();
      on.pinch?.(spread.apart / state.spread.apart, spread.x, spread.y, spread.x - state.spread.x, spread.y - state.spread.y);
      state.spread = spread;
      state.isMoved = true;
      return;
    }
    if (!state.isMoved && Math.hypot(now.x - state.x, now.y - state.y) < STILL_PX) return;
    state.isMoved = true;
    clearTimeout(state.timer);
    state.trail.push({ ...now, time: event.timeStamp });
    while (state.trail.length > 2 && event.timeStamp - state.trail[0].time > RECENT_MS) state.trail.shift();
    on.drag?.(now.x - before.x, now.y - before.y, { button: state.button, isHeld: state.isHeld, ...now, from: state });
  });

  const up = (event) => {
    if (!fingers.delete(event.pointerId) || !state) return;
    clearTimeout(state.timer);
    if (fingers.size) return;
    const { trail, isMoved, isHeld, spread, button } = state;
    state = null;
    if (!isMoved && !isHeld && !spread && button === 0 && event.type === "pointerup") {
      const { x, y } = at(event);
      const isTwice = event.timeStamp - lastTap.at < TWICE_MS && Math.hypot(x - lastTap.x, y - lastTap.y) < TWICE_PX;
      lastTap = isTwice ? { at: 0, x: 0, y: 0 } : { at: event.timeStamp, x, y };
      if (isTwice) on.twice?.(x, y);
      else on.tap?.(x, y);
    }
    const [first, last] = [trail[0], trail.at(-1)];
    const ms = trail.length > 1 ? last.time - first.time : 0;
    if (!isHeld && button === 0 && ms > 8 && event.timeStamp - last.time < 60) {
      on.fling?.((last.x - first.x) / ms, (last.y - first.y) / ms);
    }
    on.end?.();
  };
  element.addEventListener("pointerup", up);
  element.addEventListener("pointercancel", up);
  element.addEventListener("contextmenu", (event) => event.preventDefault());
  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    const px = event.deltaMode === 1 ? event.deltaY * 32 : event.deltaMode === 2 ? event.deltaY * 400 : event.deltaY;
    on.wheel?.(px, { isZoom: event.ctrlKey || event.metaKey, ...at(event) });
  }, { passive: false });
}
