import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { readImports } from "./read-imports.ts";

const check = fileURLToPath(new URL("check-imports.ts", import.meta.url));
const folders: string[] = [];
after(() => {
  for (const folder of folders) {
    rmSync(folder, { recursive: true, force: true });
  }
});

const cleanTree: Readonly<Record<string, string>> = {
  "package.json": JSON.stringify({
    imports: { "#gen/*": "./gen/*", "#kit/*": "./services/kit/*", "#codec/*": "./services/codec/*" },
  }),
  "gen/penstock/chat_pb.ts": 'import { x } from "@bufbuild/protobuf";',
  "services/kit/mesh.ts": 'import pg from "pg"; export const mesh = pg;',
  "services/codec/sse.ts":
    'import type { Chat } from "#gen/penstock/chat_pb.ts";\nimport { isUtf8 } from "node:buffer";',
  "services/codec/sse.test.ts": 'import { readFileSync } from "node:fs";\nimport "./recordings.ts";',
  "services/codec/recordings.ts": 'import { readFileSync } from "node:fs";',
  "services/quota/module.ts": 'import { reserve } from "./reserve.ts";\nimport { mesh } from "#kit/mesh.ts";',
  "services/quota/reserve.ts": 'import { randomUUID } from "node:crypto";',
  "services/ingress/module.ts": 'import { sse } from "#codec/sse.ts";',
  "services/router/module.ts": "// import { reserve } from the mesh\nexport const a = 1;",
  "services/cli/start.ts": 'import { createQuotaModule } from "../quota/module.ts";',
  "services/main.ts": 'import { start } from "./cli/start.ts";',
  "test/e2e/chat.test.ts": 'import { createQuotaModule } from "../../services/quota/module.ts";',
};

/** Checks the clean tree with some files added or replaced. */
function checkTree(planted: Readonly<Record<string, string>>): {
  readonly status: number | null;
  readonly text: string;
} {
  const folder = mkdtempSync(join(tmpdir(), "penstock-check-imports-"));
  folders.push(folder);
  for (const [path, source] of Object.entries({ ...cleanTree, ...planted })) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), `${source}\n`);
  }
  const ran = spawnSync(process.execPath, [check, folder], { encoding: "utf8" });
  return { status: ran.status, text: ran.stdout + ran.stderr };
}

test("passes a tree that keeps to the table", () => {
  assert.deepEqual(checkTree({}), { status: 0, text: "" });
});

const violations: readonly (readonly [what: string, path: string, source: string, place: string])[] = [
  ["kit importing a service", "services/kit/bad.ts", 'import { a } from "../quota/module.ts";', ":1: kit may not"],
  [
    "a service importing another's internals",
    "services/ingress/bad.ts",
    'import {\n  a,\n} from "../quota/reserve.ts";',
    ":1: ingress may not",
  ],
  [
    "a service importing another's door",
    "services/router/bad.ts",
    'import "../quota/module.ts";',
    ":1: router may not",
  ],
  [
    "a type of another service",
    "services/router/bad.ts",
    '\nimport type { Slice } from "../quota/reserve.ts";',
    ":2: router may not import services/quota/reserve.ts",
  ],
  [
    "a way round through an alias",
    "services/cache/bad.ts",
    'export { a } from "#kit/../quota/reserve.ts";',
    ":1: cache may not import services/quota/reserve.ts",
  ],
  [
    "a service that has no business with dialects",
    "services/router/bad.ts",
    'import { sse } from "#codec/sse.ts";',
    ":1: router may not import services/codec/sse.ts",
  ],
  ["codec reading files", "services/codec/bad.ts", 'import fs from "node:fs";', ":1: codec may not import node:fs"],
  [
    "codec reading files by the old name",
    "services/codec/bad.ts",
    'import fs from "fs";',
    ":1: codec may not import node:fs",
  ],
  ["codec opening connections", "services/codec/bad.ts", 'import { request } from "undici";', ":1: codec may not"],
  [
    "a test helper of codec that the product uses as well",
    "services/codec/bad.ts",
    'import "./recordings.ts";',
    "services/codec/recordings.ts:1: codec may not import node:fs",
  ],
  [
    "a deep import from test/",
    "test/e2e/bad.test.ts",
    'import { reserve } from "../../services/quota/reserve.ts";',
    ":1: test may not import services/quota/reserve.ts",
  ],
  ["cli reaching behind a door", "services/cli/bad.ts", 'import "../quota/reserve.ts";', ":1: cli may not"],
  [
    "a late import",
    "services/router/bad.ts",
    `const a = await ${"import"}("../quota/module.ts");`,
    ":1: router may not",
  ],
  [
    "a name made up at run time",
    "services/router/bad.ts",
    "const a = await import(name);",
    ":1: import() of a computed name",
  ],
  ["generated code with a dependency", "gen/bad.ts", 'import "zod";', ":1: gen may not import zod"],
  ["a folder that the table does not know", "services/billing/a.ts", 'import "zod";', "lies in no area"],
  [
    "a file that is not there",
    "services/router/bad.ts",
    'import "./gone.ts";',
    ":1: services/router/gone.ts is not there",
  ],
];

for (const [what, path, source, place] of violations) {
  test(`fails on ${what}`, () => {
    const { status, text } = checkTree({ [path]: source });
    assert.equal(status, 1);
    assert.ok(text.includes(place.startsWith(":") ? path + place : place), text);
    assert.equal(text.trimEnd().split("\n").length, 1, text);
  });
}

test("fails where there is nothing to check", () => {
  const folder = mkdtempSync(join(tmpdir(), "penstock-check-imports-"));
  folders.push(folder);
  writeFileSync(join(folder, "package.json"), "{}");
  assert.equal(spawnSync(process.execPath, [check, folder]).status, 1);
});

test("reads no import out of comments and strings", () => {
  const source = '/** Like\nimport "a";\n*/\n// import "b";\nconst text = \'import "c"\';\nexport const from = "d";\n';
  assert.deepEqual(readImports(source), []);
});
