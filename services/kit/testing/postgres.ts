import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { startEmbeddedServer } from "../postgres/embedded-server.ts";

/** A Postgres server for tests. */
export interface TestPostgres {
  /** The address of the server's own database. */
  readonly url: string;
  /** Makes an empty database and returns its address. It is dropped by close. */
  createDatabase(): Promise<string>;
  /** Drops the databases made here, and stops the server if this started it. */
  close(): Promise<void>;
}

/**
 * Gives a real Postgres: the one that PENSTOCK_TEST_DATABASE_URL names, so that one server serves a whole run, else an
 * embedded one of its own in a temporary directory, without fsync.
 */
export async function startTestPostgres(): Promise<TestPostgres> {
  const shared = process.env["PENSTOCK_TEST_DATABASE_URL"];
  if (shared !== undefined && shared !== "") {
    return createTestPostgres(shared, () => Promise.resolve());
  }
  const directory = await mkdtemp(join(tmpdir(), "penstock-test-postgres-"));
  const remove = (): Promise<void> => rm(directory, { recursive: true, force: true });
  try {
    const server = await startEmbeddedServer({ directory, durable: false });
    return createTestPostgres(server.url, async () => {
      await server.close();
      await remove();
    });
  } catch (error) {
    await remove();
    throw error;
  }
}

function createTestPostgres(url: string, stop: () => Promise<void>): TestPostgres {
  const databases: string[] = [];
  return {
    url,
    async createDatabase() {
      const name = `test_${randomUUID().replaceAll("-", "")}`;
      await run(url, `CREATE DATABASE ${name}`);
      databases.push(name);
      const created = new URL(url);
      created.pathname = `/${name}`;
      return created.href;
    },
    async close() {
      for (const name of databases.splice(0)) {
        await run(url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      }
      await stop();
    },
  };
}

async function run(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
