-- Limits beside those that stand in the row of a key, set at run time. Those of the configuration are not here.
CREATE TABLE quota.limits (
  id uuid PRIMARY KEY,
  scope_kind text NOT NULL CHECK (scope_kind IN ('organization', 'team', 'key', 'user', 'tag', 'model', 'provider')),
  -- The name of the tag; empty for other kinds.
  scope_tag text NOT NULL DEFAULT '',
  -- The one id or value that is limited; unset limits each by a counter of its own.
  scope_value text,
  metric text NOT NULL CHECK (metric IN ('budget', 'requests_per_minute', 'tokens_per_minute', 'concurrency')),
  -- Nano-dollars for a budget, else a number.
  amount bigint NOT NULL CHECK (amount >= 0),
  period text CHECK (period IN ('minute', 'hour', 'day', 'week', 'month', 'lifetime')),
  zone text,
  warn_at integer[] NOT NULL DEFAULT '{}',
  create_time timestamptz NOT NULL DEFAULT clock_timestamp(),
  change_time timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK ((metric = 'budget') = (period IS NOT NULL) AND (metric = 'budget') = (zone IS NOT NULL))
);

-- What was added to the limit of one budget, for its window only.
ALTER TABLE quota.budgets ADD COLUMN extra_nanos bigint NOT NULL DEFAULT 0 CHECK (extra_nanos >= 0);

-- The processes that admit requests: each admits its share of a rate.
CREATE TABLE quota.processes (
  holder text PRIMARY KEY,
  expire_time timestamptz NOT NULL
);

-- Settlements that reached another process than the holder of their leases; the holder takes them from here.
ALTER TABLE quota.forwarded_settlements
  ADD COLUMN lease_ids text[] NOT NULL DEFAULT '{}',
  ADD COLUMN provider_costs jsonb NOT NULL DEFAULT '{}';

DROP FUNCTION quota.sync_lease(
  uuid, text, text, boolean, bigint, bigint, bigint, bigint, bigint, bigint, bigint, boolean, interval
);

-- Brings a lease up to what its holder knows, and takes more of the budget when asked and possible.
--
-- All amounts are the lease's totals, never differences, and p_sequence grows with each call of the holder: a call that
-- is repeated, or overtaken by a later one, changes nothing twice. What an unanswered earlier call granted is given back,
-- because p_granted does not have it.
--
-- The budget of one window of a limit is made by the first lease of it. Its limit is then what the holder says (p_limit),
-- who has it from the configuration or from quota.limits; other budgets have theirs here.
CREATE FUNCTION quota.sync_lease(
  p_lease uuid, p_budget text, p_limit bigint, p_holder text, p_new boolean, p_sequence bigint,
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
    IF p_limit IS NOT NULL THEN
      INSERT INTO quota.budgets (id, scope_kind, scope_id, limit_nanos) VALUES (p_budget, 'limit', p_budget, p_limit)
      ON CONFLICT DO NOTHING;
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
  b.limit_nanos := coalesce(p_limit, b.limit_nanos);
  IF b.limit_nanos IS NULL THEN
    room := 9223372036854775807 / 2;
  ELSE
    -- Moving an amount from leased to spent does not change what is left; only the size of the lease does.
    room := b.limit_nanos + b.extra_nanos - b.spent_nanos - b.leased_nanos + l.granted_nanos - v_base;
  END IF;
  IF p_need > 0 AND room > 0 AND room >= p_minimum AND NOT p_close THEN
    v_more := LEAST(room, GREATEST(p_need, LEAST(room / 8, p_maximum)));
    room := room - v_more;
  END IF;
  UPDATE quota.budgets SET
    limit_nanos = b.limit_nanos,
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
