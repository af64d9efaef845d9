import { anthropicDoor } from "./anthropic-door.ts";
import { geminiDoor } from "./gemini-door.ts";
import { openAiDoor } from "./openai-door.ts";
import { responsesDoor } from "./responses-door.ts";
import { typedDoor } from "./typed-door.ts";
import type { WireDoor } from "./wire-door.ts";

/** All doors at which recorded answers are played: the columns of the table. A new door is one more line. */
export const wireDoors: readonly WireDoor[] = [openAiDoor, responsesDoor, anthropicDoor, geminiDoor, typedDoor];
