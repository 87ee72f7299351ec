import { fingerprintOf } from "../ca/issued-list.ts";
import {
  type CommandCall,
  type ExitCode,
  type Flag,
  listOption,
  type Options,
  textOption,
  UsageError,
} from "../command.ts";
import { parseDurationMs } from "../duration.ts";
import { digitsOf, encodeOffer } from "../linking/offer-token.ts";
import { type Offer, OFFER_MS_MAX } from "../linking/offer.ts";
import { type Offering, offeringOf } from "../linking/offering.ts";
import { linkSelections } from "../linking/read.ts";
import type { LinkOptions } from "../linking/pairs.ts";
import { waitUntil } from "../linking/waiting.ts";
import { namedContexts } from "./contexts.ts";
import { isRefused } from "./link-applying.ts";
import { linkOptions } from "./link-request.ts";
import { type LinkTools, namespacesOf, type OpenSide, readOpen, withSides } from "./link-tools.ts";

export const OFFER_FLAGS: readonly Flag[] = [
  {
    flags: "--offer",
    description: "print what another team needs to link its cluster with this one; nothing in it is secret",
  },
  {
    flags: "--for <duration>",
    description: "how long an offer, or an answer to one, holds, as 2h; 168h at most; 1h by default",
  },
  { flags: "--accept <offer>", description: "make this cluster's half of the link that another team offers" },
  { flags: "--replace", description: "with --accept: also if the link that there is says otherwise" },
];

const HOUR_MS = 3_600_000;
/** What one direction, of one cluster that may be read, has no use for. */
const FOR_SEVERAL = ["from", "to"] as const;

/** @throws UsageError for flags that do not go together; nothing was asked. */
export function checkOfferFlags(options: Options): void {
  const [offers, accept] = [options["offer"] === true, textOption(options, "accept")];
  if (!offers && accept === undefined) {
    const idle = ["for", "replace"].find((name) => options[name] !== undefined);
    if (idle !== undefined)
      throw new UsageError(
        `--${idle} is for --${idle === "for" ? "offer and --accept" : "accept"}: add it, or leave it out`,
      );
    return;
  }
  if (offers && accept !== undefined)
    throw new UsageError(
      "--offer and --accept are for two clusters: each team calls one of them, with a context of its own",
    );
  const word = offers ? "--offer" : "--accept";
  if (namedContexts({ options }).length > 1)
    throw new UsageError(`${word} is about one cluster: name its context with --context`);
  const several = FOR_SEVERAL.find((name) => listOption(options, name).length > 0);
  if (several !== undefined)
    throw new UsageError(`${word} is about one cluster, so it has no --${several}: leave it out`);
  const idle = (offers ? OFFERS_NOTHING : ACCEPTS_NOTHING).find(
    (name) => options[name] !== undefined && options[name] !== false,
  );
  if (idle !== undefined) throw new UsageError(`${word} has no ${flagOf(idle)}: leave it out`);
  if (listOption(options, "address").length > 0 && namedContexts({ options })[0] === undefined)
    throw new UsageError("--address names the context that it is about: name that with --context, too");
  lifeOf(options);
}

const OFFERS_NOTHING = ["replace", "generate", "dryRun", "adopt", "oneWay", "flat", "locality"] as const;
const ACCEPTS_NOTHING = ["locality"] as const;
const flagOf = (name: string): string => `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** In milliseconds. @throws UsageError */
export function lifeOf(options: Options): number {
  const text = textOption(options, "for");
  if (text === undefined) return HOUR_MS;
  const life = parseDurationMs(text);
  if (life !== undefined && life <= OFFER_MS_MAX) return Math.ceil(life);
  throw new UsageError(`--for is "${text}": give a duration up to ${OFFER_MS_MAX / HOUR_MS}h, as 30m or 2h`);
}

/** `link --offer`: what the team of one cluster gives to that of another. Only the offer is on standard output. */
export function offerLink(tools: LinkTools, call: CommandCall): Promise<ExitCode> {
  const { options, printer } = call;
  const { system } = namespacesOf(options);
  const wanted = linkOptions(
    options,
    namedContexts(call).map((context) => context ?? ""),
  );
  return withSides(tools, call, linkSelections(system), async ([opened]) => {
    const { findings, offer } = await settledOffering(tools, call, opened!, wanted);
    if (isRefused(call, findings) || offer === undefined) return 1;
    const token = encodeOffer(offer);
    printer.err(offerText(offer, token));
    printer.err("Have them make their half: causeway multicluster link --accept <offer> --context <theirs>\n");
    printer.out(`${token}\n`);
    return 0;
  });
}

/** With `--wait` a cluster that only lacks an address is read again until it has one. */
async function settledOffering(
  tools: LinkTools,
  call: CommandCall,
  opened: OpenSide,
  wanted: LinkOptions,
): Promise<Offering> {
  const { options, printer, signal } = call;
  const selections = linkSelections(namespacesOf(options).system);
  let offering = offerOf(tools, call, opened, wanted);
  if (options["wait"] !== true) return offering;
  let first = true;
  const lacking = async (limit: AbortSignal): Promise<string | undefined> => {
    if (!first) {
      const [again] = await readOpen(tools, { ...call, signal: limit }, [opened.access], selections);
      offering = offerOf(tools, call, again!, wanted);
    }
    first = false;
    return offering.findings.find(({ code }) => code === "CWY3005")?.evidence;
  };
  await waitUntil(tools.clock, lacking, (text) => printer.err(text), signal, READ_MS);
  return offering;
}

const READ_MS = 25_000;

/** What `opened` could offer now, for as long as the call says. */
export function offerOf(
  { clock }: LinkTools,
  { options }: CommandCall,
  { side }: OpenSide,
  wanted: Pick<LinkOptions, "via" | "addresses">,
  answers = "",
): Offering {
  const now = clock.now();
  return offeringOf(side, wanted, { now, until: now + lifeOf(options), answers });
}

/** What both teams can compare: whoever can change an offer can make one, and that one has other digits. */
export const offerText = (offer: Offer, token: string): string => {
  const { cluster, network, trustDomain, addresses, xdsPort, roots, expiresMs } = offer;
  return (
    `Cluster ${cluster}, network ${network}, trust domain ${trustDomain}, at ${addresses.join(", ")} port ${xdsPort}, until ` +
    `${new Date(expiresMs).toISOString()}; both teams see the digits ${digitsOf(token)}\n` +
    `Roots of ${cluster} by SHA-256: ${roots.map(fingerprintOf).join(", ")}\n`
  );
};
