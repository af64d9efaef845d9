import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Slice } from "./slice.ts";

const amount = fc.bigInt({ min: 0n, max: 1_000_000_000_000n });
const step = fc.oneof(
  fc.record({ kind: fc.constant("grant" as const), amount }),
  fc.record({ kind: fc.constant("hold" as const), amount }),
  fc.record({ kind: fc.constant("settle" as const), index: fc.nat(), amount }),
  fc.record({ kind: fc.constant("release" as const), index: fc.nat() }),
  fc.record({ kind: fc.constant("charge" as const), amount }),
  fc.record({ kind: fc.constant("give up" as const) }),
);

test("available, held and spent are what was granted, whatever happens", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const slice = new Slice("lease", "budget");
      const holds: bigint[] = [];
      let spent = 0n;
      for (const each of steps) {
        switch (each.kind) {
          case "grant":
            slice.setGranted(slice.granted + each.amount);
            break;
          case "hold":
            if (slice.available >= each.amount) {
              slice.hold(each.amount);
              holds.push(each.amount);
            }
            break;
          case "settle": {
            const [held] = holds.splice(each.index % (holds.length + 1), 1);
            if (held !== undefined) {
              slice.settle(held, each.amount);
              spent += each.amount;
            }
            break;
          }
          case "release": {
            const [held] = holds.splice(each.index % (holds.length + 1), 1);
            if (held !== undefined) {
              slice.release(held);
            }
            break;
          }
          case "charge":
            slice.settle(0n, each.amount);
            spent += each.amount;
            break;
          case "give up":
            slice.giveUpAvailable();
            assert.ok(slice.available <= 0n);
            break;
        }
        assert.equal(slice.available + slice.held + slice.spent, slice.granted);
        assert.equal(slice.spent, spent);
        assert.equal(
          slice.held,
          holds.reduce((sum, held) => sum + held, 0n),
        );
      }
    }),
  );
});

test("is dirty from a change on until the next synchronisation is described", () => {
  const slice = new Slice("lease", "budget");
  slice.setGranted(10n);
  assert.equal(slice.isDirty, false);
  slice.hold(4n);
  assert.equal(slice.isDirty, true);
  assert.equal(slice.nextSequence(), 1);
  assert.equal(slice.isDirty, false);
  slice.release(4n);
  assert.equal(slice.nextSequence(), 2);
});
