import { z } from "zod";
import { count, duration, secret } from "#kit/config/scalars.ts";
import { openAiFamily, type OpenAiFamilyName } from "./providers/openai-family.ts";

const weightedKey = z.strictObject({
  value: secret().describe("The key itself, usually ${NAME} of an environment variable."),
  weight: z.number().positive().default(1).describe("Its share of the requests among the account's keys."),
});

const account = {
  api_key: secret().optional().describe("The account's key; `none` for a server that takes none."),
  api_keys: z.array(weightedKey).min(1).optional().describe("Several keys, chosen by weight, in place of api_key."),
  base_url: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe("Where the API is, when not at the provider's own address."),
  connections: count().prefault("1000").describe("The most connections to the provider at once."),
  connect_timeout: duration().prefault("3s").describe("How long a connection may take."),
};

const familyNames = Object.keys(openAiFamily).filter(
  (name): name is Exclude<OpenAiFamilyName, "openai-compatible"> => name !== "openai-compatible",
);

/** The `providers` section: one entry for each account, by the name that targets use. */
export const providersConfig = z
  .record(
    z.string().regex(/^[a-z0-9][a-z0-9._-]*$/i, "a provider's name has letters, digits, dots, dashes and underscores"),
    z.discriminatedUnion("kind", [
      z.strictObject({ kind: z.enum(familyNames), ...account }),
      z.strictObject({ kind: z.literal("anthropic"), ...account }),
      z.strictObject({ kind: z.literal("gemini"), ...account }),
      z.strictObject({ kind: z.literal("cohere"), ...account }),
      z.strictObject({
        kind: z.literal("openai-compatible"),
        ...account,
        base_url: z.url({ protocol: /^https?$/ }).describe("Where the API is, up to and with its version."),
      }),
      z.strictObject({
        kind: z.literal("azure-openai"),
        ...account,
        base_url: z
          .url({ protocol: /^https?$/ })
          .describe("The resource's endpoint, such as https://name.openai.azure.com."),
        api_version: z.string().default("2024-10-21").describe("The version of Azure's API."),
      }),
      z.strictObject({ kind: z.literal("echo") }),
    ]),
  )
  .default({});

/** The accounts at providers, by name. */
export type ProvidersConfig = z.output<typeof providersConfig>;
/** One account. */
export type ProviderConfig = ProvidersConfig[string];
