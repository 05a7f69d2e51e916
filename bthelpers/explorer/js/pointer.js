// Pointer, wheel and keyboard on a flatmap, as changes of the view and of what is pinned.

import { held, zoomed } from "./map.js";

const CLICK = 4; // pixels that a click may move
const PAN = 0.1; // of the visible map, a key

export function followPointer(frame, flatmap, { view, choose, point, pin }) {
  const { canvas } = flatmap;
  const pointers = new Map();
  let moved = 0;
  let spread = 0;
  const shareOf = ({ clientX, clientY }) => {
    const box = canvas.getBoundingClientRect();
    const { step, left, top } = flatmap.frame;
    const { columns, rows } = flatmap.anatomy;
    return [(left + ((clientX - box.left) / box.width) * canvas.width * step) / columns,
      (top + ((clientY - box.top) / box.height) * canvas.height * step) / rows];
  };
  const drag = (dx, dy) => {
    const box = canvas.getBoundingClientRect();
    const { step } = flatmap.frame;
    const { columns, rows } = flatmap.anatomy;
    const [x, y, zoom] = view();
    choose({ view: held([x - (dx * step * canvas.width) / box.width / columns,
      y - (dy * step * canvas.height) / box.height / rows, zoom]) });
  };
  const distance = () => {
    const [one, other] = [...pointers.values()];
    return Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    moved = 0;
    spread = pointers.size === 2 ? distance() : 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) {
      point(flatmap.voxelAt(event.clientX, event.clientY));
      return;
    }
    const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
    moved += Math.hypot(dx, dy);
    pointers.set(event.pointerId, event);
    if (pointers.size === 2) {
      choose({ view: zoomed(view(), distance() / spread, shareOf(event)) });
      spread = distance();
    } else if (moved > CLICK && view()[2] > 1) drag(dx, dy);
  });
  const released = (event) => {
    const clicked = pointers.delete(event.pointerId) && moved <= CLICK && event.type === "pointerup";
    if (clicked) pin(flatmap.voxelAt(event.clientX, event.clientY), event.shiftKey);
  };
  canvas.addEventListener("pointerup", released);
  canvas.addEventListener("pointercancel", released);
  canvas.addEventListener("pointerleave", () => point(-1));
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && document.activeElement !== frame) return; // let the page scroll
    event.preventDefault();
    choose({ view: zoomed(view(), Math.exp(-event.deltaY / 300), shareOf(event)) });
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => choose({ view: zoomed(view(), 2, shareOf(event)) }));
}

// Arrow keys move a cross over the map; with Shift they move the map.
export function followKeys(frame, flatmap, { view, choose, point, pin, cross }) {
  const at = [0.5, 0.5];
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const here = () => flatmap.voxelOf(...at);
  const keys = {
    "+": () => choose({ view: zoomed(view(), 1.5) }),
    "=": () => choose({ view: zoomed(view(), 1.5) }),
    "-": () => choose({ view: zoomed(view(), 1 / 1.5) }),
    0: () => choose({ view: [0.5, 0.5, 1] }),
    Enter: () => pin(here(), false),
    p: () => pin(here(), true),
    Escape: () => choose({ selection: "" }),
  };
  const move = ([dx, dy], whole) => {
    if (whole) {
      const [x, y, zoom] = view();
      choose({ view: held([x + (dx * PAN) / zoom, y + (dy * PAN) / zoom, zoom]) });
      return;
    }
    at[0] = Math.min(0.999, Math.max(0, at[0] + dx / 100));
    at[1] = Math.min(0.999, Math.max(0, at[1] + dy / 50));
    cross(at);
    point(here());
  };
  frame.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in moves || event.key in keys)) return;
    event.preventDefault();
    if (event.key in moves) move(moves[event.key], event.shiftKey);
    else keys[event.key]();
  });
  frame.addEventListener("blur", () => cross(null));
}
