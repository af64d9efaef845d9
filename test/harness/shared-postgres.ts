import { startTestPostgres, type TestPostgres } from "#kit/testing/postgres.ts";

let users = 0;
let server: Promise<TestPostgres> | undefined;

/** An empty database on a server that all gateways of this process share. */
export interface SharedDatabase {
  readonly url: string;
  /** Gives the server up; the last user stops it. */
  release(): Promise<void>;
}

/** Makes a database. Each one made has to be released. */
export async function createSharedDatabase(): Promise<SharedDatabase> {
  users += 1;
  server ??= startTestPostgres();
  const postgres = await server;
  const url = await postgres.createDatabase();
  return {
    url,
    async release() {
      users -= 1;
      if (users === 0) {
        server = undefined;
        await postgres.close();
      }
    },
  };
}
