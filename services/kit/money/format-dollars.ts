/** An amount of nano-US-dollars, exact: `$0.01`, `$12.50`, `$0.000000003`. */
export function formatDollars(nanosUsd: bigint): string {
  const sign = nanosUsd < 0n ? "-" : "";
  const digits = (nanosUsd < 0n ? -nanosUsd : nanosUsd).toString().padStart(10, "0");
  const fraction = digits.slice(-9).replace(/0+$/, "").padEnd(2, "0");
  return `${sign}$${digits.slice(0, -9)}.${fraction}`;
}
