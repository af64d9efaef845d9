import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { type ModelEntry, ModelEntrySchema } from "#gen/penstock/router/v1/router_service_pb.ts";
import { ceilingOf } from "#kit/pricing/price-usage.ts";
import type { RoutedModel, RoutingTable } from "./targets.ts";

/** What others need to know of the models of a table. */
export function modelEntries(table: RoutingTable, createTime: Timestamp): ModelEntry[] {
  return table.models.map((model) => modelEntry(model, createTime));
}

/** What others need to know of one model. */
export function modelEntry(model: RoutedModel, createTime: Timestamp): ModelEntry {
  const targets = model.groups.flat();
  const priced = targets.flatMap((target) => (target.prices === undefined ? [] : [target.prices]));
  const ceiling = ceilingOf(priced);
  return create(ModelEntrySchema, {
    name: model.name,
    providers: [...new Set(targets.map((target) => target.provider))],
    anyPriced: priced.length > 0,
    createTime,
    ...(ceiling === undefined ? {} : { priceCeiling: ceiling }),
  });
}
