import { Buffer } from "node:buffer";
import { chatWith, goodBody, goodChat, type HostileCase, type OddCase, withBody } from "./hostile-case.ts";

const badJson = { status: 400, code: "invalid_json" } as const;
const twice = (param: string) => ({ status: 400, code: "duplicate_parameter", param }) as const;

/** A body with a member that stands there twice, in this order. */
function doubled(name: string, first: unknown, second: unknown): HostileCase["send"] {
  const rest = JSON.stringify({ ...goodChat, [name]: undefined }).slice(1);
  return withBody(`{"${name}":${JSON.stringify(first)},"${name}":${JSON.stringify(second)},${rest}`);
}

/** JSON as a weapon. */
export const jsonCases: readonly HostileCase[] = [
  { name: "an empty body", send: withBody(""), expect: badJson },
  { name: "an array", send: withBody("[]"), expect: badJson },
  { name: "a string", send: withBody('"x"'), expect: badJson },
  { name: "a number", send: withBody("1"), expect: badJson },
  { name: "null", send: withBody("null"), expect: badJson },
  { name: "half an object", send: withBody(goodBody.slice(0, -5)), expect: badJson },
  { name: "an object with something behind it", send: withBody(`${goodBody}{}`), expect: badJson },
  { name: "an object with a comma too many", send: withBody(`${goodBody.slice(0, -1)},}`), expect: badJson },
  { name: "NaN", send: withBody(`${goodBody.slice(0, -1)},"temperature":NaN}`), expect: badJson },
  { name: "a hundred thousand nested arrays", send: withBody("[".repeat(100_000)), expect: badJson },
  {
    name: "a hundred thousand nested objects",
    send: withBody(`${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`),
    expect: badJson,
  },
  {
    name: "a schema nested ten thousand deep in a tool",
    send: withBody(
      `${goodBody.slice(0, -1)},"tools":[{"type":"function","function":{"name":"f","parameters":${'{"items":'.repeat(10_000)}{}${"}".repeat(10_000)}}}]}`,
    ),
    expect: badJson,
  },
  {
    name: "bytes that are no UTF-8",
    send: withBody(Buffer.concat([Buffer.from('{"model":"plain'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')])),
    expect: badJson,
  },
  {
    name: "overlong UTF-8",
    send: withBody(Buffer.concat([Buffer.from('{"model":"'), Buffer.from([0xc0, 0xaf]), Buffer.from('"}')])),
    expect: badJson,
  },
  {
    name: "a surrogate in UTF-8",
    send: withBody(Buffer.concat([Buffer.from('{"model":"'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('"}')])),
    expect: badJson,
  },
  { name: "two models", send: doubled("model", "another", "plain"), expect: twice("model") },
  {
    name: "two models, one of them in disguise",
    send: withBody(`{"model":"plain","\\u006dodel":"plain","messages":[{"role":"user","content":"Hi"}]}`),
    expect: twice("model"),
  },
  { name: "two output limits", send: doubled("max_tokens", 1_000_000, 1), expect: twice("max_tokens") },
  {
    name: "two output limits of the newer name",
    send: doubled("max_completion_tokens", 1_000_000, 1),
    expect: twice("max_completion_tokens"),
  },
  { name: "two numbers of answers", send: doubled("n", 128, 1), expect: twice("n") },
  { name: "two ways to stream", send: doubled("stream", true, false), expect: twice("stream") },
  {
    name: "two lists of messages",
    send: doubled("messages", [{ role: "user", content: "long" }], [{ role: "user", content: "Hi" }]),
    expect: twice("messages"),
  },
  {
    name: "a number beyond all numbers",
    send: withBody(`${goodBody.slice(0, -1)},"temperature":1e400}`),
    expect: { status: 400, code: "decimal_above_max_value", param: "temperature" },
  },
  {
    name: "an output limit beyond all numbers",
    send: withBody('{"model":"plain","messages":[{"role":"user","content":"Hi"}],"max_tokens":1e400}'),
    expect: { status: 400, code: "integer_above_max_value", param: "max_tokens" },
  },
  {
    name: "an output limit of 400 digits",
    send: withBody(`{"model":"plain","messages":[{"role":"user","content":"Hi"}],"max_tokens":${"9".repeat(400)}}`),
    expect: { status: 400, code: "integer_above_max_value", param: "max_tokens" },
  },
  {
    name: "a prototype in the metadata",
    send: withBody(`${goodBody.slice(0, -1)},"metadata":{"__proto__":"x"}}`),
    expect: { status: 400, param: "metadata" },
  },
];

const manyMembers = Array.from({ length: 50_000 }, (_, index) => `"k${index}":0`).join(",");

/** JSON that looks like a weapon and is only data. */
export const oddJsonCases: readonly OddCase[] = [
  { name: "a prototype at the top", send: withBody(`{"__proto__":{"admin":true},${goodBody.slice(1)}`) },
  { name: "a constructor's prototype", send: withBody(`{"constructor":{"prototype":{"a":1}},${goodBody.slice(1)}`) },
  {
    name: "members named like methods",
    send: withBody(`{"toJSON":1,"then":2,"length":3,"hasOwnProperty":4,"__defineGetter__":5,${goodBody.slice(1)}`),
  },
  { name: "fifty thousand unknown members", send: withBody(`${goodBody.slice(0, -1)},${manyMembers}}`) },
  {
    name: "the name of a member of half a megabyte",
    send: withBody(`{"${"k".repeat(512 * 1024)}":0,${goodBody.slice(1)}`),
  },
  { name: "a lone surrogate", send: withBody(goodBody.replace("Hi", "\\ud800")) },
  { name: "a NUL in a message and a user's name", send: withBody(goodBody.replace("Hi", '\\u0000","name":"a\\u0000')) },
  { name: "a NUL in the name of an open model", send: chatWith({ model: "fake/a\0b" }) },
  { name: "a name of an open model that no header can have", send: chatWith({ model: "fake/模型🚰%" }) },
  { name: "SQL in the name of an open model", send: chatWith({ model: "fake/'; DROP TABLE accounting.attempts; --" }) },
  {
    name: "a line of a log in the name of an open model",
    send: chatWith({ model: 'fake/x\n{"level":30,"msg":"admin"}' }),
  },
  { name: "1.0 for a whole number", send: withBody(goodBody.replace('"max_tokens":10', '"max_tokens":10.0')) },
  { name: "minus zero", send: withBody(`${goodBody.slice(0, -1)},"temperature":-0.0}`) },
  { name: "brackets in a string", send: withBody(goodBody.replace("Hi", '[{\\"'.repeat(10_000))) },
];
