-- attempt_id is a UUIDv7, which begins with the time at which it was made. Attempts are partitioned by it, not by
-- start_time: so the primary key is the id alone, and an event that comes again is found wherever and whenever it was
-- first stored. A partition is a week; ids that are no UUIDv7, or of a time without a partition, are in the last one.
ALTER TABLE accounting.attempts RENAME TO attempts_before;
ALTER TABLE accounting.attempts_before RENAME CONSTRAINT attempts_pkey TO attempts_before_pkey;
DROP INDEX accounting.attempts_newest, accounting.attempts_of_key, accounting.attempts_of_request;

CREATE TABLE accounting.attempts (
  LIKE accounting.attempts_before INCLUDING DEFAULTS,
  -- The transaction that stored the row, by which followers of the ledger tell what is new to them.
  ingest_xid bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
  PRIMARY KEY (attempt_id)
) PARTITION BY RANGE (attempt_id);
CREATE INDEX attempts_newest ON accounting.attempts (start_time DESC, attempt_id DESC);
CREATE INDEX attempts_of_key ON accounting.attempts (key_id, start_time DESC, attempt_id DESC) WHERE final;
CREATE INDEX attempts_of_team ON accounting.attempts (team_id, start_time DESC, attempt_id DESC)
  WHERE final AND team_id <> '';
CREATE INDEX attempts_of_organization ON accounting.attempts (organization_id, start_time DESC, attempt_id DESC)
  WHERE final;
CREATE INDEX attempts_of_request ON accounting.attempts (request_id);
CREATE INDEX attempts_ingested ON accounting.attempts (ingest_xid) WHERE final;
CREATE TABLE accounting.attempts_other PARTITION OF accounting.attempts DEFAULT;

INSERT INTO accounting.attempts (
  attempt_id, start_time, request_id, attempt_index, final, key_id, team_id, organization_id, tags, operation, dialect,
  stream, requested_model, provider, model, outcome, error_reason, finish_reason, http_status, uncached_input_tokens,
  cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cache_write_1h_tokens, audio_input_tokens,
  audio_output_tokens, image_input_tokens, image_output_tokens, estimated, cost_nanos, price_source, lease_ids, user_id,
  provider_request_id, first_token_us, total_us, ingest_time)
SELECT attempt_id, start_time, request_id, attempt_index, final, key_id, team_id, organization_id, tags, operation,
  dialect, stream, requested_model, provider, model, outcome, error_reason, finish_reason, http_status,
  uncached_input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cache_write_1h_tokens,
  audio_input_tokens, audio_output_tokens, image_input_tokens, image_output_tokens, estimated, cost_nanos, price_source,
  lease_ids, user_id, provider_request_id, first_token_us, total_us, ingest_time
FROM accounting.attempts_before;
DROP TABLE accounting.attempts_before;

-- The first id that may still be added. What is older was dropped, and could not be told from what is new.
CREATE TABLE accounting.horizon (
  attempt_id uuid NOT NULL
);
INSERT INTO accounting.horizon VALUES ('00000000-0000-0000-0000-000000000000');

