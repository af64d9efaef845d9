-- Costs that were corrected, with what they were before.
CREATE TABLE accounting.cost_changes (
  attempt_id uuid NOT NULL,
  change_time timestamptz NOT NULL DEFAULT now(),
  old_cost_nanos bigint NOT NULL,
  old_price_source text NOT NULL,
  new_cost_nanos bigint NOT NULL,
  new_price_source text NOT NULL,
  reason text NOT NULL,
  actor_key_id text NOT NULL,
  PRIMARY KEY (attempt_id, change_time)
);
CREATE INDEX cost_changes_newest ON accounting.cost_changes (change_time);
CREATE INDEX dead_letters_newest ON accounting.dead_letters (create_time DESC, digest DESC);

-- What people should know, once for each dedupe key.
CREATE TABLE accounting.alerts (
  dedupe_key text PRIMARY KEY,
  kind text NOT NULL,
  severity smallint NOT NULL,
  title text NOT NULL,
  text text NOT NULL,
  labels jsonb NOT NULL,
  event_time timestamptz NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX alerts_newest ON accounting.alerts (create_time DESC, dedupe_key DESC);

-- The way of each alert to each destination. A row is claimed for a while by the process that tries it.
CREATE TABLE accounting.alert_deliveries (
  dedupe_key text NOT NULL REFERENCES accounting.alerts ON DELETE CASCADE,
  -- SHA-256 of kind and URL: URLs of webhooks are secrets.
  destination bytea NOT NULL,
  -- Kind and host, for people.
  destination_name text NOT NULL,
  state smallint NOT NULL DEFAULT 1,
  tries integer NOT NULL DEFAULT 0,
  next_time timestamptz NOT NULL DEFAULT now(),
  last_error text NOT NULL DEFAULT '',
  deliver_time timestamptz,
  PRIMARY KEY (dedupe_key, destination)
);
CREATE INDEX alert_deliveries_due ON accounting.alert_deliveries (next_time) WHERE state = 1;
