import { Outcome, type UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import type { FakeProvider } from "../harness/fake-provider.ts";
import type { Recording } from "../harness/recordings.ts";
import { startReplayProvider } from "../harness/replay-provider.ts";
import { type Gateway, startGateway } from "../harness/start-gateway.ts";
import { waitUntil } from "../harness/wait-until.ts";
import { readTools, settleFinish } from "./answer-facts.ts";
import { compareAnswer, compareUsage, isFailure } from "./compare-answer.ts";
import { expectedAnswer } from "./expected.ts";
import { type ExceptedDifference, judgeProblems } from "./exceptions.ts";
import { classesOf, finishOf } from "./typed-door.ts";
import type { DoorAnswer, WireDoor } from "./wire-door.ts";
import { targetName, targetOf, type WireTarget } from "./wire-targets.ts";

/** What came of one recorded answer at one door. */
export interface WireResult {
  readonly id: string;
  /** The row of the table. */
  readonly provider: string;
  /** The column of the table. */
  readonly door: string;
  /** What differs and is not excepted. */
  readonly failures: readonly string[];
  /** What differs and is right as it is, with the name of the exception. */
  readonly excepted: readonly ExceptedDifference[];
}

/** Answers that are waited for at once: enough to keep two cores busy. */
const concurrency = 4;
/** How long the last rows may take to reach the ledger. */
const ledgerMs = 15_000;

/** Plays recorded answers through one running gateway and all these doors, and compares what comes out. */
export async function playRecordings(
  recordings: readonly Recording[],
  doors: readonly WireDoor[],
): Promise<readonly WireResult[]> {
  const played = recordings.flatMap((recording) => {
    const target = targetOf(recording);
    return target === undefined ? [] : [{ recording, target }];
  });
  const provider = await startReplayProvider(recordings);
  let gateway: Gateway | undefined;
  try {
    gateway = await startGateway({ mode: "embedded", config: writeConfig(provider.url, played) });
    const plays: Play[] = [];
    const queue = played.values();
    await Promise.all(
      Array.from({ length: concurrency }, async () => {
        for (const next of queue) {
          for (const door of doors.filter(({ name }) => next.target.isReachedFrom?.(name) !== false)) {
            plays.push(await play(next, door, provider, gateway));
          }
        }
      }),
    );
    const ledger = await readLedger(gateway, plays);
    return plays.map((each) => judge(each, ledger.get(each.answer?.requestId ?? "") ?? []));
  } finally {
    await gateway?.stop();
    await provider.close();
  }
}

interface Played {
  readonly recording: Recording;
  readonly target: WireTarget;
}

function modelOf({ recording, target }: Played): string {
  return target.model?.(recording.id) ?? recording.id;
}

interface Play extends Played {
  readonly door: WireDoor;
  readonly problems: readonly string[];
  readonly answer: DoorAnswer | undefined;
  /** Whether the provider was asked. */
  readonly asked: boolean;
}

/** The recording's id is the model, for the gateway as for the provider. An error is an error: nothing is retried. */
function writeConfig(url: string, played: readonly Played[]): string {
  const providers = new Map(played.map(({ recording, target }) => [targetName(recording), target.config(url)]));
  return [
    "providers:",
    ...[...providers].map(([name, config]) => `  ${name}: ${config}`),
    "models:",
    ...played.map((each) => {
      const target = `${targetName(each.recording)}/${modelOf(each)}`;
      return `  ${each.recording.id}: { route: [{ target: ${target} }], retry: { attempts: 1 } }`;
    }),
    "",
  ].join("\n");
}

async function play(
  { recording, target }: Played,
  door: WireDoor,
  provider: FakeProvider,
  gateway: Gateway | undefined,
): Promise<Play> {
  const identity = { recording, target, door };
  const request = {
    model: recording.id,
    stream: recording.kind === "stream" || recording.transport === "sse",
    recorded: door.dialect === target.dialect ? recording.request : undefined,
    tools: readTools(target.dialect, recording.request),
  };
  try {
    if (gateway === undefined) {
      throw new Error("the gateway has not started");
    }
    const before = provider.requestsOf(modelOf(identity)).length;
    const answer = await door.ask(gateway, request);
    const upstream = provider.requestsOf(modelOf(identity))[before]?.json;
    const asked = upstream !== undefined;
    return { ...identity, answer, asked, problems: compareAnswer({ ...identity, answer, upstream }) };
  } catch (error) {
    return { ...identity, answer: undefined, asked: false, problems: [`no answer: ${String(error)}`] };
  }
}

/** The rows of all requests that reached the provider, by request. One that is not there shows as a failure. */
async function readLedger(
  gateway: Gateway,
  plays: readonly Play[],
): Promise<ReadonlyMap<string, readonly UsageEvent[]>> {
  const wanted = plays.flatMap(({ answer, asked }) => (asked && answer !== undefined ? [answer.requestId] : []));
  const deadline = performance.now() + ledgerMs;
  let rows: readonly UsageEvent[] = [];
  await waitUntil(
    async () => {
      rows = await gateway.ledger();
      const there = new Set(rows.map((row) => row.requestId));
      return performance.now() > deadline || wanted.every((id) => there.has(id));
    },
    () => "the ledger",
  );
  return Map.groupBy(rows, (row) => row.requestId);
}

function judge(each: Play, rows: readonly UsageEvent[]): WireResult {
  const { recording, door } = each;
  const problems = [...each.problems, ...(each.asked ? compareRows(each, rows) : [])];
  return {
    id: recording.id,
    provider: targetName(recording),
    door: door.name,
    ...judgeProblems(recording.id, problems),
  };
}

/** How the ledger differs from what was recorded. */
function compareRows({ recording, target }: Play, rows: readonly UsageEvent[]): readonly string[] {
  const [row] = rows;
  if (row === undefined || rows.length !== 1) {
    return [`the ledger has ${rows.length} rows of the request`];
  }
  if (isFailure(recording)) {
    return row.outcome === Outcome.SUCCEEDED
      ? ["the ledger has an error as a success"]
      : recording.kind === "error" && row.httpStatus !== recording.status
        ? [`the ledger has status ${row.httpStatus}`]
        : [];
  }
  const expected = expectedAnswer(recording, target.dialect);
  const usage = classesOf(row.usage);
  const finish = settleFinish(finishOf(row.finishReason), expected.toolCalls.length > 0);
  return [
    ...(row.outcome === Outcome.SUCCEEDED ? [] : [`the ledger's outcome is ${row.outcome}`]),
    ...(finish === expected.finish ? [] : [`the ledger's finish is ${finish}`]),
    ...compareUsage("the ledger's usage", usage, expected.usage),
    ...(row.usage?.estimated === (expected.usage === undefined) ? [] : ["the ledger's usage is not as reported"]),
  ];
}
