import { startEmbeddedServer } from "./embedded-server.ts";

/** Which database to use. */
export interface OpenPostgresOptions {
  /** `embedded`, or postgres://user:password@host:port/database. */
  readonly database: string;
  /** Where the embedded server keeps its data. Not used with an address. */
  readonly directory: string;
  /** Gets each line the embedded server logs. */
  readonly log?: (line: string) => void;
}

/** A database that is ready for connections, or an address taken as given. */
export interface OpenedPostgres {
  /** What createPool takes. Holds a password. */
  readonly url: string;
  /** Stops the embedded server; does nothing to another. End the pools first. */
  close(): Promise<void>;
}

/** Starts the embedded server, or takes an address. An address is not tried: its server may come up later. */
export async function openPostgres(options: OpenPostgresOptions): Promise<OpenedPostgres> {
  if (options.database === "embedded") {
    return startEmbeddedServer({ directory: options.directory, log: options.log });
  }
  return { url: options.database, close: () => Promise.resolve() };
}
