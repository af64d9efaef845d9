const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** Splits bytes that hold whole events, as a border cutter returns them, into one slice for each; copies nothing. */
export function splitSseEvents(whole: Buffer): readonly Buffer[] {
  return whole.includes(CARRIAGE_RETURN) ? splitAtAnyLineEnd(whole) : splitAtLineFeeds(whole);
}

/** Nearly all servers end lines with a line feed alone, and lines are long enough for the native search to pay. */
function splitAtLineFeeds(whole: Buffer): readonly Buffer[] {
  const events: Buffer[] = [];
  let eventStart = 0;
  for (let lineStart = 0; lineStart < whole.length; ) {
    const lineEnd = whole.indexOf(LINE_FEED, lineStart);
    if (lineEnd === -1) {
      break;
    }
    const isBlank = lineEnd === lineStart;
    const blankFollows = whole[lineEnd + 1] === LINE_FEED;
    lineStart = lineEnd + (blankFollows && !isBlank ? 2 : 1);
    if (isBlank || blankFollows) {
      events.push(whole.subarray(eventStart, lineStart));
      eventStart = lineStart;
    }
  }
  if (eventStart < whole.length) {
    events.push(whole.subarray(eventStart));
  }
  return events;
}

function splitAtAnyLineEnd(whole: Buffer): readonly Buffer[] {
  const events: Buffer[] = [];
  let eventStart = 0;
  let lineStart = 0;
  for (let index = 0; index < whole.length; index++) {
    const byte = whole[index];
    if (byte !== LINE_FEED && byte !== CARRIAGE_RETURN) {
      continue;
    }
    const isBlank = index === lineStart;
    if (byte === CARRIAGE_RETURN && whole[index + 1] === LINE_FEED) {
      index++;
    }
    lineStart = index + 1;
    if (isBlank) {
      events.push(whole.subarray(eventStart, lineStart));
      eventStart = lineStart;
    }
  }
  if (eventStart < whole.length) {
    events.push(whole.subarray(eventStart));
  }
  return events;
}
