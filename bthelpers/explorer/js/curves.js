// Values over layers of what is pinned, in every condition.

import { s, shown } from "./elements.js";

const [WIDTH, HEIGHT] = [320, 190];
const MARGIN = { left: 42, right: 8, top: 8, bottom: 34 };

function scale(values, [start, stop]) {
  const known = values.filter((value) => !Number.isNaN(value));
  let [low, high] = [Math.min(0, ...known), Math.max(0, ...known)];
  if (low === high) high = low + 1;
  const pad = 0.06 * (high - low);
  if (low < 0) low -= pad;
  high += pad;
  return { low, high, at: (value) => start + ((value - low) / (high - low)) * (stop - start) };
}

function ticks(low, high) {
  const rough = (high - low) / 4;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((n) => n * unit >= rough) * unit;
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(6)));
}

const text = (x, y, said, attributes = {}) => s("text", { x, y, ...attributes }, said);

// curves: [{ condition, colour, dashes, layers, values }]; chosen: { condition, layer }.
export function layerCurves(curves, { condition, layer }, label) {
  const layers = curves[0].layers;
  const y = scale(curves.flatMap((curve) => curve.values), [HEIGHT - MARGIN.bottom, MARGIN.top]);
  const span = WIDTH - MARGIN.left - MARGIN.right;
  const x = (i) => MARGIN.left + (layers.length > 1 ? (i / (layers.length - 1)) * (span - 12) + 6 : span / 2);
  const marks = [];
  for (const tick of ticks(y.low, y.high)) {
    marks.push(s("line", { class: tick ? "rule" : "zero", x1: MARGIN.left, x2: WIDTH - MARGIN.right, y1: y.at(tick), y2: y.at(tick) }));
    marks.push(text(MARGIN.left - 5, y.at(tick) + 3.5, String(tick).replace("-", "−"), { "text-anchor": "end" }));
  }
  const every = Math.ceil(layers.length / 12);
  layers.forEach((name, i) => i % every || marks.push(text(x(i), HEIGHT - MARGIN.bottom + 14, name, { "text-anchor": "middle" })));
  marks.push(text(MARGIN.left + span / 2, HEIGHT - 4, "layer", { "text-anchor": "middle", class: "axis" }));
  const now = layers.indexOf(layer);
  if (now >= 0) marks.unshift(s("line", { class: "now", x1: x(now), x2: x(now), y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }));
  const drawn = curves.map((curve) => {
    const known = curve.values.map((value, i) => [value, i]).filter(([value]) => !Number.isNaN(value));
    const points = known.map(([value, i]) => `${x(i)},${y.at(value)}`).join(" ");
    return s("g", { class: curve.condition === condition ? "curve chosen" : "curve", stroke: curve.colour, fill: curve.colour },
      s("polyline", { points, fill: "none", "stroke-dasharray": curve.dashes }),
      ...known.map(([value, i]) => s("circle", { cx: x(i), cy: y.at(value), r: 2.6 })));
  });
  const said = curves.map((curve) => `${curve.condition} ${curve.values.map((value) => shown(value)).join(", ")}`);
  return s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
    "aria-label": `${label} over layers ${layers.join(", ")}. ${said.join(". ")}.` }, ...marks, ...drawn);
}

// One row a condition, where there is one value of each.
export function conditionDots(curves, { condition }, label) {
  const row = 22;
  const height = MARGIN.bottom + row * curves.length;
  const left = 104;
  const x = scale(curves.map((curve) => curve.values[0]), [left, WIDTH - 46]);
  const marks = [s("line", { class: "zero", x1: x.at(0), x2: x.at(0), y1: 2, y2: row * curves.length + 4 })];
  curves.forEach(({ condition: name, colour, values: [value] }, i) => {
    const y = row * i + row / 2 + 3;
    const group = s("g", { class: name === condition ? "curve chosen" : "curve", stroke: colour, fill: colour });
    marks.push(text(left - 10, y + 4, name, { "text-anchor": "end", class: name === condition ? "chosen" : "" }));
    if (!Number.isNaN(value)) {
      group.append(s("line", { x1: x.at(0), x2: x.at(value), y1: y, y2: y }), s("circle", { cx: x.at(value), cy: y, r: 4 }));
    }
    marks.push(group, text(WIDTH - 2, y + 4, shown(value), { "text-anchor": "end" }));
  });
  const said = curves.map((curve) => `${curve.condition} ${shown(curve.values[0])}`).join(", ");
  marks.push(text((left + WIDTH - 46) / 2, height - 8, label, { "text-anchor": "middle", class: "axis" }));
  return s("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": `${label}: ${said}.` }, ...marks);
}
