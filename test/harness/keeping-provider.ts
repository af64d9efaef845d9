import type { ProviderRequest, ScriptedAnswer } from "./fake-provider.ts";
import { goodAnswer, json, sse } from "./provider-answers.ts";

/** A provider that keeps files, batches and responses in one account, as OpenAI does for all tenants of a gateway. */
export interface KeepingProvider {
  /** Answers whatever is asked of it: a script for the fake provider. */
  readonly answer: (request: ProviderRequest) => ScriptedAnswer;
  /** What it keeps, by its own ids. */
  readonly kept: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  /** Completes what was begun: batches with their files, responses in the background. */
  complete(): void;
}

/** Makes one that keeps nothing yet. Its ids have `secret` in them: no caller may ever see one of a file or a batch. */
export function createKeepingProvider(): KeepingProvider {
  const kept = new Map<string, Record<string, unknown>>();
  const contents = new Map<string, string>();
  let count = 0;

  function keep(prefix: string, value: Record<string, unknown>, content = ""): Record<string, unknown> {
    count += 1;
    const id = `${prefix}secret${count}`;
    const object = { id, ...value };
    kept.set(id, object);
    contents.set(id, content);
    return object;
  }
  const missing = (id: string): ScriptedAnswer =>
    json({ error: { message: `No such object: ${id}`, type: "invalid_request_error", param: "id", code: null } }, 404);

  function createFile({ body }: ProviderRequest): ScriptedAnswer {
    const form = body.toString("utf8");
    const field = (name: string): string =>
      new RegExp(`name="${name}"[^]*?\r\n\r\n([^]*?)\r\n--`).exec(form)?.[1] ?? "";
    const content = field("file");
    const filename = /filename="([^"]*)"/.exec(form)?.[1] ?? "";
    const times = { created_at: 1_700_000_000 + count };
    return json(
      keep("file-", { object: "file", bytes: content.length, ...times, filename, purpose: field("purpose") }, content),
    );
  }

  function respond(request: ProviderRequest): ScriptedAnswer {
    const { json: asked } = request;
    const previous = asked["previous_response_id"];
    if (typeof previous === "string" && !kept.has(previous)) {
      return missing(previous);
    }
    const background = asked["background"] === true;
    const store = asked["store"] !== false;
    const response = keep("resp_", {
      object: "response",
      created_at: 1_700_000_000,
      model: request.model,
      store,
      background,
      previous_response_id: previous ?? null,
      status: background ? "queued" : "completed",
      output: background ? [] : outputOf(count + 1),
      usage: background ? null : usage,
      asked,
    });
    if (!store) {
      kept.delete(String(response["id"]));
    }
    if (!request.stream) {
      return json(response);
    }
    const begun = { ...response, status: "in_progress", output: [], usage: null };
    const delta = {
      type: "response.output_text.delta",
      item_id: "msg",
      output_index: 0,
      content_index: 0,
      delta: "Hi",
    };
    const events = [{ type: "response.created", response: begun }, delta, { type: "response.completed", response }];
    return {
      headers: { "content-type": "text/event-stream" },
      parts: events.map((event, index) => `event: ${event.type}\n${sse({ ...event, sequence_number: index })}`),
    };
  }

  function answerOf(kind: string, id: string, action: string, method: string): ScriptedAnswer {
    const object = kept.get(id);
    if (object === undefined) {
      return missing(id);
    }
    if (method === "DELETE") {
      kept.delete(id);
      return json({ id, object: kind === "files" ? "file" : "response", deleted: true });
    }
    switch (action) {
      case "content":
        return { headers: { "content-type": "text/html" }, parts: [contents.get(id) ?? ""] };
      case "cancel":
        object["status"] = kind === "batches" ? "cancelling" : "cancelled";
        return json(object);
      case "input_items":
        return json({ object: "list", data: [inputItem(object)], has_more: false });
      default:
        return json(object);
    }
  }

  return {
    kept,
    answer(request) {
      const [path = ""] = request.path.split("?");
      const [, , kind = "", id = "", action = ""] = path.split("/");
      if (request.method !== "POST" || action === "cancel") {
        return answerOf(kind, id, action, request.method);
      }
      switch (kind) {
        case "files":
          return createFile(request);
        case "batches": {
          const input = String(request.json["input_file_id"]);
          return kept.has(input)
            ? json(
                keep("batch_", {
                  object: "batch",
                  status: "in_progress",
                  created_at: 1,
                  ...request.json,
                  metadata: null,
                }),
              )
            : missing(input);
        }
        case "responses":
          return respond(request);
        default:
          return goodAnswer(request);
      }
    },
    complete() {
      // Files that come of it are not looked at again.
      for (const object of Array.from(kept.values())) {
        if (object["object"] === "batch" && object["status"] === "in_progress") {
          const output = keep("file-", { object: "file", bytes: 3, created_at: 2, purpose: "batch_output" }, "out");
          Object.assign(object, {
            status: "completed",
            completed_at: 2,
            output_file_id: output["id"],
            model: "m-1",
            usage: { ...usage, input_tokens: 1_000, output_tokens: 100, total_tokens: 1_100 },
          });
        }
        if (object["object"] === "response" && object["status"] === "queued") {
          Object.assign(object, { status: "completed", output: outputOf(99), usage });
        }
      }
    },
  };
}

const usage = {
  input_tokens: 20,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: 10,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 30,
};

function outputOf(place: number): readonly object[] {
  const content = [{ type: "output_text", text: "Hi", annotations: [] }];
  return [
    { id: `ci_${place}`, type: "code_interpreter_call", status: "completed", container_id: `cntr_${place}`, code: "1" },
    { id: `msg_${place}`, type: "message", role: "assistant", status: "completed", content },
  ];
}

function inputItem(response: Record<string, unknown>): unknown {
  const { asked } = response;
  const input = typeof asked === "object" && asked !== null && "input" in asked ? asked.input : "";
  return Array.isArray(input) ? input[0] : { type: "message", role: "user", content: input };
}
