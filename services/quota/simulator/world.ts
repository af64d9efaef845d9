import { limitBudgetPrefix } from "../limits/limit-book.ts";
import type { LimitRule } from "../limits/limit-rule.ts";
import type { QuotaOutcome } from "../quota.ts";
import { MemoryBudgets } from "../store/memory.ts";
import { createMemoryKeyStore, type MemoryKeyStore } from "../store/memory-keys.ts";
import { type BudgetStore, keyBudgetId, type StoredKey } from "../store/store.ts";
import { testKey } from "../testing.ts";
import { Books, type SimRequest } from "./books.ts";
import { createNetwork, fairWeather, type Network } from "./network.ts";
import type { Random } from "./random.ts";
import { type SimProcess, startSimProcess } from "./sim-process.ts";
import type { VirtualTime } from "./virtual-time.ts";
import { createRules } from "./world-rules.ts";

/** What a world is made of. */
export interface WorldDeps {
  readonly random: Random;
  readonly time: VirtualTime;
  /** Breaks the store, to see whether that is found. */
  readonly wrapStore: ((store: BudgetStore, shared: MemoryBudgets) => BudgetStore) | undefined;
}

const providers = ["p1", "p2", "p3"];
const ingresses = 3;
const processCount = 3;
const renewMs = 30_000;
const retryMs = 250;
/** As long as calls may take. */
const underWayMs = 35_000;
/** How long budget may be kept by holds and leases that nobody answers for, and the loop that looks for them. */
const spendableMs = 125_000;

/** Ingresses, processes of quota, a store and a ledger, and everything that may happen to them. */
export class World {
  readonly books: Books;
  readonly shared = new MemoryBudgets();
  readonly #random: Random;
  readonly #time: VirtualTime;
  readonly #network: Network;
  readonly #keys: MemoryKeyStore;
  readonly #known = new Map<string, StoredKey>();
  readonly #processes: SimProcess[] = [];
  readonly #running = new Set<SimRequest>();
  readonly #wrapStore: WorldDeps["wrapStore"];
  #rules: readonly LimitRule[];
  readonly #limitOfKey: () => bigint;
  #requests = 0;
  #started = 0;
  /** Goes up when an ingress dies: what its former self still does is in vain. */
  readonly #lives: number[] = Array.from({ length: ingresses }, () => 0);
  #isClosing = false;

  constructor({ random, time, wrapStore }: WorldDeps) {
    this.#random = random;
    this.#time = time;
    this.#wrapStore = wrapStore;
    this.books = new Books(this.shared);
    this.#network = createNetwork({ time, random });
    this.#keys = createMemoryKeyStore({ budgets: this.shared, now: () => time.nowMs });
    // Some runs are always at their limits, some never.
    const scale = random.pick([1, 10, 100]);
    const limit = (most: number): bigint => BigInt(50 + random.below(most * scale));
    this.#limitOfKey = () => limit(2_000);
    this.#rules = createRules(random, limit);
    for (const { id, metric } of this.#rules) {
      this.books.setLimit(limitBudgetPrefix(id), metric.kind === "budget" ? metric.nanosUsd : 0n);
    }
  }

  /** Makes the keys and starts the processes. */
  async start(): Promise<void> {
    const { books } = this;
    for (const [index, id] of ["k1", "k2", "k3", "k4"].entries()) {
      const budgetNanosUsd = index === 3 ? undefined : this.#limitOfKey();
      const digest = Uint8Array.of(index);
      const teamId = index % 2 === 0 ? "t1" : "t2";
      const key = await this.#keys.insertKey(testKey({ id, digest, teamId, organizationId: "o1", budgetNanosUsd }));
      this.#known.set(id, key);
      if (budgetNanosUsd !== undefined) {
        books.setLimit(keyBudgetId(id), budgetNanosUsd);
      }
    }
    for (let index = 0; index < processCount; index += 1) {
      this.#startProcess(index);
    }
    for (let ingress = 0; ingress < ingresses; ingress += 1) {
      this.#renewForever(ingress);
    }
  }

