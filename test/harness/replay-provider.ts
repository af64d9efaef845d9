import type { Buffer } from "node:buffer";
import { type FakeProvider, type ScriptedAnswer, startFakeProvider } from "./fake-provider.ts";
import { json } from "./provider-answers.ts";
import type { Recording } from "./recordings.ts";

/** Starts a provider that answers with the recording whose id the request names as its model, whatever it asks. */
export async function startReplayProvider(recordings: readonly Recording[]): Promise<FakeProvider> {
  const byId = new Map(recordings.map((recording) => [recording.id, recording]));
  return await startFakeProvider({
    otherwise({ model, id }) {
      // Vertex and Bedrock tell Claude by the model's name.
      const recording = byId.get(model.replace(/^(?:anthropic\.)?claude-/, ""));
      return recording === undefined
        ? json({ error: { message: `there is no recording ${model}`, type: "not_found" } }, 404)
        : replay(recording, pieceSizes[id % pieceSizes.length] ?? 1_000);
    },
  });
}

/** Streams are cut into pieces of these many bytes in turn, in the middle of events, lines and characters. */
const pieceSizes = [1_000_000, 7, 61, 500] as const;
/** Of a long stream only the beginning is cut small. */
const smallPieces = 400;

/** The recorded answer, its stream in pieces of so many bytes. */
function replay(recording: Recording, pieceBytes: number): ScriptedAnswer {
  const headers = {
    ...Object.fromEntries(Object.entries(recording.headers).filter(([name]) => !ofConnection.test(name))),
    "content-type": recording.contentType,
  };
  if (recording.transport === "json") {
    return { status: recording.status, headers, parts: [recording.bytes] };
  }
  const { bytes } = recording;
  const parts: Buffer[] = [];
  let at = 0;
  while (at < bytes.length && parts.length < smallPieces) {
    parts.push(bytes.subarray(at, at + pieceBytes));
    at += pieceBytes;
  }
  return { status: recording.status, headers, parts: at < bytes.length ? [...parts, bytes.subarray(at)] : parts };
}

const ofConnection = /^(?:content-(?:length|encoding|type)|transfer-encoding|connection|date)$/i;
