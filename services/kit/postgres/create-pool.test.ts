import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import pg from "pg";
import { startTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { createPool } from "./create-pool.ts";

describe("createPool", () => {
  let server: TestPostgres;
  let pool: pg.Pool;
  before(async () => {
    server = await startTestPostgres();
    pool = createPool({ url: await server.createDatabase(), name: "pool-test", max: 2 });
  });
  after(async () => {
    await pool.end();
    await server.close();
  });

  it("reads bigint columns and arrays as bigint, and takes bigint parameters", async () => {
    const { rows } = await pool.query(
      "SELECT 9007199254740993::int8 AS one, ARRAY[1, NULL, -2]::int8[] AS many, '{}'::int8[] AS none, $1::int8[] AS given",
      [[9_223_372_036_854_775_807n]],
    );
    assert.deepEqual(rows, [
      { one: 9_007_199_254_740_993n, many: [1n, null, -2n], none: [], given: [9_223_372_036_854_775_807n] },
    ]);
  });

  it("leaves the types of other clients alone", async () => {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    const { rows } = await client.query("SELECT 5::int8 AS value");
    await client.end();
    assert.deepEqual(rows, [{ value: "5" }]);
  });

  it("bounds how long statements run and wait for locks, and names itself", async () => {
    const { rows } = await pool.query(`SELECT current_setting('statement_timeout') AS statement,
      current_setting('lock_timeout') AS lock, current_setting('application_name') AS name`);
    assert.deepEqual(rows, [{ statement: "30s", lock: "5s", name: "pool-test" }]);
  });

  it("survives the server ending an idle connection", async () => {
    const client = await pool.connect();
    const pid = await backendOf(client);
    client.release();
    const dropped = new Promise((resolve) => pool.once("remove", resolve));
    await terminate(server.url, pid);
    await dropped;
    assert.deepEqual((await pool.query("SELECT 1 AS value")).rows, [{ value: 1 }]);
  });

  it("survives the server ending a connection between two statements of its user", async () => {
    const client = await pool.connect();
    const pid = await backendOf(client);
    const ended = new Promise((resolve) => client.once("end", resolve));
    await terminate(server.url, pid);
    await ended;
    await assert.rejects(client.query("SELECT 1"));
    client.release(true);
    assert.deepEqual((await pool.query("SELECT 1 AS value")).rows, [{ value: 1 }]);
  });
});

async function backendOf(client: pg.PoolClient): Promise<number> {
  const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
  return rows[0]?.pid ?? 0;
}

async function terminate(url: string, pid: number): Promise<void> {
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  await admin.query("SELECT pg_terminate_backend($1)", [pid]);
  await admin.end();
}
