import type { HttpResponse } from "./create-http-server.ts";

/** What tells an operator and an orchestrator how a process does. */
export interface OperationsDeps {
  /** All metrics in Prometheus' text format. */
  readonly metricsText: () => Promise<string>;
  /** The modules that cannot serve at the moment. */
  readonly notReady: () => readonly { readonly module: string; readonly reason: string }[];
  readonly onError: (error: unknown) => void;
}

/** Answers a GET of one path. */
export type Operation = (res: HttpResponse) => void;

/**
 * `/healthz` (the process lives), `/readyz` (it can serve: 200, or 503 with the reasons) and `/metrics`. None takes a
 * credential and none tells anything about requests.
 */
export function createOperations(deps: OperationsDeps): ReadonlyMap<string, Operation> {
  return new Map<string, Operation>([
    ["/healthz", (res) => void res.writeHead(200, { "content-type": "text/plain" }).end("ok\n")],
    [
      "/readyz",
      (res) => {
        const notReady = deps.notReady();
        res.writeHead(notReady.length === 0 ? 200 : 503, { "content-type": "application/json" });
        res.end(`${JSON.stringify({ ready: notReady.length === 0, not_ready: notReady })}\n`);
      },
    ],
    [
      "/metrics",
      (res) => {
        deps.metricsText().then(
          (text) => res.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end(text),
          (error: unknown) => {
            deps.onError(error);
            res.writeHead(500).end();
          },
        );
      },
    ],
  ]);
}
