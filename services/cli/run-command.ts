import { Command } from "commander";
import { mesh } from "./mesh.ts";
import { ConfigError, configPath, readConfig } from "./read-config.ts";
import { start } from "./start.ts";

const repeated = (value: string, all: readonly string[] | undefined): readonly string[] => [...(all ?? []), value];

/** Runs the command of a command line. Resolves with the exit code: 0 done, 1 failed, 2 the configuration is invalid. */
export async function runCommand(argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = new Command("penstock").description("An LLM gateway built as a mesh of Connect services");
  program
    .command("start")
    .description("run services in this process; all of them when none is named")
    .argument("[services...]", "ingress, router, connector, quota, cache, accounting")
    .option("-c, --config <file>", "the configuration; else $PENSTOCK_CONFIG, else penstock.yaml")
    .option("--listen <address>", "host:port of the public API")
    .option("--database <url>", "embedded or postgres://…")
    .option("--bus <url>", "embedded or nats://…")
    .option("--directory <path>", "where the journal and the embedded Postgres are")
    .option("--mesh-listen <address>", "host:port for calls from other processes")
    .option("--peer <name=url>", "where a service of another process is; may be repeated", repeated)
    .option("--provider <name>", "serve only this provider's connector; may be repeated", repeated)
    .action(async (services: string[], options) => {
      exitCode = await start(services, { ...options, peers: options.peer, providers: options.provider });
    });
  program
    .command("mesh")
    .description("run every service as a process of its own, with a real nats-server and Postgres")
    .option("-c, --config <file>", "the configuration; else $PENSTOCK_CONFIG, else penstock.yaml")
    .option("--listen <address>", "host:port of the public API")
    .option("--directory <path>", "where the journal, Postgres and NATS keep their files")
    .action(async (options) => {
      exitCode = await mesh(options);
    });
  program
    .command("check")
    .description("read the configuration and say what is wrong with it")
    .option("-c, --config <file>", "the configuration; else $PENSTOCK_CONFIG, else penstock.yaml")
    .action((options) => {
      const path = configPath(options.config, process.env);
      readConfig(path, {}, process.env);
      process.stdout.write(`${path ?? "the default configuration"} is valid\n`);
    });
  try {
    await program.parseAsync(argv);
    return exitCode;
  } catch (error) {
    if (error instanceof ConfigError) {
      process.stderr.write(`${error.message}\n`);
      return 2;
    }
    process.stderr.write(`penstock: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}
