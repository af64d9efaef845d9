import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { AuditEntry, AuditService } from "#gen/penstock/admin/v1/audit_service_pb.ts";
import { roleValue } from "#kit/auth/role-values.ts";
import type { AdminStore, StoredAuditRecord } from "../store/admin-store.ts";
import { callerOf } from "./caller.ts";
import { pageOf, readPageSize, readPageToken, stored } from "./read-fields.ts";

/** Shows the audit log. What a role may do at all is checked before: `kit/auth/permissions.ts`. */
export function createAuditService({ admin }: { readonly admin: AdminStore }): ServiceImpl<typeof AuditService> {
  return {
    async listAudit(req, context) {
      const { organizationId, teamId } = callerOf(context).actor;
      const pageSize = readPageSize(req.pageSize);
      const before = readPageToken(req.pageToken, /^\["(\d{1,18})"\]$/)?.[1];
      const found = await stored(
        admin.listAudit({
          organizationId,
          teamId,
          limit: pageSize + 1,
          beforeId: before === undefined ? undefined : BigInt(before),
          targetKind: req.targetKind,
          targetId: req.targetId,
          actorKeyId: req.actorKeyId,
        }),
      );
      const { page, nextPageToken } = pageOf(found, pageSize, (last) => [String(last.id)]);
      return { entries: page.map(mapEntry), nextPageToken };
    },
  };
}

function mapEntry(record: StoredAuditRecord): AuditEntry {
  return {
    $typeName: "penstock.admin.v1.AuditEntry",
    id: record.id,
    time: timestampFromMs(record.timeMs),
    actorKeyId: record.actorKeyId,
    actorUserId: record.actorUserId,
    actorRole: roleValue(record.actorRole),
    method: record.method,
    targetKind: record.targetKind,
    targetId: record.targetId,
    organizationId: record.organizationId,
    teamId: record.teamId,
    ...(record.before === undefined ? {} : { before: record.before }),
    ...(record.after === undefined ? {} : { after: record.after }),
    requestId: record.requestId,
  };
}
