-- A request may be paid from several budgets: those of its key, its team and so on.
ALTER TABLE accounting.attempts
  ADD COLUMN lease_ids text[] NOT NULL DEFAULT '{}',
  ADD COLUMN user_id text NOT NULL DEFAULT '',
  ADD COLUMN image_input_tokens bigint NOT NULL DEFAULT 0,
  ADD COLUMN image_output_tokens bigint NOT NULL DEFAULT 0;
ALTER TABLE accounting.rollup_hourly
  ADD COLUMN image_input_tokens bigint NOT NULL DEFAULT 0,
  ADD COLUMN image_output_tokens bigint NOT NULL DEFAULT 0;
UPDATE accounting.attempts SET lease_ids = ARRAY[lease_id] WHERE lease_id <> '';

-- What each lease has paid, raised in the transaction that inserts the attempts.
CREATE TABLE accounting.lease_costs (
  lease_id text PRIMARY KEY,
  cost_nanos bigint NOT NULL,
  change_time timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX lease_costs_changed ON accounting.lease_costs (change_time);
INSERT INTO accounting.lease_costs (lease_id, cost_nanos)
SELECT lease_id, sum(cost_nanos)::bigint FROM accounting.attempts WHERE lease_id <> '' GROUP BY lease_id;

DROP INDEX accounting.attempts_of_lease;
ALTER TABLE accounting.attempts DROP COLUMN lease_id;
