import type { Hold } from "../reserve.ts";
import { type MemoryBudgets } from "../store/memory.ts";
import type { SimProcess } from "./sim-process.ts";

/** A request that an ingress was admitted for, and what is true of it. */
export interface SimRequest {
  readonly id: string;
  readonly keyId: string;
  readonly ingress: number;
  readonly process: SimProcess;
  readonly hold: Hold;
  /** The budgets that its hold was taken from. */
  readonly parts: readonly {
    readonly leaseId: string;
    readonly budgetId: string;
    readonly provider: string | undefined;
  }[];
  /** What it has cost; undefined while it runs. */
  end:
    | { readonly cost: bigint; readonly providerCosts: Readonly<Record<string, bigint>>; readonly held: bigint }
    | undefined;
  /** The providers that may answer. */
  readonly providers: readonly string[];
  /** Whether its settlement has reached its hold. */
  isTaken: boolean;
  isInLedger: boolean;
  /** The budgets that may be charged with it when its hold is no longer there. */
  readonly excused: Set<string>;
}

/** A rule of money that was broken. */
class BrokenInvariant extends Error {
  override readonly name = "BrokenInvariant";
}

/**
 * What is really true of money while quota is simulated: what requests have cost, what of that the ledger has heard, and
 * by how much a budget may be overdrawn in the cases that the README lists. Grows with the run.
 */
export class Books {
  readonly requests = new Map<string, SimRequest>();
  /** Budgets whose limit was lowered: what was taken of them before may be more than they have now. */
  readonly lowered = new Set<string>();
  readonly #open = new Set<SimRequest>();
  readonly #limits = new Map<string, bigint>();
  readonly #incurred = new Map<string, bigint>();
  readonly #excuses = new Map<string, bigint>();
  readonly #ledger = new Map<string, bigint>();
  readonly #ledgerOfBudget = new Map<string, bigint>();
  readonly #byLease = new Map<string, SimRequest[]>();
  readonly #shared: MemoryBudgets;

  constructor(shared: MemoryBudgets) {
    this.#shared = shared;
  }

  /** The highest limit that was ever set for a budget, or for all budgets whose ids begin so. */
  setLimit(budgetPrefix: string, nanosUsd: bigint): void {
    const before = this.#limits.get(budgetPrefix) ?? nanosUsd;
    if (nanosUsd < before) {
      this.lowered.add(budgetPrefix);
    } else {
      this.#limits.set(budgetPrefix, nanosUsd);
    }
  }

  begin(request: SimRequest): void {
    this.requests.set(request.id, request);
    this.#open.add(request);
    for (const { leaseId } of request.parts) {
      const known = this.#byLease.get(leaseId);
      if (known === undefined) {
        this.#byLease.set(leaseId, [request]);
      } else {
        known.push(request);
      }
    }
  }

