/** One turn of the scripted model. */
export interface Turn {
  readonly thought: boolean;
  /** What it says; empty when it calls a tool. */
  readonly text: string;
  /** The tool that it calls; empty when it says something. */
  readonly tool: string;
  /** The arguments of the call, as JSON. */
  readonly argumentsJson: string;
}

/** What the model thinks before each turn of which it is asked for its thoughts. */
export const thoughtText = "Better look outside.";
/** The provider's proof of the thought, which has to come back as it was. Base64, as Google requires. */
export const thoughtSignature = "U2lnbmVkIGJ5IHRoZSBwcm92aWRlci4=";
/** What the model says, after a call or when it has no tools. */
export const finalText = "It is warm in Paris.";
/** What it says where JSON is asked for. */
export const structuredAnswer = { city: "Paris", celsius: 21 } as const;
/** What each turn is said to have used. */
export const turnUsage = { input: 10, output: 5 } as const;
