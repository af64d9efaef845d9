/** A command line that says too little or something that cannot be understood. Its message is for whoever wrote it. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
