import type { KeyRecord } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";

/** Whether a key may use a model. A pattern with `*` at its end matches any rest; no pattern at all allows everything. */
export function mayUseModel(key: KeyRecord, model: string): boolean {
  return (
    key.allowedModels.length === 0 ||
    key.allowedModels.some((pattern) =>
      pattern.endsWith("*") ? model.startsWith(pattern.slice(0, -1)) : model === pattern,
    )
  );
}

/** Throws when a key may not use a model. */
export function authorizeModel(key: KeyRecord, model: string): void {
  if (!mayUseModel(key, model)) {
    throw gatewayError(ErrorReason.MODEL_NOT_ALLOWED, `This key may not use the model ${JSON.stringify(model)}.`, {
      metadata: { param: "model" },
    });
  }
}
