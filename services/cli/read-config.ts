import { existsSync, readFileSync } from "node:fs";
import { formatProblems } from "#kit/config/format-problems.ts";
import { loadConfig } from "#kit/config/load-config.ts";
import { checkRouting, type ProviderFacts } from "../router/module.ts";
import { ConfigError } from "./config-error.ts";
import { defaultConfigText } from "./default-config.ts";
import { type RootConfig, rootConfig } from "./root-config.ts";

/** What a start says on its command line, over the file. */
export interface ConfigOverrides {
  readonly database?: string | undefined;
  readonly bus?: string | undefined;
  readonly directory?: string | undefined;
  readonly listen?: string | undefined;
  readonly meshListen?: string | undefined;
  /** `service=url`, or `connector.provider=url`. */
  readonly peers?: readonly string[] | undefined;
}

/** The file to read: the one named, else `penstock.yaml` where the process was started, else none. */
export function configPath(named: string | undefined, env: NodeJS.ProcessEnv): string | undefined {
  const path = named ?? env["PENSTOCK_CONFIG"];
  if (path !== undefined && path !== "") {
    return path;
  }
  return existsSync("penstock.yaml") ? "penstock.yaml" : undefined;
}

/** Reads, checks and completes the configuration. Throws ConfigError with all that is wrong with it. */
export function readConfig(path: string | undefined, overrides: ConfigOverrides, env: NodeJS.ProcessEnv): RootConfig {
  const file = path ?? "the default configuration";
  let text: string;
  try {
    text = path === undefined ? defaultConfigText(env) : readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError(`${file} cannot be read`, { cause: error });
  }
  const loaded = loadConfig({
    text,
    schema: rootConfig,
    env,
    check: (config) => checkRouting(config.models, config.prices, providerFacts(config)),
  });
  if (!loaded.ok) {
    throw new ConfigError(formatProblems(loaded.problems, { file, text }));
  }
  return withOverrides(loaded.config, overrides);
}

/** What the router may know of the providers: their names and kinds. */
export function providerFacts(config: Pick<RootConfig, "providers">): readonly ProviderFacts[] {
  return Object.entries(config.providers).map(([name, provider]) => ({ name, kind: provider.kind }));
}

function withOverrides(config: RootConfig, overrides: ConfigOverrides): RootConfig {
  return {
    ...config,
    server: { ...config.server, listen: overrides.listen ?? config.server.listen },
    storage: {
      database: overrides.database ?? config.storage.database,
      bus: overrides.bus ?? config.storage.bus,
      directory: overrides.directory ?? config.storage.directory,
    },
    mesh: {
      listen: overrides.meshListen ?? config.mesh.listen,
      services: withPeers(config.mesh.services, overrides.peers ?? []),
    },
  };
}

type MeshPeers = RootConfig["mesh"]["services"];

function withPeers(services: MeshPeers, peers: readonly string[]): MeshPeers {
  let joined = services;
  for (const peer of peers) {
    const [, name, instance, url] = /^([a-z]+)(?:\.([^=]+))?=(.+)$/.exec(peer) ?? [];
    if (
      name === undefined ||
      url === undefined ||
      !(name in peerNames) ||
      (instance !== undefined && name !== "connector")
    ) {
      throw new ConfigError(`--peer ${peer}: write service=url, or connector.provider=url`);
    }
    if (instance === undefined) {
      joined = { ...joined, [name]: url };
    } else {
      const { connector } = joined;
      joined = { ...joined, connector: { ...(typeof connector === "object" ? connector : {}), [instance]: url } };
    }
  }
  return joined;
}

const peerNames: { readonly [Name in keyof Required<MeshPeers>]: true } = {
  router: true,
  quota: true,
  cache: true,
  accounting: true,
  connector: true,
};
