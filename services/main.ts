#!/usr/bin/env node
import { enableCompileCache } from "node:module";

// Compiling is half of a start's time; what was compiled once is kept in the system's folder for temporary files.
enableCompileCache();
const { runCommand } = await import("./cli/run-command.ts");
// What could not be stopped must not keep the process: everything that matters is written by now.
process.exit(await runCommand(process.argv));
