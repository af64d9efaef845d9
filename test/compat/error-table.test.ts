import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { inMode } from "../harness/both-modes.ts";
import { type DoorError, errorDoors } from "./error-doors.ts";
import { type ProviderErrorCase, providerErrors } from "./provider-errors.ts";
import { type Family, families, threeFamilies } from "./three-families.ts";

const tableFile = new URL("../../services/ingress/errors.md", import.meta.url);
const providers: Readonly<Record<Family, string>> = { gpt: "openai", claude: "anthropic", flash: "gemini" };
const modelOf = (index: number): string => `error-${index}`;

inMode(
  "embedded",
  "errors of providers",
  (provider) =>
    threeFamilies(provider).replace(
      "models:\n",
      `models:\n${providerErrors.map(({ family }, index) => `  ${modelOf(index)}: { route: [{ target: ${providers[family]}/${modelOf(index)} }], retry: { attempts: 1 } }\n`).join("")}`,
    ),
  (context) => {
    test("come out at each door as services/ingress/errors.md says, and its client tries again where it says so", async () => {
      const target = { url: context.gateway.url, key: context.gateway.virtualKey };
      for (const [index, { answer }] of providerErrors.entries()) {
        context.provider.script(modelOf(index), answer);
      }
      // All at once: where nobody says how long to wait, each client waits half a second.
      const rows = await Promise.all(
        providerErrors.map(async (error, index) => ({
          error,
          doors: await Promise.all(errorDoors.map((door) => door.ask(target, modelOf(index)))),
        })),
      );
      for (const { error, doors } of rows) {
        const [chat, responses, messages, google] = doors;
        assert.deepEqual(responses, chat, `${error.family} ${error.status}: OpenAI's two doors say the same`);
        for (const door of [chat, messages]) {
          assert.equal(
            door?.sent,
            door?.retry === true ? 2 : 1,
            `${error.family} ${error.status}: obeys x-should-retry`,
          );
        }
        assert.equal(google?.retry, chat?.retry);
      }
      const written = writeTables(rows);
      const kept = readFileSync(tableFile, "utf8");
      const begin = kept.indexOf("## ");
      if (process.env["PENSTOCK_UPDATE_TABLES"] === "1") {
        writeFileSync(tableFile, kept.slice(0, begin) + written);
        return;
      }
      assert.equal(
        kept.slice(begin),
        written,
        "write it anew: PENSTOCK_UPDATE_TABLES=1 npm test -- test/compat/error-table.test.ts",
      );
    });
  },
);

interface Row {
  readonly error: ProviderErrorCase;
  readonly doors: readonly DoorError[];
}

function writeTables(rows: readonly Row[]): string {
  return families
    .map((family) => {
      const lines = rows
        .filter(({ error }) => error.family === family)
        .map(({ error, doors: [chat, , messages, google] }) =>
          [`${error.status} ${error.word}`, writeCell(chat), writeCell(messages), writeCell(google)].join(" | "),
        );
      return `## From ${providers[family]}

| provider | chat, responses | messages | generateContent |
| --- | --- | --- | --- |
${lines.map((line) => `| ${line} |\n`).join("")}`;
    })
    .join("\n");
}

function writeCell(door: DoorError | undefined): string {
  if (door === undefined) {
    return "";
  }
  const thrown = door.thrown === "ApiError" ? "" : ` ${door.thrown}`;
  const retry = door.retry ? (door.waits ? " retry after" : " retry") : "";
  return `${door.status} ${door.word},${thrown} ×${door.sent}${retry}`;
}
