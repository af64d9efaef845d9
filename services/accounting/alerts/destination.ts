import { createHash, createHmac } from "node:crypto";
import { AlertSeverity } from "#gen/penstock/accounting/v1/alert_service_pb.ts";
import type { AlertsConfig } from "../config.ts";
import type { StoredAlert } from "./alert-store.ts";

/** Where alerts go. */
export interface AlertDestination {
  /** SHA-256 of kind and URL: what names it in the database, where the URL must not be. */
  readonly id: Buffer;
  /** Kind and host, for people. */
  readonly name: string;
  readonly url: string;
  /** What to post for an alert at a time in milliseconds since 1970. */
  write(alert: StoredAlert, nowMs: number): { readonly headers: Record<string, string>; readonly body: string };
}

/** The destinations of the configuration. */
export function destinationsOf(config: AlertsConfig): readonly AlertDestination[] {
  return [
    ...config.webhooks.map(({ url, secret }) =>
      destination("webhook", url, (alert, nowMs) => {
        const body = writeWebhookBody(alert);
        const seconds = Math.floor(nowMs / 1_000);
        const digest = createHmac("sha256", secret.reveal()).update(`${seconds}.${body}`).digest("hex");
        return { body, headers: { "x-penstock-signature": `t=${seconds},v1=${digest}` } };
      }),
    ),
    ...config.slack.map(({ url }) =>
      destination("slack", url, (alert) => ({ body: writeSlackBody(alert), headers: {} })),
    ),
  ];
}

function destination(kind: string, url: string, write: AlertDestination["write"]): AlertDestination {
  return {
    id: createHash("sha256").update(`${kind} ${url}`).digest(),
    name: `${kind} ${new URL(url).host}`,
    url,
    write(alert, nowMs) {
      const { body, headers } = write(alert, nowMs);
      // A receiver that keeps these ids can tell an alert that a crash made come twice.
      const id = createHash("sha256").update(alert.dedupeKey).digest("hex").slice(0, 32);
      return { body, headers: { "content-type": "application/json", "x-penstock-alert-id": id, ...headers } };
    },
  };
}

function writeWebhookBody(alert: StoredAlert): string {
  return JSON.stringify({
    dedupeKey: alert.dedupeKey,
    kind: alert.kind,
    severity: severityName(alert.severity),
    title: alert.title,
    text: alert.text,
    labels: alert.labels,
    time: new Date(alert.timeMs).toISOString(),
  });
}

function writeSlackBody(alert: StoredAlert): string {
  // https://api.slack.com/reference/surfaces/formatting#escaping
  const escape = (text: string): string =>
    text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const labels = Object.entries(alert.labels).map(([name, value]) => `${name}: ${value}`);
  const lines = [`*${escape(alert.title)}*`, escape(alert.text), escape(labels.join(", "))];
  return JSON.stringify({ text: lines.filter((line) => line !== "").join("\n") });
}

function severityName(severity: AlertSeverity): string {
  switch (severity) {
    case AlertSeverity.INFO:
      return "info";
    case AlertSeverity.CRITICAL:
      return "critical";
    default:
      return "warning";
  }
}
