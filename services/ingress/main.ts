import { runCommand } from "../cli/run-command.ts";

/** Runs this service alone; takes the options of `penstock start`. */
process.exit(await runCommand([...process.argv.slice(0, 2), "start", "ingress", ...process.argv.slice(2)]));
