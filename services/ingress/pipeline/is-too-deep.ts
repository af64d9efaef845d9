const quote = 0x22;
const backslash = 0x5c;
const nearBytes = 48;

/**
 * Whether arrays and objects in a JSON text are nested deeper than allowed. Looks only at bytes outside of strings, so
 * a large prompt costs one native search for its end.
 */
export function isTooDeep(body: Buffer, maxDepth: number): boolean {
  // Each level takes two bytes.
  if (body.length <= maxDepth * 2) {
    return false;
  }
  let depth = 0;
  for (let at = 0; at < body.length; at += 1) {
    switch (body[at]) {
      case 0x7b:
      case 0x5b:
        depth += 1;
        if (depth > maxDepth) {
          return true;
        }
        break;
      case 0x7d:
      case 0x5d:
        depth -= 1;
        break;
      case quote: {
        at = endOfString(body, at);
        if (at === -1) {
          return false;
        }
        break;
      }
      default:
        break;
    }
  }
  return false;
}

function endOfString(body: Buffer, from: number): number {
  // Most strings are shorter than what a call of the native search costs.
  const near = Math.min(body.length, from + nearBytes);
  for (let at = from + 1; at < near; at += 1) {
    const byte = body[at];
    if (byte === quote) {
      return at;
    }
    if (byte === backslash) {
      at += 1;
    }
  }
  return endOfLongString(body, from);
}

function endOfLongString(body: Buffer, from: number): number {
  for (let at = body.indexOf(quote, from + 1); at !== -1; at = body.indexOf(quote, at + 1)) {
    let backslashes = 0;
    while (body[at - 1 - backslashes] === backslash) {
      backslashes += 1;
    }
    if (backslashes % 2 === 0) {
      return at;
    }
  }
  return -1;
}
