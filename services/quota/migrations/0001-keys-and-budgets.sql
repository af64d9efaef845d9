CREATE SCHEMA quota;

-- A budget belongs to any scope: a key now, teams and organisations by rows of other kinds.
-- What may still be leased is limit - spent - leased; a budget without limit is never asked.
CREATE TABLE quota.budgets (
  id text PRIMARY KEY,
  scope_kind text NOT NULL,
  scope_id text NOT NULL,
  limit_nanos bigint CHECK (limit_nanos >= 0),
  spent_nanos bigint NOT NULL DEFAULT 0 CHECK (spent_nanos >= 0),
  leased_nanos bigint NOT NULL DEFAULT 0 CHECK (leased_nanos >= 0),
  version bigint NOT NULL DEFAULT 0,
  UNIQUE (scope_kind, scope_id)
);

CREATE TABLE quota.keys (
  id text PRIMARY KEY,
  digest bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
  display_name text NOT NULL,
  organization_id text NOT NULL DEFAULT 'default',
  team_id text NOT NULL DEFAULT '',
  allowed_models text[] NOT NULL DEFAULT '{}',
  requests_per_minute bigint CHECK (requests_per_minute >= 0),
  tokens_per_minute bigint CHECK (tokens_per_minute >= 0),
  tags jsonb NOT NULL DEFAULT '{}',
  admin boolean NOT NULL DEFAULT false,
  -- Made from the environment of the program, which may replace it at a later start.
  from_environment boolean NOT NULL DEFAULT false,
  create_time timestamptz NOT NULL,
  expire_time timestamptz,
  revoke_time timestamptz,
  -- Moved by each change of the key or its budget, so that replicas find what they missed.
  change_time timestamptz NOT NULL DEFAULT clock_timestamp(),
  revision bigint NOT NULL DEFAULT 1
);
CREATE INDEX keys_newest ON quota.keys (create_time DESC, id DESC);
CREATE INDEX keys_changed ON quota.keys (change_time);

-- A lease is the part of a budget that one process decides about in memory. While it is open it counts
-- granted - settled of the budget's leased_nanos; closed, nothing. settled_nanos is what it has moved to spent_nanos.
CREATE TABLE quota.leases (
  id uuid PRIMARY KEY,
  budget_id text NOT NULL REFERENCES quota.budgets (id) ON DELETE CASCADE,
  holder text NOT NULL,
  granted_nanos bigint NOT NULL,
  settled_nanos bigint NOT NULL CHECK (settled_nanos >= 0),
  held_nanos bigint NOT NULL CHECK (held_nanos >= 0),
  sequence bigint NOT NULL,
  open boolean NOT NULL,
  expire_time timestamptz NOT NULL,
  close_time timestamptz,
  -- When a closed lease is next compared with the ledger; unset while it is open.
  check_time timestamptz,
  CHECK (NOT open OR granted_nanos >= settled_nanos + held_nanos)
);
CREATE INDEX leases_open ON quota.leases (expire_time) WHERE open;
CREATE INDEX leases_to_check ON quota.leases (check_time) WHERE NOT open;
CREATE INDEX leases_of_budget ON quota.leases (budget_id);

-- Settlements that reached another process than the holder of their lease; the holder takes them from here.
CREATE TABLE quota.forwarded_settlements (
  request_id text NOT NULL,
  lease_id uuid NOT NULL REFERENCES quota.leases (id) ON DELETE CASCADE,
  key_id text NOT NULL,
  cost_nanos bigint NOT NULL,
  tokens bigint NOT NULL,
  PRIMARY KEY (lease_id, request_id)
);

-- Brings a lease up to what its holder knows, and takes more of the budget when asked and possible.
--
-- All amounts are the lease's totals, never differences, and p_sequence grows with each call of the holder: a call that
-- is repeated, or overtaken by a later one, changes nothing twice. What an unanswered earlier call granted is given back,
-- because p_granted does not have it.
CREATE FUNCTION quota.sync_lease(
  p_lease uuid, p_budget text, p_holder text, p_new boolean, p_sequence bigint,
  p_granted bigint, p_settled bigint, p_held bigint,
  p_need bigint, p_minimum bigint, p_maximum bigint, p_close boolean, p_ttl interval,
  OUT outcome text, OUT granted bigint, OUT room bigint
) LANGUAGE plpgsql AS $$
DECLARE
  l quota.leases%ROWTYPE;
  b quota.budgets%ROWTYPE;
  v_base bigint := GREATEST(p_granted, p_settled + p_held);
  v_more bigint := 0;
