import type { CommandGroup } from "../command.ts";
import { systemClock } from "../system-host.ts";
import { sourceTools } from "./cluster-sources.ts";
import { explainCommand } from "./explain.ts";
import { multiclusterCheckCommand } from "./multicluster-check.ts";
import { diffCommand } from "./multicluster-diff.ts";
import { drillCommand } from "./multicluster-drill.ts";
import { exposeCommand } from "./multicluster-expose.ts";
import { linkCommand } from "./multicluster-link.ts";
import { repairCommand } from "./multicluster-repair.ts";
import { topologyCommand } from "./multicluster-topology.ts";
import { unlinkCommand } from "./multicluster-unlink.ts";

/** `causeway multicluster`: clusters joined, looked at and taken apart (contract peering.md 4). */
export const multiclusterCommands: CommandGroup = {
  name: "multicluster",
  summary: "join clusters, check that they are joined, and take them apart",
  commands: [
    exposeCommand(),
    linkCommand(),
    unlinkCommand(),
    repairCommand(),
    multiclusterCheckCommand(sourceTools(systemClock)),
    explainCommand,
    diffCommand(systemClock),
    drillCommand(),
    topologyCommand,
  ],
};
