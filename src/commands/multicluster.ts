import type { CommandGroup } from "../command.ts";
import { systemClock } from "../system-host.ts";
import { openContexts } from "./contexts.ts";
import { explainCommand } from "./explain.ts";
import { multiclusterCheckCommand } from "./multicluster-check.ts";
import { diffCommand } from "./multicluster-diff.ts";
import { exposeCommand } from "./multicluster-expose.ts";
import { linkCommand } from "./multicluster-link.ts";
import { topologyCommand } from "./multicluster-topology.ts";

/** `causeway multicluster`: clusters joined, looked at and taken apart (contract peering.md 4). */
export const multiclusterCommands: CommandGroup = {
  name: "multicluster",
  summary: "join clusters, check that they are joined, and take them apart",
  commands: [
    exposeCommand(),
    linkCommand(),
    multiclusterCheckCommand({ clock: systemClock, open: openContexts }),
    explainCommand,
    diffCommand(systemClock),
    topologyCommand,
  ],
};
