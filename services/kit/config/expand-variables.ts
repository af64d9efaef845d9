/** Where the values of `${…}` come from. */
export interface VariableSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Reads a file as text, or throws. */
  readonly readFile: (path: string) => string;
}

/** A text with its variables filled in, or why it could not be. */
export type Expanded =
  | { readonly kind: "expanded"; readonly text: string; readonly files: readonly string[] }
  | { readonly kind: "failed"; readonly message: string; readonly hint: string; readonly files: readonly string[] };

const reference = /\$\$\{|\$\{([^}]*)\}/g;

/**
 * Fills in `${NAME}`, `${NAME:-default}` and `${file:/path}`; `$${` stands for `${`.
 *
 * A default also counts when the variable is empty. One line end at the end of a file is left out.
 */
export function expandVariables(text: string, sources: VariableSources): Expanded {
  const files: string[] = [];
  let failure: { readonly message: string; readonly hint: string } | undefined;
  const expanded = text.replaceAll(reference, (match: string, inner: string | undefined) => {
    if (inner === undefined) {
      return "${";
    }
    if (inner.startsWith("file:")) {
      const path = inner.slice("file:".length);
      files.push(path);
      try {
        return sources.readFile(path).replace(/\r?\n$/, "");
      } catch (error) {
        const code = error instanceof Error && "code" in error ? ` (${String(error.code)})` : "";
        failure ??= { message: `cannot read the file ${path}${code}`, hint: "" };
        return match;
      }
    }
    const [, name, fallback] = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s.exec(inner) ?? [];
    if (name === undefined) {
      failure ??= {
        message: "not a variable that can be filled in",
        hint: "write ${NAME}, ${NAME:-default} or ${file:/path}; $${ stands for ${",
      };
      return match;
    }
    const value = sources.env[name];
    if (value !== undefined && (value !== "" || fallback === undefined)) {
      return value;
    }
    if (fallback === undefined) {
      failure ??= {
        message: `the environment variable ${name} is not set`,
        hint: `set it, or write \${${name}:-default}`,
      };
      return match;
    }
    return fallback;
  });
  return failure === undefined ? { kind: "expanded", text: expanded, files } : { kind: "failed", ...failure, files };
}
