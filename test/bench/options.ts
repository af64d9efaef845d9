import { parseArgs } from "node:util";

/** What a run of the bench does. */
export interface BenchOptions {
  readonly rounds: number;
  readonly seconds: number;
  /** Rows to measure; empty: all. */
  readonly only: readonly string[];
  /** Loads to run; empty: all. */
  readonly loads: readonly string[];
  /** Requests a second of the open loop. */
  readonly ratePerSecond: number;
  readonly mesh: boolean;
  /** The root of another checkout, measured beside this one. */
  readonly compare: string | undefined;
  readonly profileDirectory: string | undefined;
  readonly jsonFile: string | undefined;
}

/** Shown for `--help`. */
export const usage = `npm run bench -- [options]

  --rounds N       how often each row is measured, in turn (3)
  --seconds N      the length of the longest load, in seconds (5)
  --only A,B       these rows: node, nginx, penstock, "penstock, no budget", mesh, …
  --loads A,B      these loads: closed-32, closed-1, open, stream-fast, stream-slow
  --rate N         requests a second of the open loop (500)
  --mesh           Penstock as a process for each service, too
  --compare DIR    the Penstock of another checkout, too, as "other"
  --profile DIR    write a CPU profile of each Penstock process there
  --json FILE      write every measurement there
`;

/** Reads the command line; undefined when help was asked for. Throws for what cannot be understood. */
export function readOptions(args: readonly string[]): BenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "3" },
      seconds: { type: "string", default: "5" },
      only: { type: "string", default: "" },
      loads: { type: "string", default: "" },
      rate: { type: "string", default: "500" },
      mesh: { type: "boolean", default: false },
      compare: { type: "string" },
      profile: { type: "string" },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  return values.help
    ? undefined
    : {
        rounds: positive("rounds", values.rounds),
        seconds: positive("seconds", values.seconds),
        only: list(values.only),
        loads: list(values.loads),
        ratePerSecond: positive("rate", values.rate),
        mesh: values.mesh,
        compare: values.compare,
        profileDirectory: values.profile,
        jsonFile: values.json,
      };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) {
    throw new Error(`--${name} must be a number above 0`);
  }
  return value;
}

/** Names have commas of their own: `penstock, no budget`. */
function list(text: string): readonly string[] {
  return text
    .split(/,(?! )/)
    .map((name) => name.trim())
    .filter((name) => name !== "");
}
