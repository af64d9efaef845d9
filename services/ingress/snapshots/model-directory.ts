import type { Client } from "@connectrpc/connect";
import { LRUCache } from "lru-cache";
import type { ModelEntry, RouterService } from "#gen/penstock/router/v1/router_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { follow, type Follower } from "./follow.ts";

/** What the directory needs. */
export interface ModelDirectoryDeps {
  readonly router: Client<typeof RouterService>;
  /** Told when the stream of models was lost. */
  readonly onLost: (error: unknown) => void;
}

/** The models that can be called, kept in memory by a stream of the router. */
export class ModelDirectory {
  readonly #deps: ModelDirectoryDeps;
  #models: ReadonlyMap<string, ModelEntry> = new Map();
  #openProviders: ReadonlySet<string> = new Set();
  /** Models named `provider/model`, looked up when they are first asked for. */
  readonly #open = new LRUCache<string, ModelEntry>({ max: 1_000 });
  #follower: Follower | undefined;
  #complete = false;

  constructor(deps: ModelDirectoryDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#follower = follow({
      open: () => this.#deps.router.watchModels({}),
      onItem: (message) => {
        this.#models = new Map(message.models.map((model) => [model.name, model]));
        this.#openProviders = new Set(message.openProviders);
        this.#open.clear();
        this.#complete = true;
      },
      onLost: this.#deps.onLost,
      pauseMs: 500,
    });
  }

  stop(): void {
    this.#follower?.stop();
  }

  /** True once the models have arrived. */
  get complete(): boolean {
    return this.#complete;
  }

  /** All configured models, sorted by name. */
  list(): readonly ModelEntry[] {
    return [...this.#models.values()];
  }

  /** The model of a name. Throws when there is none. */
  find(name: string): ModelEntry | Promise<ModelEntry> {
    const known = this.#models.get(name) ?? this.#open.get(name);
    if (known !== undefined) {
      return known;
    }
    const slash = name.indexOf("/");
    if (!this.#complete) {
      throw gatewayError(ErrorReason.SERVICE_UNAVAILABLE, "The gateway does not know its models yet.", {
        retryDelayMs: 1_000,
      });
    }
    if (slash <= 0 || name.length > 300 || !this.#openProviders.has(name.slice(0, slash))) {
      throw unknownModel(name);
    }
    return this.#lookUp(name);
  }

  async #lookUp(name: string): Promise<ModelEntry> {
    const { model } = await this.#deps.router.getModel({ model: name });
    if (model === undefined) {
      throw unknownModel(name);
    }
    this.#open.set(name, model);
    return model;
  }
}

function unknownModel(name: string) {
  const shown = JSON.stringify(name.slice(0, 200));
  return gatewayError(
    ErrorReason.MODEL_NOT_FOUND,
    `The model ${shown} does not exist or you do not have access to it.`,
  );
}
