#!/usr/bin/env node
import { Command } from "commander";
import { mesh } from "./cli/mesh.ts";
import { ConfigError, configPath, readConfig } from "./cli/read-config.ts";
import { start } from "./cli/start.ts";

const repeated = (value: string, all: readonly string[] | undefined): readonly string[] => [...(all ?? []), value];

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
    process.exitCode = await start(services, { ...options, peers: options.peer, providers: options.provider });
  });
program
  .command("mesh")
  .description("run every service as a process of its own, with a real nats-server and Postgres")
  .option("-c, --config <file>", "the configuration; else $PENSTOCK_CONFIG, else penstock.yaml")
  .option("--listen <address>", "host:port of the public API")
  .option("--directory <path>", "where the journal, Postgres and NATS keep their files")
  .action(async (options) => {
    process.exitCode = await mesh(options);
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
  await program.parseAsync();
} catch (error) {
  process.stderr.write(
    `${error instanceof ConfigError || !(error instanceof Error) ? String(error instanceof Error ? error.message : error) : `penstock: ${error.message}`}\n`,
  );
  process.exitCode = error instanceof ConfigError ? 2 : 1;
}
// A module that failed to stop must not keep the process: everything that matters is written by now.
process.exit();
