import { type DescMessage, type DescService, type MessageShape, toJson } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { type Command, Option } from "commander";
import { UsageError } from "./usage-error.ts";

/** The options of every command that calls a gateway. */
export interface ApiOptions {
  readonly url: string;
  readonly adminKey?: string;
  readonly json?: true;
}

/** A gateway as a command sees it. */
export interface Api {
  client<S extends DescService>(service: S): Client<S>;
  /** Writes an answer: as JSON where that was asked for, else as `text` says. */
  print<D extends DescMessage>(schema: D, answer: MessageShape<D>, text: () => string): void;
  /** Writes text as it is, with a line end. */
  write(text: string): void;
}

/** Adds the options of a gateway to a command. */
export function withApiOptions(command: Command): Command {
  return command
    .addOption(new Option("--url <url>", "where the gateway is").env("PENSTOCK_URL").default("http://127.0.0.1:4000"))
    .addOption(new Option("--admin-key <key>", "the admin key to call with").env("PENSTOCK_ADMIN_KEY"))
    .option("--json", "print what the API answers, as JSON");
}

/** Opens a gateway. Throws UsageError when there is no admin key, or no address. */
export function openApi(options: ApiOptions): Api {
  const { url, adminKey } = options;
  if (adminKey === undefined || adminKey === "") {
    throw new UsageError("an admin key is needed: --admin-key, or PENSTOCK_ADMIN_KEY in the environment");
  }
  if (!URL.canParse(url)) {
    throw new UsageError(`${url} is no address such as http://127.0.0.1:4000`);
  }
  const transport = createConnectTransport({
    httpVersion: "1.1",
    baseUrl: url,
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${adminKey}`);
        return next(request);
      },
    ],
  });
  const write = (text: string): void => void process.stdout.write(`${text}\n`);
  return {
    client: (service) => createClient(service, transport),
    print(schema, answer, text) {
      write(options.json === true ? JSON.stringify(toJson(schema, answer), undefined, 2) : text());
    },
    write,
  };
}

/** All pages of a list. `ask` gets the token of a page and gives its items with the token of the next. */
export async function allPages<T>(
  ask: (pageToken: string) => Promise<{ readonly items: readonly T[]; readonly nextPageToken: string }>,
): Promise<readonly T[]> {
  const items: T[] = [];
  let pageToken = "";
  do {
    const page = await ask(pageToken);
    items.push(...page.items);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return items;
}
