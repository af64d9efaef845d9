import type { FakeProvider } from "../harness/fake-provider.ts";

/** A model at each of three families of providers. */
export const families = ["gpt", "claude", "flash"] as const;

/** The name of a model of `threeFamilies`. */
export type Family = (typeof families)[number];

/** The configuration of a gateway before OpenAI, Anthropic and Google, all played by one provider. */
export function threeFamilies({ url }: FakeProvider): string {
  return `
providers:
  openai: { kind: openai, base_url: "${url}/v1", api_key: sk-fake-openai }
  anthropic: { kind: anthropic, base_url: "${url}", api_key: sk-fake-anthropic }
  gemini: { kind: gemini, base_url: "${url}/v1beta", api_key: sk-fake-gemini }
models:
  gpt: { route: [{ target: openai/gpt }], retry: { attempts: 1 } }
  claude: { route: [{ target: anthropic/claude }], retry: { attempts: 1 } }
  flash: { route: [{ target: gemini/flash }], retry: { attempts: 1 } }
  # Names that coding agents know, at providers that do not.
  gpt-5.5: { route: [{ target: gemini/flash }], retry: { attempts: 1 } }
  claude-opus-4-8: { route: [{ target: gemini/flash }], retry: { attempts: 1 } }
  vectors: { route: [{ target: openai/vectors }], retry: { attempts: 1 } }
  gemini-vectors: { route: [{ target: gemini/gemini-vectors }], retry: { attempts: 1 } }
prices: { overrides: { openai/gpt: { input: $1/M, output: $1/M } } }
`;
}
