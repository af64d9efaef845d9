import type { Load, LoadResult } from "./load.ts";
import type { Measurement } from "./measure.ts";

/** The row that others are compared with. */
const baseline = "node";

/** The measurements of one load as a table: medians, and in parentheses the least and the most. */
export function loadTable(load: Load, measurements: readonly Measurement[]): string {
  const mine = measurements.filter((each) => each.load === load.name);
  const names = [...new Set(mine.map((each) => each.gateway))];
  const of = (name: string): readonly Measurement[] => mine.filter((each) => each.gateway === name);
  const head = [
    "",
    `CPU µs/${load.unit}`,
    "× node",
    "× nginx",
    "database µs",
    load.unit === "request" ? "requests/s" : "chunks/s",
    ...(load.unit === "chunk" ? ["first byte p50 ms", "p99"] : ["p50 ms", "p99", "p99.9"]),
    "RSS MB",
  ];
  const rows = names.map((name) => {
    const rounds = of(name);
    const isDirect = name === "direct";
    const timing = (pick: (result: LoadResult) => number): string =>
      spread(
        rounds.map((each) => pick(each.result)),
        2,
      );
    return [
      name,
      isDirect
        ? ""
        : spread(
            rounds.map((each) => each.cpuMicrosPerUnit),
            1,
          ),
      isDirect ? "" : ratio(rounds, of(baseline)),
      isDirect ? "" : ratio(rounds, of("nginx")),
      isDirect
        ? ""
        : rounds.some((each) => each.otherCpuMicrosPerUnit > 0)
          ? spread(
              rounds.map((each) => each.otherCpuMicrosPerUnit),
              1,
            )
          : "",
      String(Math.round(median(rounds.map((each) => rate(each, load))))),
      ...(load.unit === "chunk"
        ? [
            timing((result) => result.firstByte?.p50 ?? Number.NaN),
            timing((result) => result.firstByte?.p99 ?? Number.NaN),
          ]
        : [
            timing((result) => result.latency.p50),
            timing((result) => result.latency.p99),
            timing((result) => result.latency.p999),
          ]),
      isDirect ? "" : String(Math.round(median(rounds.map((each) => each.residentBytes)) / 1_048_576)),
    ];
  });
  return `${load.title}\n${align([head, ...rows])}\n`;
}

/** The ratio to another row within each round, since rounds differ by what else the machine does. */
function ratio(rounds: readonly Measurement[], others: readonly Measurement[]): string {
  const ratios = rounds.flatMap((each) => {
    const other = others.find((candidate) => candidate.round === each.round);
    return other === undefined ? [] : [each.cpuMicrosPerUnit / other.cpuMicrosPerUnit];
  });
  return ratios.length === 0 ? "" : spread(ratios, 2);
}

function rate({ result }: Measurement, load: Load): number {
  return (load.unit === "request" ? result.completed : result.chunks) / result.seconds;
}

function spread(values: readonly number[], digits: number): string {
  const middle = median(values).toFixed(digits);
  return values.length === 1
    ? middle
    : `${middle} (${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)})`;
}

/** The middle value; the lower of two middle ones. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? Number.NaN;
}

function align(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
