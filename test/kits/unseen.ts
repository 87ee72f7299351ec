import { NO_TERMINAL } from "../../src/command.ts";

/** The part of a command's call that a test without a terminal gives it. */
export const UNSEEN = { terminal: NO_TERMINAL, progress: () => {} };
