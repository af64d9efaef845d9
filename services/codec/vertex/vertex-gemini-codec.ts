import type { ChatCodec, Json, JsonObject } from "../codec.ts";
import { createGeminiCodec } from "../gemini/gemini-codec.ts";
import { isJsonObject } from "../json/json-fields.ts";
import { asArray, asObject } from "../json/json-values.ts";

/**
 * Creates the codec of Gemini on Vertex: Gemini's dialect, but for the ids of calls, which not all of its versions take.
 * Calls and results belong together by their order, which is kept.
 */
export function createVertexGeminiCodec(): ChatCodec {
  const gemini = createGeminiCodec();
  return {
    ...gemini,
    encodeRequest(request, options) {
      const { body, dropped } = gemini.encodeRequest(request, options);
      return { body: { ...body, contents: asArray(body["contents"]).map(withoutIds) }, dropped };
    },
  };
}

function withoutIds(content: Json): Json {
  const turn = asObject(content);
  return turn === undefined ? content : { ...turn, parts: asArray(turn["parts"]).map(partWithoutIds) };
}

function partWithoutIds(part: Json): Json {
  if (!isJsonObject(part)) {
    return part;
  }
  for (const name of ["functionCall", "functionResponse"]) {
    const called: JsonObject | undefined = asObject(part[name]);
    if (called !== undefined) {
      const { id: _id, ...rest } = called;
      return { ...part, [name]: rest };
    }
  }
  return part;
}
