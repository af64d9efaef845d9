import { pino } from "pino";
import { createLiveConfig } from "#kit/config/create-live-config.ts";
import { buildProgram } from "./build-program.ts";
import { liveUntilStopped } from "./live-until-stopped.ts";
import { type ConfigOverrides, configPath, readConfig } from "./read-config.ts";
import { type ServiceName, serviceNames } from "./service-names.ts";

/** What `penstock start` was asked to do. */
export interface StartOptions extends ConfigOverrides {
  readonly config?: string | undefined;
  readonly providers?: readonly string[] | undefined;
}

/** Runs services until the process is told to stop. Resolves with the exit code. */
export async function start(names: readonly string[], options: StartOptions): Promise<number> {
  const services = serviceList(names);
  const env = process.env;
  const path = configPath(options.config, env);
  const log = pino({ base: { services: services.join(",") } }, pino.destination({ fd: 2, sync: false }));
  const live = createLiveConfig({ path, load: () => readConfig(path, options, env) });
  live.onReload((result) => {
    if (result.ok) {
      log.info({ version: result.version }, "the configuration was reloaded");
    } else {
      log.error({ problems: result.message }, "the configuration was not reloaded: the old one stays");
    }
  });
  log.level = live.current.telemetry.log_level;
  const printed: string[] = [];
  const program = buildProgram({
    config: live,
    services,
    providers: options.providers,
    adminKey: env["PENSTOCK_ADMIN_KEY"],
    log,
    onBootstrap(secrets) {
      if (secrets.adminKey !== undefined) {
        printed.push(`admin key    ${secrets.adminKey}`);
      }
      if (secrets.firstKey !== undefined) {
        printed.push(`virtual key  ${secrets.firstKey}`);
      }
    },
  });
  const stopped = liveUntilStopped();
  // What comes of it goes to the listener above.
  process.on("SIGHUP", () => void live.reload());
  await program.start();
  process.stdout.write(`${banner(services, program.url(), program.meshUrl(), path, printed).join("\n")}\n`);
  await stopped;
  log.info("stopping");
  live.stop();
  await program.stop(live.current.server.drain_timeout);
  return 0;
}

function serviceList(names: readonly string[]): readonly ServiceName[] {
  const unknown = names.find((name) => !serviceNames.includes(name as ServiceName));
  if (unknown !== undefined) {
    throw new Error(`there is no service ${unknown}; there are: ${serviceNames.join(", ")}`);
  }
  return names.length === 0 ? serviceNames : serviceNames.filter((name) => names.includes(name));
}

function banner(
  services: readonly string[],
  url: string,
  meshUrl: string,
  path: string | undefined,
  secrets: readonly string[],
): readonly string[] {
  const lines = [
    `penstock is ready: ${services.join(", ")}`,
    `config       ${path ?? "none: found in the environment"}`,
  ];
  if (meshUrl !== "") {
    lines.push(`mesh         ${meshUrl}`);
  }
  if (url !== "") {
    lines.push(`url          ${url}`);
  }
  if (secrets.length > 0) {
    lines.push(...secrets, "These keys are shown this once; keep them.");
  }
  return lines;
}
