import type { Frame } from "#gen/penstock/mesh/v1/link_service_pb.ts";
import { LinkService } from "#gen/penstock/mesh/v1/link_service_pb.ts";

/** The path of the only RPC. */
export const linkPath: string = `/${LinkService.typeName}/${LinkService.method.link.name}`;

/** What both sides of a link send: Connect's streaming format with binary messages. */
export const linkContentType = "application/connect+proto";

/** The largest message that one service takes from another: a request body of 32 MiB with what surrounds it. */
export const maxMessageBytes: number = 40 * 1024 * 1024;

/** The largest LinkRequest or LinkResponse that is taken, in bytes. */
export const maxEnvelopeBytes: number = 1024 * 1024;

/** The largest piece of a message in one frame, in bytes: what another call waits for at most behind a large one. */
export const partBytes: number = 64 * 1024;

/** For how many bytes each side may send messages of a call before the other has given it credit. */
export const initialCredit: number = 512 * 1024;

/** What a frame of a message costs beside its bytes, so that many empty messages are bounded too. */
export const frameCost = 128;

/** How many calls may run on a link at a time. */
export const maxCallsOfLink = 16_384;

/** HTTP/2's own windows, in bytes: wide enough that they never hold up what calls have credit for in a data center. */
export const streamWindowBytes: number = 4 * 1024 * 1024;

type FrameContent = Exclude<Frame["content"]["case"], undefined>;

/** The contents of a frame by their field numbers. */
export const frameKind = {
  open: 2,
  message: 3,
  part: 4,
  head: 5,
  end: 6,
  cancel: 7,
  credit: 8,
  ping: 9,
  pong: 10,
  drain: 11,
} as const satisfies Readonly<Record<FrameContent, number>>;

/** The other side broke the rules of the link, which ends it. */
export class LinkProtocolError extends Error {
  override readonly name = "LinkProtocolError";
}
