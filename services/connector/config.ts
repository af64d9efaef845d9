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

const bedrockAccount = z
  .strictObject({
    kind: z.literal("bedrock"),
    ...account,
    api_key: secret().optional().describe("A key of Bedrock's own (AWS_BEARER_TOKEN_BEDROCK), in place of a pair."),
    region: z
      .string()
      .regex(/^[a-z]{2}(?:-[a-z]+)+-\d+$/, "a region is written like us-east-1")
      .describe("The AWS region whose models are called, such as us-east-1."),
    access_key_id: secret().optional().describe("The id of the key pair that signs requests (AWS_ACCESS_KEY_ID)."),
    secret_access_key: secret().optional().describe("The secret of the key pair (AWS_SECRET_ACCESS_KEY)."),
    session_token: secret().optional().describe("The token of a key pair that expires (AWS_SESSION_TOKEN)."),
  })
  .refine((entry) => (entry.access_key_id === undefined) === (entry.secret_access_key === undefined), {
    error: "access_key_id and secret_access_key come together",
    path: ["secret_access_key"],
  })
  .refine(
    (entry) => [entry.api_key, entry.api_keys, entry.access_key_id].filter((given) => given !== undefined).length === 1,
    { error: "give either api_key, api_keys, or access_key_id with secret_access_key", path: ["api_key"] },
  );

const vertexAccount = z
  .strictObject({
    kind: z.literal("vertex"),
    ...account,
    project: z.string().min(1).optional().describe("The id of the Google Cloud project; needless with an api_key."),
    location: z
      .string()
      .regex(/^[a-z0-9-]+$/, "a location is written like us-east5, eu or global")
      .default("global")
      .describe("Where the models run: a region, us or eu, or global."),
    access_token: secret().optional().describe("A token that is given from outside; it is not renewed."),
    credentials: secret().optional().describe("The key of a service account as JSON text."),
    credentials_file: z
      .string()
      .min(1)
      .optional()
      .describe("The file of a service account's key. Absent: the environment's default credentials."),
  })
  .refine((entry) => entry.project !== undefined || entry.api_key !== undefined || entry.api_keys !== undefined, {
    error: "is missing",
    path: ["project"],
  })
  .refine(
    (entry) =>
      [entry.api_key, entry.api_keys, entry.access_token, entry.credentials, entry.credentials_file].filter(
        (given) => given !== undefined,
      ).length <= 1,
    { error: "give one of api_key, api_keys, access_token, credentials and credentials_file", path: ["credentials"] },
  );

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
      bedrockAccount,
      vertexAccount,
      z.strictObject({ kind: z.literal("ollama"), ...account }),
      z.strictObject({ kind: z.literal("echo") }),
    ]),
  )
  .default({});

/** The accounts at providers, by name. */
export type ProvidersConfig = z.output<typeof providersConfig>;
/** One account. */
export type ProviderConfig = ProvidersConfig[string];
