/** Writes an event that has data only. `data` must not contain a line end, which JSON text never does. */
export function writeSseData(data: string): string {
  return `data: ${data}\n\n`;
}

/** Writes a named event. Neither `event` nor `data` may contain a line end. */
export function writeSseEvent(event: string, data: string): string {
  return `event: ${event}\ndata: ${data}\n\n`;
}
