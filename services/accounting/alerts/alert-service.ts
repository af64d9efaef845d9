import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { type AlertEvent, AlertSeverity, type AlertService } from "#gen/penstock/accounting/v1/alert_service_pb.ts";
import { readActor } from "#kit/auth/actor.ts";
import { ask, invalid, readPageSize, readText } from "../read-request.ts";
import type { AlertStore, ListedAlert, StoredAlert } from "./alert-store.ts";
import type { AlertDestination } from "./destination.ts";

/** What the service works with. */
export interface AlertServiceDeps {
  readonly store: AlertStore;
  readonly destinations: readonly AlertDestination[];
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

const maxAlerts = 100;
const maxKeyLength = 500;
const maxTextLength = 4_000;

/** Translates between the RPCs of AlertService and the store of alerts. */
export function createAlertService(deps: AlertServiceDeps): ServiceImpl<typeof AlertService> {
  return {
    async raiseAlert(req) {
      if (req.alerts.length > maxAlerts) {
        throw invalid("alerts", `has more than ${maxAlerts} entries`);
      }
      const alerts = req.alerts.map((event) => readAlert(event, deps.wallClock()));
      const raised = alerts.length === 0 ? 0 : await ask(deps.store.raise(alerts, deps.destinations));
      return { raised: BigInt(raised) };
    },
    async listAlerts(req, ctx) {
      const pageSize = readPageSize(req.pageSize);
      const actor = readActor(ctx.requestHeader);
      const found = await ask(
        deps.store.list({
          limit: pageSize + 1,
          after: readToken(req.pageToken),
          kind: readText("kind", req.kind),
          organizationId: actor?.organizationId ?? "",
          teamId: actor?.teamId ?? "",
        }),
      );
      const page = found.slice(0, pageSize);
      const last = page.at(-1);
      return {
        alerts: page.map(writeAlert),
        nextPageToken: last === undefined || found.length <= pageSize ? "" : writeToken(last),
      };
    },
  };
}

function readAlert(event: AlertEvent, nowMs: number): StoredAlert {
  const { dedupeKey, kind, title } = event;
  if (dedupeKey === "" || dedupeKey.length > maxKeyLength) {
    throw invalid("dedupe_key", `must have 1 to ${maxKeyLength} characters`);
  }
  if (!/^[a-z][a-z0-9_]{0,99}$/.test(kind)) {
    throw invalid("kind", "must be a word in lower snake case");
  }
  if (title === "") {
    throw invalid("title", "is required");
  }
  return {
    dedupeKey: readText("dedupe_key", dedupeKey),
    kind,
    severity: event.severity === AlertSeverity.UNSPECIFIED ? AlertSeverity.WARNING : event.severity,
    title: readText("title", title).slice(0, maxKeyLength).toWellFormed(),
    text: readText("text", event.text).slice(0, maxTextLength).toWellFormed(),
    labels: Object.fromEntries(
      Object.entries(event.labels).map(([name, value]) => [readText("labels", name), readText("labels", value)]),
    ),
    timeMs: readMs(event.time) ?? nowMs,
  };
}

function readMs(time: Timestamp | undefined): number | undefined {
  return time === undefined ? undefined : timestampMs(time);
}

function writeAlert({ alert, deliveries }: ListedAlert) {
  return {
    event: {
      dedupeKey: alert.dedupeKey,
      kind: alert.kind,
      severity: alert.severity,
      title: alert.title,
      text: alert.text,
      labels: { ...alert.labels },
      time: timestampFromMs(alert.timeMs),
    },
    deliveries: deliveries.map(({ deliverTimeMs, ...delivery }) => ({
      ...delivery,
      ...(deliverTimeMs === undefined ? {} : { deliverTime: timestampFromMs(Math.trunc(deliverTimeMs)) }),
    })),
  };
}

function writeToken({ createTimeUs, alert }: ListedAlert): string {
  return Buffer.from(`${createTimeUs}/${alert.dedupeKey}`).toString("base64url");
}

function readToken(token: string): { readonly createTimeUs: bigint; readonly dedupeKey: string } | undefined {
  if (token === "") {
    return undefined;
  }
  const [, us, dedupeKey] = /^(\d{1,18})\/(.+)$/s.exec(Buffer.from(token, "base64url").toString()) ?? [];
  if (us === undefined || dedupeKey === undefined) {
    throw invalid("page_token", "is not one that this service gave");
  }
  return { createTimeUs: BigInt(us), dedupeKey: readText("page_token", dedupeKey) };
}
