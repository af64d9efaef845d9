import type { z } from "zod";
import type { ConfigPath } from "./problem.ts";

type Schema = z.core.$ZodType;

/** The keys that a schema allows in the map at a path, those of all alternatives together. */
export function knownKeysAt(schema: Schema, path: ConfigPath): readonly string[] {
  const [next, ...rest] = path;
  const keys = alternativesOf(schema).flatMap((alternative) => {
    if (next === undefined) {
      return alternative._zod.def.type === "object" ? Object.keys(shapeOf(alternative)) : [];
    }
    return childrenOf(alternative, next).flatMap((child) => knownKeysAt(child, rest));
  });
  return [...new Set(keys)];
}

// zod describes each schema by a `def` whose fields depend on its `type`; the type of `def` is checked by that field
// before each use below, and the assertions only say what the check has shown.
type Def =
  | z.core.$ZodObjectDef
  | z.core.$ZodRecordDef
  | z.core.$ZodArrayDef
  | z.core.$ZodTupleDef
  | z.core.$ZodUnionDef
  | z.core.$ZodIntersectionDef
  | z.core.$ZodPipeDef
  | z.core.$ZodLazyDef
  | z.core.$ZodOptionalDef
  | z.core.$ZodNullableDef
  | z.core.$ZodDefaultDef
  | z.core.$ZodPrefaultDef
  | z.core.$ZodCatchDef
  | z.core.$ZodReadonlyDef
  | z.core.$ZodNonOptionalDef
  | { readonly type: "any" };

function defOf(schema: Schema): Def {
  // Safe: kinds that the union does not list fall through every switch on `type`.
  return schema._zod.def as Def;
}

function shapeOf(schema: Schema): Readonly<Record<string, Schema>> {
  const def = defOf(schema);
  return def.type === "object" ? def.shape : {};
}

/** What is left of a schema when optional, default, union and the like are taken off. */
function alternativesOf(schema: Schema): readonly Schema[] {
  const def = defOf(schema);
  switch (def.type) {
    case "union":
      return def.options.flatMap(alternativesOf);
    case "intersection":
      return [...alternativesOf(def.left), ...alternativesOf(def.right)];
    case "pipe":
      return alternativesOf(def.in).some(({ _zod }) => _zod.def.type !== "transform")
        ? alternativesOf(def.in)
        : alternativesOf(def.out);
    case "lazy":
      return alternativesOf(def.getter());
    case "optional":
    case "nullable":
    case "default":
    case "prefault":
    case "catch":
    case "readonly":
    case "nonoptional":
      return alternativesOf(def.innerType);
    default:
      return [schema];
  }
}

function childrenOf(schema: Schema, key: string | number): readonly Schema[] {
  const def = defOf(schema);
  switch (def.type) {
    case "object": {
      const child = shapeOf(schema)[String(key)] ?? def.catchall;
      return child === undefined ? [] : [child];
    }
    case "record":
      return [def.valueType];
    case "array":
      return [def.element];
    case "tuple": {
      const item = typeof key === "number" ? (def.items[key] ?? def.rest) : undefined;
      return item ? [item] : [];
    }
    default:
      return [];
  }
}
