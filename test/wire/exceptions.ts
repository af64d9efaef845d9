/** A difference that is right as it is. */
export interface WireException {
  readonly name: string;
  /** Why it is right. */
  readonly argument: string;
  /** Which recordings or scenarios; all unless given. */
  readonly ids?: RegExp;
  /** Which of their differences. */
  readonly problem: RegExp;
}

/** A difference with the exception that allows it. */
export interface ExceptedDifference {
  readonly exception: string;
  readonly problem: string;
}

/** All differences that are right, each with its argument. What is not named here fails. */
export const wireExceptions: readonly WireException[] = [
  {
    name: "default output limit",
    argument: "Anthropic's requests need a limit, and where OpenAI's has none each client takes a default of its own.",
    ids: /^parallel\./,
    problem: /^\.max_tokens: 1024, recorded \d+$/,
  },
  {
    name: "default tool choice",
    argument: "Leaving the choice to the model is what happens when nothing is said.",
    ids: /^parallel\./,
    problem: /^\.tool_choice: absent, recorded \{"type":"auto"\}$/,
  },
  {
    name: "ids of calls",
    argument:
      "Gemini matches results by name and order, and takes ids where they are given: they tell equal calls apart.",
    ids: /^parallel\./,
    problem: /\.function(?:Call|Response)\.id: "call \d", recorded absent$/,
  },
  {
    name: "the member of a result",
    argument:
      "OpenAI's results are texts and Gemini's objects: the text goes under one name, which each client chooses.",
    ids: /^parallel\./,
    problem: /\.functionResponse\.response\.(?:result|temperature): /,
  },
  {
    name: "signatures of thoughts",
    argument:
      "They are the provider's own, and a conversation that was begun elsewhere has none or Google's escape value.",
    ids: /^parallel\./,
    problem: /\.thoughtSignature: (?:absent|"c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="), recorded "/,
  },
  {
    name: "who called a tool",
    argument: "Anthropic's answers name the caller, and a model that calls directly is the default in a request.",
    ids: /^parallel\./,
    problem: /\.caller: absent, recorded \{"type":"direct"\}$/,
  },
  {
    name: "what is kept at the provider",
    argument:
      "Prompts, vector stores and files that were made elsewhere belong to the operator's account, and so to no tenant.",
    ids: /^(?:openai\.responses\.sync\.(?:195ae40d|b105b61a)|anthropic\.messages\.sync\.8fd8220e)$/,
    problem: /^status 40[04]: \S+ (?:Unsupported parameter: 'prompt'|Vector stores|No such File object)/,
  },
  {
    name: "tools of Bedrock",
    argument: "The recorder counts calls that Bedrock answers itself: a caller who got them would have to answer them.",
    ids: /^bedrock\./,
    problem: /^tool calls .*expected \[\{"name":"nova_/,
  },
  {
    name: "the type of a call",
    argument: "Bedrock's answers say that a call is one, and a request without the word means the same.",
    ids: /^parallel\./,
    problem: /\.toolUse\.type: absent, recorded "tool_use"$/,
  },
  {
    name: "closed schemas",
    argument:
      "OpenAI's request of the scenario closes its schema and the other does not: it is kept, and both take it.",
    ids: /^parallel\.(?:parallelToolCallsDisabledParam|textFormatJsonSchemaWithDescriptionParam|toolChoiceRequiredParam) /,
    problem: /\.additionalProperties: false, recorded absent$|^\.tools\[0\]\.strict: true, recorded absent$/,
  },
  {
    name: "the answer of another model",
    argument: "The turn before is what each model said, and no two said the same.",
    ids: /^parallel\.(?:parallelToolCallsRequest|reasoningWithOutput) 2/,
    problem: /^\.(?:messages|contents)\[[13]\]\.(?:content|parts)\[0\]\.text: /,
  },
  {
    name: "other words",
    argument: "The authors of the scenario asked the same in other words.",
    ids: /^parallel\.(?:instructionsParam|parallelToolCallsDisabledParam) 1/,
    problem:
      /^\.system\[0\]\.text: "Always say ok\.", |^\.messages\[0\]\.content\[0\]\.text: "Weather in NYC and LA\?", /,
  },
];

/** Parts the differences of one answer or request into those that are right and those that are not. */
export function judgeProblems(
  id: string,
  problems: readonly string[],
): { readonly failures: readonly string[]; readonly excepted: readonly ExceptedDifference[] } {
  const failures: string[] = [];
  const excepted: ExceptedDifference[] = [];
  for (const problem of problems) {
    const exception = wireExceptions.find((each) => each.problem.test(problem) && each.ids?.test(id) !== false);
    if (exception === undefined) {
      failures.push(problem);
    } else {
      excepted.push({ exception: exception.name, problem });
    }
  }
  return { failures, excepted };
}
