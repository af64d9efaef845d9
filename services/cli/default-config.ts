/**
 * The configuration of a start without a file: the providers whose usual variables are set, and `echo`, which needs
 * nothing. As YAML text, so that it takes the same way as a file.
 */
export function defaultConfigText(env: NodeJS.ProcessEnv): string {
  const providers = ["  echo: { kind: echo }"];
  for (const [name, kind, variable] of known) {
    if ((env[variable] ?? "") !== "") {
      providers.push(`  ${name}: { kind: ${kind}, api_key: "\${${variable}}" }`);
    }
  }
  return `providers:
${providers.join("\n")}
models:
  echo:
    route: [{ target: echo/echo }]
  echo-failover:
    route: [{ target: echo/fail-503 }]
    fallback: [echo]
`;
}

const known = [
  ["openai", "openai", "OPENAI_API_KEY"],
  ["anthropic", "anthropic", "ANTHROPIC_API_KEY"],
  ["gemini", "gemini", "GEMINI_API_KEY"],
  ["mistral", "mistral", "MISTRAL_API_KEY"],
  ["groq", "groq", "GROQ_API_KEY"],
  ["deepseek", "deepseek", "DEEPSEEK_API_KEY"],
  ["xai", "xai", "XAI_API_KEY"],
  ["openrouter", "openrouter", "OPENROUTER_API_KEY"],
  ["cohere", "cohere", "COHERE_API_KEY"],
] as const;
