-- Ids are never used again: the ledger and the audit log go on naming what is gone.
CREATE TABLE quota.organizations (
  id text PRIMARY KEY,
  display_name text NOT NULL,
  create_time timestamptz NOT NULL,
  delete_time timestamptz
);
INSERT INTO quota.organizations (id, display_name, create_time) VALUES ('default', 'default', clock_timestamp());

CREATE TABLE quota.teams (
  id text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES quota.organizations (id),
  display_name text NOT NULL,
  create_time timestamptz NOT NULL,
  delete_time timestamptz
);
CREATE INDEX teams_of_organization ON quota.teams (organization_id, id);
-- Teams were words in keys before they were anything of their own.
INSERT INTO quota.teams (id, organization_id, display_name, create_time)
  SELECT team_id, min(organization_id), team_id, min(create_time) FROM quota.keys WHERE team_id <> '' GROUP BY team_id;

CREATE TABLE quota.users (
  id text PRIMARY KEY,
  -- Empty for who belongs to the gateway rather than to one organisation.
  organization_id text NOT NULL DEFAULT '',
  email text NOT NULL,
  display_name text NOT NULL,
  create_time timestamptz NOT NULL,
  delete_time timestamptz
);
CREATE UNIQUE INDEX users_email ON quota.users (organization_id, lower(email)) WHERE delete_time IS NULL;
CREATE INDEX users_of_organization ON quota.users (organization_id, id);

CREATE TABLE quota.memberships (
  user_id text NOT NULL REFERENCES quota.users (id),
  -- Empty for everything; the team empty for the whole organisation.
  organization_id text NOT NULL,
  team_id text NOT NULL,
  role text NOT NULL CHECK (role IN ('owner', 'admin', 'editor', 'viewer')),
  PRIMARY KEY (user_id, organization_id, team_id),
  CHECK (organization_id <> '' OR team_id = '')
);
CREATE INDEX memberships_of_team ON quota.memberships (organization_id, team_id);

ALTER TABLE quota.keys
  ADD COLUMN role text CHECK (role IN ('owner', 'admin', 'editor', 'viewer')),
  ADD COLUMN user_id text NOT NULL DEFAULT '',
  ADD COLUMN service_account boolean NOT NULL DEFAULT false,
  ADD COLUMN log_bodies boolean NOT NULL DEFAULT false,
  ADD COLUMN disable_time timestamptz,
  -- The secret before the last rotation, and until when it works.
  ADD COLUMN previous_digest bytea UNIQUE CHECK (octet_length(previous_digest) = 32),
  ADD COLUMN previous_expire_time timestamptz,
  -- Which call made the key: the admin key and the name that it gave the call.
  ADD COLUMN made_by text NOT NULL DEFAULT '',
  ADD COLUMN idempotency_key text,
  ADD CHECK ((previous_digest IS NULL) = (previous_expire_time IS NULL));
-- What was an admin key was an owner of everything.
UPDATE quota.keys SET role = 'owner', organization_id = '', team_id = '' WHERE admin;
ALTER TABLE quota.keys ADD CHECK (admin = (role IS NOT NULL));
CREATE UNIQUE INDEX keys_idempotency ON quota.keys (made_by, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX keys_of_organization ON quota.keys (organization_id, create_time DESC, id DESC);
CREATE INDEX keys_of_team ON quota.keys (team_id, create_time DESC, id DESC) WHERE team_id <> '';
CREATE INDEX keys_of_user ON quota.keys (user_id) WHERE user_id <> '';

-- Whose limit it is: who sees no more than this may not change it. Empty means everything.
ALTER TABLE quota.limits
  ADD COLUMN owner_organization_id text NOT NULL DEFAULT '',
  ADD COLUMN owner_team_id text NOT NULL DEFAULT '';

CREATE INDEX budgets_of_limits ON quota.budgets (id COLLATE "C") WHERE scope_kind = 'limit';

CREATE TABLE quota.top_ups (
  made_by text NOT NULL,
  idempotency_key text NOT NULL,
  budget_id text NOT NULL,
  amount_nanos bigint NOT NULL CHECK (amount_nanos > 0),
  create_time timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (made_by, idempotency_key)
);

-- Who changed what. Written in the transaction of the change; never changed, never deleted.
CREATE TABLE quota.audit (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  time timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor_key_id text NOT NULL,
  actor_user_id text NOT NULL,
  actor_role text,
  method text NOT NULL,
  target_kind text NOT NULL,
  target_id text NOT NULL,
  organization_id text NOT NULL,
  team_id text NOT NULL,
  before jsonb,
  after jsonb,
  request_id text NOT NULL
);
CREATE INDEX audit_of_organization ON quota.audit (organization_id, id DESC);
CREATE INDEX audit_of_target ON quota.audit (target_kind, target_id, id DESC);
CREATE FUNCTION quota.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit log is append-only';
END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON quota.audit
  FOR EACH STATEMENT EXECUTE FUNCTION quota.refuse_change();
