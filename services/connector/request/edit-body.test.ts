import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import fc from "fast-check";
import { editBody, memberText } from "./edit-body.ts";

const edit = (body: string, edits: Record<string, string>): string =>
  Buffer.from(editBody(Buffer.from(body), new Map(Object.entries(edits)))).toString();

test("replaces a member where it stands and leaves every other byte alone", () => {
  assert.equal(
    edit('{ "a": 1.50e0,\n "model" : "x" , "z":{"model":"inner"}}', { model: '"y"' }),
    '{ "a": 1.50e0,\n "model" : "y" , "z":{"model":"inner"}}',
  );
});

test("puts a new member first, also into an empty object", () => {
  assert.equal(edit('{"a":1}', { n: "2" }), '{"n":2,"a":1}');
  assert.equal(edit("{ }", { n: "2" }), '{"n":2 }');
});

test("takes members out with one comma each, wherever they stand", () => {
  const without = (body: string): string =>
    Buffer.from(
      editBody(
        Buffer.from(body),
        new Map([
          ["model", undefined],
          ["stream", undefined],
          ["v", "1"],
        ]),
      ),
    ).toString();
  assert.equal(without('{"model":"x","a":"model,stream","stream":true}'), '{"v":1,"a":"model,stream"}');
  assert.equal(without('{ "a": [1, 2] , "model" : "x" , "stream":true }'), '{"v":1, "a": [1, 2] }');
  assert.equal(without('{"stream":true,"model":"x"}'), '{"v":1}');
  assert.throws(() => without('{"model":"a","model":"b"}'), /two members model/);
});

test("finds members behind strings with quotes, backslashes and braces", () => {
  assert.equal(
    edit('{"a":"\\\\\\"}{[","b":["]",{"c":"}"}],"model":"x"}', { model: '"y"' }),
    '{"a":"\\\\\\"}{[","b":["]",{"c":"}"}],"model":"y"}',
  );
});

test("is not deceived by an escaped key", () => {
  assert.equal(edit('{"\\u006dodel":"x"}', { model: '"y"' }), '{"\\u006dodel":"y"}');
});

test("refuses a member that stands there twice", () => {
  assert.throws(() => edit('{"model":"a","model":"b"}', { model: '"y"' }), /two members model/);
  assert.throws(() => edit('{"model":"a","\\u006dodel":"b"}', { model: '"y"' }), /two members model/);
});

test("reads the text of a member", () => {
  assert.equal(memberText(Buffer.from('{"a": {"b": [1, 2]} , "c":3}'), "a"), '{"b": [1, 2]}');
  assert.equal(memberText(Buffer.from('{"a":1}'), "b"), undefined);
});

test("agrees with JSON.parse on every object", () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.jsonValue(),
      fc.constantFrom(0, 1, 4),
      (object, value, indent) => {
        const body = JSON.stringify(object, undefined, indent);
        const names = [...Object.keys(object).slice(0, 2), "model"].filter((name) => name !== "__proto__");
        const edits = Object.fromEntries(names.map((name) => [name, JSON.stringify(value)]));
        const expected = { ...object, ...Object.fromEntries(names.map((name) => [name, value])) };
        assert.deepEqual(JSON.parse(edit(body, edits)), JSON.parse(JSON.stringify(expected)));
      },
    ),
  );
});