-- The smallest UUIDv7 of a moment.
CREATE FUNCTION accounting.first_id(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT rpad(lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;

-- Makes the partition of the week that begins with a Monday, unless it is there. Rows that were stored before it was
-- there move to it.
CREATE FUNCTION accounting.make_partition(monday date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  name text := 'attempts_' || to_char(monday, 'YYYYMMDD');
  first_of_week uuid := accounting.first_id(monday::timestamp AT TIME ZONE 'UTC');
  first_of_next uuid := accounting.first_id((monday + 7)::timestamp AT TIME ZONE 'UTC');
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('penstock accounting partitions', 0));
  IF to_regclass('accounting.' || name) IS NOT NULL OR first_of_week < (SELECT attempt_id FROM accounting.horizon) THEN
    RETURN;
  END IF;
  EXECUTE format('CREATE TABLE accounting.%I (LIKE accounting.attempts INCLUDING ALL)', name);
  -- Nobody may add to the rest between the move and the end of this transaction.
  LOCK TABLE accounting.attempts_other IN ACCESS EXCLUSIVE MODE;
  EXECUTE format(
    'WITH moved AS (DELETE FROM accounting.attempts_other WHERE attempt_id >= $1 AND attempt_id < $2 RETURNING *)
     INSERT INTO accounting.%I SELECT * FROM moved', name) USING first_of_week, first_of_next;
  EXECUTE format('ALTER TABLE accounting.attempts ATTACH PARTITION accounting.%I FOR VALUES FROM (%L) TO (%L)',
    name, first_of_week, first_of_next);
END
$$;

-- Drops the partitions of weeks that are over at a moment, and says how many. From then on ids of that time are refused:
-- in the rest by a constraint, so that not even a transaction that runs meanwhile can count one twice.
CREATE FUNCTION accounting.drop_partitions(moment timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  monday date := date_trunc('week', moment AT TIME ZONE 'UTC')::date;
  first_kept uuid := accounting.first_id(monday::timestamp AT TIME ZONE 'UTC');
  name text;
  dropped integer := 0;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('penstock accounting partitions', 0));
  IF first_kept <= (SELECT attempt_id FROM accounting.horizon) THEN
    RETURN 0;
  END IF;
  LOCK TABLE accounting.attempts IN ACCESS EXCLUSIVE MODE;
  FOR name IN
    SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'accounting.attempts'::regclass AND relname ~ '^attempts_\d{8}$'
      AND relname < 'attempts_' || to_char(monday, 'YYYYMMDD')
    ORDER BY relname
  LOOP
    EXECUTE format('DROP TABLE accounting.%I', name);
    dropped := dropped + 1;
  END LOOP;
  DELETE FROM accounting.attempts_other
  WHERE start_time < monday::timestamp AT TIME ZONE 'UTC' OR (get_byte(uuid_send(attempt_id), 6) >> 4 = 7 AND attempt_id < first_kept);
  ALTER TABLE accounting.attempts_other DROP CONSTRAINT IF EXISTS attempts_kept;
  EXECUTE format('ALTER TABLE accounting.attempts_other ADD CONSTRAINT attempts_kept
    CHECK (get_byte(uuid_send(attempt_id), 6) >> 4 <> 7 OR attempt_id >= %L)', first_kept);
  UPDATE accounting.horizon SET attempt_id = first_kept;
  RETURN dropped;
END
$$;

-- Sums by hour and by day, for all and for each value of each tag, kept in the transaction that adds the attempts.
-- Pages have room, so that a row that is raised stays where it is.
DROP TABLE accounting.rollup_hourly;
CREATE TABLE accounting.rollup_hourly (
  hour timestamptz NOT NULL,
  -- SHA-256 of the dimensions below: names may be longer than an index takes.
  dimensions bytea NOT NULL,
  key_id text NOT NULL,
  team_id text NOT NULL,
  organization_id text NOT NULL,
  user_id text NOT NULL,
  provider text NOT NULL,
  model text NOT NULL,
  requested_model text NOT NULL,
  outcome smallint NOT NULL,
  attempts bigint NOT NULL,
  requests bigint NOT NULL,
  uncached_input_tokens bigint NOT NULL,
  cache_read_tokens bigint NOT NULL,
  cache_write_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  reasoning_tokens bigint NOT NULL,
  cache_write_1h_tokens bigint NOT NULL,
  audio_input_tokens bigint NOT NULL,
  audio_output_tokens bigint NOT NULL,
  image_input_tokens bigint NOT NULL,
  image_output_tokens bigint NOT NULL,
  estimated_attempts bigint NOT NULL,
  cost_nanos bigint NOT NULL,
  PRIMARY KEY (hour, dimensions)
) WITH (fillfactor = 70);
CREATE TABLE accounting.rollup_tag_hourly (
  LIKE accounting.rollup_hourly INCLUDING ALL,
  tag_name text NOT NULL,
  tag_value text NOT NULL
) WITH (fillfactor = 70);
CREATE TABLE accounting.rollup_daily (LIKE accounting.rollup_hourly INCLUDING ALL) WITH (fillfactor = 70);
CREATE TABLE accounting.rollup_tag_daily (LIKE accounting.rollup_tag_hourly INCLUDING ALL) WITH (fillfactor = 70);
ALTER TABLE accounting.rollup_daily RENAME COLUMN hour TO day;
ALTER TABLE accounting.rollup_tag_daily RENAME COLUMN hour TO day;
CREATE INDEX rollup_daily_of_key ON accounting.rollup_daily (key_id, day);
CREATE INDEX rollup_daily_of_team ON accounting.rollup_daily (team_id, day) WHERE team_id <> '';
CREATE INDEX rollup_daily_of_organization ON accounting.rollup_daily (organization_id, day);
CREATE INDEX rollup_tag_daily_of_tag ON accounting.rollup_tag_daily (tag_name, day);
CREATE INDEX rollup_tag_hourly_of_tag ON accounting.rollup_tag_hourly (tag_name, hour);

INSERT INTO accounting.rollup_hourly
SELECT date_trunc('hour', start_time, 'UTC'), sha256(convert_to(ARRAY[key_id, team_id, organization_id, user_id, provider,
    model, requested_model, outcome::text]::text, 'UTF8')), key_id, team_id, organization_id, user_id, provider, model,
  requested_model, outcome, count(*), count(*) FILTER (WHERE final), sum(uncached_input_tokens)::bigint,
  sum(cache_read_tokens)::bigint, sum(cache_write_tokens)::bigint, sum(output_tokens)::bigint,
  sum(reasoning_tokens)::bigint, sum(cache_write_1h_tokens)::bigint, sum(audio_input_tokens)::bigint,
  sum(audio_output_tokens)::bigint, sum(image_input_tokens)::bigint, sum(image_output_tokens)::bigint,
  count(*) FILTER (WHERE estimated), sum(cost_nanos)::bigint
FROM accounting.attempts GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10;
INSERT INTO accounting.rollup_daily
SELECT date_trunc('day', hour, 'UTC'), dimensions, key_id, team_id, organization_id, user_id, provider, model,
  requested_model, outcome, sum(attempts)::bigint, sum(requests)::bigint, sum(uncached_input_tokens)::bigint,
  sum(cache_read_tokens)::bigint, sum(cache_write_tokens)::bigint, sum(output_tokens)::bigint,
  sum(reasoning_tokens)::bigint, sum(cache_write_1h_tokens)::bigint, sum(audio_input_tokens)::bigint,
  sum(audio_output_tokens)::bigint, sum(image_input_tokens)::bigint, sum(image_output_tokens)::bigint,
  sum(estimated_attempts)::bigint, sum(cost_nanos)::bigint
FROM accounting.rollup_hourly GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10;

-- The tags by which an attempt is summed.
CREATE FUNCTION accounting.rolled_tags(tags jsonb) RETURNS TABLE (tag_name text, tag_value text)
LANGUAGE sql IMMUTABLE ROWS 2 AS $$
  SELECT DISTINCT ON (left(key, 100)) left(key, 100), left(value, 100) FROM jsonb_each_text(tags) ORDER BY 1, key LIMIT 8
$$;
INSERT INTO accounting.rollup_tag_hourly
SELECT date_trunc('hour', start_time, 'UTC'), sha256(convert_to(ARRAY[key_id, team_id, organization_id, user_id, provider,
    model, requested_model, outcome::text, tag_name, tag_value]::text, 'UTF8')), key_id, team_id, organization_id,
  user_id, provider, model, requested_model, outcome, count(*), count(*) FILTER (WHERE final),
  sum(uncached_input_tokens)::bigint, sum(cache_read_tokens)::bigint, sum(cache_write_tokens)::bigint,
  sum(output_tokens)::bigint, sum(reasoning_tokens)::bigint, sum(cache_write_1h_tokens)::bigint,
  sum(audio_input_tokens)::bigint, sum(audio_output_tokens)::bigint, sum(image_input_tokens)::bigint,
  sum(image_output_tokens)::bigint, count(*) FILTER (WHERE estimated), sum(cost_nanos)::bigint, tag_name, tag_value
FROM accounting.attempts, accounting.rolled_tags(tags)
GROUP BY date_trunc('hour', start_time, 'UTC'), key_id, team_id, organization_id, user_id, provider, model,
  requested_model, outcome, tag_name, tag_value;
INSERT INTO accounting.rollup_tag_daily
SELECT date_trunc('day', hour, 'UTC'), dimensions, key_id, team_id, organization_id, user_id, provider, model,
  requested_model, outcome, sum(attempts)::bigint, sum(requests)::bigint, sum(uncached_input_tokens)::bigint,
  sum(cache_read_tokens)::bigint, sum(cache_write_tokens)::bigint, sum(output_tokens)::bigint,
  sum(reasoning_tokens)::bigint, sum(cache_write_1h_tokens)::bigint, sum(audio_input_tokens)::bigint,
  sum(audio_output_tokens)::bigint, sum(image_input_tokens)::bigint, sum(image_output_tokens)::bigint,
  sum(estimated_attempts)::bigint, sum(cost_nanos)::bigint, tag_name, tag_value
FROM accounting.rollup_tag_hourly GROUP BY date_trunc('day', hour, 'UTC'), dimensions, key_id, team_id,
  organization_id, user_id, provider, model, requested_model, outcome, tag_name, tag_value;
