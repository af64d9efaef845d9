import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import type pg from "pg";
import { withTransaction } from "./with-transaction.ts";

/** Where the migrations of a service are. */
export interface MigrateOptions {
  /** Whose migrations these are; each service counts its own. */
  readonly service: string;
  /** The folder with the files, named NNNN-name.sql. */
  readonly directory: URL;
}

/** Thrown when the files do not continue what the database has already applied. */
export class MigrationError extends Error {
  override readonly name = "MigrationError";
}

interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

/**
 * Applies the .sql files of a folder that the database does not have yet, in order of name, and returns their names.
 *
 * Each file runs in a transaction of its own, under an advisory lock, so any number of processes may migrate at once.
 * Throws MigrationError when an applied file has changed or gone, or when a new one sorts before an applied one. A
 * database that a newer version has already migrated further is left as it is.
 */
export async function migrate(pool: pg.Pool, options: MigrateOptions): Promise<readonly string[]> {
  const migrations = await readMigrations(options.directory);
  const applied: string[] = [];
  await locked(pool, options.service, createTable);
  await locked(pool, options.service, (client) => checkHistory(client, options.service, migrations));
  for (const migration of migrations) {
    const isNew = await locked(pool, options.service, (client) => apply(client, options.service, migration));
    if (isNew) {
      applied.push(migration.name);
    }
  }
  return applied;
}

function locked<T>(pool: pg.Pool, service: string, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  return withTransaction(
    pool,
    async (client) => {
      // Longer than the pool's: another process may be in the middle of a long migration.
      await client.query("SET LOCAL lock_timeout = '10min'; SET LOCAL statement_timeout = '10min'");
      await client.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [`penstock migrate ${service}`]);
      return work(client);
    },
    { idempotent: true },
  );
}

async function createTable(client: pg.PoolClient): Promise<void> {
  // CREATE IF NOT EXISTS still races with itself in another service's migration, whose lock is another one.
  await client.query("SELECT pg_advisory_xact_lock(hashtextextended('penstock migrate', 0))");
  await client.query(`
    CREATE TABLE IF NOT EXISTS public.penstock_migration (
      service text NOT NULL,
      name text NOT NULL,
      checksum text NOT NULL,
      apply_time timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (service, name)
    )`);
}

async function checkHistory(client: pg.PoolClient, service: string, migrations: readonly Migration[]): Promise<void> {
  const result = await client.query<{ name: string; checksum: string }>(
    'SELECT name, checksum FROM public.penstock_migration WHERE service = $1 ORDER BY name COLLATE "C"',
    [service],
  );
  result.rows.forEach((row, index) => {
    const migration = migrations[index];
    if (migration === undefined) {
      // The database is ahead: a newer version migrated it while this one still runs or was put back.
      return;
    }
    if (migration.name !== row.name) {
      const known = migrations.some((candidate) => candidate.name === row.name);
      throw new MigrationError(
        known
          ? `${service}: migration ${migration.name} sorts before ${row.name}, which is already applied`
          : `${service}: migration ${row.name} was applied, but its file is gone`,
      );
    }
    if (migration.checksum !== row.checksum) {
      throw new MigrationError(`${service}: migration ${row.name} was changed after it was applied`);
    }
  });
}

async function apply(client: pg.PoolClient, service: string, migration: Migration): Promise<boolean> {
  const claimed = await client.query(
    "INSERT INTO public.penstock_migration (service, name, checksum) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    [service, migration.name, migration.checksum],
  );
  if (claimed.rowCount !== 1) {
    return false;
  }
  await client.query(migration.sql);
  return true;
}

async function readMigrations(directory: URL): Promise<readonly Migration[]> {
  const folder = directory.href.endsWith("/") ? directory : new URL(`${directory.href}/`);
  const names = (await readdir(folder)).filter((name) => name.endsWith(".sql")).toSorted();
  return Promise.all(
    names.map(async (name) => {
      if (!/^\d{4}-[a-z0-9-]+\.sql$/.test(name)) {
        throw new MigrationError(`migration ${name} is not named like 0001-what-it-does.sql`);
      }
      const sql = await readFile(new URL(name, folder), "utf8");
      return { name, sql, checksum: createHash("sha256").update(sql).digest("hex") };
    }),
  );
}
