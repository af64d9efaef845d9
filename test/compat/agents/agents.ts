import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { installNpmPackage } from "./install.ts";
import { question } from "./agent-model.ts";

/** Where an agent runs, and whom it asks. */
export interface AgentPlace {
  readonly gatewayUrl: string;
  readonly key: string;
  /** The name of the model at the gateway. */
  readonly model: string;
  /** Empty: its home. */
  readonly home: string;
  /** What it works on. */
  readonly directory: string;
}

/** How an agent is started once it is installed. */
export interface AgentStart {
  readonly arguments: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** A coding agent from npm, run by Node without a person. */
export interface Agent {
  readonly name: string;
  readonly version: string;
  /** The names of the models that it is asked to use: one that it knows has tools of its own. */
  readonly models: readonly string[];
  /** Those of them with which it copies the note by its own tool for that. */
  readonly copyingModels: readonly string[];
  /** Installs it and returns the program's file. */
  install(): Promise<string>;
  /** Writes its settings and returns how to start it. */
  prepare(place: AgentPlace): AgentStart;
}

/** OpenAI's Codex, by the Responses API. */
export const codex: Agent = {
  name: "codex",
  version: "0.169.0",
  models: ["gpt", "claude", "flash", "gpt-5.5"],
  copyingModels: ["gpt-5.5"],
  async install() {
    return join(await installNpmPackage("@openai/codex", this.version), "bin/codex.js");
  },
  prepare({ gatewayUrl, key, model, home, directory }) {
    const settings = `
model = "${model}"
model_provider = "penstock"
check_for_update_on_startup = false
[analytics]
enabled = false
[features]
plugins = false
[model_providers.penstock]
name = "Penstock"
base_url = "${gatewayUrl}/v1"
env_key = "PENSTOCK_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
`;
    writeFileSync(join(home, "config.toml"), settings);
    const safe = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"];
    return {
      arguments: ["exec", ...safe, "-C", directory, question],
      env: { CODEX_HOME: home, PENSTOCK_KEY: key },
    };
  },
};

/** Anthropic's Claude Code, by the Messages API. */
export const claudeCode: Agent = {
  name: "claude-code",
  version: "2.1.330",
  models: ["gpt", "claude", "flash", "claude-opus-4-8"],
  copyingModels: [],
  async install() {
    return join(await installNpmPackage("@anthropic-ai/claude-code", this.version), "cli-wrapper.cjs");
  },
  prepare({ gatewayUrl, key, model, home }) {
    const settings = join(home, ".claude");
    mkdirSync(settings, { recursive: true });
    return {
      arguments: ["-p", question, "--model", model, "--dangerously-skip-permissions"],
      env: {
        CLAUDE_CONFIG_DIR: settings,
        ANTHROPIC_BASE_URL: gatewayUrl,
        ANTHROPIC_API_KEY: key,
        ANTHROPIC_SMALL_FAST_MODEL: model,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
        DISABLE_AUTOUPDATER: "1",
        DISABLE_ERROR_REPORTING: "1",
        DISABLE_TELEMETRY: "1",
        // It refuses to skip its questions as root unless it is told that it is shut in.
        IS_SANDBOX: "1",
      },
    };
  },
};
