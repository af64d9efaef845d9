// Runs before the scripts of package.json, on whatever Node the machine has (18 or newer): installs what the lockfile
// says when that is missing or another version, and makes sure that what runs next is the pinned Node.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The packages of a lockfile by folder; undefined where there is none, or where npm was stopped in its writing. */
function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages;
  } catch {
    return undefined;
  }
}

/** Whether node_modules holds the packages of the lockfile. Times say nothing: a fresh clone has the newest of all. */
function isInstalled() {
  const wanted = readPackages(join(root, "package-lock.json"));
  const found = readPackages(join(root, "node_modules", ".package-lock.json"));
  if (wanted === undefined || found === undefined) {
    return false;
  }
  const missing = Object.entries(wanted).some(
    ([folder, entry]) =>
      folder !== "" && found[folder]?.version !== entry.version && !(entry.optional && found[folder] === undefined),
  );
  return !missing && Object.keys(found).every((folder) => wanted[folder] !== undefined);
}

/** The version of the Node that npm scripts use, without a leading "v"; empty when it is not there. */
function readPinnedVersion() {
  const pinned = join(root, "node_modules", ".bin", process.platform === "win32" ? "node.cmd" : "node");
  if (!existsSync(pinned)) {
    return "";
  }
  const asked = spawnSync(pinned, ["--version"], { encoding: "utf8", shell: process.platform === "win32" });
  return asked.status === 0 ? asked.stdout.trim().replace(/^v/, "") : "";
}

function runNpm(...args) {
  // The npm that runs us, on the Node that runs it: the Node of node_modules is about to be replaced.
  const npm = process.env["npm_execpath"];
  const node = process.env["npm_node_execpath"];
  const options = { cwd: root, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 };
  const ran =
    npm !== undefined && node !== undefined && /\.[cm]?js$/.test(npm)
      ? spawnSync(node, [npm, ...args], options)
      : spawnSync("npm", args, { ...options, shell: process.platform === "win32" });
  if (ran.error !== undefined || ran.status !== 0) {
    process.stderr.write(`${ran.stdout ?? ""}${ran.stderr ?? ""}`);
    process.stderr.write(`npm ${args.join(" ")} failed: ${ran.error?.message ?? `exit code ${ran.status}`}\n`);
    process.exit(1);
  }
}

// The pinned Node is made by its install script. Its warnings are about the Node of the machine, which is not used.
const quietly = ["--ignore-scripts=false", "--no-audit", "--no-fund", "--loglevel=error"];
if (!isInstalled()) {
  process.stderr.write("installing the packages of package-lock.json…\n");
  runNpm("ci", ...quietly);
}
const wantedVersion = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).dependencies.node;
if (readPinnedVersion() !== wantedVersion) {
  process.stderr.write(`installing Node ${wantedVersion}…\n`);
  runNpm("rebuild", "node", ...quietly);
}
const version = readPinnedVersion();
if (version !== wantedVersion) {
  process.stderr.write(
    `Node ${wantedVersion} is needed, and node_modules/.bin/node ${version === "" ? "does not run" : `is ${version}`}.\n` +
      "Remove node_modules and run `npm ci`; the package `node` has to be allowed its install script.\n",
  );
  process.exit(1);
}
