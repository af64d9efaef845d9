import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import type pg from "pg";
import { startTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { createPool } from "./create-pool.ts";
import { withTransaction } from "./with-transaction.ts";

describe("withTransaction", () => {
  let server: TestPostgres;
  let pool: pg.Pool;
  before(async () => {
    server = await startTestPostgres();
    pool = createPool({ url: await server.createDatabase(), name: "transaction-test", max: 2 });
    await pool.query("CREATE TABLE entry (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)");
  });
  beforeEach(() => pool.query("TRUNCATE entry"));
  after(async () => {
    await pool.end();
    await server.close();
  });

  const entries = async (): Promise<number[]> =>
    (await pool.query<{ id: number }>("SELECT id FROM entry ORDER BY id")).rows.map((row) => row.id);

  it("commits what the work did and returns its value", async () => {
    const value = await withTransaction(pool, async (client) => {
      await client.query("INSERT INTO entry VALUES (1)");
      return "done";
    });
    assert.equal(value, "done");
    assert.deepEqual(await entries(), [1]);
  });

  it("rolls back when the work fails, gives the error on, and does not repeat it", async () => {
    let calls = 0;
    await assert.rejects(
      withTransaction(pool, async (client) => {
        calls += 1;
        await client.query("INSERT INTO entry VALUES (1)");
        throw new Error("no");
      }),
      /^Error: no$/,
    );
    assert.equal(calls, 1);
    assert.deepEqual(await entries(), []);
  });

  it("repeats the work after a deadlock, a conflict or a broken connection", async () => {
    let calls = 0;
    await withTransaction(pool, async (client) => {
      calls += 1;
      await client.query("INSERT INTO entry VALUES ($1)", [calls]);
      if (calls === 1) {
        await client.query("DO $$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '40P01'; END $$");
      }
      if (calls === 2) {
        await client.query("DO $$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '40001'; END $$");
      }
      if (calls === 3) {
        await client.query("SELECT pg_terminate_backend(pg_backend_pid())");
      }
    });
    assert.deepEqual(await entries(), [4]);
  });

  it("gives up after the retries it was allowed", async () => {
    let calls = 0;
    const failing = withTransaction(
      pool,
      async (client) => {
        calls += 1;
        await client.query("DO $$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '40001'; END $$");
      },
      { retries: 2 },
    );
    await assert.rejects(failing, { code: "40001" });
    assert.equal(calls, 3);
  });

  it("reports an error that only COMMIT finds", async () => {
    const failing = withTransaction(pool, (client) => client.query("INSERT INTO entry VALUES (7), (7)"));
    await assert.rejects(failing, { code: "23505" });
    assert.deepEqual(await entries(), []);
  });

  it("does not call a transaction committed whose work swallowed an error", async () => {
    const failing = withTransaction(pool, async (client) => {
      await client.query("INSERT INTO entry VALUES (1)");
      await assert.rejects(client.query("SELECT 1 / 0"));
    });
    await assert.rejects(failing, /rolled back/);
    assert.deepEqual(await entries(), []);
  });

  for (const { idempotent, calls: expected } of [
    { idempotent: false, calls: 1 },
    { idempotent: true, calls: 2 },
  ]) {
    it(`runs ${idempotent ? "idempotent work again" : "other work once"} when COMMIT loses its connection`, async () => {
      let calls = 0;
      const running = withTransaction(
        pool,
        async (client) => {
          calls += 1;
          await client.query("INSERT INTO entry VALUES ($1)", [calls]);
          if (calls === 1) {
            const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
            const ended = new Promise((resolve) => client.once("end", resolve));
            await pool.query("SELECT pg_terminate_backend($1)", [rows[0]?.pid]);
            await ended;
          }
        },
        { idempotent },
      );
      await (idempotent ? running : assert.rejects(running));
      assert.equal(calls, expected);
    });
  }

  it("gives every connection back", async () => {
    for (let round = 0; round < 5; round += 1) {
      await assert.rejects(withTransaction(pool, () => Promise.reject(new Error("no"))));
    }
    await withTransaction(pool, () => Promise.resolve());
    assert.equal(pool.waitingCount, 0);
    assert.equal(pool.idleCount, pool.totalCount);
  });
});