  /** Does one thing, chosen by chance, and lets some time pass. Throws BrokenInvariant for what is wrong afterwards. */
  async step(): Promise<void> {
    this.#act();
    const { chance, below } = this.#random;
    await this.#time.advance(chance(0.01) ? below(40_000) : chance(0.05) ? below(5_000) : below(300));
    this.books.check(this.#processes);
  }

  /** Ends everything in peace. Throws BrokenInvariant unless all is spendable within 120 s, and exact in the end. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#network.weather = fairWeather;
    for (const request of this.#running) {
      this.#finish(request, false);
    }
    // Until everything that is under way has arrived; the time counts from then on.
    await this.#time.advance(underWayMs);
    await this.#time.advance(spendableMs);
    this.books.check(this.#processes);
    this.books.checkAllIsSpendable();
    for (let passed = 0; passed < 3_600; passed += 600) {
      this.#time.skip(600_000);
      await this.#time.advance(12_000);
    }
    this.books.checkAllIsExact();
  }

  #act(): void {
    const { next, pick, below } = this.#random;
    const chosen = next();
    const { size } = this.#running;
    if (chosen < 0.4 || size === 0) {
      this.#reserve();
    } else if (chosen < 0.48) {
      this.#extend(pick([...this.#running]));
    } else if (chosen < 0.9) {
      if (size > 12 || chosen < 0.8) {
        this.#finish(pick([...this.#running]), false);
      }
    } else if (chosen < 0.93) {
      this.#network.changeWeather();
    } else if (chosen < 0.94) {
      this.#crashIngress(below(ingresses));
    } else if (chosen < 0.955) {
      this.#endProcess(below(processCount), chosen < 0.95);
    } else if (chosen < 0.965) {
      pick(this.#processes).clockAheadMs += below(50_000);
    } else if (chosen < 0.975) {
      pick(this.#processes).wallAheadMs += below(120_000) - 60_000;
    } else if (chosen < 0.98) {
      this.#time.skip(below(60_000));
    } else if (chosen < 0.99) {
      this.#topUp();
    } else {
      this.#changeLimit();
    }
  }

  #startProcess(index: number): void {
    this.#started += 1;
    const { books, shared } = this;
    this.#processes[index] = startSimProcess({
      name: `quota${index}-${this.#started}`,
      time: this.#time,
      network: this.#network,
      shared,
      keys: this.#keys,
      known: [...this.#known.values()],
      rules: this.#rules,
      sumLeases: (leaseIds) => books.sumLeases(leaseIds),
      onForwarded: (process, requestIds) => {
        for (const request of requestIds.flatMap((id) => books.requests.get(id) ?? [])) {
          request.isTaken ||= request.process === process && process.isHolding(request.id);
        }
      },
      wrapStore: (store) => this.#watchStore(this.#wrapStore?.(store, shared) ?? store),
    });
  }

  /** Takes down what the store is asked to do where the books depend on it. */
  #watchStore(store: BudgetStore): BudgetStore {
    const { books, shared } = this;
    return {
      ...store,
      reconcileLease: (leaseId, ledger, graceMs) => {
        const wasOpen = shared.leases.get(leaseId)?.open === true;
        const charged = store.reconcileLease(leaseId, ledger, graceMs);
        if (wasOpen && shared.leases.get(leaseId)?.open !== true) {
          books.reconciled(leaseId, ledger);
        }
        return charged;
      },
    };
  }

