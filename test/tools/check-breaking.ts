import { spawnSync } from "node:child_process";
import { resolve } from "node:path";

// `node test/tools/check-breaking.ts`: whether a client built from main's protos still understands these. The exit code
// is that of `buf breaking`.

const branches = ["refs/heads/main", "refs/remotes/origin/main"];

function git(...args: readonly string[]): string | undefined {
  const ran = spawnSync("git", args, { encoding: "utf8" });
  return ran.status === 0 ? ran.stdout.trim() : undefined;
}

const folder = git("rev-parse", "--git-common-dir");
const commits = branches.flatMap((branch) => git("rev-parse", "--verify", "--quiet", `${branch}^{commit}`) ?? []);
const commit = commits.find((candidate) => git("ls-tree", "-r", "--name-only", candidate, "proto") !== "");
if (folder === undefined || commit === undefined) {
  process.stdout.write("there is no branch main with protos yet: nothing can break\n");
} else {
  const against = `${resolve(folder)}#format=git,ref=${commit}`;
  const ran = spawnSync("buf", ["breaking", "--against", against], { stdio: "inherit" });
  if (ran.error !== undefined) {
    throw new Error("buf cannot be run", { cause: ran.error });
  }
  process.exitCode = ran.status ?? 1;
}
