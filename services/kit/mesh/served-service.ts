import type { DescService } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";

/** What one process serves to others. */
export interface ServedService {
  readonly service: DescService;
  readonly implementation: ServiceImpl<DescService>;
}
