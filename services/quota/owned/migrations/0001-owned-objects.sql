CREATE SCHEMA owned;

-- One row for each thing that a provider keeps for a tenant.
CREATE TABLE owned.objects (
  kind smallint NOT NULL,
  provider text NOT NULL,
  provider_id text NOT NULL,
  id text NOT NULL,
  organization_id text NOT NULL,
  team_id text NOT NULL,
  key_id text NOT NULL,
  model text NOT NULL,
  purpose text NOT NULL,
  description_json text NOT NULL,
  item_ids text[] NOT NULL,
  context_tokens bigint,
  usage_attempt_id text NOT NULL,
  create_time timestamptz NOT NULL,
  expire_time timestamptz,
  -- The first owner keeps it: an id that a provider gives twice is nobody else's.
  PRIMARY KEY (kind, provider, provider_id)
);

CREATE INDEX objects_by_id ON owned.objects (id);
CREATE INDEX objects_of_owner ON owned.objects (organization_id, kind, create_time, id);
CREATE INDEX objects_by_item ON owned.objects USING gin (item_ids);
CREATE INDEX objects_by_end ON owned.objects (expire_time) WHERE expire_time IS NOT NULL;
