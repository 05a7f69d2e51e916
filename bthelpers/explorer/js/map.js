// A flatmap on a canvas: each of its pixels shows the voxel that the raster has there.

const HALO = 3;
const LINE = 1.2;
const RING = 11; // around a pinned voxel, which may be small
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

  // Middle of the pixels that show a selected voxel; null of a parcel, or where none does.
  centre(selection) {
    const [kind, name] = selection.split(":");
    const wanted = Number(name) + 1;
    const found = [0, 0, 0];
    if (kind === "voxel") this.raster.forEach((number, i) => {
      if (number !== wanted) return;
      found[0] += 1;
      found[1] += i % this.columns;
      found[2] += Math.floor(i / this.columns);
    });
    return found[0] ? [found[1] / found[0], found[2] / found[0]] : null;
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

  // Setting a side empties the canvas, which takes longer than painting it.
  resize() {
    const ratio = globalThis.devicePixelRatio || 1;
    for (const [side, length] of [["width", this.canvas.clientWidth], ["height", this.canvas.clientHeight]]) {
      const pixels = Math.max(1, Math.round(length * ratio));
      if (this.canvas[side] !== pixels) this.canvas[side] = pixels;
    }
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
    const places = (count, start, of) => Int32Array.from({ length: count }, (_, i) => {
      const at = Math.floor(start + (i + 0.5) * step);
      return at < 0 || at >= of ? -1 : at;
    });
    const column = places(width, left, columns);
    const curved = column.map((at) => Math.floor(at / curvatureStep));
    const bent = curvature.values;
    pixels.fill(0);
    places(height, top, rows).forEach((row, y) => {
      if (row < 0) return;
      const [start, bends] = [row * columns, Math.floor(row / curvatureStep) * curvature.shape[1]];
      for (let x = 0, i = y * width; x < width; x++, i++) {
        if (column[x] >= 0) pixels[i] = colours[raster[start + column[x]]] || shades[bent[bends + curved[x]]];
      }
    });
    this.context.putImageData(this.image, 0, 0);
    this.draw({ step, left, top });
  }

  draw({ step, left, top }) {
    const { context } = this;
    const ratio = globalThis.devicePixelRatio || 1;
    context.save();
    context.setTransform(1 / step, 0, 0, 1 / step, -left / step, -top / step);
    context.lineJoin = "round";
    for (const { path, colour, halo, ring } of this.lines) {
      const drawn = new Path2D(path);
      if (ring) {
        drawn.moveTo(ring[0] + RING * step * ratio, ring[1]);
        drawn.arc(...ring, RING * step * ratio, 0, 2 * Math.PI);
      }
      for (const [strokeStyle, width] of [[halo, HALO], [colour, LINE]]) {
        Object.assign(context, { strokeStyle, lineWidth: width * step * ratio });
        context.stroke(drawn);
      }
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
