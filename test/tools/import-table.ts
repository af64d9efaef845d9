import { builtinModules } from "node:module";

/** What a file imports: another file of the tree, or a package or module of Node by name. */
export type ImportTarget =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "module"; readonly name: string };

/** One import, with paths relative to the root of the tree and slashes between folders. */
export interface FileImport {
  /** The importing file. */
  readonly from: string;
  readonly target: ImportTarget;
  /** Only tests use the importing file. */
  readonly isTestCode: boolean;
}

/** One row of the table: what the files of an area may import beside their own area. */
interface Area {
  /** Shown in messages. */
  readonly name: string;
  /** The files of the area; the first area that fits counts. */
  readonly files: RegExp;
  /** Files of other areas that may be imported. */
  readonly mayImport: readonly RegExp[];
  /** Packages and modules of Node that may be imported; all when absent. Test code is free in this. */
  readonly modules?: RegExp;
  /** What to do instead. */
  readonly advice: string;
}

const gen = /^gen\//;
const kit = /^services\/kit\//;
const codec = /^services\/codec\//;
const moduleDoor = /^services\/[^/]+\/module\.ts$/;
const cli = /^services\/cli\//;

/** Modules that neither read nor write anything: the codec must give the same answer for the same bytes. */
const withoutInputOutput =
  /^(@bufbuild\/protobuf(\/.*)?|eventsource-parser(\/.*)?|@smithy\/eventstream-codec|node:(buffer|string_decoder|util))$/;

const areas: readonly Area[] = [
  {
    name: "gen",
    files: gen,
    mayImport: [],
    modules: /^@bufbuild\/protobuf(\/.*)?$/,
    advice: "generated code needs only @bufbuild/protobuf",
  },
  { name: "kit", files: kit, mayImport: [gen], advice: "kit is a leaf: take what a service has as an argument" },
  {
    name: "codec",
    files: codec,
    mayImport: [gen],
    modules: withoutInputOutput,
    advice: "codecs are pure: take bytes, times and ids as arguments",
  },
  {
    name: "console",
    files: /^services\/console\//,
    mayImport: [gen],
    modules: /^(?!node:)/,
    advice: "the console speaks with services through the clients of gen",
  },
  {
    name: "main",
    files: /^services\/([^/]+\/)?main\.ts$/,
    mayImport: [kit, cli, moduleDoor],
    advice: "a service's door is its module.ts",
  },
  { name: "cli", files: cli, mayImport: [gen, kit, moduleDoor], advice: "a service's door is its module.ts" },
  {
    name: "ingress",
    files: /^services\/ingress\//,
    mayImport: [gen, kit, codec],
    advice: "call another service through the mesh; share code through kit",
  },
  {
    name: "connector",
    files: /^services\/connector\//,
    mayImport: [gen, kit, codec],
    advice: "call another service through the mesh; share code through kit",
  },
  ...["router", "quota", "cache", "accounting"].map((name) => ({
    name,
    files: new RegExp(`^services/${name}/`),
    mayImport: [gen, kit],
    advice: "call another service through the mesh; share code through kit",
  })),
  {
    name: "test/tools",
    files: /^test\/(tools\/|run\.ts$)/,
    mayImport: [gen, kit, codec, moduleDoor, cli],
    advice: "tools look at the tree from outside",
  },
  {
    name: "test/fuzz",
    files: /^test\/fuzz\//,
    mayImport: [gen, kit, codec, /^services\/connector\//, /^services\/ingress\/endpoints\//, /^test\//],
    advice: "thousands of mutants a second need what reads bodies, and nothing else of a service",
  },
  {
    name: "test",
    files: /^test\//,
    mayImport: [gen, kit, codec, moduleDoor],
    advice: "a test of internals lies beside them; here only doors are open",
  },
  { name: "deploy", files: /^deploy\//, mayImport: [], modules: /^node:/, advice: "deploy runs before installation" },
];

/** Why an import is not allowed by the table; undefined: it is. */
export function judgeImport({ from, target, isTestCode }: FileImport): string | undefined {
  const area = areas.find((candidate) => candidate.files.test(from));
  if (area === undefined) {
    return `${from} lies in no area of the import table`;
  }
  if (target.kind === "module") {
    const name = builtinModules.includes(target.name) ? `node:${target.name}` : target.name;
    const isFree = isTestCode || area.modules === undefined || area.modules.test(name);
    return isFree ? undefined : `${area.name} may not import ${name}: ${area.advice}`;
  }
  const isAllowed = area.files.test(target.path) || area.mayImport.some((paths) => paths.test(target.path));
  return isAllowed ? undefined : `${area.name} may not import ${target.path}: ${area.advice}`;
}
