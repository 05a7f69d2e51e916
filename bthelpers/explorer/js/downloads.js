// What a reader takes along: the table of voxels, and the map as a picture.

import { s, words } from "./elements.js";
import { cssColour, legendTicks } from "./legend.js";
import { place } from "./values.js";

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export function table(anatomy, columns) {
  const pixels = new Uint32Array(anatomy.ceiling.length + 1);
  for (const number of anatomy.raster) pixels[number] += 1;
  const cell = (value) => (Number.isNaN(value) ? "" : String(Number(value.toPrecision(6))));
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const head = ["voxel", "parcel", "pixels", "noise ceiling", ...Object.keys(columns)].map(quoted);
  const rows = Array.from(anatomy.ceiling, (ceiling, v) => [v, anatomy.parcelNames[anatomy.parcel[v]],
    pixels[v + 1], cell(ceiling), ...Object.values(columns).map((values) => cell(values[v]))].join());
  return new Blob([head.join(), "\n", rows.join("\n"), "\n"], { type: "text/csv" });
}

const HEAD = 44;
const FOOT = 84;

// maps: [{ title, canvas }], the canvases as they are drawn.
export function picture(maps, { title, source, measure, described, ends, colours, regions }) {
  const [width, height] = [maps[0].canvas.width, maps[0].canvas.height];
  const whole = { width: width * maps.length, height: height + HEAD + FOOT };
  const bar = { x: whole.width / 2 - 140, y: HEAD + height + 10, width: 280, height: 12 };
  const text = (x, y, said, size = 13, anchor = "middle") =>
    s("text", { x, y, "font-size": size, "text-anchor": anchor, fill: "#222" }, said);
  const stops = Array.from({ length: 33 }, (_, i) =>
    s("stop", { offset: i / 32, "stop-color": cssColour(colours[Math.min(255, i * 8)]) }));
  return s("svg", { xmlns: "http://www.w3.org/2000/svg", ...whole, viewBox: `0 0 ${whole.width} ${whole.height}`,
    "font-family": "system-ui, sans-serif" },
    s("title", {}, title),
    s("defs", {}, s("linearGradient", { id: "colours" }, ...stops)),
    s("rect", { ...whole, fill: "#fff" }),
    text(whole.width / 2, 18, title, 15),
    ...maps.flatMap(({ title: name, canvas }, i) => [
      text(width * (i + 0.5), 37, name),
      s("image", { x: width * i, y: HEAD, width, height, href: canvas.toDataURL("image/png") })]),
    s("rect", { ...bar, fill: "url(#colours)" }),
    ...legendTicks(measure, ends).map(([value, said]) => text(bar.x + place(measure, value, ends) * bar.width, bar.y + 26, said, 11)),
    text(whole.width / 2, bar.y + 44, `${described.label} (${described.unit})`, 12),
    text(whole.width / 2, bar.y + 64, [source, regions.length ? `Outlines: ${regions.map(words).join(", ")}` : ""].filter(Boolean).join(". "), 10));
}

export const asText = (svg) => new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" });

export async function asPixels(svg) {
  const image = new Image();
  const reader = new FileReader();
  const read = new Promise((resolve) => reader.addEventListener("load", resolve));
  reader.readAsDataURL(asText(svg));
  await read;
  image.src = reader.result;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  canvas.getContext("2d").drawImage(image, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
