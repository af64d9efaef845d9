import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Outcome } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { startFakeProvider } from "../../harness/fake-provider.ts";
import { goodAnswer } from "../../harness/provider-answers.ts";
import { startGateway } from "../../harness/start-gateway.ts";
import { scriptedModel } from "../scripted-model.ts";
import { threeFamilies } from "../three-families.ts";
import { agentModel, answerOf, copyFile, noteFile } from "./agent-model.ts";
import { type Agent, claudeCode, codex } from "./agents.ts";
import { installPythonPackage } from "./install.ts";
import { startRefusingProxy } from "./refusing-proxy.ts";
import { runProgram } from "./run-program.ts";

// `npm run agents [NAME…]`: installs coding agents and Python's OpenAI client beside the project, and runs each through a
// gateway whose providers are played on loopback, with a home of its own and everything that it would send elsewhere
// refused. One line for each run; the exit code is 1 when one fails.

const agentMs = 90_000;
const pythonClient = { name: "python", package: "openai", version: "3.54.0" } as const;

const write = (text: string): void => void process.stdout.write(`${text}\n`);
const wanted = process.argv.slice(2);
const isWanted = (name: string): boolean => wanted.length === 0 || wanted.includes(name);

let note = randomUUID();
const provider = await startFakeProvider({
  otherwise: (request) => (request.path.includes("mbed") ? goodAnswer(request) : agentModel(note)(request)),
});
const gateway = await startGateway({ mode: "embedded", config: threeFamilies(provider) });
const proxy = await startRefusingProxy();
let failed = 0;
try {
  for (const agent of [codex, claudeCode].filter(({ name }) => isWanted(name))) {
    const program = await agent.install();
    for (const model of agent.models) {
      report(`${agent.name} ${agent.version} with ${model}`, await runAgent(agent, program, model));
    }
  }
  if (isWanted(pythonClient.name)) {
    await runPython();
  }
} finally {
  proxy.close();
  await gateway.stop();
  await provider.close();
}
process.exitCode = failed === 0 ? 0 : 1;

/** The line of a run: `problem` is empty when all went well. */
function report(name: string, problem: string): void {
  failed += problem === "" ? 0 : 1;
  const elsewhere = proxy.hosts.size === 0 ? "" : ` (refused: ${[...proxy.hosts].join(", ")})`;
  write(problem === "" ? `passed  ${name}${elsewhere}` : `FAILED  ${name}${elsewhere}: ${problem}`);
}

async function runAgent(agent: Agent, program: string, model: string): Promise<string> {
  const home = mkdtempSync(join(tmpdir(), "penstock-agent-"));
  const directory = join(home, "work");
  mkdirSync(directory);
  note = randomUUID();
  writeFileSync(join(directory, noteFile), `${note}\n`);
  const seen = provider.requests.length;
  try {
    const { url, virtualKey } = gateway;
    const start = agent.prepare({ gatewayUrl: url, key: virtualKey, model, home, directory });
    const result = await runProgram({
      command: process.execPath,
      arguments: [program, ...start.arguments],
      env: { HOME: home, ...proxy.env, ...start.env },
      directory,
      timeoutMs: agentMs,
    });
    const shown = `exit code ${result.exitCode}: ${(result.stderr + result.stdout).slice(-600)}`;
    if (result.exitCode !== 0 || !result.stdout.includes(answerOf(note))) {
      return shown;
    }
    const copy = join(directory, copyFile);
    if (agent.copyingModels.includes(model) && (!existsSync(copy) || readFileSync(copy, "utf8") !== `${note}\n`)) {
      return `the note was not copied; ${shown}`;
    }
    return provider.requests.length - seen < 2 ? "the model was asked only once" : await findFailures(seen);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** The ledger has one row for each request to a provider so far, and from `from` on each has succeeded. */
async function findFailures(from: number): Promise<string> {
  const rows = await gateway.waitForLedger((all) => all.length >= provider.requests.length);
  const bad = rows.slice(from).filter(({ outcome }) => outcome !== Outcome.SUCCEEDED);
  return bad.map(({ model, outcome }) => `${model} ended with outcome ${outcome}`).join(", ");
}

async function runPython(): Promise<void> {
  const name = `${pythonClient.name} ${pythonClient.package} ${pythonClient.version}`;
  const python = await installPythonPackage(pythonClient.package, pythonClient.version);
  if (python === undefined) {
    write(`skipped ${name}: there is no python3 that can make a virtual environment`);
    return;
  }
  for (const model of ["gpt", "claude", "flash"]) {
    provider.script(model, scriptedModel);
    const result = await runProgram({
      command: python,
      arguments: [fileURLToPath(new URL("openai_client.py", import.meta.url)), model],
      env: { ...proxy.env, OPENAI_BASE_URL: `${gateway.url}/v1`, OPENAI_API_KEY: gateway.virtualKey },
      timeoutMs: agentMs,
    });
    report(`${name} with ${model}`, result.exitCode === 0 ? "" : result.stderr.slice(-1_000));
  }
}
