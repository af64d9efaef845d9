import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import type pg from "pg";
import { startTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { createPool } from "./create-pool.ts";
import { migrate, MigrationError } from "./migrate.ts";

describe("migrate", () => {
  let server: TestPostgres;
  let pool: pg.Pool;
  let folder: string;
  before(async () => {
    server = await startTestPostgres();
  });
  beforeEach(async () => {
    pool = createPool({ url: await server.createDatabase(), name: "migrate-test" });
    folder = await mkdtemp(join(tmpdir(), "penstock-migrate-"));
  });
  afterEach(async () => {
    await pool.end();
    await rm(folder, { recursive: true });
  });
  after(() => server.close());

  const write = (name: string, sql: string): Promise<void> => writeFile(join(folder, name), sql);
  const run = (service = "quota"): Promise<readonly string[]> =>
    migrate(pool, { service, directory: pathToFileURL(folder) });

  it("applies files once, in order of their names", async () => {
    await write("0002-fill.sql", "INSERT INTO thing VALUES (1); INSERT INTO thing VALUES (2)");
    await write("0001-thing.sql", "CREATE TABLE thing (id int)");
    await write("readme.txt", "not a migration");
    assert.deepEqual(await run(), ["0001-thing.sql", "0002-fill.sql"]);
    assert.deepEqual(await run(), []);
    await write("0003-more.sql", "INSERT INTO thing VALUES (3)");
    assert.deepEqual(await run(), ["0003-more.sql"]);
    assert.equal((await pool.query("SELECT * FROM thing")).rowCount, 3);
  });

  it("applies each file once when many processes start together", async () => {
    await write("0001-thing.sql", "CREATE TABLE thing (id int)");
    await write("0002-fill.sql", "SELECT pg_sleep(0.05); INSERT INTO thing VALUES (1)");
    const applied = await Promise.all([run(), run(), run(), run()]);
    assert.deepEqual(applied.flat().toSorted(), ["0001-thing.sql", "0002-fill.sql"]);
    assert.equal((await pool.query("SELECT * FROM thing")).rowCount, 1);
  });

  it("leaves nothing of a file that fails, keeps those before it, and tries it again", async () => {
    await write("0001-thing.sql", "CREATE TABLE thing (id int)");
    await write("0002-broken.sql", "INSERT INTO thing VALUES (1); SELECT 1 / 0");
    await assert.rejects(run(), { code: "22012" });
    assert.equal((await pool.query("SELECT * FROM thing")).rowCount, 0);
    await write("0002-broken.sql", "INSERT INTO thing VALUES (1)");
    assert.deepEqual(await run(), ["0002-broken.sql"]);
  });

  it("refuses a file that changed after it was applied", async () => {
    await write("0001-thing.sql", "CREATE TABLE thing (id int)");
    await run();
    await write("0001-thing.sql", "CREATE TABLE thing (id bigint)");
    await assert.rejects(run(), new MigrationError("quota: migration 0001-thing.sql was changed after it was applied"));
  });

  it("refuses a file that sorts before an applied one, and a gap where an applied one was", async () => {
    await write("0002-thing.sql", "CREATE TABLE thing (id int)");
    await run();
    await write("0001-late.sql", "SELECT 1");
    await assert.rejects(run(), /0001-late.sql sorts before 0002-thing.sql/);
    await rm(join(folder, "0002-thing.sql"));
    await assert.rejects(run(), /0002-thing.sql was applied, but its file is gone/);
  });

  it("leaves a database alone that a newer version has migrated", async () => {
    await write("0001-thing.sql", "CREATE TABLE thing (id int)");
    await write("0002-newer.sql", "ALTER TABLE thing ADD COLUMN name text");
    await run();
    await rm(join(folder, "0002-newer.sql"));
    assert.deepEqual(await run(), []);
  });

  it("counts each service's files apart", async () => {
    await write("0001-thing.sql", "CREATE TABLE IF NOT EXISTS thing (id int)");
    assert.deepEqual(await run("quota"), ["0001-thing.sql"]);
    assert.deepEqual(await run("accounting"), ["0001-thing.sql"]);
  });

  it("refuses a file whose name has no place in the order", async () => {
    await write("thing.sql", "SELECT 1");
    await assert.rejects(run(), /thing.sql is not named like/);
  });
});
