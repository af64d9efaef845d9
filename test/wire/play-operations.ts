import { Buffer } from "node:buffer";
import type { UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { type ProviderRequest, startFakeProvider } from "../harness/fake-provider.ts";
import type { RecordingRow } from "../harness/recordings.ts";
import { sseData } from "../harness/sse-data.ts";
import { type Gateway, startGateway } from "../harness/start-gateway.ts";
import { type JsonRecord, numberOf, parseJson, recordOf } from "./json.ts";
import { type OperationRecording, readOperation } from "./operation-recordings.ts";
import { type OperationTarget, operationTargetOf } from "./operation-targets.ts";
import type { WireResult } from "./play-recordings.ts";
import { answerTimeoutMs } from "./wire-door.ts";

/** The column of the table. */
export const operationsColumn = "own door";

interface Played {
  readonly recording: OperationRecording;
  readonly target: OperationTarget;
}

/** Plays exchanges that are no conversations at the door of their own dialect, where both sides have to get the recorded bytes. */
export async function playOperations(rows: readonly RecordingRow[]): Promise<readonly WireResult[]> {
  const played = rows.flatMap((row) => {
    const target = operationTargetOf(row);
    return target === undefined ? [] : [{ recording: readOperation(row), target }];
  });
  if (played.length === 0) {
    return [];
  }
  const byId = new Map(played.map(({ recording }) => [recording.id, recording]));
  const provider = await startFakeProvider({
    otherwise({ model }) {
      const recording = byId.get(model);
      return {
        status: recording?.status ?? 404,
        headers: { "content-type": recording?.contentType ?? "text/plain" },
        parts: [recording?.answer ?? `there is no recording ${model}`],
      };
    },
  });
  let gateway: Gateway | undefined;
  try {
    gateway = await startGateway({ mode: "embedded", config: writeConfig(provider.url, played) });
    const results: WireResult[] = [];
    for (const each of played) {
      const failures = await play(each, gateway, () => provider.requestsOf(each.recording.id).at(-1));
      const { id, provider: name, api } = each.recording;
      results.push({ id, provider: `${name}.${api}`, door: operationsColumn, failures, excepted: [] });
    }
    return results;
  } finally {
    await gateway?.stop();
    await provider.close();
  }
}

function writeConfig(url: string, played: readonly Played[]): string {
  const kinds = new Map(played.map(({ target }) => [target.kind, target]));
  return [
    "providers:",
    ...[...kinds].map(
      ([kind, { base }]) => `  ${kind}: { kind: ${kind}, base_url: "${url}${base}", api_key: wire-key }`,
    ),
    "models:",
    ...played.map(
      ({ recording, target }) =>
        `  ${recording.id}: { route: [{ target: ${target.kind}/${recording.id} }], retry: { attempts: 1 } }`,
    ),
    "",
  ].join("\n");
}

async function play(
  { recording, target }: Played,
  gateway: Gateway,
  asked: () => ProviderRequest | undefined,
): Promise<readonly string[]> {
  const sent = bodyOf(recording);
  const response = await fetch(gateway.url + target.path(recording.id), {
    method: "POST",
    headers: {
      authorization: `Bearer ${gateway.virtualKey}`,
      ...(sent instanceof FormData ? {} : { "content-type": "application/json" }),
    },
    body: sent instanceof FormData ? sent : JSON.stringify(sent),
    signal: AbortSignal.timeout(answerTimeoutMs),
  });
  const body = Buffer.from(await response.arrayBuffer());
  const upstream = asked();
  const failures: string[] = [];
  if (response.status !== recording.status) {
    failures.push(`status ${response.status}, recorded ${recording.status}`);
  }
  if (recording.status !== 200) {
    const message = messageOf(recording.answer);
    return messageOf(body) === message ? failures : [...failures, `the message is ${body.toString()}`];
  }
  const type = response.headers.get("content-type")?.split(";")[0];
  if (type !== recording.contentType.split(";")[0]) {
    failures.push(`the content type is ${type}`);
  }
  if (body.compare(recording.answer) !== 0) {
    failures.push(`the answer differs: ${body.toString("utf8", 0, 200)}`);
  }
  failures.push(
    ...(upstream === undefined ? ["the provider was not asked"] : await compareSent(upstream, sent, target)),
  );
  const rows = await gateway.waitForRequest(response.headers.get("x-request-id") ?? "");
  return [...failures, ...compareUsage(rows, recording)];
}

/** The recorded request with the recording's name as its model. */
function bodyOf({ id, json, form, isStream, api }: OperationRecording): JsonRecord | FormData {
  if (form === undefined) {
    const inPath = api.endsWith("Content") || api.endsWith("Contents") || api === "countTokens";
    const { requests } = json ?? {};
    if (Array.isArray(requests)) {
      // Each of Google's batch names the model again.
      return { ...json, requests: requests.map((each) => ({ ...recordOf(each), model: `models/${id}` })) };
    }
    return { ...json, ...(inPath ? {} : { model: id }), ...(isStream ? { stream: true } : {}) };
  }
  const made = new FormData();
  for (const part of form.length > 0 ? form : [{ name: "file", filename: "a.wav", base64: "UklGRg==" }]) {
    if (part.base64 !== undefined) {
      made.append(part.name, new Blob([new Uint8Array(Buffer.from(part.base64, "base64"))]), part.filename ?? "file");
    } else if (part.name !== "model") {
      made.append(part.name, part.text ?? "");
    }
  }
  made.append("model", id);
  return made;
}

async function compareSent(
  upstream: ProviderRequest,
  sent: JsonRecord | FormData,
  { path }: OperationTarget,
): Promise<readonly string[]> {
  const wrongPath = upstream.path === path(upstream.model) ? [] : [`the provider was asked at ${upstream.path}`];
  if (!(sent instanceof FormData)) {
    const wanted = { ...sent, model: upstream.json["model"] };
    // Asking for the usage of a stream is the only thing that is added.
    const got = { ...upstream.json };
    delete got["stream_options"];
    const same = sameMembers(got, wanted);
    return same ? wrongPath : [...wrongPath, `the provider got ${JSON.stringify(upstream.json).slice(0, 300)}`];
  }
  const type = String(upstream.headers["content-type"]);
  const got = await new Response(new Uint8Array(upstream.body), { headers: { "content-type": type } }).formData();
  const [gotFields, sentFields] = [await fieldsOf(got), await fieldsOf(sent)];
  return gotFields === sentFields ? wrongPath : [...wrongPath, `the provider got the form ${gotFields.slice(0, 300)}`];
}

/** All fields of a form in order, files with their names and bytes. */
async function fieldsOf(form: FormData): Promise<string> {
  const fields: (readonly string[])[] = [];
  for (const [name, value] of form) {
    fields.push(
      typeof value === "string"
        ? [name, value]
        : [name, value.name, Buffer.from(await value.arrayBuffer()).toString("base64")],
    );
  }
  return JSON.stringify(fields);
}

function sameMembers(got: JsonRecord, wanted: JsonRecord): boolean {
  const names = [...new Set([...Object.keys(got), ...Object.keys(wanted)])];
  return names.every((name) => JSON.stringify(got[name]) === JSON.stringify(wanted[name]));
}

function messageOf(body: Buffer): unknown {
  return recordOf(recordOf(parseJson(body.toString()))["error"])["message"];
}

/** How the ledger's tokens differ from those that the answer reports, where it reports any. */
function compareUsage(rows: readonly UsageEvent[], { answer, isStream, api }: OperationRecording): readonly string[] {
  const usage = rows[0]?.usage;
  const texts = isStream ? sseData(answer.toString()) : [answer.toString()];
  const reported = texts.map((text) => reportedTokens(recordOf(parseJson(text)))).findLast((tokens) => tokens > 0);
  const counted = usage === undefined ? 0n : usage.uncachedInputTokens + usage.cacheReadTokens + usage.outputTokens;
  if (api === "messages.count_tokens") {
    return counted === 0n ? [] : [`the ledger has ${counted} tokens of a count`];
  }
  if (reported === undefined) {
    return usage?.estimated === true ? [] : ["the ledger has usage that nobody reported"];
  }
  return counted === BigInt(reported) ? [] : [`the ledger has ${counted} tokens, reported ${reported}`];
}

/** The sum of all tokens, by OpenAI's name of it or Google's. */
function reportedTokens(body: JsonRecord): number {
  const google = recordOf(body["usageMetadata"]);
  return numberOf(recordOf(body["usage"])["total_tokens"]) || numberOf(google["promptTokenCount"]);
}
