import { type Command, type CommandCall, type ExitCode } from "../command.ts";
import type { Finding } from "../inspect/finding.ts";
import { carryOut, plannedChanges, type Wish } from "../linking/applying.ts";
import { manifestsYaml, namespaceObject } from "../linking/exposure.ts";
import { planPair, type LinkOptions, type PairPlan } from "../linking/pairs.ts";
import { forecastSelections, linkSelections } from "../linking/read.ts";
import { nameOf } from "../linking/side.ts";
import { type Awaited, waitForAll, waitUntil } from "../linking/waiting.ts";
import { CONTEXT_FLAGS, namedContexts } from "./contexts.ts";
import { LINK_OUTPUT_FLAG, printPreview } from "./link-preview.ts";
import { DIRECTION_FLAGS, directionsOf, LINK_FLAGS, linkOptions, type Directions } from "./link-request.ts";
import {
  APPLY_FLAGS,
  changeLine,
  LINK_TOOLS,
  type LinkTools,
  namespacesOf,
  type OpenSide,
  ownershipOf,
  PLACE_FLAGS,
  readOpen,
  withSides,
} from "./link-tools.ts";

/** `causeway multicluster link`: where each cluster's peers are (contract peering.md 4.2). */
export function linkCommand(tools: LinkTools = LINK_TOOLS): Command {
  return {
    name: "link",
    summary: "make the Gateways by which clusters read each other; --dry-run says what would come of it",
    flags: [...CONTEXT_FLAGS, ...DIRECTION_FLAGS, ...PLACE_FLAGS, ...LINK_FLAGS, ...APPLY_FLAGS, LINK_OUTPUT_FLAG],
    examples: [
      "causeway multicluster link --contexts east,west --dry-run",
      "causeway multicluster link --contexts east,west,north --wait --timeout 5m",
      "causeway multicluster link --from edge --to bank --one-way",
    ],
    run(call) {
      const directions = directionsOf(call);
      const { system } = namespacesOf(call.options);
      const contexts = namedContexts(directions.call).map((context) => context ?? "");
      const wanted = linkOptions(call.options, contexts);
      const selections = call.options["dryRun"] === true ? forecastSelections(system) : linkSelections(system);
      return withSides(tools, directions.call, selections, (sides) => link(tools, directions, wanted, sides));
    },
  };
}

async function link(
  tools: LinkTools,
  directions: Directions,
  wanted: LinkOptions,
  opened: readonly OpenSide[],
): Promise<ExitCode> {
  const { call } = directions;
  const { options, printer } = call;
  const { open, plans } = await settledPlans(tools, directions, opened, wanted);
  const errors = plans.flatMap(({ findings }) => findings).filter(({ level }) => level === "error");
  if (options["dryRun"] === true) return printPreview(call, wishesOf(open, plans, wanted), plans);
  if (errors.length > 0) {
    for (const text of new Set(errors.map(sentenceOf))) printer.err(text);
    printer.err("Nothing was changed, in no cluster.\n");
    return 1;
  }
  sayWarnings(call, plans);
  const wishes = wishesOf(open, plans, wanted);
  if (options["generate"] === true) {
    for (const { where, manifests } of wishes) printer.out(manifestsYaml(manifests, [`for ${where}`]));
    return 0;
  }
  await applyAll(call, wishes);
  if (options["wait"] === true) await awaitLinks(tools, call, wishes);
  return 0;
}

const sentenceOf = ({ code, evidence, fix }: Finding): string =>
  `${code}: ${evidence}.${fix === "" ? "" : ` Fix: ${fix}`}\n`;

function sayWarnings({ printer }: CommandCall, plans: readonly PairPlan[]): void {
  const said = plans.flatMap(({ findings }) => findings).filter(({ level }) => ["warning", "info"].includes(level));
  for (const text of new Set(said.map(sentenceOf))) printer.err(text);
}

/** For one look at all clusters, each of which has its own limit. */
const READ_MS = 25_000;

/** With `--wait` what only lacks an address is read again until it has one. */
async function settledPlans(
  tools: LinkTools,
  { call, pairs }: Directions,
  opened: readonly OpenSide[],
  wanted: LinkOptions,
): Promise<{ readonly open: readonly OpenSide[]; readonly plans: readonly PairPlan[] }> {
  const { options, printer, signal } = call;
  const { system } = namespacesOf(options);
  const planned = (open: readonly OpenSide[]): readonly PairPlan[] =>
    pairs(open.map(({ side }) => side)).map((pair) => planPair(pair, wanted));
  let open = opened;
  let plans = planned(open);
  const waits = options["wait"] === true && options["dryRun"] !== true;
  if (!waits || !plans.some(({ pending }) => pending !== undefined)) return { open, plans };
  const accesses = opened.map(({ access }) => access);
  let first = true;
  const lacking = async (limit: AbortSignal): Promise<string | undefined> => {
    if (!first) open = await readOpen(tools, { ...call, signal: limit }, accesses, linkSelections(system));
    first = false;
    plans = planned(open);
    const lacks = plans.flatMap(({ findings }) => findings).filter(({ code }) => code === "CWY3005");
    return lacks.length === 0 ? undefined : [...new Set(lacks.map(({ evidence }) => evidence))].join("; ");
  };
  await waitUntil(tools.clock, lacking, (text) => printer.err(text), signal, READ_MS);
  return { open, plans };
}

/** Each cluster's Gateways, in the order of the clusters; one that needs none is not there. */
function wishesOf(open: readonly OpenSide[], plans: readonly PairPlan[], wanted: LinkOptions): readonly Wish[] {
  return open.flatMap(({ access, side }) => {
    const gateways = plans.flatMap(({ pair, manifest }) => (pair.reader === side && manifest ? [manifest] : []));
    if (gateways.length === 0) return [];
    const manifests = [namespaceObject(wanted.namespace), ...gateways];
    return [{ api: access.api, where: nameOf(side), manifests }];
  });
}

async function applyAll(call: CommandCall, wishes: readonly Wish[]): Promise<void> {
  const { options, printer, progress, signal } = call;
  const ownership = ownershipOf(options);
  progress("asking each cluster what would change");
  const planned = await plannedChanges(wishes, ownership, signal);
  for (const each of planned) if (each.change.action === "keep") printer.out(changeLine(each, false));
  await carryOut(planned, ownership, (done) => printer.out(changeLine(done, false)), signal);
}

async function awaitLinks({ clock }: LinkTools, call: CommandCall, wishes: readonly Wish[]): Promise<void> {
  const { printer, progress, signal } = call;
  const conditions = ["PeerConnected", "PeeringSucceeded"];
  const all = wishes.flatMap(({ api, where, manifests }) =>
    manifests.flatMap(({ kind, metadata: { namespace = "", name } }): readonly Awaited[] =>
      kind === "Gateway" ? [{ api, where, namespace, name, conditions, address: false }] : [],
    ),
  );
  progress(`waiting for ${all.length === 1 ? "a link" : `${all.length} links`}`);
  const connected = ({ where, namespace, name }: Awaited): void =>
    printer.out(`${where}: Gateway ${namespace}/${name} is connected, and has read all of its peer\n`);
  await waitForAll(clock, all, connected, (text) => printer.err(text), signal);
}
