/** A configuration that cannot be used; its message shows where and why. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}
