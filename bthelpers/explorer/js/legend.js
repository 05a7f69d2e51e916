// The colour scale: its ends, its units, and what the threshold leaves out.

import { h, shown } from "./elements.js";
import { isCentred, isLogarithmic, place } from "./values.js";

export function legendTicks(measure, [low, high]) {
  if (isLogarithmic(measure)) return [[1, "1"], [0.1, "0.1"], [0.01, "0.01"], [0.001, "≤ 0.001"]];
  const digits = high < 0.1 ? 3 : high < 10 ? 2 : 0;
  const said = (value) => (value && isCentred(measure) && value > 0 ? "+" : "") + shown(value, digits);
  return [low, isCentred(measure) ? 0 : (low + high) / 2, high].map((value) => [value, said(value)]);
}

export const cssColour = (colour) => `rgb(${colour & 255} ${(colour >> 8) & 255} ${(colour >> 16) & 255})`;

export function legend(measure, described, ends, colours, threshold, [below, above]) {
  const stops = Array.from({ length: 33 }, (_, i) => cssColour(colours[Math.min(255, i * 8)]));
  const bar = h("div", { class: "bar", style: `background: linear-gradient(to right, ${stops.join()})` });
  if (threshold && !isLogarithmic(measure)) {
    const [from, to] = [-threshold, threshold].map((value) => 100 * Math.min(1, Math.max(0, place(measure, value, ends))));
    bar.append(h("div", { class: "left-out", style: `left: ${from}%; width: ${to - from}%` }));
  }
  const marks = legendTicks(measure, ends).map(([value, said]) =>
    h("span", { style: `left: ${100 * place(measure, value, ends)}%` }, said));
  return h("div", { class: "legend", role: "img",
    "aria-label": `Colours: ${described.label}, ${described.unit}, from ${shown(ends[0])} to ${shown(ends[1])}` },
    h("div", { class: "scale" }, h("span", { class: below ? "arrow" : "arrow none" }, "◂"), bar,
      h("span", { class: above ? "arrow" : "arrow none" }, "▸")),
    h("div", { class: "ticks" }, ...marks),
    h("div", { class: "unit" }, `${described.label} (${described.unit})`));
}
