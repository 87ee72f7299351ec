import type { CommandGroup } from "../command.ts";
import { explainCommand } from "./explain.ts";

/** `causeway multicluster`: clusters joined, looked at and taken apart (contract peering.md 4). */
export const multiclusterCommands: CommandGroup = {
  name: "multicluster",
  summary: "join clusters, check that they are joined, and take them apart",
  commands: [explainCommand],
};