  /** Calls a process, which may be dead. */
  #ask<T>(index: number, ask: (process: SimProcess) => T | Promise<T>): Promise<T> {
    return this.#network.call(async () => {
      const process = this.#processes[index];
      if (process?.isAlive !== true) {
        throw new Error("nobody is there");
      }
      return await ask(process);
    });
  }

  #reserve(): void {
    const { below, pick, chance } = this.#random;
    this.#requests += 1;
    const id = `r${this.#requests}`;
    const keyId = pick([...this.#known.keys()]);
    const ingress = below(ingresses);
    const life = this.#lives[ingress];
    const cost = chance(0.05) ? 0n : BigInt(1 + below(chance(0.1) ? 600 : 60));
    const demand = { requestId: id, cost, minimum: chance(0.3) ? (cost + 1n) / 2n : cost, tokens: 0 };
    const facts = { tags: {}, model: "m", providers: chance(0.7) ? [pick(providers)] : providers.slice(0, 2) };
    const reserveAt = (index: number): Promise<{ process: SimProcess; outcome: QuotaOutcome }> =>
      this.#ask(index, async (process) => {
        const entry = process.quota.directory.get(keyId);
        if (entry === undefined) {
          throw new Error("the key is not known");
        }
        const outcome = await process.quota.reserve(entry, demand, facts);
        if (outcome.kind === "held") {
          process.holds.set(id, outcome.hold);
        }
        return { process, outcome };
      });
    const admit = ({ process, outcome }: { process: SimProcess; outcome: QuotaOutcome }): void => {
      if (outcome.kind === "held" && this.#lives[ingress] === life && !this.#isClosing) {
        const parts = outcome.hold.parts.map(({ slice, counter }) => ({
          leaseId: slice.leaseId,
          budgetId: slice.budgetId,
          provider: counter.account.provider,
        }));
        const request: SimRequest = {
          id,
          keyId,
          ingress,
          process,
          hold: outcome.hold,
          parts,
          providers: facts.providers,
          end: undefined,
          isTaken: false,
          isInLedger: false,
          excused: new Set(),
        };
        this.#running.add(request);
        this.books.begin(request);
      }
    };
    const first = below(processCount);
    // Whoever hears nothing asks another process. Who fails there too refuses the request.
    reserveAt(first)
      .catch(() => reserveAt(chance(0.5) ? first : below(processCount)))
      .then(admit, () => undefined);
  }

  #indexOf({ process }: SimRequest): number {
    const found = this.#processes.indexOf(process);
    return found < 0 || this.#random.chance(0.1) ? this.#random.below(processCount) : found;
  }

  #extend(request: SimRequest): void {
    const total = request.hold.amount + BigInt(this.#random.below(80));
    // What does not come to a larger hold leaves the old one.
    this.#ask(this.#indexOf(request), ({ quota }) => quota.extend(request.id, total)).catch(() => undefined);
  }

  #renewForever(ingress: number): void {
    this.#time.after(renewMs, () => {
      const ids = [...this.#running].filter((request) => request.ingress === ingress).map(({ id }) => id);
      for (let index = 0; index < processCount; index += 1) {
        const renew = ({ quota }: SimProcess): void =>
          quota.reservations.renew(ids, this.#time.nowMs + (this.#processes[index]?.clockAheadMs ?? 0));
        // The next one follows.
        this.#ask(index, renew).catch(() => undefined);
      }
      if (!this.#isClosing) {
        this.#renewForever(ingress);
      }
    });
  }

  /** A request ends: its cost is known, the ledger hears of it by and by, and unless its ingress is dead it is settled. */
  #finish(request: SimRequest, isCrash: boolean): void {
    const { below, chance } = this.#random;
    this.#running.delete(request);
    const { amount, parts } = request.hold;
    const bound = parts.length === 0 ? 60 : Number(amount);
    const cost = BigInt(chance(0.02) ? bound + below(40) : chance(0.1) ? 0 : chance(0.3) ? bound : below(bound + 1));
    const first = BigInt(below(Number(cost) + 1));
    const [one = "", two] = request.providers;
    const providerCosts = two === undefined ? { [one]: cost } : { [one]: first, [two]: cost - first };
    this.books.end(request, cost, providerCosts);
    const lagMs = isCrash
      ? 5_000 + below(900_000)
      : chance(0.05)
        ? below(600_000)
        : chance(0.2)
          ? below(60_000)
          : below(3_000);
    this.#time.after(this.#isClosing ? Math.min(lagMs, 3_000) : lagMs, () => this.books.record(request));
    if (!isCrash) {
      this.#settle(request, cost, providerCosts);
    }
  }

  #settle(request: SimRequest, cost: bigint, providerCosts: Readonly<Record<string, bigint>>): void {
    const life = this.#lives[request.ingress];
    const { id: requestId, keyId } = request;
    const leaseIds = request.parts.map((part) => part.leaseId);
    const settled = this.#ask(this.#indexOf(request), (process) => {
      if (process === request.process && process.isHolding(requestId)) {
        request.isTaken = true;
      }
      return process.quota.settle({ requestId, keyId, leaseIds, cost, providerCosts, tokens: 0 });
    });
    settled.catch(() => {
      this.#time.after(retryMs, () => {
        if (this.#lives[request.ingress] === life) {
          this.#settle(request, cost, providerCosts);
        }
      });
    });
  }

  #crashIngress(ingress: number): void {
    this.#lives[ingress] = (this.#lives[ingress] ?? 0) + 1;
    for (const request of this.#running) {
      if (request.ingress === ingress) {
        this.#finish(request, true);
      }
    }
  }

  /** A process dies, or is stopped and gives back what it can; another one takes its place. */
  #endProcess(index: number, isCrash: boolean): void {
    const process = this.#processes[index];
    if (process?.isAlive !== true) {
      return;
    }
    const restart = (): void => {
      process.isAlive = false;
      this.#time.after(this.#random.below(20_000), () => this.#startProcess(index));
    };
    if (isCrash) {
      restart();
    } else {
      process.quota.keeper.stop().then(restart, restart);
    }
  }

  #topUp(): void {
    const { pick, below } = this.#random;
    const ids = [...this.shared.budgets.keys()];
    this.shared.topUp(pick(ids), BigInt(below(300)));
  }

  #changeLimit(): void {
    const { chance, below } = this.#random;
    // One key and one team have limits that change; the others are watched most closely.
    const more = chance(0.5);
    const change = (limit: bigint): bigint => (more ? limit + BigInt(below(500)) : (limit * BigInt(below(100))) / 100n);
    if (chance(0.5)) {
      const key = this.#known.get("k3");
      if (key?.budgetNanosUsd !== undefined) {
        const changed = this.#keys.saveKey({ ...key, budgetNanosUsd: change(key.budgetNanosUsd) });
        this.#known.set(key.id, changed);
        this.books.setLimit(keyBudgetId(key.id), changed.budgetNanosUsd ?? 0n);
        this.#tellAll(({ quota }) => quota.directory.put(changed));
      }
      return;
    }
    this.#rules = this.#rules.map((rule) => {
      const { id, metric } = rule;
      if (id !== "team2" || metric.kind !== "budget") {
        return rule;
      }
      const nanosUsd = change(metric.nanosUsd);
      this.books.setLimit(limitBudgetPrefix(id), nanosUsd);
      return { ...rule, metric: { ...metric, nanosUsd } };
    });
    const rules = this.#rules;
    this.#tellAll(({ quota }) => quota.setRules(rules));
  }

  /** Tells every process that lives now, each at a moment of its own. */
  #tellAll(tell: (process: SimProcess) => void): void {
    for (const process of this.#processes) {
      this.#time.after(this.#random.below(3_000), () => {
        if (process.isAlive) {
          tell(process);
        }
      });
    }
  }
}
