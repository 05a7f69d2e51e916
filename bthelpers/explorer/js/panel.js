// Beside the map: what is under the pointer, and the curves of what is pinned.

import { conditionDots, layerCurves } from "./curves.js";
import { h, shown } from "./elements.js";

const HINT = "Point at the map to read a voxel. Click to pin it, with Shift for its parcel: its values in all conditions are drawn here.";

const NOTHING = "No condition has a value here: the noise ceiling is too low, or the measure is not evaluated in this region.";

export class Panel {
  constructor(choose) {
    this.title = h("p", { class: "name" });
    this.unpin = h("button", { type: "button", onclick: () => choose({ selection: "" }) }, "Unpin");
    this.facts = h("dl", {});
    this.curves = h("div", { class: "curves" });
    this.hint = h("p", { class: "hint" }, HINT);
    this.parcels = h("select", { "aria-label": "Pin a parcel",
      onchange: () => this.parcels.value && choose({ selection: `parcel:${this.parcels.value}` }) });
    this.element = h("aside", { class: "panel", "aria-label": "Voxel and parcel" },
      h("div", { class: "head" }, this.title, this.unpin), this.facts, this.curves, this.hint,
      h("div", { class: "find" }, this.parcels));
  }

  listParcels(names) {
    this.parcels.replaceChildren(h("option", { value: "" }, "Pin a parcel …"),
      ...names.filter(Boolean).map((name) => h("option", { value: name }, name)));
  }

  // facts: [[name, value]]; pinned: whether they stay when the pointer leaves.
  show(title, facts, pinned) {
    this.title.textContent = title || "No voxel";
    this.unpin.hidden = !pinned;
    this.facts.replaceChildren(...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  }

  pin(selection, curves, chosen, label) {
    this.hint.hidden = Boolean(selection);
    this.parcels.value = selection.startsWith("parcel:") ? selection.slice(7) : "";
    if (!curves.some((curve) => curve.values.some((value) => !Number.isNaN(value)))) {
      this.curves.replaceChildren(...(curves.length ? [h("p", { class: "hint" }, NOTHING)] : []));
      return;
    }
    const single = curves[0].layers.length < 2;
    const drawn = single ? conditionDots(curves, chosen, label) : layerCurves(curves, chosen, label);
    const keys = curves.map((curve) => h("li", { class: curve.condition === chosen.condition ? "chosen" : "" },
      h("span", { class: "swatch", style: `background: ${curve.colour}` }), curve.condition));
    this.curves.replaceChildren(h("p", { class: "caption" }, label), drawn, ...(single ? [] : [h("ul", {}, ...keys)]));
  }
}

// A value with its unit, and its sign where it is a change.
export function fact(value, { unit, change }) {
  if (Number.isNaN(value)) return "no value";
  return h("span", {}, (change && value > 0 ? "+" : "") + shown(value), h("small", {}, ` ${unit}`));
}
