/**
 * Resolves when the process is told to stop. Until then a reader of its output who goes away does not end it: what runs
 * here does not depend on being watched.
 */
export function liveUntilStopped(): Promise<void> {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") {
      throw error;
    }
  });
  return new Promise((resolve) => {
    process.once("SIGTERM", () => resolve());
    process.once("SIGINT", () => resolve());
  });
}
