/** An import as it is written. */
export interface WrittenImport {
  /** What is between the quotes; undefined where it is computed when the program runs. */
  readonly specifier: string | undefined;
  /** Counted from 1. */
  readonly line: number;
}

// The tree is formatted, so a declaration begins its line. Types count as well: a type ties two folders together as
// firmly as a value does, and stripping the types would hide it.
const declaration = /^(?:import|export)\s+(?:type\s+)?(?:[\w$*{][^"'`;]*?\sfrom\s+)?(["'])(?<specifier>[^"'\n]+)\1/gmu;
const dynamic = /(?<![\w$.#])import\s*\(\s*(?:(["'`])(?<specifier>[^"'`\n$]+)\1\s*[,)])?/gu;

/** The imports of a source text: declarations, re-exports, types, and calls of import(). */
export function readImports(source: string): readonly WrittenImport[] {
  const code = blankComments(source);
  return [declaration, dynamic]
    .flatMap((pattern) =>
      [...code.matchAll(pattern)].map((match) => ({
        specifier: match.groups?.["specifier"],
        line: code.slice(0, match.index).split("\n").length,
      })),
    )
    .toSorted((a, b) => a.line - b.line);
}

/** Comments become spaces where they stand alone on their lines; those behind code hold no declaration. */
function blankComments(source: string): string {
  return source.replaceAll(/^[ \t]*(?:\/\/[^\n]*|\/\*[\s\S]*?\*\/)/gmu, (comment) =>
    comment.replaceAll(/[^\n]/gu, " "),
  );
}
