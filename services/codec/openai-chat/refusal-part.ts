import type { Part } from "#gen/penstock/chat/v1/chat_pb.ts";

/** What the model said when it refused. */
export function refusalPart(text: string): Part {
  return {
    $typeName: "penstock.chat.v1.Part",
    content: { case: "refusal", value: { $typeName: "penstock.chat.v1.RefusalPart", text } },
  };
}
