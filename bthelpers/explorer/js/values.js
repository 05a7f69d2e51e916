// Values of voxels, from the correlations, p-values and ceilings that chunks hold.

const FORMULAS = {
  alignment: (one, v) => one.r[v] / one.ceiling[v],
  impact: (one, v) => (one.r[v] < one.smallest ? NaN : (100 * (one.r[v] - one.residual[v])) / one.r[v]),
  p: (one, v) => one.p[v],
};
const OF_CHANGE = { gain: "alignment", "impact change": "impact" };

export const isCentred = (measure) => measure in OF_CHANGE;
export const isLogarithmic = (measure) => measure === "p";

function computed(formula, one) {
  const values = new Float32Array(one.ceiling.length);
  for (let v = 0; v < values.length; v++) {
    const value = formula(one, v);
    values[v] = Number.isFinite(value) ? value : NaN;
  }
  return values;
}

// Reads what the catalogue lists of a participant's voxels.
export class VoxelValues {
  constructor(catalogue, chunk) {
    this.catalogue = catalogue;
    this.chunk = chunk;
  }

  // Of one run: functions of a layer that give a row of values, by kind.
  async run(participant, model, condition, kinds) {
    const found = this.catalogue.runs.find((run) =>
      run.participant === participant && run.model === model && run.condition === condition);
    if (!found || kinds.some((kind) => !(kind in found))) {
      throw new Error(`${condition} of ${model} has no values of this measure.`);
    }
    const read = async (kind) => {
      const { rows } = await this.chunk(found[kind].key);
      const row = (layer) => {
        const at = found[kind].layers.indexOf(layer);
        const n = rows.shape[1];
        return at < 0 ? new Float32Array(n).fill(NaN) : rows.values.subarray(at * n, (at + 1) * n);
      };
      return [kind, row];
    };
    return Object.fromEntries(await Promise.all(kinds.map(read)));
  }

  // A function of a layer that gives the values of all voxels.
  async measured({ participant, model, measure }, condition) {
    const { map } = this.catalogue.participants[participant];
    const ceiling = (await this.chunk(map)).ceiling.values;
    if (measure === "ceiling") return () => ceiling;
    const { values: kinds, change } = this.catalogue.measures[measure];
    const formula = FORMULAS[OF_CHANGE[measure] ?? measure];
    const smallest = this.catalogue.smallest_r;
    const of = async (name) => {
      const rows = await this.run(participant, model, name, kinds);
      return (layer) => computed(formula, { ceiling, smallest,
        ...Object.fromEntries(kinds.map((kind) => [kind, rows[kind](layer)])) });
    };
    const [shown, base] = await Promise.all([of(condition), change ? of(this.catalogue.baseline) : null]);
    if (!base) return shown;
    return (layer) => {
      const values = shown(layer);
      const before = base(layer);
      for (let v = 0; v < values.length; v++) values[v] -= before[v];
      return values;
    };
  }
}

// Round ends of the colour scale that hold 99 % of the values.
export function limits(measure, arrays) {
  if (isLogarithmic(measure)) return [0.001, 1];
  if (measure === "impact") return [0, 100];
  const sizes = arrays.flatMap((values) => Array.from(values).filter((value) => !Number.isNaN(value)).map(Math.abs));
  sizes.sort((one, other) => one - other);
  const high = sizes.length ? sizes[Math.floor(0.99 * (sizes.length - 1))] : 0;
  const unit = 10 ** Math.floor(Math.log10(high || 1));
  const round = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((n) => n * unit >= high * (1 - 1e-6)) * unit;
  const top = high ? Number(round.toPrecision(2)) : 1;
  return [isCentred(measure) ? -top : 0, top];
}

// Place of a value on the colour scale, from 0 to 1.
export function place(measure, value, [low, high]) {
  if (isLogarithmic(measure)) return Math.log(value) / Math.log(low);
  return (value - low) / (high - low);
}

// Whether a voxel passes the thresholds; `significant` is 1 or 0, or undefined where it does not matter.
export function passes(measure, value, threshold, significant) {
  if (Number.isNaN(value) || (significant !== undefined && significant !== 1)) return false;
  return isLogarithmic(measure) ? !threshold || value <= threshold : Math.abs(value) >= threshold;
}

export function mean(values) {
  const known = values.filter((value) => !Number.isNaN(value));
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : NaN;
}
