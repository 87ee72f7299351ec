import type { CommandGroup } from "../command.ts";
import type { Clock } from "../host.ts";
import { checkTrustCommand } from "./check-trust.ts";

/** `causeway check`: whether all is so that has to be. */
export const checkCommands = (clock: Clock): CommandGroup => ({
  name: "check",
  summary: "whether all is so that has to be, with a code and a fix for each thing that is not",
  commands: [checkTrustCommand(clock)],
});
