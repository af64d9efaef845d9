import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { z } from "zod";
import { jsonSchemaOf, type LoadConfigOptions, loadConfig } from "./load-config.ts";
import { formatProblems } from "./format-problems.ts";
import { count, duration, money, secret } from "./scalars.ts";
import { Secret } from "./secret.ts";

const schema = z.strictObject({
  server: z.strictObject({ listen: z.string(), timeout: duration().prefault("15m") }).optional(),
  providers: z
    .record(
      z.string(),
      z.discriminatedUnion("kind", [
        z.strictObject({ kind: z.literal("openai"), api_key: secret(), base_url: z.string().optional() }),
        z.strictObject({ kind: z.literal("anthropic"), api_keys: z.array(z.strictObject({ value: secret() })) }),
        z.strictObject({ kind: z.literal("echo") }),
      ]),
    )
    .prefault({}),
  models: z
    .record(
      z.string(),
      z.strictObject({
        route: z.array(z.union([z.string(), z.strictObject({ target: z.string(), weight: count().prefault(1) })])),
        fallback: z.array(z.string()).optional(),
      }),
    )
    .prefault({}),
  limits: z.array(z.strictObject({ budget: money().optional(), rpm: count().optional() })).prefault([]),
  level: z.enum(["debug", "info", "warn"]).prefault("info"),
});

function load(text: string, options: Partial<LoadConfigOptions<typeof schema>> = {}) {
  return loadConfig({ text, schema, env: {}, ...options });
}

/** The problems of a file as `line:column path: message (hint)`. */
function problemsOf(text: string, options: Partial<LoadConfigOptions<typeof schema>> = {}): string[] {
  const result = load(text, options);
  return result.ok
    ? []
    : result.problems.map(
        ({ line, column, path, message, hint }) =>
          `${line}:${column} ${path}: ${message}${hint === "" ? "" : ` (${hint})`}`,
      );
}

function configOf(text: string, options: Partial<LoadConfigOptions<typeof schema>> = {}): z.output<typeof schema> {
  const result = load(text, options);
  assert.ok(result.ok, result.ok ? "" : JSON.stringify(result.problems));
  return result.config;
}

