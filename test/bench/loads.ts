import { chunksPerStream } from "./answers.ts";
import { benchRequest, type RequestKind, requestBytes } from "./bench-gateway.ts";
import type { Load } from "./load.ts";
import { runClosedLoop, runOpenLoop } from "./raw-load.ts";
import { runWrk } from "./wrk.ts";

const streams = 50;
const slowGapMs = 10;

/** All loads, in the order in which a round runs them. */
export function createLoads(directory: string, ratePerSecond: number): readonly Load[] {
  return [
    {
      ...closedLoop(32, directory),
      name: "closed-32",
      title: "whole answers, closed loop, 32 connections",
      share: 1,
    },
    {
      ...closedLoop(1, directory),
      name: "closed-1",
      title: "whole answers, closed loop, 1 connection",
      share: 0.3,
    },
    {
      name: "open",
      title: `whole answers, open loop, ${ratePerSecond} a second`,
      unit: "request",
      share: 0.8,
      direct: true,
      run: (gateway, seconds) =>
        runOpenLoop({
          port: gateway.port,
          request: requestBytes(benchRequest(gateway, { kind: "whole" })),
          seconds,
          ratePerSecond,
        }),
    },
    streamLoad("stream-fast", 0, 0.4),
    streamLoad("stream-slow", slowGapMs, 0.8),
  ];
}

function closedLoop(connections: number, directory: string): Pick<Load, "unit" | "direct" | "run"> {
  return {
    unit: "request",
    direct: true,
    run: (gateway, seconds) => runWrk(gateway, { connections, seconds, directory }),
  };
}

function streamLoad(name: string, gapMs: number, share: number): Load {
  const kind: RequestKind = { kind: "stream", gapMs };
  return {
    name,
    title: `streams of 100 chunks, ${streams} at a time, ${gapMs === 0 ? "back to back" : `${gapMs} ms apart`}`,
    unit: "chunk",
    share,
    direct: true,
    run: (gateway, seconds) =>
      runClosedLoop({
        port: gateway.port,
        request: requestBytes(benchRequest(gateway, kind)),
        seconds,
        connections: streams,
        rampMs: gapMs * chunksPerStream,
      }),
  };
}
