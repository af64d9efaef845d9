// https://www.postgresql.org/docs/18/errcodes-appendix.html
const retryableStates = new Set([
  "40001", // serialization_failure
  "40P01", // deadlock_detected
  "53300", // too_many_connections
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P03", // cannot_connect_now
]);

const retryableErrnos = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EAI_AGAIN",
  "ENOENT", // A server on a unix socket that does not run.
]);

// pg raises these with neither a code nor a class, so their text is the only thing to tell them by.
const retryableMessages = new Set([
  "Connection terminated",
  "Connection terminated unexpectedly",
  "Connection terminated due to connection timeout",
  "Client has encountered a connection error and is not queryable",
  "timeout exceeded when trying to connect",
  "timeout expired",
]);

/** Whether doing the same again may succeed: a conflict between transactions, or a server that is away. */
export function isRetryable(error: unknown): boolean {
  if (error instanceof AggregateError) {
    return error.errors.length > 0 && error.errors.every(isRetryable);
  }
  return isConflict(error) || isConnectionLoss(error);
}

/** Whether the connection failed, so that nobody knows what the server did with the last statement. */
export function isConnectionLoss(error: unknown): boolean {
  if (!(error instanceof Error)) {
    return false;
  }
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return (
    code.startsWith("08") ||
    code.startsWith("57P") ||
    retryableErrnos.has(code) ||
    (code === "" && retryableMessages.has(error.message))
  );
}

function isConflict(error: unknown): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string" && retryableStates.has(error.code);
}
