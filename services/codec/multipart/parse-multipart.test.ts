import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import fc from "fast-check";
import { CodecError } from "../codec.ts";
import { fieldOf, type MultipartPart, parseMultipart, replaceValue } from "./parse-multipart.ts";

const type = "multipart/form-data; boundary=b";
const part = (disposition: string, value: string, more = ""): string =>
  `--b\r\nContent-Disposition: form-data; ${disposition}\r\n${more}\r\n${value}\r\n`;
const parse = (body: string, contentType = type): readonly MultipartPart[] =>
  parseMultipart(Buffer.from(body), contentType);

function refused(body: string, contentType = type): void {
  assert.throws(
    () => parse(body, contentType),
    (error) => error instanceof CodecError && error.code === "invalid_multipart",
    JSON.stringify([contentType, body]),
  );
}

test("finds what a form of the platform's own holds, whatever its values are, and replaces one value", async () => {
  const text = fc.string({ unit: "binary", maxLength: 40 });
  // A backslash or a zero in a name means different things to different parsers, so it may be refused.
  const name = fc.string({ minLength: 1, maxLength: 10 }).filter((value) => !/[\\\0]/.test(value));
  const field = fc.record({ name, value: text });
  const file = fc.record({
    name,
    value: fc.uint8Array({ maxLength: 200 }),
    filename: name,
  });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(field, file), { maxLength: 8 }), fc.string(), async (entries, model) => {
      const form = new FormData();
      for (const entry of entries) {
        if ("filename" in entry) {
          form.append(entry.name, new Blob([new Uint8Array(entry.value)]), entry.filename);
        } else {
          form.append(entry.name, entry.value);
        }
      }
      form.append("the model", "before");
      form.append("last", "\r\n--");
      const response = new Response(form);
      const contentType = response.headers.get("content-type") ?? "";
      const body = Buffer.from(await response.arrayBuffer());
      const parts = parseMultipart(body, contentType);
      assert.equal(parts.length, entries.length + 2);
      for (const [index, entry] of entries.entries()) {
        const found = parts[index];
        if ("filename" in entry) {
          assert.deepEqual(body.subarray(found?.start, found?.end), Buffer.from(entry.value));
          assert.notEqual(found?.filename, undefined);
        } else {
          assert.equal(found?.filename, undefined);
        }
      }
      const own = fieldOf(parts, "the model");
      assert.ok(own);
      const edited = replaceValue(body, own, model);
      const read = await new Response(new Uint8Array(edited), { headers: { "content-type": contentType } }).formData();
      // Text of a form has no other line ends, and no half characters.
      assert.equal(read.get("the model"), Buffer.from(model).toString());
      assert.equal(edited.length, body.length - "before".length + Buffer.byteLength(model));
    }),
    { numRuns: 100 },
  );
});

test("never hangs or fails otherwise on bytes that are cut, repeated or made up", () => {
  const whole = part('name="model"', "m") + part('name="file"; filename="a.wav"', "\r\n\r\n--x\r\n--") + "--b--\r\n";
  const bytes = Buffer.from(whole);
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(fc.record({ from: fc.nat(bytes.length), to: fc.nat(bytes.length) }), fc.uint8Array({ maxLength: 10 })),
        { maxLength: 6 },
      ),
      (pieces) => {
        const body = Buffer.concat(
          pieces.map((piece) => ("from" in piece ? bytes.subarray(piece.from, piece.to) : piece)),
        );
        try {
          for (const { start, end } of parseMultipart(body, type)) {
            assert.ok(start <= end && end <= body.length);
          }
        } catch (error) {
          assert.ok(error instanceof CodecError, String(error));
        }
      },
    ),
    { numRuns: 2_000 },
  );
});

test("takes the forms in which clients write boundaries and names", () => {
  const value = (parts: readonly MultipartPart[], body: string): string => body.slice(parts[0]?.start, parts[0]?.end);
  for (const [contentType, boundary] of [
    ['multipart/form-data; boundary="b c"', "b c"],
    ["Multipart/Form-Data;charset=utf-8;BOUNDARY=b", "b"],
    ["multipart/form-data; boundary=----WebKitFormBoundaryX", "----WebKitFormBoundaryX"],
    ["multipart/form-data; boundary=-----------RubyMultipartPost-1", "-----------RubyMultipartPost-1"],
  ] as const) {
    const body = `--${boundary}  \r\ncontent-disposition: form-data; name=model\r\n\r\nm\r\n--${boundary}--`;
    assert.equal(value(parse(body, contentType), body), "m", contentType);
  }
  const preamble = `ignored\r\n${part('name="model"', "")}--b--\r\nalso ignored`;
  assert.deepEqual(
    parse(preamble).map(({ name, start, end }) => [name, end - start]),
    [["model", 0]],
  );
  const [quoted] = parse(`${part('name="a\\"b"; filename*=UTF-8\'\'x', "v")}--b--`);
  assert.equal(quoted?.name, 'a"b');
  assert.notEqual(quoted.filename, undefined);
  assert.deepEqual(parse("--b--"), []);
});

test("refuses what parsers read differently", () => {
  const end = "--b--\r\n";
  for (const body of [
    "",
    "--b",
    "--b\r\n",
    part('name="model"', "m"),
    `${part('name="model"', "m")}--bb--`,
    `${part('name="model"', "m")}--b x\r\n${end}`,
    `--b\nContent-Disposition: form-data; name="model"\n\nm\n--b--`,
    `${part('name="model"; name="other"', "m")}${end}`,
    `${part("name=\"model\"; name*=UTF-8''other", "m")}${end}`,
    `${part('name="model" junk', "m")}${end}`,
    `${part('filename="x"', "m")}${end}`,
    `${part('name="model"', "m", 'Content-Disposition: form-data; name="other"\r\n')}${end}`,
    `${part('name="model"', "m", " folded: x\r\n")}${end}`,
    `${part('name="model"', "m", "Content-Transfer-Encoding: base64\r\n")}${end}`,
    `--b\r\nContent-Type: text/plain\r\n\r\nm\r\n${end}`,
    `--b\r\nContent-Disposition: attachment; name="model"\r\n\r\nm\r\n${end}`,
    `--b\r\nX: ${"x".repeat(9_000)}\r\n\r\nm\r\n${end}`,
    part('name="a"', "v").repeat(257) + end,
  ]) {
    refused(body);
  }
  for (const contentType of [
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "multipart/form-data; boundary=b; boundary=c",
    "multipart/form-data; boundary*0=b",
    'multipart/form-data; boundary="b ',
    `multipart/form-data; boundary=${"b".repeat(300)}`,
    "multipart/mixed; boundary=b",
    "multipart/form-datax; boundary=b",
  ]) {
    refused(part('name="model"', "m") + end, contentType);
  }
});

test("gives a field of which there is one", () => {
  const parts = parse(
    `${part('name="a"', "1")}${part('name="b"', "2")}${part('name="b"', "3")}${part('name="c"; filename=""', "4")}--b--`,
  );
  assert.ok(fieldOf(parts, "a"));
  assert.equal(fieldOf(parts, "A"), undefined);
  assert.throws(() => fieldOf(parts, "b"), /two parts b/);
  assert.throws(() => fieldOf(parts, "c"), /expected a text/);
});