describe("loadConfig", () => {
  it("reads a file with its defaults", () => {
    const config = configOf("server: { listen: 127.0.0.1:4000 }\nlimits: [ { budget: $500, rpm: 600 } ]\n");
    assert.deepEqual(config, {
      server: { listen: "127.0.0.1:4000", timeout: 900_000 },
      providers: {},
      models: {},
      limits: [{ budget: 500_000_000_000n, rpm: 600 }],
      level: "info",
    });
  });

  for (const text of ["", "# only a comment\n", "---\n"]) {
    it(`takes ${JSON.stringify(text)} as an empty file`, () => assert.equal(configOf(text).level, "info"));
  }

  it("freezes everything", () => {
    const config = configOf("models: { a: { route: [ { target: x/y } ] } }");
    assert.ok(Object.isFrozen(config));
    assert.ok(Object.isFrozen(config.models["a"]?.route[0]));
    assert.throws(() => Object.assign(config.models, { b: {} }));
  });

  it("points at unknown keys at any depth, and says what was meant", () => {
    const text = `servr: {}
providers:
  openai-us:
    kind: openai
    api_key: none
    api_kye: x
models:
  fast:
    route: [ { target: a/b, wieght: 2 } ]
    fallbacks: [ x ]
limits:
  - rpm: 5
    zzz: 1
`;
    assert.deepEqual(problemsOf(text), [
      '1:1 : unknown key "servr" (did you mean "server"?)',
      '6:5 providers.openai-us: unknown key "api_kye" (did you mean "api_key"?)',
      '9:29 models.fast.route[0]: unknown key "wieght" (did you mean "weight"?)',
      '10:5 models.fast: unknown key "fallbacks" (did you mean "fallback"?)',
      '13:5 limits[0]: unknown key "zzz"',
    ]);
  });

  it("finds all problems in one run, in order of place", () => {
    const text = `level: inf
server: { timeout: 20 }
providers: { p: { kind: opnai } }
limits: [ { budget: 500 }, { rpm: x } ]
models: { m: { route: [ 5 ] } }
`;
    assert.deepEqual(problemsOf(text), [
      '1:8 level: Invalid option: expected one of "debug"|"info"|"warn" (did you mean "info"?)',
      "2:1 server.listen: is missing",
      "2:20 server.timeout: expected a duration such as 250ms, 20s, 15m, 1h30m or 7d",
      '3:25 providers.p.kind: expected one of "openai", "anthropic", "echo" (did you mean "openai"?)',
      "4:21 limits[0].budget: expected an amount in US dollars such as $500 or $0.10",
      "4:35 limits[1].rpm: expected a whole number such as 600, 10k or 2M",
      "5:25 models.m.route[0]: expected string or object",
    ]);
  });

  it("points at the map that lacks a key", () => {
    assert.deepEqual(problemsOf("models:\n  a: {}\nproviders:\n  p:\n    kind: openai\n"), [
      "2:3 models.a.route: is missing",
      "4:3 providers.p.api_key: is missing",
    ]);
  });

  it("refuses duplicate keys, broken syntax and several documents, with places", () => {
    assert.match(problemsOf("level: info\nlevel: warn\n")[0] ?? "", /^2:1 : .*unique/);
    assert.match(problemsOf("level: [info\n")[0] ?? "", /^2:1 /);
    assert.match(problemsOf("level: info\n---\nlevel: warn\n")[0] ?? "", /^[23]:\d+ : .*document/);
  });

  it("refuses a file that is not a map", () => {
    assert.match(problemsOf("- a\n- b\n")[0] ?? "", /^1:1 : .*expected object/);
  });

  it("understands anchors and merge keys, and points into them", () => {
    const text = `models:
  one: &base
    route: [ a/b ]
    fallback: [ two ]
  two:
    <<: *base
    fallback: [ 5 ]
  three: *base
`;
    assert.deepEqual(configOf(text.replace("[ 5 ]", "[ one ]")).models, {
      one: { route: ["a/b"], fallback: ["two"] },
      two: { route: ["a/b"], fallback: ["one"] },
      three: { route: ["a/b"], fallback: ["two"] },
    });
    assert.match(problemsOf(text)[0] ?? "", /^7:17 models.two.fallback\[0\]/);
    assert.match(problemsOf(text.replace("[ a/b ]", "7").replace("[ 5 ]", "[]"))[0] ?? "", /^3:12 models.one.route/);
  });

  it("refuses a file that grows without bound through its aliases", () => {
    const levels = Array.from({ length: 12 }, (_, n) => `l${n + 1}: &l${n + 1} [${`*l${n},`.repeat(9)}]`);
    const started = problemsOf(`l0: &l0 [x]\n${levels.join("\n")}\n`);
    assert.ok(started.some((problem) => problem.includes("too large")));
  });

  it("does not let a key reach the prototype", () => {
    assert.deepEqual(problemsOf("__proto__: { level: debug }\n"), ["1:1 : a key is a plain word"]);
  });

  describe("variables", () => {
    const withKey = (key: string): string => `providers: { p: { kind: openai, api_key: ${key} } }`;
    const keyOf = (text: string, options: Partial<LoadConfigOptions<typeof schema>>): string => {
      const provider = configOf(text, options).providers["p"];
      assert.ok(provider?.kind === "openai" && provider.api_key instanceof Secret);
      return provider.api_key.reveal();
    };

    it("come from the environment, from defaults and from files", () => {
      const env = { KEY: "sk-1", EMPTY: "" };
      assert.equal(keyOf(withKey('"${KEY}"'), { env }), "sk-1");
      assert.equal(keyOf(withKey('"a ${KEY} ${KEY}"'), { env }), "a sk-1 sk-1");
      assert.equal(keyOf(withKey('"${NONE:-fallback:-x}"'), { env }), "fallback:-x");
      assert.equal(keyOf(withKey('"${EMPTY:-fallback}"'), { env }), "fallback");
      assert.equal(keyOf(withKey('"$${KEY} $5"'), { env }), "${KEY} $5");
      const readFile = (path: string): string => `content of ${path}\n`;
      assert.equal(keyOf(withKey('"${file:/run/key}"'), { readFile }), "content of /run/key");
    });

    it("also give what is not text", () => {
      assert.equal(configOf('limits: [ { rpm: "${RPM}" } ]', { env: { RPM: "2M" } }).limits[0]?.rpm, 2_000_000);
    });

    it("never become YAML", () => {
      assert.equal(keyOf(withKey('"${KEY}"'), { env: { KEY: "x }, q: { kind: echo" } }), "x }, q: { kind: echo");
    });

    it("are a problem where they stand when they are missing, and only one", () => {
      assert.deepEqual(problemsOf(`level: \${LEVEL}\n${withKey('"${KEY}"')}\n`), [
        "1:8 level: the environment variable LEVEL is not set (set it, or write ${LEVEL:-default})",
        "2:42 providers.p.api_key: the environment variable KEY is not set (set it, or write ${KEY:-default})",
      ]);
      const readFile = (): string => {
        throw Object.assign(new Error("no"), { code: "ENOENT" });
      };
      assert.match(
        problemsOf(withKey('"${file:/run/key}"'), { readFile })[0] ?? "",
        /cannot read the file \/run\/key \(ENOENT\)/,
      );
      assert.match(problemsOf(withKey('"${not a name}"'))[0] ?? "", /not a variable/);
    });

    it("need quotes where braces mean something, which the problem says", () => {
      assert.match(problemsOf(withKey("${KEY}"))[0] ?? "", /put quotes around it/);
    });

    it("name the files they read", () => {
      const result = load(withKey('"${file:/run/key}"'), { readFile: () => "x" });
      assert.deepEqual(result.files, ["/run/key"]);
    });

    it("do not show their values in any problem", () => {
      const text =
        'level: "${S}"\nserver: { listen: "${S}", timeout: "${S}" }\nlimits: [ { budget: "${S}", rpm: "${S}" } ]\nproviders: "${S}"\nmodels: { m: { route: "${S}" } }\n';
      const result = load(text, { env: { S: "canary" } });
      assert.ok(!result.ok && result.problems.length >= 6);
      assert.doesNotMatch(JSON.stringify(result) + formatProblems(result.problems, { file: "f", text }), /canary/);
    });
  });

  it("reports what further checks and warnings find, with places", () => {
    const text = "models:\n  a:\n    route: [ x/y ]\n    fallback: [ nobody ]\n";
    const finding = { path: ["models", "a", "fallback", 0], message: "there is no model nobody", hint: "add it" };
    assert.deepEqual(problemsOf(text, { check: () => [finding] }), [
      "4:17 models.a.fallback[0]: there is no model nobody (add it)",
    ]);
    const result = load(text, { warn: () => [{ path: ["models", "a"], message: "is odd" }] });
    assert.deepEqual(result.ok && result.warnings, [
      { line: 3, column: 5, path: "models.a", message: "is odd", hint: "" },
    ]);
  });
});

