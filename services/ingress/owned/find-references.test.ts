import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import fastCheck from "fast-check";
import { CodecError } from "#codec/codec.ts";
import { findReferences, mayName, replaceStrings } from "./find-references.ts";

const wanted = { names: new Set(["id", "ids"]), opaque: new Set(["free"]) };
const found = (text: string) =>
  findReferences(Buffer.from(text), wanted).map(({ holder, depth, members }) => [
    holder,
    depth,
    Object.fromEntries([...members].map(([name, strings]) => [name, strings.map(({ value }) => value)])),
  ]);

test("finds members at any depth, with what holds their object", () => {
  assert.deepEqual(found(`{"id":"a","x":[{"id":"b"},[{"y":{"ids":["c","d",1]}}]]}`), [
    ["x", 1, { id: ["b"] }],
    ["y", 2, { ids: ["c", "d"] }],
    ["", 0, { id: ["a"] }],
  ]);
});

test("looks into what a name of interest holds, and not into what is the caller's own", () => {
  assert.deepEqual(found(`{"id":{"id":"a"},"ids":[{"id":"b"}],"free":{"id":"c","x":["}",{"id":"d"}]},"z":1}`), [
    ["id", 1, { id: ["a"] }],
    ["ids", 1, { id: ["b"] }],
  ]);
});

test("is not misled by white space, escapes, quotes and words", () => {
  assert.deepEqual(found(`\n{ "\\u0069d" : "a\\"b\\\\" , "x" : [ ] , "y" : { } , "n" : -1.5e3 , "t" : true }\n`), [
    ["", 0, { id: ['a"b\\'] }],
  ]);
});

test("finds what stands in a member that another of the same name hides from parsers", () => {
  assert.deepEqual(found(`{"x":{"id":"a"},"x":1}`), [["x", 1, { id: ["a"] }]]);
});

test("refuses a member of interest that stands twice in one object", () => {
  assert.throws(() => found(`{"x":[{"id":"a","\\u0069d":null}]}`), CodecError);
});

test("knows texts in which no name of interest can be", () => {
  const may = (text: string): boolean => mayName(Buffer.from(text), ["file_id"]);
  assert.equal(may(`{"x":"caf\\u00e9 \\u2028"}`), false);
  assert.equal(may(`{"file_id":1}`), true);
  assert.equal(may(`{"\\u0066ile_id":1}`), true);
  assert.equal(may(`{"file\\u005Fid":1}`), true);
});

test("puts other strings in place and leaves all other bytes", () => {
  const text = Buffer.from(`{"id":"a", "x":[{"ids":["bb","c"]}], "é":1.0}`);
  const changes = findReferences(text, wanted)
    .flatMap(({ members }) => [...members.values()].flat())
    .map((at) => ({ at, value: `"${at.value}"` }));
  assert.equal(
    replaceStrings(text, changes).toString(),
    String.raw`{"id":"\"a\"", "x":[{"ids":["\"bb\"","\"c\""]}], "é":1.0}`,
  );
});

test("finds exactly what a parser finds, in whatever JSON", () => {
  const names = fastCheck.constantFrom("id", "ids", "x", "fréé");
  const { tree } = fastCheck.letrec((tie) => ({
    tree: fastCheck.oneof(
      { maxDepth: 5 },
      fastCheck.string(),
      fastCheck.double({ noNaN: true }),
      fastCheck.constantFrom(true, false, null),
      fastCheck.array(tie("tree"), { maxLength: 3 }),
      fastCheck.dictionary(names, tie("tree"), { maxKeys: 4 }),
    ),
  }));
  fastCheck.assert(
    fastCheck.property(tree, fastCheck.constantFrom(0, 2), (value, indent) => {
      const strings = findReferences(Buffer.from(JSON.stringify(value, null, indent)), wanted).flatMap(({ members }) =>
        [...members.values()].flat().map((string) => string.value),
      );
      assert.deepEqual(strings.toSorted(), stringsOf(JSON.parse(JSON.stringify(value))).toSorted());
    }),
    { numRuns: 300 },
  );
});

function stringsOf(value: unknown): readonly string[] {
  if (typeof value !== "object" || value === null) {
    return [];
  }
  if (Array.isArray(value)) {
    return value.flatMap(stringsOf);
  }
  return Object.entries(value).flatMap(([name, member]: [string, unknown]) => {
    const own = wanted.names.has(name) ? [member].flat().filter((item) => typeof item === "string") : [];
    return [...own, ...stringsOf(member)];
  });
}
