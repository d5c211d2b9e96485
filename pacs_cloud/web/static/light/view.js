// How an image lies in its pane: fitted, then turned, flipped, enlarged and moved. All of it is
// arithmetic on plain values.

const LONGEST = 40;
const ASKEW = 0.26; // the sine of 15 degrees, as of planes: what is askew by more has two letters

export const PLAIN = Object.freeze({ zoom: 1, x: 0, y: 0, turn: 0, flip: false });

/// The size of an image in pixels that are as wide as high.
export function shape(look) {
  return { width: look.columns, height: look.rows * (look.tall ?? 1) };
}

/// How many screen pixels a pixel of the image is wide when all of it is seen.
export function fit(view, look, box) {
  const { width, height } = shape(look);
  const [wide, high] = view.turn % 2 ? [height, width] : [width, height];
  return Math.min(box.width / wide, box.height / high) || 1;
}

export const scale = (view, look, box) => fit(view, look, box) * view.zoom;

/// From image pixels to screen pixels, as canvases take it: [a, b, c, d, e, f].
export function matrix(view, look, box) {
  const { width, height } = shape(look);
  const s = scale(view, look, box);
  const tall = look.tall ?? 1;
  const [cos, sin] = [[1, 0], [0, 1], [-1, 0], [0, -1]][view.turn];
  const f = view.flip ? -1 : 1;
  // Flipped in the screen's directions, after it was turned.
  const a = f * cos * s, b = sin * s, c = -f * sin * s * tall, d = cos * s * tall;
  const x = box.width / 2 + view.x, y = box.height / 2 + view.y;
  return [a, b, c, d,
    x - (a * width) / 2 - (c * height) / (2 * tall),
    y - (b * width) / 2 - (d * height) / (2 * tall)];
}

export const applied = ([a, b, c, d, e, f], x, y) => [a * x + c * y + e, b * x + d * y + f];

export function undone([a, b, c, d, e, f], x, y) {
  const det = a * d - b * c;
  return [(d * (x - e) - c * (y - f)) / det, (a * (y - f) - b * (x - e)) / det];
}

/// Enlarged by `by` about a point of the screen, which stays where it is.
export function zoomed(view, box, by, x, y) {
  const zoom = Math.min(LONGEST, Math.max(0.5, view.zoom * by));
  const real = zoom / view.zoom;
  const cx = x - box.width / 2, cy = y - box.height / 2;
  return { ...view, zoom, x: cx - (cx - view.x) * real, y: cy - (cy - view.y) * real };
}

/// Moved, but never out of sight.
export function moved(view, look, box, dx, dy) {
  const { width, height } = shape(look);
  const s = scale(view, look, box);
  const [wide, high] = view.turn % 2 ? [height * s, width * s] : [width * s, height * s];
  const most = (of, room) => Math.max(0, (of + room) / 2 - 48);
  const held = (value, limit) => Math.min(limit, Math.max(-limit, value));
  return { ...view, x: held(view.x + dx, most(wide, box.width)), y: held(view.y + dy, most(high, box.height)) };
}

/// Clockwise on the screen: what is flipped after it is turned has to be turned the other way.
export const turned = (view) => ({ ...view, turn: (view.turn + (view.flip ? 3 : 1)) % 4, x: 0, y: 0 });
export const flipped = (view) => ({ ...view, flip: !view.flip, x: -view.x });
/// Upside down is left for right, turned by half.
export const flippedDown = (view) => ({ ...view, flip: !view.flip, turn: (view.turn + 2) % 4, y: -view.y });

const NAMES = [["L", "R"], ["P", "A"], ["H", "F"]];

/// What a direction in the patient is called: "L", "RA"; of a row or a column of an image.
function letters(cosines) {
  return cosines
    .map((value, axis) => [Math.abs(value), NAMES[axis][value < 0 ? 1 : 0]])
    .filter(([size]) => size > ASKEW)
    .sort(([one], [other]) => other - one)
    .slice(0, 2)
    .map(([, name]) => name)
    .join("");
}

const OTHER = { L: "R", R: "L", P: "A", A: "P", H: "F", F: "H" };
const against = (text) => [...text].map((one) => OTHER[one] ?? "").join("");

/// The letters at the sides of a pane: { left, right, top, bottom }, "" where nobody knows.
export function sides(view, look) {
  let right = "", bottom = "";
  if (look.labels) ({ right, bottom } = look.labels);
  else if (look.directions) {
    right = letters(look.directions.slice(0, 3));
    bottom = letters(look.directions.slice(3));
  } else if (look.sides) [right = "", bottom = ""] = look.sides;
  let all = [against(bottom), right, bottom, against(right)]; // top, right, bottom, left
  all = all.map((_, at) => all[(at + 4 - view.turn) % 4]);
  if (view.flip) [all[1], all[3]] = [all[3], all[1]];
  return { top: all[0], right: all[1], bottom: all[2], left: all[3] };
}

/// What lies before the detector is smaller than its shadow.
const where = (look) => (look.projected ? " at the detector" : "");

/// A bar of a round length: { px, text }, or null where pixels have no size.
export function bar(view, look, box) {
  if (!look.spacing) return null;
  const mm = look.spacing[1] / scale(view, look, box);
  const most = Math.min(box.width * 0.3, 180) * mm;
  const step = [1, 2, 5].flatMap((one) => [0.1, 1, 10, 100].map((ten) => one * ten))
    .filter((one) => one <= most).sort((one, other) => other - one)[0];
  if (!step) return null;
  return { px: step / mm, text: `${step >= 10 ? `${step / 10} cm` : `${step} mm`}${where(look)}` };
}

/// The length between two points of an image, in words.
export function length(look, [x1, y1], [x2, y2]) {
  const [high, wide] = look.spacing ?? [look.tall ?? 1, 1];
  const size = Math.hypot((x2 - x1) * wide, (y2 - y1) * high);
  if (!look.spacing) return `${Math.round(size)} px`;
  return `${size >= 100 ? size.toFixed(0) : size.toFixed(1)} mm${where(look)}`;
}
