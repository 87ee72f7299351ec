import { type CommandCall, type ExitCode, textOption, UsageError } from "../command.ts";
import { messageOf } from "../errors.ts";
import { acceptanceOf, type Acceptance } from "../linking/accepting.ts";
import type { Wish } from "../linking/applying.ts";
import { namespaceObject } from "../linking/exposure.ts";
import { decodeOffer, encodeOffer } from "../linking/offer-token.ts";
import type { Offer } from "../linking/offer.ts";
import type { LinkOptions } from "../linking/pairs.ts";
import { forecastSelections, linkSelections } from "../linking/read.ts";
import { nameOf } from "../linking/side.ts";
import { namedContexts } from "./contexts.ts";
import { awaitLinks, isRefused, makeLinks } from "./link-applying.ts";
import { offerOf, offerText } from "./link-offer.ts";
import { printPreview } from "./link-preview.ts";
import { linkOptions } from "./link-request.ts";
import { type LinkTools, namespacesOf, type OpenSide, withSides } from "./link-tools.ts";

/** What was asked for, all of it right by itself. */
interface Request {
  readonly tools: LinkTools;
  readonly call: CommandCall;
  readonly offer: Offer;
  /** How this cluster is reached, for the answer. */
  readonly own: LinkOptions;
}

/** `link --accept`: the half of a link that is this cluster's, by what the other one's team says of it. */
export async function acceptLink(tools: LinkTools, call: CommandCall): Promise<ExitCode> {
  const { options, printer } = call;
  const token = textOption(options, "accept")!;
  const contexts = namedContexts(call).map((context) => context ?? "");
  const request = { tools, call, offer: offerIn(token, tools.clock.now()), own: linkOptions(options, contexts) };
  printer.err(offerText(request.offer, token));
  const { system } = namespacesOf(options);
  const selections = options["dryRun"] === true ? forecastSelections(system) : linkSelections(system);
  return withSides(tools, call, selections, ([opened]) => accept(request, opened!));
}

/** @throws UsageError: it is the call that is wrong, and no cluster was asked. */
function offerIn(token: string, now: number): Offer {
  try {
    return decodeOffer(token, now);
  } catch (thrown) {
    throw new UsageError(`--accept: ${messageOf(thrown)}`);
  }
}

async function accept(request: Request, opened: OpenSide): Promise<ExitCode> {
  const { tools, call, offer } = request;
  const acceptance = acceptanceOf(opened.side, offer, acceptOptions(call), tools.clock.now());
  const wishes = wishesOf(opened, acceptance, namespacesOf(call.options).namespace);
  const code = await (call.options["dryRun"] === true
    ? preview(call, acceptance, wishes)
    : make(request, opened, acceptance, wishes));
  if (acceptance.missingTrust !== undefined) call.printer.err(acceptance.missingTrust);
  return code;
}

const acceptOptions = ({ options }: CommandCall) => ({
  namespace: namespacesOf(options).namespace,
  flat: options["flat"] === true,
  oneWay: options["oneWay"] === true,
  replace: options["replace"] === true,
});

function wishesOf({ access, side }: OpenSide, { plan }: Acceptance, namespace: string): readonly Wish[] {
  if (plan.manifest === undefined) return [];
  return [{ api: access.api, where: nameOf(side), manifests: [namespaceObject(namespace), plan.manifest] }];
}

const preview = (call: CommandCall, { plan, back }: Acceptance, wishes: readonly Wish[]): Promise<ExitCode> =>
  printPreview(call, wishes, back === undefined ? [plan] : [plan, back]);

async function make(
  request: Request,
  opened: OpenSide,
  { plan, back }: Acceptance,
  wishes: readonly Wish[],
): Promise<ExitCode> {
  const { tools, call } = request;
  if (isRefused(call, plan.findings)) return 1;
  await makeLinks(call, wishes);
  // Before there is anything to wait for: the other control plane may believe this one only once it has the answer.
  if (back !== undefined) answer(request, opened);
  await awaitLinks(tools, call, wishes);
  return 0;
}

/** The other half is for the other team to make. What is in the way of that is no failure of this one. */
function answer({ tools, call, offer: accepted, own }: Request, opened: OpenSide): void {
  const { options, printer } = call;
  const half = `This half is ${options["generate"] === true ? "printed" : "made"}.`;
  if (accepted.answers === opened.side.cluster) {
    printer.err(`${half} The other one came with the offer of ${accepted.answers}, which this answers.\n`);
    return;
  }
  const { findings, offer } = offerOf(tools, call, opened, own, accepted.cluster);
  if (offer === undefined) {
    const why = findings.map(({ code, evidence, fix }) => `${code}: ${evidence}. Fix: ${fix}\n`).join("");
    printer.err(
      `${half} There is nothing to answer for the other half:\n${why}Then: causeway multicluster link --offer${contextOf(opened)}\n`,
    );
    return;
  }
  const token = encodeOffer(offer);
  printer.err(`${half} The answer, for the other team to accept in turn: ${offerText(offer, token)}`);
  // What is generated goes into a file, where nothing else may be.
  if (options["generate"] === true) printer.err(`${token}\n`);
  else printer.out(`${token}\n`);
}

const contextOf = ({ side: { context } }: OpenSide): string => (context === "" ? "" : ` --context ${context}`);
