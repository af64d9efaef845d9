import type { ConfigProblem } from "./problem.ts";

/** What the problems were found in. */
export interface FormatOptions {
  /** As the user named it. */
  readonly file: string;
  readonly text: string;
}

/** Writes each problem as `file:line:column  path: message`, the line with a caret, and the hint. */
export function formatProblems(problems: readonly ConfigProblem[], options: FormatOptions): string {
  const lines = options.text.split(/\r?\n/);
  return problems
    .map(({ line, column, path, message, hint }) => {
      const source = lines[line - 1] ?? "";
      const number = String(line);
      return [
        `${options.file}:${line}:${column}  ${path === "" ? "" : `${path}: `}${message}`,
        ...(source.trim() === ""
          ? []
          : [
              `  ${number} | ${hideSecrets(source, hint)}`,
              `  ${" ".repeat(number.length)} | ${caret(source, column)}`,
            ]),
        ...(hint === "" ? [] : [`  ${hint}`]),
        "",
      ].join("\n");
    })
    .join("\n");
}

function caret(source: string, column: number): string {
  // Tabs are kept so that the caret stands under its character.
  return `${source.slice(0, column - 1).replaceAll(/[^\t]/g, " ")}^`;
}

const secretName = /key|secret|token|password|credential|authorization/i;

/** A file may hold secrets written out, on the very line that is wrong: values that may be one are not shown. */
function hideSecrets(source: string, hint: string): string {
  const [, start = "", name = "", value = ""] = /^(\s*(?:- )*"?([^\s:"{]+)"?\s*:\s+)(\S.*)$/.exec(source) ?? [];
  const named = secretName.test(name) || secretName.test(hint);
  if (named && value !== "" && !/^["']?\$\{[^}]*\}["']?$/.test(value) && !/^[&*|>[{#]/.test(value)) {
    return `${start}***`;
  }
  return source
    .replaceAll(/(\/\/[^\s:/@]*:)[^\s@/]+@/g, "$1***@")
    .replaceAll(/((?:key|secret|token|password)"?\s*:\s*)("(?!\$\{)[^"]*"|'(?!\$\{)[^']*'|[^\s,}"'$[{]+)/gi, "$1***")
    .replaceAll(/\b(?:sk-|AIza|gsk_|xai-)[A-Za-z0-9_-]{8,}|\b[A-Za-z0-9_-]{32,}\b/g, "***");
}
