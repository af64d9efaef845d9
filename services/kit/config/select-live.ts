import type { Live } from "./create-live-config.ts";

/** A part of a live value, made anew when the whole is replaced. */
export function selectLive<T, Part>(live: Live<T>, select: (whole: T) => Part): Live<Part> {
  let version = live.version;
  let current = select(live.current);
  function refresh(): Part {
    if (live.version !== version) {
      version = live.version;
      current = select(live.current);
    }
    return current;
  }
  return {
    get current() {
      return refresh();
    },
    get version() {
      return live.version;
    },
    subscribe: (listener) => live.subscribe(() => listener(refresh())),
  };
}