BEGIN
  granted := 0;
  room := 0;
  SELECT * INTO l FROM quota.leases WHERE id = p_lease FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    IF NOT p_new THEN
      outcome := 'lost';
      RETURN;
    END IF;
    BEGIN
      INSERT INTO quota.leases (id, budget_id, holder, granted_nanos, settled_nanos, held_nanos, sequence, open, expire_time)
      VALUES (p_lease, p_budget, p_holder, 0, 0, 0, 0, true, clock_timestamp() + p_ttl)
      RETURNING * INTO l;
    EXCEPTION WHEN foreign_key_violation THEN
      outcome := 'lost';
      RETURN;
    END;
  END IF;
  IF NOT l.open THEN
    outcome := 'lost';
    RETURN;
  END IF;
  IF l.sequence >= p_sequence OR p_settled < l.settled_nanos THEN
    outcome := 'stale';
    RETURN;
  END IF;
  -- Not FOR UPDATE: inserting a lease share-locks the key of its budget, and two that did would wait for each other.
  SELECT * INTO b FROM quota.budgets WHERE id = l.budget_id FOR NO KEY UPDATE;
  IF p_close THEN
    v_base := p_settled;
  END IF;
  IF b.limit_nanos IS NULL THEN
    room := 9223372036854775807 / 2;
  ELSE
    -- Moving an amount from leased to spent does not change what is left; only the size of the lease does.
    room := b.limit_nanos - b.spent_nanos - b.leased_nanos + l.granted_nanos - v_base;
  END IF;
  IF p_need > 0 AND room > 0 AND room >= p_minimum AND NOT p_close THEN
    v_more := LEAST(room, GREATEST(p_need, LEAST(room / 8, p_maximum)));
    room := room - v_more;
  END IF;
  UPDATE quota.budgets SET
    spent_nanos = spent_nanos + p_settled - l.settled_nanos,
    leased_nanos = leased_nanos + (v_base + v_more - p_settled) - (l.granted_nanos - l.settled_nanos),
    version = version + 1
  WHERE id = l.budget_id;
  UPDATE quota.leases SET
    granted_nanos = v_base + v_more,
    settled_nanos = p_settled,
    held_nanos = CASE WHEN p_close THEN 0 ELSE p_held END,
    sequence = p_sequence,
    open = NOT p_close,
    expire_time = clock_timestamp() + p_ttl,
    close_time = CASE WHEN p_close THEN clock_timestamp() END,
    check_time = CASE WHEN p_close THEN clock_timestamp() + interval '10 seconds' END
  WHERE id = p_lease;
  outcome := 'synced';
  granted := v_base + v_more;
END $$;

-- Charges a lease whose holder is gone with what the ledger knows of it, and gives the rest back. Repeated for an hour
-- after, it charges what the ledger learned since. Never charges less than before.
CREATE FUNCTION quota.reconcile_lease(p_lease uuid, p_ledger bigint, p_grace interval, OUT charged bigint)
LANGUAGE plpgsql AS $$
DECLARE
  l quota.leases%ROWTYPE;
  v_now timestamptz := clock_timestamp();
  v_settled bigint;
BEGIN
  charged := 0;
  SELECT * INTO l FROM quota.leases WHERE id = p_lease FOR NO KEY UPDATE;
  IF NOT FOUND OR (l.open AND l.expire_time + p_grace > v_now) THEN
    RETURN;
  END IF;
  v_settled := GREATEST(l.settled_nanos, p_ledger);
  charged := v_settled - l.settled_nanos;
  UPDATE quota.budgets SET
    spent_nanos = spent_nanos + charged,
    leased_nanos = leased_nanos - CASE WHEN l.open THEN l.granted_nanos - l.settled_nanos ELSE 0 END,
    version = version + 1
  WHERE id = l.budget_id AND (l.open OR charged > 0);
  IF l.open THEN
    UPDATE quota.leases SET open = false, held_nanos = 0, settled_nanos = v_settled, close_time = v_now,
      check_time = v_now + interval '10 seconds'
    WHERE id = p_lease;
  ELSIF l.close_time + interval '1 hour' <= v_now THEN
    DELETE FROM quota.leases WHERE id = p_lease;
  ELSE
    -- Soon at first, when events are still on their way, then less and less often.
    UPDATE quota.leases SET settled_nanos = v_settled,
      check_time = LEAST(v_now + 2 * (v_now - close_time), close_time + interval '1 hour')
    WHERE id = p_lease;
  END IF;
END $$;
