-- The cost of the dearest attempt of each sum, or more: by it lists of dear requests find the hours to look in.
ALTER TABLE accounting.rollup_hourly ADD COLUMN max_cost_nanos bigint NOT NULL DEFAULT 0;
ALTER TABLE accounting.rollup_daily ADD COLUMN max_cost_nanos bigint NOT NULL DEFAULT 0;
ALTER TABLE accounting.rollup_tag_hourly ADD COLUMN max_cost_nanos bigint NOT NULL DEFAULT 0;
ALTER TABLE accounting.rollup_tag_daily ADD COLUMN max_cost_nanos bigint NOT NULL DEFAULT 0;
UPDATE accounting.rollup_hourly SET max_cost_nanos = cost_nanos;
UPDATE accounting.rollup_daily SET max_cost_nanos = cost_nanos;
UPDATE accounting.rollup_tag_hourly SET max_cost_nanos = cost_nanos;
UPDATE accounting.rollup_tag_daily SET max_cost_nanos = cost_nanos;
