import type pg from "pg";
import type { AlertDeliveryState, AlertSeverity } from "#gen/penstock/accounting/v1/alert_service_pb.ts";
import { withTransaction } from "#kit/postgres/with-transaction.ts";
import type { AlertDestination } from "./destination.ts";

/** An alert as the ledger keeps it. */
export interface StoredAlert {
  readonly dedupeKey: string;
  readonly kind: string;
  readonly severity: AlertSeverity;
  readonly title: string;
  readonly text: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Milliseconds since 1970. */
  readonly timeMs: number;
}

/** How far the way of an alert to a destination is. */
export interface StoredDelivery {
  readonly destination: string;
  readonly state: AlertDeliveryState;
  readonly tries: number;
  readonly lastError: string;
  readonly deliverTimeMs: number | undefined;
}

/** An alert in a list. */
export interface ListedAlert {
  readonly alert: StoredAlert;
  /** Microseconds since 1970, by which lists are sorted. */
  readonly createTimeUs: bigint;
  readonly deliveries: readonly StoredDelivery[];
}

/** An alert that this process is to deliver now. */
export interface DueDelivery {
  readonly alert: StoredAlert;
  readonly destination: Buffer;
  /** How often it was tried, this time included. */
  readonly tries: number;
}

/** Keeps alerts. Every method rejects when the database cannot be asked. */
export interface AlertStore {
  /** Adds alerts, each with its way to every destination, and returns how many were new. Idempotent on dedupeKey. */
  raise(alerts: readonly StoredAlert[], destinations: readonly AlertDestination[]): Promise<number>;
  /**
   * Takes deliveries to some destinations that are due; nobody else gets them for a while. One whose process dies comes
   * back after that.
   */
  claim(destinations: readonly Buffer[], limit: number): Promise<readonly DueDelivery[]>;
  /** Notes that a destination took an alert. */
  delivered(due: DueDelivery): Promise<void>;
  /** Notes a failure; undefined gives up. */
  failed(due: DueDelivery, error: string, retryMs: number | undefined): Promise<void>;
  /** Alerts, newest first; empty texts take all. */
  list(query: {
    readonly limit: number;
    readonly after: { readonly createTimeUs: bigint; readonly dedupeKey: string } | undefined;
    readonly kind: string;
    readonly organizationId: string;
    readonly teamId: string;
  }): Promise<readonly ListedAlert[]>;
}

const claimMs = 60_000;
const alertColumns = "a.dedupe_key, a.kind, a.severity, a.title, a.text, a.labels, a.event_time";

interface AlertRow {
  readonly dedupe_key: string;
  readonly kind: string;
  readonly severity: AlertSeverity;
  readonly title: string;
  readonly text: string;
  readonly labels: Record<string, string>;
  readonly event_time: Date;
}

