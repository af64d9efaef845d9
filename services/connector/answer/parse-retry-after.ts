import type { UpstreamHeaders } from "../upstream/upstream.ts";

/** Nobody waits longer than this for a provider. */
const longestMs = 600_000;

/**
 * How long a provider asks to wait, in milliseconds, from `retry-after-ms` or `retry-after` in seconds or as a date.
 * Never negative and never NaN; a date in the past is 0, what cannot be read is undefined, the longest of several counts.
 */
export function parseRetryAfter(headers: UpstreamHeaders, now: number): number | undefined {
  const delays = [
    ...valuesOf(headers["retry-after-ms"]).map((value) => numberOf(value)),
    ...valuesOf(headers["retry-after"]).map((value) => secondsOf(value) ?? dateOf(value, now)),
  ].filter((delay) => delay !== undefined);
  return delays.length === 0 ? undefined : Math.min(Math.max(0, ...delays), longestMs);
}

function valuesOf(value: string | string[] | undefined): readonly string[] {
  return value === undefined ? [] : (Array.isArray(value) ? value : [value]).flatMap((item) => splitList(item));
}

/** Two fields arrive as one with a comma; so does the comma of a date. */
function splitList(value: string): readonly string[] {
  return /^[-\d.,\s]+$/.test(value) ? value.split(",").map((item) => item.trim()) : [value.trim()];
}

function numberOf(value: string): number | undefined {
  return /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : undefined;
}

function secondsOf(value: string): number | undefined {
  const seconds = numberOf(value);
  return seconds === undefined ? undefined : seconds * 1000;
}

function dateOf(value: string, now: number): number | undefined {
  const at = /[a-z]/i.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? undefined : at - now;
}
