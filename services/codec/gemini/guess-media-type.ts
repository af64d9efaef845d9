const BY_EXTENSION: ReadonlyMap<string, string> = new Map([
  ["jpg", "image/jpeg"],
  ["jpeg", "image/jpeg"],
  ["png", "image/png"],
  ["gif", "image/gif"],
  ["webp", "image/webp"],
  ["heic", "image/heic"],
  ["pdf", "application/pdf"],
  ["txt", "text/plain"],
  ["md", "text/markdown"],
  ["csv", "text/csv"],
  ["html", "text/html"],
  ["mp3", "audio/mpeg"],
  ["wav", "audio/wav"],
  ["mp4", "video/mp4"],
  ["webm", "video/webm"],
]);

/** The media type that the end of an address suggests, which Gemini wants named; undefined when it suggests none. */
export function guessMediaType(url: string): string | undefined {
  const path = url.split(/[?#]/, 1)[0] ?? "";
  return BY_EXTENSION.get(path.slice(path.lastIndexOf(".") + 1).toLowerCase());
}
