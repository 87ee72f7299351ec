import { type Command, type CommandCall, type ExitCode, UsageError } from "../command.ts";
import { deleteAll, deletionName, type Deletion } from "../linking/deleting.ts";
import { orphansIn } from "../linking/orphans.ts";
import { repairSelections } from "../linking/read.ts";
import { nameOf } from "../linking/side.ts";
import { CONTEXT_FLAGS } from "./contexts.ts";
import { LINK_TOOLS, type LinkTools, namespacesOf, type OpenSide, PLACE_FLAGS, withSides } from "./link-tools.ts";

/** `causeway multicluster repair`: removes what a peer that is gone left behind (contract peering.md B50, 4.7). */
export function repairCommand(tools: LinkTools = LINK_TOOLS): Command {
  return {
    name: "repair",
    summary: "remove generated entries of peers that are gone",
    flags: [
      ...CONTEXT_FLAGS,
      ...PLACE_FLAGS.slice(1),
      { flags: "--orphans", description: "entries autogen.* and autogenflat.* of clusters that nothing leads to" },
      { flags: "--dry-run", description: "print what would go, and change nothing" },
    ],
    examples: ["causeway multicluster repair --orphans --dry-run --contexts east,west"],
    run(call) {
      if (call.options["orphans"] !== true) throw new UsageError("say what is to be repaired: --orphans");
      const { system } = namespacesOf(call.options);
      return withSides(tools, call, repairSelections(system), (open) => repair(call, open));
    },
  };
}

async function repair({ options, printer, signal }: CommandCall, open: readonly OpenSide[]): Promise<ExitCode> {
  const judged = open.map(({ access, side }) => ({ access, side, ...orphansIn(side) }));
  const deletions = judged.flatMap(({ access, side, orphans }) =>
    orphans.map(({ type, object }): Deletion => ({ api: access.api, where: nameOf(side), type, object })),
  );
  for (const { side, kept } of judged)
    for (const { object, why } of kept) printer.err(`${deletionName({ where: nameOf(side), object })} stays: ${why}\n`);
  if (deletions.length === 0) printer.out("There is no entry that is certain to be an orphan.\n");
  if (options["dryRun"] === true) for (const each of deletions) printer.out(`${deletionName(each)} would be deleted\n`);
  else await deleteAll(deletions, (done) => printer.out(`${deletionName(done)} deleted\n`), signal);
  return 0;
}