/** Makes the store of alerts in Postgres. */
export function createAlertStore(pool: pg.Pool): AlertStore {
  return {
    raise(alerts, destinations) {
      const rows = alerts.toSorted((a, b) => (a.dedupeKey < b.dedupeKey ? -1 : 1));
      return withTransaction(
        pool,
        async (client) => {
          const result = await client.query<{ raised: bigint }>(
            `WITH raised AS (
               INSERT INTO accounting.alerts (dedupe_key, kind, severity, title, text, labels, event_time)
               SELECT k, kind, severity, title, text, labels, time FROM json_to_recordset($1::json)
                 AS t(k text, kind text, severity smallint, title text, text text, labels jsonb, time timestamptz)
               ON CONFLICT DO NOTHING RETURNING dedupe_key
             ), ways AS (
               INSERT INTO accounting.alert_deliveries (dedupe_key, destination, destination_name)
               SELECT dedupe_key, destination, name FROM raised, unnest($2::bytea[], $3::text[]) AS d(destination, name)
               ON CONFLICT DO NOTHING
             )
             SELECT count(*) AS raised FROM raised`,
            [
              JSON.stringify(
                rows.map(({ dedupeKey, timeMs, ...alert }) => ({ ...alert, k: dedupeKey, time: new Date(timeMs) })),
              ),
              destinations.map((each) => each.id),
              destinations.map((each) => each.name),
            ],
          );
          return Number(result.rows[0]?.raised ?? 0n);
        },
        { idempotent: true },
      );
    },
    async claim(destinations, limit) {
      const result = await pool.query<AlertRow & { destination: Buffer; tries: number }>(
        `WITH due AS (
           SELECT dedupe_key, destination FROM accounting.alert_deliveries
           WHERE state = 1 AND next_time <= now() AND destination = ANY($1::bytea[])
           ORDER BY next_time LIMIT $2 FOR UPDATE SKIP LOCKED
         ), claimed AS (
           UPDATE accounting.alert_deliveries AS d
           SET tries = d.tries + 1, next_time = now() + $3::bigint * interval '1 millisecond'
           FROM due WHERE d.dedupe_key = due.dedupe_key AND d.destination = due.destination
           RETURNING d.dedupe_key, d.destination, d.tries
         )
         SELECT ${alertColumns}, claimed.destination, claimed.tries
         FROM claimed JOIN accounting.alerts AS a USING (dedupe_key)`,
        [destinations, limit, claimMs],
      );
      return result.rows.map((row) => ({ alert: mapAlert(row), destination: row.destination, tries: row.tries }));
    },
    async delivered(due) {
      await pool.query(
        `UPDATE accounting.alert_deliveries SET state = 2, deliver_time = now(), last_error = ''
         WHERE dedupe_key = $1 AND destination = $2`,
        [due.alert.dedupeKey, due.destination],
      );
    },
    async failed(due, error, retryMs) {
      await pool.query(
        `UPDATE accounting.alert_deliveries SET last_error = $3, state = CASE WHEN $4::bigint IS NULL THEN 3 ELSE 1 END,
           next_time = now() + coalesce($4::bigint, 0) * interval '1 millisecond'
         WHERE dedupe_key = $1 AND destination = $2 AND state = 1`,
        [due.alert.dedupeKey, due.destination, error.slice(0, 500), retryMs ?? null],
      );
    },
    async list({ limit, after, kind, organizationId, teamId }) {
      const result = await pool.query<AlertRow & { create_us: bigint; deliveries: readonly DeliveryJson[] }>(
        `SELECT ${alertColumns}, (extract(epoch FROM a.create_time) * 1000000)::bigint AS create_us,
           (SELECT coalesce(jsonb_agg(jsonb_build_object('destination', destination_name, 'state', state, 'tries', tries,
              'error', last_error, 'delivered', extract(epoch FROM deliver_time) * 1000) ORDER BY destination_name), '[]')
            FROM accounting.alert_deliveries AS d WHERE d.dedupe_key = a.dedupe_key) AS deliveries
         FROM accounting.alerts AS a
         WHERE ($2 = '' OR kind = $2) AND ($3 = '' OR labels->>'organization_id' = $3)
           AND ($4 = '' OR labels->>'team_id' = $4)
           AND ($5::bigint IS NULL OR
             (create_time, dedupe_key) < (timestamptz 'epoch' + $5 * interval '1 microsecond', $6::text))
         ORDER BY create_time DESC, dedupe_key DESC LIMIT $1`,
        [limit, kind, organizationId, teamId, after?.createTimeUs, after?.dedupeKey],
      );
      return result.rows.map((row) => ({
        alert: mapAlert(row),
        createTimeUs: row.create_us,
        deliveries: row.deliveries.map((each) => ({
          destination: each.destination,
          state: each.state,
          tries: each.tries,
          lastError: each.error,
          deliverTimeMs: each.delivered ?? undefined,
        })),
      }));
    },
  };
}

interface DeliveryJson {
  readonly destination: string;
  readonly state: AlertDeliveryState;
  readonly tries: number;
  readonly error: string;
  readonly delivered: number | null;
}

function mapAlert(row: AlertRow): StoredAlert {
  return {
    dedupeKey: row.dedupe_key,
    kind: row.kind,
    severity: row.severity,
    title: row.title,
    text: row.text,
    labels: row.labels,
    timeMs: row.event_time.getTime(),
  };
}
