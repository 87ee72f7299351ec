import { type Command, type ExitCode, textOption } from "../command.ts";
import type { Wish } from "../linking/applying.ts";
import { namespaceObject } from "../linking/exposure.ts";
import { planPair, type LinkOptions, type PairPlan } from "../linking/pairs.ts";
import { forecastSelections, linkSelections } from "../linking/read.ts";
import { nameOf } from "../linking/side.ts";
import { waitUntil } from "../linking/waiting.ts";
import { CONTEXT_FLAGS, namedContexts } from "./contexts.ts";
import { acceptLink } from "./link-accept.ts";
import { awaitLinks, isRefused, makeLinks } from "./link-applying.ts";
import { checkOfferFlags, OFFER_FLAGS, offerLink } from "./link-offer.ts";
import { LINK_OUTPUT_FLAG, printPreview } from "./link-preview.ts";
import { DIRECTION_FLAGS, directionsOf, LINK_FLAGS, linkOptions, type Directions } from "./link-request.ts";
import {
  APPLY_FLAGS,
  LINK_TOOLS,
  type LinkTools,
  namespacesOf,
  type OpenSide,
  PLACE_FLAGS,
  readOpen,
  withSides,
} from "./link-tools.ts";

/** `causeway multicluster link`: where each cluster's peers are (contract peering.md 4.2). */
export function linkCommand(tools: LinkTools = LINK_TOOLS): Command {
  return {
    name: "link",
    summary: "make the Gateways by which clusters read each other; --dry-run says what would come of it",
    flags: [
      ...CONTEXT_FLAGS,
      ...DIRECTION_FLAGS,
      ...PLACE_FLAGS,
      ...LINK_FLAGS,
      ...OFFER_FLAGS,
      ...APPLY_FLAGS,
      LINK_OUTPUT_FLAG,
    ],
    examples: [
      "causeway multicluster link --contexts east,west --dry-run",
      "causeway multicluster link --contexts east,west,north --wait --timeout 5m",
      "causeway multicluster link --from edge --to bank --one-way",
      "causeway multicluster link --offer --context east --for 2h",
      'causeway multicluster link --accept "$OFFER" --context west --dry-run',
    ],
    run(call) {
      checkOfferFlags(call.options);
      if (call.options["offer"] === true) return offerLink(tools, call);
      if (textOption(call.options, "accept") !== undefined) return acceptLink(tools, call);
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
  const { open, plans } = await settledPlans(tools, directions, opened, wanted);
  const wishes = wishesOf(open, plans, wanted);
  if (call.options["dryRun"] === true) return printPreview(call, wishes, plans);
  const findings = plans.flatMap((plan) => plan.findings);
  if (isRefused(call, findings)) return 1;
  await makeLinks(call, wishes);
  await awaitLinks(tools, call, wishes);
  return 0;
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
