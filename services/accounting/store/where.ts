import type { LedgerFilter } from "./store.ts";

/** The conditions of a statement and the values they refer to. */
export class Where {
  readonly #conditions: string[] = [];
  readonly #values: unknown[];

  constructor(values: unknown[] = []) {
    this.#values = values;
  }

  /** What the statement's parameters are. */
  get values(): unknown[] {
    return this.#values;
  }

  /** Adds a value and returns how a statement refers to it. */
  value(value: unknown): string {
    this.#values.push(value);
    return `$${this.#values.length}`;
  }

  /** Adds a condition; values in it come from `value`. */
  add(condition: string): void {
    this.#conditions.push(condition);
  }

  /** Other conditions of the same statement. */
  more(): Where {
    return new Where(this.#values);
  }

  /** The conditions so far, all of which must hold. */
  text(): string {
    return this.#conditions.length === 0 ? "true" : this.#conditions.join(" AND ");
  }
}

/** Adds what a filter asks of the columns that attempts and rollups share: all but the tag. */
export function addFilter(where: Where, filter: LedgerFilter): void {
  for (const [column, value] of [
    ["organization_id", filter.organizationId],
    ["team_id", filter.teamId],
    ["key_id", filter.keyId],
    ["user_id", filter.userId],
    ["provider", filter.provider],
    ["model", filter.model],
    ["requested_model", filter.requestedModel],
  ] as const) {
    if (value !== "") {
      where.add(`${column} = ${where.value(value)}`);
    }
  }
  if (filter.outcome !== undefined) {
    where.add(`outcome = ${where.value(filter.outcome)}`);
  }
}

/** Adds what a filter asks of the tags of attempts. */
export function addTagFilter(where: Where, filter: LedgerFilter): void {
  if (filter.tagName !== "") {
    where.add(
      filter.tagValue === ""
        ? `tags ? ${where.value(filter.tagName)}`
        : `tags @> ${where.value(JSON.stringify({ [filter.tagName]: filter.tagValue }))}::jsonb`,
    );
  }
}

const rolledTagLength = 100;

/** Adds what a filter asks of the tag columns of a rollup, where names and values are cut. */
export function addRolledTagFilter(where: Where, tagName: string, tagValue: string): void {
  if (tagName !== "") {
    where.add(`tag_name = ${where.value(cut(tagName))}`);
    if (tagValue !== "") {
      where.add(`tag_value = ${where.value(cut(tagValue))}`);
    }
  }
}

function cut(text: string): string {
  // As Postgres counts: whole characters, not UTF-16 units.
  return text.length <= rolledTagLength ? text : Array.from(text).slice(0, rolledTagLength).join("");
}
