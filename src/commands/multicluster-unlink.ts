import { type Command, type CommandCall, type ExitCode, textOption } from "../command.ts";
import { GATEWAYS } from "../kube/resource-types.ts";
import { deleteAll, deletionName, type Deletion } from "../linking/deleting.ts";
import { type Loss, type Losses, lossesOf } from "../linking/losses.ts";
import { listText, readyText } from "../linking/names-seen.ts";
import { forecastSelections } from "../linking/read.ts";
import { nameOf, type Side } from "../linking/side.ts";
import { takenBack, type TakenBack } from "../linking/taking-back.ts";
import { readinessKnown } from "../linking/unread.ts";
import { CONTEXT_FLAGS } from "./contexts.ts";
import { DIRECTION_FLAGS, directionsOf } from "./link-request.ts";
import { LINK_TOOLS, type LinkTools, namespacesOf, type OpenSide, PLACE_FLAGS, withSides } from "./link-tools.ts";

/** `causeway multicluster unlink`: takes back what `link` made, and nothing else (contract peering.md 4.2, 4.7). */
export function unlinkCommand(tools: LinkTools = LINK_TOOLS): Command {
  return {
    name: "unlink",
    summary: "take back the Gateways that link made",
    flags: [
      ...CONTEXT_FLAGS,
      ...DIRECTION_FLAGS,
      ...PLACE_FLAGS.slice(1),
      { flags: "--peer <cluster>", description: "the ID of a cluster that need not be reached any more" },
      { flags: "--dry-run", description: "print what would go, and change nothing" },
      { flags: "--force", description: "also if services lose the last that answer for them" },
    ],
    examples: [
      "causeway multicluster unlink --contexts east,west --dry-run",
      "causeway multicluster unlink --from edge --to bank --one-way",
      "causeway multicluster unlink --context east --peer west",
    ],
    run(call) {
      const { system } = namespacesOf(call.options);
      const peer = textOption(call.options, "peer");
      const directions = peer === undefined ? directionsOf(call) : undefined;
      return withSides(tools, directions?.call ?? call, forecastSelections(system), (open) => {
        const leaving = new Map<Side, Set<string>>();
        const leave = (reader: Side, cluster: string | undefined): void => {
          if (cluster !== undefined) leaving.set(reader, (leaving.get(reader) ?? new Set<string>()).add(cluster));
        };
        const sides = open.map(({ side }) => side);
        for (const side of peer === undefined ? [] : sides) leave(side, peer);
        for (const pair of directions?.pairs(sides) ?? []) leave(pair.reader, pair.peer.cluster);
        return unlink(call, open, leaving);
      });
    },
  };
}

async function unlink(
  call: CommandCall,
  open: readonly OpenSide[],
  leaving: ReadonlyMap<Side, ReadonlySet<string>>,
): Promise<ExitCode> {
  const { options, printer, signal } = call;
  const [dryRun, force] = [options["dryRun"] === true, options["force"] === true];
  const taken = [...leaving].map(([reader, clusters]) => takenBack(reader, clusters));
  for (const text of taken.flatMap(foreignText)) printer.err(text);
  const sides = open.map(({ side }) => side);
  const losses = lossesOf(sides, taken, leaving);
  const refused = losses.flatMap((each) => lossText(each, sides));
  for (const text of refused) printer.err(text);
  const deletions = open.flatMap(({ access, side }): readonly Deletion[] =>
    (taken.find(({ reader }) => reader === side)?.ours ?? []).map(({ object }) => ({
      ...{ api: access.api, where: nameOf(side), type: GATEWAYS, object },
    })),
  );
  const stopped = refused.length > 0 && !force;
  if (dryRun) for (const text of losses.flatMap((each) => lessText(each, sides))) printer.out(text);
  if (dryRun) for (const each of deletions) printer.out(`${deletionName(each)} would be deleted\n`);
  else if (stopped) printer.err("Nothing was changed, in no cluster: add --force if that is meant.\n");
  else await deleteAll(deletions, (done) => printer.out(`${deletionName(done)} deleted\n`), signal);
  if (deletions.length === 0) printer.out("There is no Gateway to take back.\n");
  return stopped || taken.some(({ foreign }) => foreign.length > 0) ? 1 : 0;
}

const foreignText = ({ reader, foreign }: TakenBack): readonly string[] =>
  foreign.map(({ gateway: { id }, object }) => {
    const release = object.metadata.annotations?.["meta.helm.sh/release-name"];
    const fix = release === undefined ? "delete it where it comes from" : `take it out of Helm release ${release}`;
    return `${nameOf(reader)}: Gateway ${id.namespace}/${id.name} was not made by link alone, and stays: ${fix}\n`;
  });

/** What would be gone altogether, or cannot be told. */
function lossText({ reader, services, unknown }: Losses, sides: readonly Side[]): readonly string[] {
  const lost = services
    .filter(({ left }) => left.length === 0)
    .map(({ service, names, from }) => {
      const nowhere = names.length === 0 ? "" : `: ${listText(names)} would lead nowhere`;
      return `${nameOf(reader)}: nobody would answer for service ${service} any more${nowhere}; today ${endsText(from, sides)}\n`;
    });
  return unknown === undefined ? lost : [...lost, `${nameOf(reader)}: ${unknown}\n`];
}

/** What would go on with fewer. */
const lessText = ({ reader, services }: Losses, sides: readonly Side[]): readonly string[] =>
  services
    .filter(({ left }) => left.length > 0)
    .map(
      ({ service, names, from, left }) =>
        `${nameOf(reader)}: ${listText(names)} (service ${service}) would lose ${endsText(from, sides)}, and keep ${endsText(left, sides)}\n`,
    );

function endsText(ends: Loss["from"], sides: readonly Side[]): string {
  return listText(
    ends.map(([cluster, end]) => {
      const side = sides.find((each) => each.cluster === cluster);
      return end === undefined ? cluster : `${cluster} (${readyText(end, side === undefined || readinessKnown(side))})`;
    }),
  );
}
