// Stands in for the widget's model in a page without kernel: state in the address, chunks in files.

const STATE = /^#flatmap\?/;
const PAUSE = 250; // ms; browsers limit how often an address changes

export function pageModel({ catalogue, state, files, folder }) {
  const handlers = {};
  const emit = (event, ...said) => (handlers[event] ?? []).forEach((handler) => handler(...said));
  const fromAddress = () => {
    if (!STATE.test(location.hash)) return {};
    const asked = new URLSearchParams(location.hash.replace(STATE, ""));
    const read = ([name, text]) => {
      if (typeof state[name] === "string") return [name, text];
      try { return [name, JSON.parse(text)]; } catch { return [name, state[name]]; }
    };
    const known = [...asked].filter(([name]) => name in state).map(read);
    return Object.fromEntries(known.filter(([name, value]) =>
      typeof value === typeof state[name] && Array.isArray(value) === Array.isArray(state[name])));
  };
  const current = { ...state, ...fromAddress() };
  let paused;
  const toAddress = () => {
    clearTimeout(paused);
    paused = setTimeout(writeAddress, PAUSE);
  };
  const writeAddress = () => {
    const changed = Object.keys(state).filter((name) => JSON.stringify(current[name]) !== JSON.stringify(state[name]));
    const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
    const asked = new URLSearchParams(changed.map((name) => [name, text(current[name])]));
    if (changed.length || STATE.test(location.hash)) history.replaceState(null, "", `#flatmap?${asked}`);
  };
  addEventListener("hashchange", () => {
    if (!STATE.test(location.hash)) return;
    Object.assign(current, state, fromAddress());
    Object.keys(state).forEach((name) => emit(`change:${name}`));
  });
  const load = (key) => {
    const script = document.createElement("script");
    const failed = () => emit("msg:custom", { chunk: key, error: `The data of ${key} cannot be loaded: build the book again.` });
    script.addEventListener("error", failed);
    script.addEventListener("load", () => {
      script.remove();
      try {
        const text = atob(globalThis.flatmapChunks[files[key]]);
        const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
        emit("msg:custom", { chunk: key }, [new DataView(bytes.buffer)]);
      } catch { failed(); }
    });
    script.src = `${folder}/${files[key]}.js`;
    document.head.append(script);
  };
  return {
    get: (name) => ({ catalogue, linked: true, ...current })[name],
    set: (name, value) => { current[name] = value; },
    save_changes: toAddress,
    on: (events, handler) => events.split(" ").forEach((event) => (handlers[event] ??= []).push(handler)),
    off: (event, handler) => { handlers[event] = (handlers[event] ?? []).filter((one) => one !== handler); },
    send: ({ chunk }) => load(chunk),
  };
}
