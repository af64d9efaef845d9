import { spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** How the server's programs are started: Postgres refuses to run as root. */
export interface ServerAccount {
  /** The user and group to start as; empty when that is who we are. */
  readonly ids: { readonly uid?: number; readonly gid?: number };
  /**
   * Turns a command into what is really spawned. With `diesWithUs` the kernel interrupts it when this process ends in
   * any way, where it can.
   */
  command(program: string, args: readonly string[], options?: { readonly diesWithUs: boolean }): Command;
  /** Makes a folder that the server owns. */
  own(path: string): void;
  /** Writes a file that only the server's user (and root) can read. */
  writeSecret(path: string, text: string): void;
}

/** What to spawn. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
}

const serverUser = "postgres";

/**
 * Decides who runs the server. Unless we are root, we do; else the user `postgres`, made when it is missing.
 *
 * Where that user cannot enter the given paths (everything below /root, for one), its programs keep root's right to
 * pass through directories, by setpriv; without setpriv this throws and says what to do.
 */
export function chooseServerAccount(paths: readonly string[]): ServerAccount {
  const canSetPrivileges = spawnSync("setpriv", ["--version"]).status === 0;
  const command =
    (privileges: readonly string[]): ServerAccount["command"] =>
    (program, args, { diesWithUs } = { diesWithUs: false }) => {
      const flags = [...privileges, ...(diesWithUs && canSetPrivileges ? ["--pdeathsig=INT"] : [])];
      return flags.length === 0 ? { program, args } : { program: "setpriv", args: [...flags, "--", program, ...args] };
    };
  if (process.getuid?.() !== 0) {
    return {
      ids: {},
      command: command([]),
      own: (path) => void mkdirSync(path, { recursive: true, mode: 0o700 }),
      writeSecret,
    };
  }
  const { uid, gid } = findUser() ?? createUser();
  const closed = paths.map((path) => findClosedParent(path, uid, gid)).find((path) => path !== undefined);
  if (closed !== undefined && !canSetPrivileges) {
    throw new Error(
      `the user ${serverUser} cannot enter ${closed}: choose another storage directory, or do not run as root`,
    );
  }
  const capabilities = "+dac_read_search,+dac_override";
  const switchUser = [`--reuid=${uid}`, `--regid=${gid}`, "--clear-groups"];
  const passThrough = [`--inh-caps=${capabilities}`, `--ambient-caps=${capabilities}`];
  return {
    ids: closed === undefined ? { uid, gid } : {},
    command: command(closed === undefined ? [] : [...switchUser, ...passThrough]),
    own(path) {
      mkdirSync(path, { recursive: true, mode: 0o700 });
      chownSync(path, uid, gid);
    },
    writeSecret(path, text) {
      writeSecret(path, text);
      chownSync(path, uid, gid);
    },
  };
}

function writeSecret(path: string, text: string): void {
  rmSync(path, { force: true });
  writeFileSync(path, text, { mode: 0o600, flag: "wx" });
}

interface Ids {
  readonly uid: number;
  readonly gid: number;
}

function findUser(): Ids | undefined {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((entry) => entry.startsWith(`${serverUser}:`));
  const fields = line?.split(":");
  return fields === undefined ? undefined : { uid: Number(fields[2]), gid: Number(fields[3]) };
}

function createUser(): Ids {
  const busybox = !existsSync("/usr/sbin/useradd");
  const made = busybox
    ? spawnSync("adduser", ["-S", "-D", "-H", serverUser], { encoding: "utf8" })
    : spawnSync("/usr/sbin/useradd", ["--system", "--user-group", "--no-create-home", serverUser], {
        encoding: "utf8",
      });
  const user = findUser();
  if (user === undefined) {
    throw new Error(
      `Postgres does not run as root, and the user ${serverUser} could not be made: ${made.stderr || made.error?.message || ""}`,
    );
  }
  return user;
}

/** The first folder above a path that a user may not pass through. */
function findClosedParent(path: string, uid: number, gid: number): string | undefined {
  let closed: string | undefined;
  for (let folder = dirname(resolve(path)); ; folder = dirname(folder)) {
    if (existsSync(folder)) {
      const stats = statSync(folder);
      const bit = stats.uid === uid ? 0o100 : stats.gid === gid ? 0o010 : 0o001;
      if ((stats.mode & bit) === 0) {
        closed = folder;
      }
    }
    if (dirname(folder) === folder) {
      return closed;
    }
  }
}
