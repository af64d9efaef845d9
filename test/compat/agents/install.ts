import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runProgram } from "./run-program.ts";

const cache = fileURLToPath(new URL("../../../node_modules/.cache/agents/", import.meta.url));
const installMs = 5 * 60_000;

/** Installs one exact version of an npm package beside the project and returns its folder. Throws when that fails. */
export async function installNpmPackage(name: string, version: string): Promise<string> {
  const prefix = join(cache, name.replaceAll(/[^a-z0-9]+/gi, "-").replace(/^-/, ""));
  const folder = join(prefix, "node_modules", name);
  if (installedVersion(join(folder, "package.json")) === version) {
    return folder;
  }
  mkdirSync(prefix, { recursive: true });
  await install("npm", [
    "install",
    "--prefix",
    prefix,
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    `${name}@${version}`,
  ]);
  return folder;
}

/**
 * Makes a virtual environment with one exact version of a Python package and returns its interpreter; undefined where
 * Python is not there or cannot make one. Throws when the installation fails.
 */
export async function installPythonPackage(name: string, version: string): Promise<string | undefined> {
  const folder = join(cache, `python-${name}-${version}`);
  const python = join(folder, "bin", "python");
  const probe = ["-c", `import importlib.metadata as m; print(m.version("${name}"))`];
  if (existsSync(python)) {
    const found = await runProgram({ command: python, arguments: probe, timeoutMs: 30_000 });
    if (found.stdout.trim() === version) {
      return python;
    }
    rmSync(folder, { recursive: true, force: true });
  }
  const made = await runProgram({ command: "python3", arguments: ["-m", "venv", folder], timeoutMs: 60_000 });
  if (made.exitCode !== 0) {
    rmSync(folder, { recursive: true, force: true });
    return undefined;
  }
  await install(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", `${name}==${version}`]);
  return python;
}

async function install(command: string, words: readonly string[]): Promise<void> {
  // The registry's settings are the user's own, so here the environment is inherited.
  const env = Object.fromEntries(Object.entries(process.env).map(([name, value]) => [name, value ?? ""]));
  const { exitCode, stderr } = await runProgram({ command, arguments: words, env, timeoutMs: installMs });
  if (exitCode !== 0) {
    throw new Error(`${command} ${words.join(" ")} failed: ${stderr.slice(-1_000)}`);
  }
}

function installedVersion(manifest: string): string | undefined {
  if (!existsSync(manifest)) {
    return undefined;
  }
  // Every manifest of npm's has a version; what differs is installed anew.
  return (JSON.parse(readFileSync(manifest, "utf8")) as { readonly version?: string }).version;
}
