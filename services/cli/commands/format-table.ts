/** A column: its title, and whether it is a number, which stands at the right. */
export interface Column {
  readonly title: string;
  readonly right?: true;
}

/** Writes rows below each other, in columns as wide as what stands in them. Control characters are left out. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const clean = rows.map((row) => row.map((cell) => cell.replaceAll(/\p{C}/gu, "")));
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...clean.map((row) => (row[index] ?? "").length)),
  );
  const line = (cells: readonly string[]): string =>
    columns
      .map(({ right }, index) => {
        const cell = cells[index] ?? "";
        const width = widths[index] ?? 0;
        return right === true ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  return [line(columns.map(({ title }) => title)), ...clean.map(line)].join("\n");
}

/** Writes the facts of one thing, a line each; those that are empty are left out. */
export function formatFacts(facts: readonly (readonly [name: string, value: string])[]): string {
  const shown = facts.filter(([, value]) => value !== "");
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${name.padEnd(width)}  ${value.replaceAll(/\p{C}/gu, "")}`).join("\n");
}
