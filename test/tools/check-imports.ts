import { existsSync, globSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join, posix, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type ImportTarget, judgeImport } from "./import-table.ts";
import { readImports } from "./read-imports.ts";

// `node test/tools/check-imports.ts [ROOT]`: holds the import table of CONTRIBUTING.md against the tree. Prints each
// violation with its place; the exit code is 1 when there is one.

interface Reference {
  readonly from: string;
  readonly line: number;
  readonly target: ImportTarget | undefined;
}

const patterns = ["gen/**/*.ts", "services/**/*.{ts,tsx}", "test/**/*.ts", "deploy/**/*.mjs"];
const isTest = (path: string): boolean => /^test\/|\.(test|contract)\.tsx?$/.test(path);

const root = resolve(process.argv[2] ?? fileURLToPath(new URL("../..", import.meta.url)));
const aliases = readAliases(root);
const files = globSync(patterns, { cwd: root, exclude: (name) => name.split("/").includes("node_modules") })
  .map((path) => path.replaceAll("\\", "/"))
  .toSorted();
const references = files.flatMap(readReferences);
const testCode = findTestCode();
const violations = references.flatMap((reference) => {
  const problem = judge(reference);
  return problem === undefined ? [] : [`${reference.from}:${reference.line}: ${problem}\n`];
});
process.stdout.write(violations.join(""));
if (files.length === 0) {
  process.stdout.write(`there is no source below ${root}\n`);
}
process.exitCode = violations.length > 0 || files.length === 0 ? 1 : 0;

function judge({ from, target }: Reference): string | undefined {
  if (target === undefined) {
    return isTest(from) || from.startsWith("deploy/") ? undefined : "import() of a computed name cannot be checked";
  }
  if (target.kind === "file" && !existsSync(join(root, target.path))) {
    return `${target.path} is not there`;
  }
  return judgeImport({ from, target, isTestCode: testCode.has(from) });
}

function readReferences(from: string): Reference[] {
  return readImports(readFileSync(join(root, from), "utf8")).map(({ specifier, line }) => ({
    from,
    line,
    target: specifier === undefined ? undefined : resolveTarget(from, specifier),
  }));
}

function resolveTarget(from: string, specifier: string): ImportTarget {
  if (specifier.startsWith(".") || specifier.startsWith("/")) {
    return { kind: "file", path: posix.join(posix.dirname(from), specifier) };
  }
  const alias = aliases.find(([prefix]) => !isBuiltin(specifier) && specifier.startsWith(prefix));
  return alias === undefined
    ? { kind: "module", name: specifier }
    : { kind: "file", path: posix.join(alias[1], specifier.slice(alias[0].length)) };
}

/** Tests, and the files that tests alone import: what these read and write never runs in the product. */
function findTestCode(): ReadonlySet<string> {
  const importers = new Map<string, string[]>();
  for (const { from, target } of references) {
    if (target?.kind === "file") {
      importers.set(target.path, [...(importers.get(target.path) ?? []), from]);
    }
  }
  const found = new Set(files.filter(isTest));
  for (let before = -1; before !== found.size; ) {
    before = found.size;
    for (const [path, from] of importers) {
      if (from.every((importer) => found.has(importer))) {
        found.add(path);
      }
    }
  }
  return found;
}

/** The "imports" of package.json as prefixes: `#kit/` and where it leads. */
function readAliases(folder: string): readonly (readonly [string, string])[] {
  // npm's own format; a file that is not so yields no alias, and then every `#` import is reported as a module.
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    readonly imports?: Readonly<Record<string, string>>;
  };
  return Object.entries(manifest.imports ?? {}).map(([from, to]) => [from.replace(/\*$/, ""), to.replace(/\*$/, "")]);
}
