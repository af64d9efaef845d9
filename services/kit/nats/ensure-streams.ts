import { JetStreamApiError, type JetStreamManager } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { deadStream, deadSubject } from "./usage-subjects.ts";

/** The largest usage event, in bytes. */
const maxMessageBytes = 1024 * 1024;
const dayMs = 86_400_000;

// https://github.com/nats-io/nats-server/blob/main/server/errors.json
const streamNameExists = 10058;

/** Makes the stream of usage events if it is missing. One that an operator has set up in another way is left so. */
export async function ensureUsageStream(manager: JetStreamManager, stream: string, subject: string): Promise<void> {
  await ensure(manager, stream, subject, 7 * dayMs);
}

/** Makes the stream of dead events if it is missing. */
export async function ensureDeadStream(manager: JetStreamManager): Promise<void> {
  await ensure(manager, deadStream, deadSubject, 90 * dayMs);
}

async function ensure(manager: JetStreamManager, name: string, subject: string, maxAgeMs: number): Promise<void> {
  try {
    await manager.streams.add({
      name,
      subjects: [subject],
      storage: "file",
      retention: "limits",
      max_age: nanos(maxAgeMs),
      max_msg_size: maxMessageBytes,
      duplicate_window: nanos(120_000),
    });
  } catch (error) {
    if (!(error instanceof JetStreamApiError && error.apiError().err_code === streamNameExists)) {
      throw error;
    }
  }
}
