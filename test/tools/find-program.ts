import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** The folder of a program, looked for in PATH and in the folders where Debian puts servers; undefined: not there. */
export function findProgram(name: string, path: string = process.env["PATH"] ?? ""): string | undefined {
  const folders = [...path.split(delimiter), "/usr/sbin", "/usr/local/sbin"].filter((folder) => folder !== "");
  return folders.find((folder) => isExecutable(join(folder, name)));
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    // Not there and not allowed mean the same to the caller: it cannot be run.
    return false;
  }
}
