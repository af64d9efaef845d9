import { parseArgs } from "node:util";
import { describeFinding, fuzzInThread } from "./fuzz-in-thread.ts";
import { playMutant } from "./fuzz.ts";
import { readSeeds } from "./seeds.ts";

// `npm run fuzz [-- --mutants N --seed S]`: damages answers of providers and requests of callers and plays them.
// `npm run fuzz -- --replay S` plays the one mutant of a seed again and shows it. The exit code is 1 for a finding.

const { values } = parseArgs({
  options: {
    mutants: { type: "string", default: "20000" },
    seed: { type: "string", default: String(Date.now() % 1_000_000_000) },
    replay: { type: "string" },
  },
});

if (values.replay === undefined) {
  const [first, mutants] = [Number(values.seed), Number(values.mutants)];
  process.stdout.write(`${mutants} mutants from seed ${first}\n`);
  const findings = await fuzzInThread(first, mutants);
  for (const finding of findings) {
    process.stdout.write(`${describeFinding(finding)}\n`);
  }
  process.stdout.write(`${findings.length} findings\n`);
  process.exitCode = findings.length === 0 ? 0 : 1;
} else {
  const finding = playMutant(readSeeds(), Number(values.replay));
  process.stdout.write(
    finding === undefined ? "nothing is wrong\n" : `${describeFinding(finding)}\n${finding.bytes.toString("utf8")}\n`,
  );
  process.exitCode = finding === undefined ? 0 : 1;
}
