// A flatmap on a canvas: each of its pixels shows the voxel that the raster has there.

const HALO = 3;
const LINE = 1.2;
const LARGEST_ZOOM = 24;

export const colourTable = (hex) => Uint32Array.from({ length: 256 }, (_, i) => {
  const [r, g, b] = [0, 2, 4].map((at) => parseInt(hex.substr(6 * i + at, 2), 16));
  return (255 << 24) | (b << 16) | (g << 8) | r;
});

// The arrays of a participant's map, and its outlines as paths.
export class Anatomy {
  constructor(described, arrays) {
    [this.rows, this.columns] = arrays.voxel.shape;
    this.raster = arrays.voxel.values; // 0: no voxel
    this.curvature = arrays.curvature;
    this.curvatureStep = described.curvature_step;
    this.parcel = arrays.parcel.values;
    this.parcelNames = described.parcels;
    this.ceiling = arrays.ceiling.values;
    this.lines = described.outlines.map((region) => ({ region, points: [] }));
    const corners = arrays.corners.values;
    for (let i = 0; i < corners.length; i += 3) {
      const [line, x, y] = corners.subarray(i, i + 3);
      this.lines[line].points.push([x / described.corner_parts + 0.5, y / described.corner_parts + 0.5]);
    }
  }

  nameOf(voxel) {
    return this.parcelNames[this.parcel[voxel]] || "no parcel";
  }

  // Voxels of a selection such as voxel:12 or parcel:L_A1.
  voxelsOf(selection) {
    const [kind, ...name] = selection.split(":");
    if (kind === "voxel") return [Number(name[0])];
    const wanted = this.parcelNames.indexOf(name.join(":"));
    return kind === "parcel" ? [...this.parcel.keys()].filter((v) => this.parcel[v] === wanted) : [];
  }

  outline(regions) {
    const path = new Path2D();
    for (const { region, points } of this.lines) {
      if (!regions.includes(region)) continue;
      points.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
    }
    return path;
  }

  // The edges of the pixels that show some voxels.
  edges(voxels) {
    const inside = new Uint8Array(this.ceiling.length + 1);
    for (const voxel of voxels) inside[voxel + 1] = 1;
    const path = new Path2D();
    const { raster, columns, rows } = this;
    for (let y = 1; y < rows; y++) {
      for (let x = 1; x < columns; x++) {
        const i = y * columns + x;
        const here = inside[raster[i]];
        if (here !== inside[raster[i - 1]]) { path.moveTo(x, y); path.lineTo(x, y + 1); }
        if (here !== inside[raster[i - columns]]) { path.moveTo(x, y); path.lineTo(x + 1, y); }
      }
    }
    return path;
  }
}

export class FlatmapCanvas {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.anatomy = null;
    this.colours = null;
    this.view = [0.5, 0.5, 1];
    this.lines = [];
  }

  // Pixels of the raster to one of the canvas, and the raster's place at the canvas's corner.
  get frame() {
    const { rows, columns } = this.anatomy;
    const { width, height } = this.canvas;
    const [x, y, zoom] = this.view;
    const step = Math.max(columns / width, rows / height) / zoom;
    return { step, left: x * columns - (width / 2) * step, top: y * rows - (height / 2) * step };
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    const ratio = globalThis.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(clientHeight * ratio));
  }

  voxelAt(clientX, clientY) {
    const box = this.canvas.getBoundingClientRect();
    return this.voxelOf((clientX - box.left) / box.width, (clientY - box.top) / box.height);
  }

  // Number of the voxel at a place of the canvas, in shares of its sides; -1: none.
  voxelOf(x, y) {
    if (!this.anatomy) return -1;
    const { step, left, top } = this.frame;
    const column = Math.floor(left + x * this.canvas.width * step);
    const row = Math.floor(top + y * this.canvas.height * step);
    const { rows, columns, raster } = this.anatomy;
    if (column < 0 || row < 0 || column >= columns || row >= rows) return -1;
    return raster[row * columns + column] - 1;
  }

  // Colours of voxels by number plus one; 0 lets the curvature through.
  paint(colours, shades) {
    const { width, height } = this.canvas;
    const { rows, columns, raster, curvature, curvatureStep } = this.anatomy;
    const { step, left, top } = this.frame;
    if (this.image?.width !== width || this.image?.height !== height) {
      this.image = this.context.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    const { pixels } = this;
    const column = Int32Array.from({ length: width }, (_, x) => Math.floor(left + (x + 0.5) * step));
    const [, curvatureColumns] = curvature.shape;
    for (let y = 0, i = 0; y < height; y++) {
      const row = Math.floor(top + (y + 0.5) * step);
      if (row < 0 || row >= rows) {
        pixels.fill(0, i, i + width);
        i += width;
        continue;
      }
      const start = row * columns;
      const curved = Math.floor(row / curvatureStep) * curvatureColumns;
      for (let x = 0; x < width; x++, i++) {
        const at = column[x];
        if (at < 0 || at >= columns) pixels[i] = 0;
        else pixels[i] = colours[raster[start + at]]
          || shades[curvature.values[curved + Math.floor(at / curvatureStep)]];
      }
    }
    this.context.putImageData(this.image, 0, 0);
    this.draw({ step, left, top });
  }

  draw({ step, left, top }) {
    const { context } = this;
    const ratio = globalThis.devicePixelRatio || 1;
    context.save();
    context.setTransform(1 / step, 0, 0, 1 / step, -left / step, -top / step);
    context.lineJoin = "round";
    for (const { path, colour, halo } of this.lines) {
      context.strokeStyle = halo;
      context.lineWidth = HALO * step * ratio;
      context.stroke(path);
      context.strokeStyle = colour;
      context.lineWidth = LINE * step * ratio;
      context.stroke(path);
    }
    context.restore();
  }
}

export function zoomed([x, y, zoom], factor, [atX, atY] = [x, y]) {
  const next = Math.min(LARGEST_ZOOM, Math.max(1, zoom * factor));
  const moved = (centre, at) => at + ((centre - at) * zoom) / next;
  return next === 1 ? [0.5, 0.5, 1] : held([moved(x, atX), moved(y, atY), next]);
}

// A view whose centre stays on the map.
export const held = ([x, y, zoom]) => [...[x, y].map((at) => Math.min(1, Math.max(0, at))), zoom];
