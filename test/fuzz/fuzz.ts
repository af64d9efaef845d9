import { Buffer } from "node:buffer";
import { byteMutations, truncate } from "./mutate-bytes.ts";
import { mutateJsonText } from "./mutate-json.ts";
import { callerDialects, findFormProblem, playAnswer, providers } from "./play-answer.ts";
import { playRequest } from "./play-request.ts";
import { createRandom, type Random } from "./random.ts";
import type { AnswerSeed, RequestSeed, Seeds } from "./seeds.ts";

/** A mutant that something went wrong with. */
export interface Finding {
  /** The seed of the mutant: with it alone the mutant is made again. */
  readonly seed: number;
  readonly name: string;
  readonly problem: string;
  readonly bytes: Buffer;
}

/** More than this of an answer for a byte of the provider's is a flood. Events of other dialects are longer. */
const growth = 2_000;
const spare = 64 * 1024;

/** Makes the mutant of a seed, plays it, and says what was wrong; undefined when nothing was. */
export function playMutant(seeds: Seeds, seed: number): Finding | undefined {
  const random = createRandom(seed);
  return random.chance(0.75)
    ? playAnswerMutant(random.pick(seeds.answers), seeds, random, seed)
    : playRequestMutant(random.pick(seeds.requests), random, seed);
}

function playAnswerMutant(origin: AnswerSeed, seeds: Seeds, random: Random, seed: number): Finding | undefined {
  const dialect = random.pick(callerDialects);
  const isCut = random.chance(0.2) && origin.bytes.length > 0;
  const bytes = isCut ? truncate(origin.bytes, random) : mutate(origin.bytes, seeds, random);
  const finding = (problem: string): Finding => ({ seed, name: origin.name, problem, bytes });
  try {
    const played = playAnswer(origin, bytes, dialect, random);
    if (played === undefined) {
      return undefined;
    }
    if (played.output.length > bytes.length * growth + spare) {
      return finding(`${bytes.length} bytes became ${played.output.length}`);
    }
    if (isCut && played.whole && !mayEndHere(origin, bytes)) {
      const [untouched, cut] = [origin.bytes, bytes].map((each) => playAnswer(origin, each, dialect, undefined));
      if (cut === undefined || untouched?.output.equals(cut.output) !== true) {
        return finding(`cut at ${bytes.length} of ${origin.bytes.length}, the answer looks complete`);
      }
    }
    const problem = played.isForwarded ? undefined : findFormProblem(played);
    return problem === undefined ? undefined : finding(problem);
  } catch (error) {
    return finding(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
}

/**
 * Whether what was left out may be missing: some servers of these dialects end their streams without a final marker, and
 * some without usage.
 */
function mayEndHere(origin: AnswerSeed, bytes: Buffer): boolean {
  const isBorder = /[\r\n}]$/.test(bytes.subarray(-1).toString("latin1"));
  const isOnlySpace = origin.bytes.subarray(bytes.length).toString("latin1").trim() === "";
  return isOnlySpace || (isBorder && endWithoutMarker.has(origin.kind));
}

const endWithoutMarker: ReadonlySet<string> = new Set(["openai", "gemini", "vertex", "cohere"]);

function playRequestMutant(origin: RequestSeed, random: Random, seed: number): Finding | undefined {
  const bytes = random.chance(0.8)
    ? Buffer.from(mutateJsonText(origin.bytes.toString("utf8"), random) ?? "")
    : random.pick(Object.values(byteMutations))(origin.bytes, random, [origin.bytes]);
  try {
    playRequest(origin, bytes, random.pick(providers));
    return undefined;
  } catch (error) {
    const problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { seed, name: origin.name, problem, bytes };
  }
}

function mutate(bytes: Buffer, seeds: Seeds, random: Random): Buffer {
  let mutant = random.chance(0.5) ? mutateStructure(bytes, random) : bytes;
  if (mutant === bytes || random.chance(0.2)) {
    const others = [random.pick(seeds.answers).bytes];
    mutant = random.pick(Object.values(byteMutations))(mutant, random, others);
  }
  return mutant;
}

/** Changes the JSON of a whole answer, or of one line of a stream. */
function mutateStructure(bytes: Buffer, random: Random): Buffer {
  const text = bytes.toString("utf8");
  const whole = mutateJsonText(text, random);
  if (whole !== undefined) {
    return Buffer.from(whole);
  }
  const lines = text.split("\n");
  const at = random.below(lines.length);
  const line = lines[at] ?? "";
  const start = line.indexOf("{");
  const changed = start === -1 ? undefined : mutateJsonText(line.slice(start), random);
  if (changed === undefined) {
    return bytes;
  }
  return Buffer.from(lines.with(at, line.slice(0, start) + changed).join("\n"));
}