describe("formatProblems", () => {
  it("shows the place, the line, a caret and the hint", () => {
    const text = "server:\n  listen: here\n  timeut: 5s\n";
    const result = load(text);
    assert.ok(!result.ok);
    assert.equal(
      formatProblems(result.problems, { file: "penstock.yaml", text }),
      `penstock.yaml:3:3  server: unknown key "timeut"
  3 |   timeut: 5s
    |   ^
  did you mean "timeout"?
`,
    );
  });

  it("does not show a secret that stands on the line", () => {
    for (const line of [
      "    api_kye: sk-canary-0123456789",
      "    api_key: [ canary ]".replace("[ canary ]", "canary"),
      '  p: { kind: opnai, api_key: "canary" }',
      "  p: { kind: opnai, token: canary, x: 1 }",
      "  database: postgres://user:canary@host/db",
      "  note: canary0123456789012345678901234567890",
      "  - value: sk-canary-0123456789",
    ]) {
      const problem = { line: 1, column: 5, path: "", message: "is wrong", hint: "" };
      assert.doesNotMatch(formatProblems([problem], { file: "f", text: line }), /canary/, line);
    }
    const problem = { line: 1, column: 5, path: "", message: "is wrong", hint: "" };
    assert.match(formatProblems([problem], { file: "f", text: "    api_key: ${KEY}" }), /\$\{KEY\}/);
  });
});

describe("jsonSchemaOf", () => {
  it("describes what people write", () => {
    const json = JSON.stringify(jsonSchemaOf(schema));
    assert.match(json, /draft-07/);
    assert.match(json, /"additionalProperties":false/);
    assert.match(json, /a duration such as/);
    assert.match(json, /"default":"15m"/);
  });

  it("leaves out defaults that cannot be written as they are", () => {
    const json = jsonSchemaOf(z.strictObject({ price: money().default(5n), wait: duration().default(3000) }));
    assert.doesNotMatch(JSON.stringify(json), /"default"/);
  });
});
