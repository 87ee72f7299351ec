import type { CommandGroup } from "../command.ts";
import { spireStatusCommand } from "./spire-status.ts";

/** `causeway spire`: what a control plane has to do with SPIRE. */
export const spireCommands: CommandGroup = {
  name: "spire",
  summary: "SPIRE, as a control plane sees it",
  commands: [spireStatusCommand],
};
