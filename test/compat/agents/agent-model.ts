import type { ProviderRequest, ScriptedAnswer } from "../../harness/fake-provider.ts";
import { writeTurn } from "../scripted-model.ts";

/** The file that agents are asked about. */
export const noteFile = "note.txt";
/** What they are asked. */
export const question = `What does ${noteFile} say?`;
/** The file into which agents copy it where they have a tool for that. */
export const copyFile = "copy.txt";
/** What the model says once it has seen the note. */
export const answerOf = (note: string): string => `The note says: ${note}.`;

/** How each agent's shell tool is called to read the note. */
const shellCalls: readonly (readonly [tool: string, input: object])[] = [
  ["exec_command", { cmd: `cat ${noteFile}` }],
  ["Bash", { command: `cat ${noteFile}`, description: "Reads the note" }],
];

/**
 * A model that works as agents expect: it reads the note by the shell tool that it is given, and says what is in it. What
 * is asked without such a tool, such as a title, gets a short answer.
 */
export function agentModel(note: string): (request: ProviderRequest) => ScriptedAnswer {
  return (request) => {
    const text = request.body.toString();
    const call = shellCalls.find(([tool]) => text.includes(`"name":"${tool}"`));
    const has = (part: string): boolean => text.includes(part);
    const thought = has('"thinking":{"type":"adaptive"') || has('"includeThoughts":true') || has('"reasoning":{');
    // Codex's own tool takes a patch as a text, and is a function to other providers' models.
    const patch = /"name":"(apply_patch[^"]*)"/.exec(text)?.[1];
    if (has(note) && patch !== undefined && !has(`Add File: ${copyFile}`)) {
      const input = `*** Begin Patch\n*** Add File: ${copyFile}\n+${note}\n*** End Patch\n`;
      return writeTurn(request, { thought, text: "", tool: patch, argumentsJson: JSON.stringify({ input }) });
    }
    if (has(note)) {
      return writeTurn(request, { thought, text: answerOf(note), tool: "", argumentsJson: "" });
    }
    const [tool = "", input = {}] = call ?? [];
    return writeTurn(request, {
      thought,
      text: call === undefined ? "A note" : "",
      tool,
      argumentsJson: call === undefined ? "" : JSON.stringify(input),
    });
  };
}