  end(request: SimRequest, cost: bigint, providerCosts: Readonly<Record<string, bigint>>): void {
    const held = request.hold.amount;
    request.end = { cost, providerCosts, held };
    for (const { budgetId, provider } of request.parts) {
      const real = costAt(provider, request);
      add(this.#incurred, budgetId, real);
      const excess = request.excused.has(budgetId) ? real : real - held;
      add(this.#excuses, budgetId, excess > 0n ? excess : 0n);
    }
  }

  /** The hold is gone before its settlement came: what others hold instead may be too much by this cost. */
  excuse(request: SimRequest, budgetId: string): void {
    if (request.excused.has(budgetId)) {
      return;
    }
    request.excused.add(budgetId);
    if (request.end !== undefined) {
      const provider = request.parts.find((part) => part.budgetId === budgetId)?.provider;
      const real = costAt(provider, request);
      const excess = real - request.end.held;
      add(this.#excuses, budgetId, real - (excess > 0n ? excess : 0n));
    }
  }

  /** The ledger has heard of a request that has ended. Once for each. */
  record(request: SimRequest): void {
    request.isInLedger = true;
    for (const { leaseId, budgetId, provider } of request.parts) {
      add(this.#ledger, leaseId, costAt(provider, request));
      add(this.#ledgerOfBudget, budgetId, costAt(provider, request));
    }
  }

  sumLeases(leaseIds: readonly string[]): ReadonlyMap<string, bigint> {
    return new Map(leaseIds.map((id) => [id, this.#ledger.get(id) ?? 0n]));
  }

  /** A lease whose holder was not heard of is reconciled: what the ledger has not heard of by now is charged late. */
  reconciled(leaseId: string, summed: bigint): void {
    const requests = this.#byLease.get(leaseId) ?? [];
    const isComplete = summed === (this.#ledger.get(leaseId) ?? 0n);
    for (const request of requests) {
      if (!request.isInLedger || !isComplete) {
        for (const part of request.parts) {
          if (part.leaseId === leaseId) {
            this.excuse(request, part.budgetId);
          }
        }
      }
    }
  }

  /** Throws BrokenInvariant when something is not as it must be after every step. */
  check(processes: readonly SimProcess[]): void {
    this.#noticeLapses();
    for (const process of processes) {
      if (process.isAlive) {
        this.#checkSlices(process);
      }
    }
    for (const [id, budget] of this.#shared.budgets) {
      const prefix = this.#prefixOf(id);
      const limit = prefix === undefined ? undefined : this.#limits.get(prefix);
      if (limit !== undefined && prefix !== undefined && !this.lowered.has(prefix)) {
        const most = limit + budget.extra + (this.#excuses.get(id) ?? 0n);
        expect(
          budget.spent + budget.leased <= most,
          () => `${id}: spent ${budget.spent} + leased ${budget.leased} > ${most}`,
        );
        const real = this.#incurred.get(id) ?? 0n;
        expect(real <= most, () => `${id}: requests cost ${real}, more than ${most}`);
      }
      expect(budget.leased >= 0n, () => `${id}: ${budget.leased} are leased`);
    }
  }

  /** Throws BrokenInvariant unless nothing is held or leased of any budget any more. */
  checkAllIsSpendable(): void {
    for (const [id, { leased }] of this.#shared.budgets) {
      expect(leased === 0n, () => `${id}: ${leased} are still leased`);
    }
  }

  /** Throws BrokenInvariant unless each budget has spent exactly what its requests have cost. */
  checkAllIsExact(): void {
    for (const [id, { spent }] of this.#shared.budgets) {
      const ledger = this.#ledgerOfBudget.get(id) ?? 0n;
      expect(ledger === (this.#incurred.get(id) ?? 0n), () => `${id}: the ledger is not complete`);
      expect(spent === ledger, () => `${id}: spent ${spent}, and the ledger has ${ledger}`);
    }
  }

  #noticeLapses(): void {
    for (const request of this.#open) {
      if (request.isTaken) {
        this.#open.delete(request);
      } else if (request.process.isAlive && !request.process.isHolding(request.id)) {
        this.#open.delete(request);
        for (const { budgetId } of request.parts) {
          this.excuse(request, budgetId);
        }
      }
    }
  }

  #checkSlices(process: SimProcess): void {
    const held = new Map<Hold["parts"][number]["slice"], bigint>();
    for (const [id, hold] of process.holds) {
      const isLost = hold.parts.some(({ slice }) => slice.isLost);
      if (isLost || !process.isHolding(id)) {
        process.holds.delete(id);
      }
      for (const { slice } of hold.parts) {
        held.set(slice, (held.get(slice) ?? 0n) + (process.holds.has(id) ? hold.amount : 0n));
      }
    }
    for (const [slice, sum] of held) {
      const { leaseId, granted, available, spent, isLost } = slice;
      expect(available + slice.held + spent === granted, () => `${leaseId}: the parts are not the whole`);
      if (!isLost) {
        expect(slice.held >= sum, () => `${leaseId}: holds are ${sum}, counted are ${slice.held}`);
        const lease = this.#shared.leases.get(leaseId);
        const known = lease?.open === true ? lease.granted : granted;
        expect(granted <= known, () => `${leaseId}: its holder has ${granted}, the store knows of ${known}`);
      }
    }
  }

  #prefixOf(budgetId: string): string | undefined {
    return this.#limits
      .keys()
      .find((prefix) => budgetId === prefix || (prefix.endsWith(":") && budgetId.startsWith(prefix)));
  }
}

/** What a request that has ended cost in a budget. */
function costAt(provider: string | undefined, { end }: SimRequest): bigint {
  return (provider === undefined ? end?.cost : end?.providerCosts[provider]) ?? 0n;
}

function expect(holds: boolean, describe: () => string): void {
  if (!holds) {
    throw new BrokenInvariant(describe());
  }
}

function add(sums: Map<string, bigint>, name: string, amount: bigint): void {
  sums.set(name, (sums.get(name) ?? 0n) + amount);
}
