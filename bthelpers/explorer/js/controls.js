// What a reader chooses with: built once, then kept in step with the state.

import { h, words } from "./elements.js";

// Of labels and their controls. JupyterLab loads this module once for each widget of a page, so that
// a count alone would give the same names again.
const own = Math.random().toString(36).slice(2);
let built = 0;
const newId = () => `flatmap-${own}-${built++}`;

// A list to choose from; one option alone is text.
function choice(label, said, changed) {
  const id = newId();
  const select = h("select", { id, onchange: () => changed(select.value) });
  const only = h("span", { class: "only" });
  const element = h("div", { class: "field" }, h("label", { for: id }, label), select, only);
  const sync = (options, chosen) => {
    element.hidden = options.length === 0;
    select.hidden = options.length < 2;
    only.hidden = !select.hidden;
    only.textContent = options.length ? said(options[0]) : "";
    if (select.dataset.options !== JSON.stringify(options)) {
      select.dataset.options = JSON.stringify(options);
      select.replaceChildren(...options.map((option) => h("option", { value: option }, said(option))));
    }
    select.value = chosen;
  };
  return { element, sync };
}

function slider(label, said, changed) {
  const id = newId();
  const input = h("input", { id, type: "range", oninput: () => changed(Number(input.value)) });
  const output = h("output", { for: id });
  const element = h("div", { class: "field slider" }, h("label", { for: id }, label, " ", output), input);
  const sync = (low, high, step, value) => {
    element.hidden = !(high > low);
    Object.assign(input, { min: low, max: high, step });
    input.value = value;
    output.textContent = said(value);
    input.setAttribute("aria-valuetext", said(value));
  };
  return { element, sync };
}

function tick(label, changed) {
  const input = h("input", { type: "checkbox", onchange: () => changed(input.checked) });
  return { element: h("label", { class: "tick" }, input, label), input };
}

export class Controls {
  constructor(catalogue, choose) {
    this.measures = catalogue.measures;
    const plain = (name) => name;
    const set = (name) => (value) => choose({ [name]: value });
    this.choices = {
      measure: choice("Measure", (name) => this.measures[name].label, (measure) => choose({ measure, threshold: 0 })),
      participant: choice("Participant", plain, (participant) => choose({ participant, selection: "" })),
      model: choice("Model", plain, set("model")),
      condition: choice("Condition", plain, set("condition")),
      beside: choice("Compare with", (name) => name || "nothing", set("beside")),
    };
    this.layer = slider("Layer", (i) => this.layers[i] ?? "", (i) => choose({ layer: this.layers[i] }));
    this.onlyLayer = h("div", { class: "field" }, h("span", { class: "label" }, "Layer"), h("span", { class: "only" }));
    this.threshold = slider("Threshold", (value) => this.saidThreshold(value), (value) => choose({ threshold: this.thresholdOf(value) }));
    this.significant = tick("only significant voxels (FDR 5 % in the layer)", set("significant"));
    this.regions = h("details", { class: "regions" }, h("summary", {}, "Outlines"));
    const { measure, participant, model, condition, beside } = this.choices;
    this.element = h("form", { class: "controls", "aria-label": "What the map shows", onsubmit: (event) => event.preventDefault() },
      measure.element, condition.element, beside.element, this.layer.element, this.onlyLayer,
      this.threshold.element, model.element, participant.element,
      h("div", { class: "field more" }, this.significant.element, this.regions));
    this.choose = choose;
  }

  // The slider's own unit is the value, but tenths of a power of ten for p.
  thresholdOf(position) {
    return this.logarithmic ? (position ? 10 ** (-position / 10) : 0) : position;
  }

  saidThreshold(position) {
    const value = this.thresholdOf(position);
    if (!value) return "none";
    const rounded = Number(value.toPrecision(2));
    return this.logarithmic ? `p ≤ ${rounded}` : `${this.centred ? "±" : "≥ "}${rounded}`;
  }

  sync(state, options, { limits: [, high], logarithmic, centred, hasSignificance, regions }) {
    Object.assign(this, { logarithmic, centred, layers: options.layer });
    for (const [name, { sync }] of Object.entries(this.choices)) sync(options[name], state[name]);
    const one = options.beside.length < 2;
    if (one) this.choices.beside.element.hidden = true;
    this.layer.sync(0, options.layer.length - 1, 1, options.layer.indexOf(state.layer));
    this.onlyLayer.hidden = options.layer.length !== 1;
    this.onlyLayer.lastChild.textContent = options.layer[0] ?? "";
    if (logarithmic) this.threshold.sync(0, 30, 1, state.threshold ? -10 * Math.log10(state.threshold) : 0);
    else this.threshold.sync(0, high, Number((high / 50).toPrecision(1)), state.threshold);
    this.significant.element.hidden = !hasSignificance;
    this.significant.input.checked = state.significant;
    this.syncRegions(regions, state.regions);
  }

  syncRegions(regions, chosen) {
    if (this.regions.dataset.regions !== JSON.stringify(regions)) {
      this.regions.dataset.regions = JSON.stringify(regions);
      this.boxes = regions.map((name) => [name, tick(words(name), () =>
        this.choose({ regions: this.boxes.filter(([, box]) => box.input.checked).map(([region]) => region) }))]);
      this.regions.replaceChildren(this.regions.firstChild, ...this.boxes.map(([, box]) => box.element));
    }
    for (const [name, { input }] of this.boxes) input.checked = chosen.includes(name);
    this.regions.hidden = regions.length === 0;
    this.regions.firstChild.textContent = `Outlines (${chosen.length} of ${regions.length} regions)`;
  }
}
