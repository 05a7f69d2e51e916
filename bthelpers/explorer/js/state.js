// What is chosen, and what can be.

export const CHOSEN = ["participant", "model", "condition", "beside", "layer", "measure",
  "threshold", "significant", "regions", "selection", "view"];

// What remains to be chosen once some of it is: [options, chosen] of each.
export function optionsOf(catalogue, state) {
  const { runs, baseline, measures } = catalogue;
  const unique = (values) => [...new Set(values)];
  const participant = Object.keys(catalogue.participants);
  const ofParticipant = runs.filter((run) => run.participant === state.participant);
  const model = unique(ofParticipant.map((run) => run.model));
  const ofModel = ofParticipant.filter((run) => run.model === state.model);
  const holds = (run, values) => values.every((kind) => kind in run);
  const compared = (values) => ofModel.some((run) => run.condition === baseline && holds(run, values));
  const measure = Object.keys(measures).filter((name) => {
    const { values, change } = measures[name];
    const able = ofModel.filter((run) => holds(run, values) && !(change && run.condition === baseline));
    return !values.length || (able.length > 0 && (!change || compared(values)));
  });
  const { values = [], change = false } = measures[state.measure] ?? {};
  const condition = ofModel
    .filter((run) => values.length && holds(run, values) && !(change && run.condition === baseline))
    .map((run) => run.condition);
  const run = ofModel.find((one) => one.condition === state.condition);
  const layer = values.length && run && holds(run, values)
    ? run[values[0]].layers.filter((name) => values.every((kind) => run[kind].layers.includes(name)))
    : [];
  return { participant, model, measure, condition, layer,
    beside: ["", ...condition.filter((name) => name !== state.condition)] };
}

const PREFERRED = { measure: ["gain", "alignment", "ceiling"], condition: ["brain-tuned"] };

// The nearest state that exists, and a line on what did not.
export function settle(catalogue, wanted) {
  const state = { ...wanted };
  const missing = [];
  for (const name of ["participant", "model", "measure", "condition", "layer", "beside"]) {
    const options = optionsOf(catalogue, state)[name];
    if (!options.length || options.includes(state[name])) continue;
    if (state[name]) missing.push(`${name} “${state[name]}”`);
    const preferred = (PREFERRED[name] ?? []).find((option) => options.includes(option));
    state[name] = preferred ?? options[0];
  }
  if (!Number.isFinite(state.threshold) || state.threshold < 0) state.threshold = 0;
  const [kind, ...rest] = state.selection.split(":");
  const { parcels = [], voxels = 0 } = catalogue.participants[state.participant] ?? {};
  const known = kind === "voxel" ? /^\d+$/.test(rest[0]) && Number(rest[0]) < voxels
    : kind === "parcel" ? parcels.includes(rest.join(":")) : state.selection === "";
  if (!known) {
    missing.push(`selection “${state.selection}”`);
    state.selection = "";
  }
  if (state.view.length !== 3 || !state.view.every(Number.isFinite) || state.view[2] < 1) state.view = [0.5, 0.5, 1];
  const told = missing.length ? `There is no ${missing.join(", no ")} here; the nearest is shown.` : "";
  return { state, told };
}
