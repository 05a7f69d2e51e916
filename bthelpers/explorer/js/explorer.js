// The explorer: draws what the model's state says, and tells the model what a reader chooses.

import { chunkReader } from "./chunks.js";
import { Controls } from "./controls.js";
import { asPixels, asText, picture, save, table } from "./downloads.js";
import { h } from "./elements.js";
import { legend } from "./legend.js";
import { Anatomy, FlatmapCanvas, colourTable, zoomed } from "./map.js";
import { Panel, fact } from "./panel.js";
import { followKeys, followPointer } from "./pointer.js";
import { CHOSEN, optionsOf, settle } from "./state.js";
import { VoxelValues, isCentred, isLogarithmic, limits, mean, passes, place } from "./values.js";

const KEYS = "Arrow keys move a cross, with Shift the map; Enter pins a voxel, P its parcel; plus, minus and 0 zoom; Escape unpins.";
const DASHES = { pretrained: "2 3", "block-permuted": "5 3" };

class Explorer {
  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.catalogue = model.get("catalogue");
    this.chunk = chunkReader(model);
    this.values = new VoxelValues(this.catalogue, this.chunk);
    this.tables = Object.fromEntries(Object.entries(this.catalogue.colours).map(([kind, hex]) => [kind, colourTable(hex)]));
    this.anatomies = new Map();
    this.asked = 0;
    this.told = "";
    this.changed = () => this.schedule();
    this.build();
    this.listen();
    this.update();
  }

  build() {
    const choose = (changes) => this.choose(changes);
    this.controls = new Controls(this.catalogue, choose);
    this.panel = new Panel(choose);
    this.maps = [0, 1].map(() => this.buildMap());
    this.scale = h("div", {});
    this.status = h("p", { class: "status", role: "status" });
    this.note = h("p", { class: "note" });
    const button = (label, title, act) => h("button", { type: "button", title, "aria-label": title, onclick: act }, label);
    const zoom = (factor) => () => choose({ view: zoomed(this.state.view, factor) });
    this.link = button("Link", "Copy a link to this view", () => this.copyLink());
    this.tools = h("div", { class: "tools", role: "group", "aria-label": "View and downloads" },
      button("−", "Zoom out", zoom(1 / 1.5)), button("+", "Zoom in", zoom(1.5)),
      button("Whole map", "Show the whole map", () => choose({ view: [0.5, 0.5, 1] })), h("span", { class: "gap" }),
      button("PNG", "Save the picture as PNG", () => this.savePicture("png")),
      button("SVG", "Save the picture as SVG", () => this.savePicture("svg")),
      button("CSV", "Save the values of all voxels as CSV", () => this.saveTable()), this.link);
    this.link.hidden = !this.model.get("linked");
    this.root = h("div", { class: "flatmap" }, this.controls.element, this.status,
      h("div", { class: "main" },
        h("div", { class: "stage" }, h("div", { class: "maps" }, ...this.maps.map((map) => map.element)), this.scale, this.tools),
        this.panel.element), this.note);
  }

  buildMap() {
    const canvas = h("canvas", { "aria-hidden": "true" });
    const title = h("p", { class: "title" });
    const cross = h("span", { class: "cross", hidden: true });
    const sides = ["left", "right"].map((side) => h("span", { class: `side ${side}`, "aria-hidden": "true" }, side));
    const frame = h("div", { class: "frame", tabindex: 0, role: "application", "aria-roledescription": "flatmap" }, canvas, cross, ...sides);
    const element = h("div", { class: "map" }, title, frame);
    const flatmap = new FlatmapCanvas(canvas);
    const acts = { view: () => this.state.view, choose: (changes) => this.choose(changes),
      point: (voxel) => this.point(voxel), pin: (voxel, parcel) => this.pin(voxel, parcel),
      cross: (at) => {
        cross.hidden = !at;
        if (at) Object.assign(cross.style, { left: `${100 * at[0]}%`, top: `${100 * at[1]}%` });
      } };
    followPointer(frame, flatmap, acts);
    followKeys(frame, flatmap, acts);
    return { element, title, frame, flatmap };
  }

  listen() {
    this.model.on(CHOSEN.map((name) => `change:${name}`).join(" "), this.changed);
    this.sizes = new ResizeObserver(this.changed);
    for (const { frame } of this.maps) this.sizes.observe(frame);
    this.theme = new MutationObserver(this.changed);
    for (const element of [document.documentElement, document.body]) this.theme.observe(element, { attributes: true });
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.scheme.addEventListener("change", this.changed);
  }

  close() {
    for (const name of CHOSEN) this.model.off(`change:${name}`, this.changed);
    this.sizes.disconnect();
    this.theme.disconnect();
    this.scheme.removeEventListener("change", this.changed);
  }

  choose(changes) {
    const { state } = settle(this.catalogue, { ...this.state, ...changes });
    for (const name of CHOSEN) {
      if (JSON.stringify(state[name]) !== JSON.stringify(this.model.get(name))) this.model.set(name, state[name]);
    }
    this.model.save_changes();
    this.told = "";
    this.schedule();
  }

  schedule() {
    this.pending ??= requestAnimationFrame(() => {
      this.pending = undefined;
      this.update();
    });
  }

  async update() {
    const wanted = Object.fromEntries(CHOSEN.map((name) => [name, this.model.get(name)]));
    const { state, told } = settle(this.catalogue, wanted);
    this.told = told || this.told;
    this.state = state;
    const ticket = ++this.asked;
    const late = setTimeout(() => this.say("Loading …"), 300);
    try {
      const shown = await this.read(state);
      if (ticket !== this.asked) return;
      clearTimeout(late);
      this.recolour(state, shown);
      this.say(this.told);
      await this.drawPinned(state, ticket);
    } catch (error) {
      if (ticket === this.asked) this.fail(error);
    } finally {
      clearTimeout(late);
    }
  }

  say(message) {
    if (this.status.textContent !== message) this.status.textContent = message;
    this.status.hidden = !message;
  }

  fail(error) {
    this.attach();
    for (const { flatmap } of this.maps) flatmap.context.clearRect(0, 0, flatmap.canvas.width, flatmap.canvas.height);
    this.scale.replaceChildren();
    this.controls.sync(this.state, optionsOf(this.catalogue, this.state), { limits: [0, 0], regions: [] });
    this.panel.show("", [], false);
    this.say(error.message);
  }

  // The page shows a static picture until the first map is there.
  attach() {
    if (!this.root.isConnected) this.el.replaceChildren(this.root);
  }

  // What the chosen state shows: the participant's map, and functions of a layer.
  async read(state) {
    const described = this.catalogue.participants[state.participant];
    if (!described) throw new Error("There is nothing to show: these results hold no participant.");
    if (described.problem) throw new Error(described.problem);
    if (!this.anatomies.has(state.participant)) {
      this.anatomies.set(state.participant, new Anatomy(described, await this.chunk(described.map)));
    }
    const conditions = [state.condition, ...(state.beside ? [state.beside] : [])];
    const of = (condition) => this.values.measured(state, condition);
    const [rows, masks] = await Promise.all([Promise.all(conditions.map(of)),
      Promise.all(conditions.map((condition) => this.significance(state, condition)))]);
    const scaled = [state.participant, state.model, state.measure, ...conditions].join("\n");
    const options = optionsOf(this.catalogue, state);
    if (this.scaled?.name !== scaled) {
      const all = rows.flatMap((row) => (options.layer.length ? options.layer : [""]).map(row));
      this.scaled = { name: scaled, ends: limits(state.measure, all) };
    }
    return { described, anatomy: this.anatomies.get(state.participant), conditions, rows, masks, options, ends: this.scaled.ends };
  }

  runOf({ participant, model }, condition) {
    return this.catalogue.runs.find((run) =>
      run.participant === participant && run.model === model && run.condition === condition);
  }

  // 1 where a voxel is significant; null where that does not matter, or is not known of the layer.
  async significance(state, condition) {
    const known = this.runOf(state, condition)?.significant?.layers.includes(state.layer);
    if (!state.significant || !known) return null;
    const { significant } = await this.values.run(state.participant, state.model, condition, ["significant"]);
    return significant(state.layer);
  }

  recolour(state, { described, anatomy, conditions, rows, masks, options, ends }) {
    this.attach();
    const start = performance.now();
    for (const { flatmap } of this.maps) flatmap.resize(); // first: reading sizes after changes takes a layout
    const shades = this.readStyle();
    const { measure, threshold, layer } = state;
    this.controls.sync(state, options, { limits: ends, logarithmic: isLogarithmic(measure), centred: isCentred(measure),
      hasSignificance: this.runOf(state, state.condition)?.significant?.layers.includes(layer), regions: [...new Set(described.outlines)] });
    this.current = { anatomy, conditions, ends, described: this.catalogue.measures[measure] };
    this.current.values = rows.map((row) => row(layer));
    this.root.classList.toggle("two", conditions.length > 1);
    this.root.classList.toggle("magnified", state.view[2] > 1);
    this.maps.forEach(({ element, title, frame, flatmap }, i) => {
      element.hidden = i >= conditions.length;
      if (element.hidden) return;
      title.textContent = this.titleOf(conditions[i], state);
      frame.setAttribute("aria-label", `${this.current.described.label}. ${title.textContent}. ${KEYS}`);
      frame.style.aspectRatio = `${anatomy.columns} / ${anatomy.rows}`;
      Object.assign(flatmap, { anatomy, view: state.view, lines: this.linesOf(anatomy, state) });
      flatmap.paint(this.coloursOf(this.current.values[i], masks[i], state), shades);
    });
    const beyond = [0, 1].map((end) => this.current.values.some((values) =>
      values.some((value) => (end ? value > ends[1] : value < ends[0]))));
    this.scale.replaceChildren(legend(measure, this.current.described, ends, this.table(measure), threshold, beyond));
    this.note.textContent = `One pixel shows one voxel, the one halfway through the cortex; static maps average across the ribbon. `
      + `${described.unseen.toLocaleString("en")} of ${described.voxels.toLocaleString("en")} voxels lie on no pixel; the table (CSV) has them all. `
      + `Grey: curvature, where there is no value or it is left out. Data: ${this.catalogue.source}.`;
    if (this.panel.listed !== state.participant) this.panel.listParcels(anatomy.parcelNames);
    this.panel.listed = state.participant;
    performance.measure("flatmap recolour", { start });
  }

  // Middle values are dark where the page is.
  table(measure) {
    return this.tables[isCentred(measure) ? (this.dark ? "centred_dark" : "centred") : "sequential"];
  }

  titleOf(condition, { measure, layer }) {
    const { values, change } = this.catalogue.measures[measure];
    if (!values.length) return "";
    const run = change ? `${condition} − ${this.catalogue.baseline}` : condition;
    return `${run}, ${/^\d+$/.test(layer) ? `layer ${layer}` : layer}`;
  }

  coloursOf(values, mask, { measure, threshold }) {
    const colours = new Uint32Array(values.length + 1);
    const table = this.table(measure);
    const { ends } = this.current;
    for (let v = 0; v < values.length; v++) {
      if (!passes(measure, values[v], threshold, mask ? mask[v] : undefined)) continue;
      colours[v + 1] = table[Math.min(255, Math.max(0, Math.floor(256 * place(measure, values[v], ends))))];
    }
    return colours;
  }

  // What the style sheet says: shades of the curvature, from sulci to gyri, and whether all is dark.
  readStyle() {
    const style = getComputedStyle(this.root);
    const [sulcus, gyrus] = ["--sulcus", "--gyrus"].map((name) => Number(style.getPropertyValue(name)));
    this.dark = gyrus < 128;
    return Uint32Array.from({ length: 16 }, (_, i) => {
      const shade = Math.round(sulcus + ((i - 1) / 14) * (gyrus - sulcus));
      return i ? (255 << 24) | (shade << 16) | (shade << 8) | shade : 0;
    });
  }

  linesOf(anatomy, { regions, selection, participant }) {
    const name = JSON.stringify([participant, regions, selection]);
    if (this.lines?.name !== name) {
      const lines = [{ path: anatomy.outline(regions), colour: "#111", halo: "#ffffffcc" }];
      if (selection) lines.push({ path: anatomy.edges(anatomy.voxelsOf(selection)), colour: "#d6006c", halo: "#fff", ring: anatomy.centre(selection) });
      this.lines = { name, lines };
    }
    return this.lines.lines;
  }

  pin(voxel, parcel) {
    const name = voxel < 0 ? "" : this.current.anatomy.nameOf(voxel);
    if (voxel < 0 || (parcel && name === "no parcel")) this.choose({ selection: "" });
    else this.choose({ selection: parcel ? `parcel:${name}` : `voxel:${voxel}` });
  }

  point(voxel) {
    if (!this.current) return;
    if (voxel >= 0) this.describe([voxel], `Voxel ${voxel}`);
    else this.describePinned();
  }

  describePinned() {
    const { selection } = this.state;
    const { anatomy } = this.current;
    const [kind, name] = [selection.split(":")[0], selection.slice(selection.indexOf(":") + 1)];
    if (!selection) this.panel.show("", [], false);
    else this.describe(anatomy.voxelsOf(selection), kind === "voxel" ? `Voxel ${name}` : name);
  }

  describe(voxels, title) {
    const { anatomy, values, conditions, described } = this.current;
    const one = voxels.length === 1;
    const averaged = (array) => mean(voxels.map((voxel) => array[voxel]));
    const valued = voxels.filter((voxel) => !Number.isNaN(values[0][voxel])).length;
    const facts = one ? [["Parcel", anatomy.nameOf(voxels[0])]] : [["Voxels", `${valued} with a value, of ${voxels.length}`]];
    const name = (condition) => (conditions.length > 1 ? condition : one ? described.short : `${described.short}, mean`);
    conditions.forEach((condition, i) => facts.push([name(condition), fact(averaged(values[i]), described)]));
    if (this.state.measure !== "ceiling") facts.push(["Noise ceiling", fact(averaged(anatomy.ceiling), { unit: "r" })]);
    this.panel.show(title, facts, Boolean(this.state.selection));
  }

  // The pinned voxels' values in all conditions and layers.
  async drawPinned(state, ticket) {
    this.describePinned();
    const { anatomy, described } = this.current;
    const conditions = described.values.length && state.selection ? optionsOf(this.catalogue, state).condition : [];
    const voxels = anatomy.voxelsOf(state.selection);
    const curves = await Promise.all(conditions.map(async (condition) => {
      const row = await this.values.measured(state, condition);
      const layers = optionsOf(this.catalogue, { ...state, condition }).layer;
      const single = layers.filter((layer) => /^\d+$/.test(layer));
      const used = single.length ? single : layers;
      const values = used.map((layer) => { const all = row(layer); return mean(voxels.map((voxel) => all[voxel])); });
      return { condition, colour: this.catalogue.lines[condition], dashes: DASHES[condition] ?? "", layers: used, values };
    }));
    if (ticket === this.asked) this.panel.pin(state.selection, curves, state, `${described.label} (${described.unit})`);
  }

  get fileName() {
    const { participant, model, measure, condition, layer } = this.state;
    return ["flatmap", participant, model, condition, measure, layer].join("_").replace(/[^\w.-]+/g, "-");
  }

  saveTable() {
    const { anatomy, conditions, values, described } = this.current;
    const columns = conditions.map((condition, i) => [`${described.label} (${described.unit}), ${this.titleOf(condition, this.state)}`, values[i]]);
    save(table(anatomy, Object.fromEntries(columns)), `${this.fileName}.csv`);
  }

  async savePicture(kind) {
    const { conditions, described, ends } = this.current;
    const { measure, model, participant, regions } = this.state;
    const maps = conditions.map((condition, i) => ({ title: this.titleOf(condition, this.state), canvas: this.maps[i].flatmap.canvas }));
    const svg = picture(maps, { title: `${described.label}: ${model}, ${participant}`, source: this.catalogue.source,
      measure, described, ends, colours: this.table(measure), regions });
    save(kind === "svg" ? asText(svg) : await asPixels(svg), `${this.fileName}.${kind}`);
  }

  async copyLink() {
    try {
      await navigator.clipboard.writeText(location.href);
      this.say("A link to this view is on the clipboard.");
    } catch {
      this.say("The page's address is a link to this view.");
    }
  }
}

export function render({ model, el }) {
  el.classList.add("flatmap-explorer");
  const explorer = new Explorer(model, el);
  return () => explorer.close();
}
