import type { Module, ModuleManager } from "./module.ts";

/** What a module manager tells whoever runs it. */
export interface ModuleManagerDeps {
  /** Called with a module that failed to drain or stop. */
  readonly onStopError: (module: string, error: unknown) => void;
}

/** Makes a manager. Throws for two modules of one name and for needs that go round in a circle. */
export function createModuleManager(modules: readonly Module[], deps: ModuleManagerDeps): ModuleManager {
  const ordered = orderModules(modules);
  let started: Module[] = [];
  let running = false;

  async function stopStarted(): Promise<void> {
    running = false;
    for (const module of started.toReversed()) {
      try {
        await module.stop();
      } catch (error) {
        deps.onStopError(module.name, error);
      }
    }
    started = [];
  }

  return {
    async start() {
      for (const module of ordered) {
        try {
          await module.start();
        } catch (error) {
          await stopStarted();
          throw new Error(`module ${module.name} failed to start: ${messageOf(error)}`, { cause: error });
        }
        started.push(module);
      }
      running = true;
    },
    async stop(drainTimeoutMs) {
      const signal = AbortSignal.timeout(drainTimeoutMs);
      // All at once: one that waits for its callers would wait in vain for those that have not been told.
      await Promise.all(
        started.toReversed().map(async (module) => {
          try {
            await module.drain?.(signal);
          } catch (error) {
            deps.onStopError(module.name, error);
          }
        }),
      );
      await stopStarted();
    },
    notReady() {
      if (!running) {
        return [{ module: "process", reason: "starting or stopping" }];
      }
      return started.flatMap((module) => {
        const reason = module.notReady?.();
        return reason === undefined ? [] : [{ module: module.name, reason }];
      });
    },
  };
}

function orderModules(modules: readonly Module[]): readonly Module[] {
  const byName = new Map<string, Module>();
  for (const module of modules) {
    if (byName.has(module.name)) {
      throw new Error(`two modules are named ${module.name}`);
    }
    byName.set(module.name, module);
  }
  const ordered: Module[] = [];
  const state = new Map<string, "visiting" | "done">();
  function visit(module: Module, path: readonly string[]): void {
    if (state.get(module.name) === "done") {
      return;
    }
    if (state.get(module.name) === "visiting") {
      throw new Error(`modules need each other in a circle: ${[...path, module.name].join(" → ")}`);
    }
    state.set(module.name, "visiting");
    for (const need of module.needs) {
      const needed = byName.get(need);
      if (needed !== undefined) {
        visit(needed, [...path, module.name]);
      }
    }
    state.set(module.name, "done");
    ordered.push(module);
  }
  for (const module of modules) {
    visit(module, []);
  }
  return ordered;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
