import { Code, ConnectError } from "@connectrpc/connect";
import { Command, CommanderError } from "commander";
import { addBudgetCommands } from "./commands/budget-commands.ts";
import { addKeyCommands } from "./commands/key-commands.ts";
import { repeated } from "./commands/read-options.ts";
import { addRequestCommands } from "./commands/request-commands.ts";
import { addSpendCommand } from "./commands/spend-command.ts";
import { addOrganizationCommands, addTeamCommands } from "./commands/tenant-commands.ts";
import { UsageError } from "./commands/usage-error.ts";
import { addUserCommands } from "./commands/user-commands.ts";
import { ConfigError } from "./config-error.ts";

/** Runs the command of a command line. Resolves with the exit code: 0 done, 1 failed, 2 the configuration or the command line is invalid. */
export async function runCommand(argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  // Instead of ending the process: commands made below inherit it.
  const program = new Command("penstock")
    .description("An LLM gateway built as a mesh of Connect services")
    .exitOverride();
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
      // The commands that call a gateway load none of its services.
      const { start } = await import("./start.ts");
      exitCode = await start(services, { ...options, peers: options.peer, providers: options.provider });
    });
  program
    .command("mesh")
    .description("run every service as a process of its own, with a real nats-server and Postgres")
    .option("-c, --config <file>", "the configuration; else $PENSTOCK_CONFIG, else penstock.yaml")
    .option("--listen <address>", "host:port of the public API")
    .option("--directory <path>", "where the journal, Postgres and NATS keep their files")
    .action(async (options) => {
      const { mesh } = await import("./mesh.ts");
      exitCode = await mesh(options);
    });
  program
    .command("check")
    .description("read the configuration and say what is wrong with it")
    .option("-c, --config <file>", "the configuration; else $PENSTOCK_CONFIG, else penstock.yaml")
    .action(async (options) => {
      const { configPath, readConfig } = await import("./read-config.ts");
      const path = configPath(options.config, process.env);
      readConfig(path, {}, process.env);
      process.stdout.write(`${path ?? "the default configuration"} is valid\n`);
    });
  addOrganizationCommands(program);
  addTeamCommands(program);
  addUserCommands(program);
  addKeyCommands(program);
  addBudgetCommands(program);
  addSpendCommand(program);
  addRequestCommands(program);
  try {
    await program.parseAsync(argv);
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      // It has said what is wrong, or the help that was asked for.
      return error.exitCode === 0 ? 0 : 2;
    }
    if (error instanceof ConfigError) {
      process.stderr.write(`${error.message}\n`);
      return 2;
    }
    process.stderr.write(`penstock: ${describe(error)}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

function describe(error: unknown): string {
  if (error instanceof ConnectError) {
    return error.code === Code.Unavailable || error.code === Code.Unknown
      ? `the gateway cannot be reached or failed: ${error.rawMessage}`
      : error.rawMessage;
  }
  return error instanceof Error ? error.message : String(error);
}
