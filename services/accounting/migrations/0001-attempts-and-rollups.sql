CREATE SCHEMA accounting;

-- The ledger: one row for each attempt, never changed. Enumerations are the numbers of the protobuf enumerations.
CREATE TABLE accounting.attempts (
  attempt_id uuid PRIMARY KEY,
  start_time timestamptz NOT NULL,
  request_id text NOT NULL,
  attempt_index integer NOT NULL,
  final boolean NOT NULL,
  key_id text NOT NULL,
  team_id text NOT NULL,
  organization_id text NOT NULL,
  tags jsonb NOT NULL,
  operation smallint NOT NULL,
  dialect smallint NOT NULL,
  stream boolean NOT NULL,
  requested_model text NOT NULL,
  provider text NOT NULL,
  model text NOT NULL,
  outcome smallint NOT NULL,
  error_reason smallint NOT NULL,
  finish_reason smallint NOT NULL,
  http_status integer NOT NULL,
  uncached_input_tokens bigint NOT NULL,
  cache_read_tokens bigint NOT NULL,
  cache_write_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  reasoning_tokens bigint NOT NULL,
  cache_write_1h_tokens bigint NOT NULL,
  audio_input_tokens bigint NOT NULL,
  audio_output_tokens bigint NOT NULL,
  estimated boolean NOT NULL,
  cost_nanos bigint NOT NULL,
  price_source text NOT NULL,
  lease_id text NOT NULL,
  provider_request_id text NOT NULL,
  first_token_us bigint,
  total_us bigint,
  ingest_time timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX attempts_newest ON accounting.attempts (start_time DESC, attempt_id DESC) WHERE final;
CREATE INDEX attempts_of_key ON accounting.attempts (key_id, start_time DESC, attempt_id DESC) WHERE final;
CREATE INDEX attempts_of_request ON accounting.attempts (request_id);
CREATE INDEX attempts_of_lease ON accounting.attempts (lease_id) WHERE lease_id <> '';

-- Sums of attempts by the hour in which they were started, kept in the transaction that adds the attempts.
CREATE TABLE accounting.rollup_hourly (
  hour timestamptz NOT NULL,
  -- SHA-256 of the dimensions below: names may be longer than an index takes.
  dimensions bytea NOT NULL,
  key_id text NOT NULL,
  team_id text NOT NULL,
  organization_id text NOT NULL,
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
  estimated_attempts bigint NOT NULL,
  cost_nanos bigint NOT NULL,
  PRIMARY KEY (hour, dimensions)
);

-- Events that cannot be rows of the ledger, with the reason, for people to look at and repair.
CREATE TABLE accounting.dead_letters (
  -- SHA-256 of the payload: an event that is delivered again is kept once.
  digest bytea PRIMARY KEY,
  payload text NOT NULL,
  error text NOT NULL,
  create_time timestamptz NOT NULL DEFAULT now()
);
