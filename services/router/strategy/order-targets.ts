import type { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { pricesOfOperation } from "#kit/pricing/operation-prices.ts";
import type { RoutedModel, Target } from "../targets.ts";

/** What a choice of targets depends on, beside the model. */
export interface OrderContext {
  /** A number from 0 up to 1. */
  readonly random: () => number;
  /** Whether a target should rest, because it said so. */
  readonly cooling: (target: Target) => boolean;
  /** What is asked for: some operations are free where they have no price. */
  readonly operation: Operation;
  /** Leaves targets without a price out. */
  readonly pricedOnly: boolean;
}

/**
 * The targets of a model in the order in which one request tries them: within a group a weighted draw without
 * replacement, the groups one after another, and targets that should rest behind all others.
 */
export function orderTargets(model: RoutedModel, context: OrderContext): readonly Target[] {
  const [first] = model.groups;
  const [only] = first ?? [];
  if (model.groups.length === 1 && first?.length === 1 && only !== undefined) {
    // Most models have one target, and there is nothing to draw.
    return isLeftOut(only, context) ? [] : first;
  }
  const awake: Target[] = [];
  const resting: Target[] = [];
  const seen = new Set<string>();
  for (const group of model.groups) {
    for (const target of drawAll(group, context.random)) {
      if (seen.has(target.id) || isLeftOut(target, context)) {
        continue;
      }
      seen.add(target.id);
      (context.cooling(target) ? resting : awake).push(target);
    }
  }
  return [...awake, ...resting];
}

function isLeftOut(target: Target, context: OrderContext): boolean {
  return context.pricedOnly && pricesOfOperation(context.operation, target.prices) === undefined;
}

function drawAll(group: readonly Target[], random: () => number): readonly Target[] {
  if (group.length <= 1) {
    return group;
  }
  const left = [...group];
  const drawn: Target[] = [];
  while (left.length > 0) {
    let at = random() * left.reduce((sum, target) => sum + target.weight, 0);
    let index = 0;
    for (; index < left.length - 1; index += 1) {
      at -= left[index]?.weight ?? 0;
      if (at < 0) {
        break;
      }
    }
    drawn.push(...left.splice(index, 1));
  }
  return drawn;
}
