import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, it } from "node:test";
import pg from "pg";
import { DirectoryLockedError } from "../journal/directory-lock.ts";
import { startTimeOf } from "../journal/process-identity.ts";
import { startEmbeddedServer } from "./embedded-server.ts";
import { openPostgres } from "./open-postgres.ts";

describe("startEmbeddedServer", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "penstock-embedded-"));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it("keeps data over a restart, on the same port, with a password that only its owner can read", async () => {
    const first = await startEmbeddedServer({ directory });
    await query(first.url, "CREATE TABLE thing AS SELECT 42 AS id");
    await first.close();
    await first.close();
    assert.equal((await stat(join(directory, "postgres.json"))).mode & 0o777, 0o600);
    assert.equal(existsSync(join(directory, "postgres.password")), false);

    const second = await startEmbeddedServer({ directory });
    assert.equal(second.url, first.url);
    assert.deepEqual(await query(second.url, "SELECT id FROM thing"), [{ id: 42 }]);
    assert.deepEqual(await query(second.url, "SHOW fsync"), [{ fsync: "on" }]);
    const wrong = new URL(second.url);
    wrong.password = "wrong";
    await assert.rejects(query(wrong.href, "SELECT 1"), { code: "28P01" });
    await second.close();
  });

  it("refuses a directory that a live server uses, and does not disturb it", async () => {
    const server = await startEmbeddedServer({ directory, durable: false });
    await assert.rejects(startEmbeddedServer({ directory }), DirectoryLockedError);
    assert.deepEqual(await query(server.url, "SELECT 1 AS value"), [{ value: 1 }]);
    await server.close();
  });

  /** Starts a server in a process that is then killed, and returns what it started. */
  const orphan = async (diesWithUs: boolean): Promise<number> => {
    const module = new URL("./embedded-server.ts", import.meta.url).href;
    const script = `
      import { startEmbeddedServer } from ${JSON.stringify(module)};
      const server = await startEmbeddedServer(${JSON.stringify({ directory, diesWithUs })});
      console.log(JSON.stringify({ url: server.url, pid: server.pid }));
      setInterval(() => undefined, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line]: string[] = await once(createInterface({ input: child.stdout }), "line");
    const server: { url: string; pid: number } = JSON.parse(line ?? "");
    await query(server.url, "CREATE TABLE thing AS SELECT 42 AS id");
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
    return server.pid;
  };

  it("starts again, with all that was committed, after its process was killed and left a server behind", async () => {
    const pid = await orphan(false);
    assert.notEqual(startTimeOf(pid), undefined, "the server outlives its owner");
    const server = await startEmbeddedServer({ directory, durable: false });
    assert.equal(startTimeOf(pid), undefined, "the orphan was stopped");
    assert.deepEqual(await query(server.url, "SELECT id FROM thing"), [{ id: 42 }]);
    await server.close();
  });

  it("stops its server when its process is killed", { skip: process.platform !== "linux" }, async () => {
    const pid = await orphan(true);
    while (startTimeOf(pid) !== undefined) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  });

  it("is not stopped by a pid file that names another program, and leaves that program alone", async () => {
    const first = await startEmbeddedServer({ directory, durable: false });
    await first.close();
    await writeFile(join(directory, "postgres", "postmaster.pid"), `${process.pid}\n${directory}/postgres\n1\n`);
    const second = await startEmbeddedServer({ directory, durable: false });
    assert.deepEqual(await query(second.url, "SELECT 1 AS value"), [{ value: 1 }]);
    await second.close();
  });

  it("says what the server said when it does not start, and gives the directory up", async () => {
    const first = await startEmbeddedServer({ directory, durable: false });
    await first.close();
    await writeFile(join(directory, "postgres", "PG_VERSION"), "9\n");
    await assert.rejects(startEmbeddedServer({ directory }), /did not start: .*incompatible/s);
    await writeFile(join(directory, "postgres", "PG_VERSION"), "18\n");
    await (await startEmbeddedServer({ directory, durable: false })).close();
  });
});

describe("openPostgres", () => {
  it("takes an address as it is", async () => {
    const opened = await openPostgres({ database: "postgres://db.example/penstock", directory: "/nowhere" });
    assert.equal(opened.url, "postgres://db.example/penstock");
    await opened.close();
  });
});

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}
