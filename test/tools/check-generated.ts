import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { jsonSchemaOf } from "#kit/config/load-config.ts";
import { rootConfig } from "../../services/cli/root-config.ts";
import { compareTrees } from "./compare-trees.ts";

// `node test/tools/check-generated.ts`: whether gen/ is what `buf generate` makes of proto/, and the JSON Schema of
// the configuration is what the schemas of the services say. Touches nothing; with `--write` it writes the JSON Schema.

const root = fileURLToPath(new URL("../..", import.meta.url));
const schemaPath = "deploy/config/penstock.schema.json";

const schema = `${JSON.stringify(jsonSchemaOf(rootConfig), undefined, 2)}\n`;
if (process.argv.includes("--write")) {
  mkdirSync(dirname(join(root, schemaPath)), { recursive: true });
  writeFileSync(join(root, schemaPath), schema);
} else {
  const stale = [...findStaleCode(), ...(readText(schemaPath) === schema ? [] : [schemaPath])];
  if (stale.length > 0) {
    process.stdout.write(`${stale.map((path) => `${path} is stale\n`).join("")}Run \`npm run generate\` and commit.\n`);
    process.exitCode = 1;
  }
}

function findStaleCode(): readonly string[] {
  const output = mkdtempSync(join(tmpdir(), "penstock-generated-"));
  try {
    // Plugins write to `out` below the given folder.
    const ran = spawnSync("buf", ["generate", "--output", output], { cwd: root, encoding: "utf8" });
    if (ran.error !== undefined || ran.status !== 0) {
      throw new Error(`buf generate failed: ${ran.stderr}`, { cause: ran.error });
    }
    return compareTrees(join(root, "gen"), join(output, "gen")).map((path) => `gen/${path}`);
  } finally {
    rmSync(output, { recursive: true, force: true });
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(join(root, path), "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      return undefined;
    }
    throw error;
  }
}
