import { parseArgs } from "node:util";
import { simulate } from "./simulate.ts";

// `npm run simulate -- [--seeds N] [--steps N] [--seed S]`: runs the simulation of quota with N seeds from S on, and
// prints each seed whose run broke a rule, with the command that repeats it. The exit code is 1 when there is one.

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    steps: { type: "string", default: "1000" },
    seed: { type: "string" },
  },
});
const first = Number(values.seed ?? 0);
const seeds = values.seed === undefined ? Number(values.seeds) : 1;
const steps = Number(values.steps);
const startMs = performance.now();
let failed = 0;
let admitted = 0;
for (let seed = first; seed < first + seeds; seed += 1) {
  const result = await simulate({ seed, steps });
  admitted += result.admitted;
  if (result.failure !== undefined) {
    failed += 1;
    process.stdout.write(
      `seed ${seed}, step ${result.failure.step}: ${result.failure.message}\n  npm run simulate -- --seed ${seed} --steps ${steps}\n`,
    );
  }
}
const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
process.stdout.write(
  `${seeds * steps} steps over ${seeds} seeds in ${seconds} s, ${admitted} requests admitted: ${failed} seeds failed\n`,
);
process.exitCode = failed > 0 || !(seeds * steps > 0) ? 1 : 0;
