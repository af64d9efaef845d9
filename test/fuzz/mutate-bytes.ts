import { Buffer } from "node:buffer";
import type { Random } from "./random.ts";

/** A way to damage bytes. `others` are undamaged bytes of other exchanges. */
export type ByteMutation = (bytes: Buffer, random: Random, others: readonly Buffer[]) => Buffer;

const nasty: readonly Buffer[] = [
  Buffer.from([0]),
  Buffer.from([0xff, 0xfe]),
  // Half of a character of three bytes, an overlong slash, and a surrogate in UTF-8.
  Buffer.from([0xe2, 0x82]),
  Buffer.from([0xc0, 0xaf]),
  Buffer.from([0xed, 0xa0, 0x80]),
  Buffer.from("\ufeff"),
  Buffer.from("\r"),
  Buffer.from("\r\n\r\n"),
  Buffer.from("\n\n"),
  Buffer.from("data: [DONE]\n\n"),
  Buffer.from("data: \n\n"),
  Buffer.from(":\n"),
  Buffer.from("event: error\ndata: {}\n\n"),
  Buffer.from('data: {"error":{"message":"x"}}\n\n'),
  Buffer.from("1e999"),
  Buffer.from("-0"),
  Buffer.from("99999999999999999999999999"),
  Buffer.from('"__proto__":{"x":1},'),
  Buffer.from("\\ud800"),
  Buffer.from("[".repeat(3_000)),
  Buffer.from("<html><body>502 Bad Gateway</body></html>"),
];

/** Ways to damage bytes whatever they mean, by name. */
export const byteMutations: Readonly<Record<string, ByteMutation>> = {
  flip(bytes, random) {
    const damaged = Buffer.from(bytes);
    for (let times = 1 + random.below(4); times > 0 && damaged.length > 0; times -= 1) {
      const at = random.below(damaged.length);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << random.below(8));
    }
    return damaged;
  },
  remove(bytes, random) {
    const at = random.below(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(40))]);
  },
  repeat(bytes, random) {
    const at = random.below(bytes.length + 1);
    const end = at + random.below(400);
    return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
  },
  insert(bytes, random) {
    const at = random.below(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), random.pick(nasty), bytes.subarray(at)]);
  },
  splice(bytes, random, others) {
    const other = random.pick(others);
    return Buffer.concat([
      bytes.subarray(0, random.below(bytes.length + 1)),
      other.subarray(random.below(other.length + 1)),
    ]);
  },
  swap(bytes, random) {
    const [first = 0, second = 0] = [random.below(bytes.length + 1), random.below(bytes.length + 1)].toSorted(
      (a, b) => a - b,
    );
    return Buffer.concat([bytes.subarray(second), bytes.subarray(first, second), bytes.subarray(0, first)]);
  },
  lengthen(bytes, random) {
    const at = random.below(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(1 << (10 + random.below(8)), "a"), bytes.subarray(at)]);
  },
};

/** Leaves the end out. What is left of a stream must not look complete. */
export function truncate(bytes: Buffer, random: Random): Buffer {
  return bytes.subarray(0, random.below(bytes.length));
}
