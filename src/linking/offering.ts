import { MeshError } from "../errors.ts";
import type { Finding } from "../inspect/finding.ts";
import { objectsOf } from "../inspect/cluster-facts.ts";
import * as types from "../kube/resource-types.ts";
import { readSegment, SEGMENT_LABEL } from "../registry/kube/segment.ts";
import { DEFAULT_GLOBAL_DOMAIN } from "../registry/model/peer.ts";
import { VERSION } from "../version.ts";
import { doorFindings, namelessFindings, pendingFinding } from "./doors.ts";
import { ownNetworkFindings } from "./networks.ts";
import { ADDRESSES_MAX, CHAIN_MAX, type Offer, ROOTS_MAX, whyNotAddress, wrongFieldOf } from "./offer.ts";
import type { GivenAddress, LinkOptions } from "./pairs.ts";
import { type Authority, authorityOf } from "./roots.ts";
import { type FoundGateway, nameOf, readOr, type Side } from "./side.ts";
import { wayInto, type WayIn } from "./way-in.ts";

/** A cluster that is offered to others, or what is in the way of that. */
export interface Offering {
  readonly findings: readonly Finding[];
  /** Undefined if an error is in the way. */
  readonly offer: Offer | undefined;
}

export interface OfferTerms {
  /** Wall time in milliseconds since the Unix epoch, and so is `until`. */
  readonly now: number;
  readonly until: number;
  /** The cluster whose offer was accepted; empty if this is the first. */
  readonly answers: string;
}

export function offeringOf(side: Side, options: Pick<LinkOptions, "via" | "addresses">, terms: OfferTerms): Offering {
  const door = side.doors[0];
  const given = options.addresses.get(side.context);
  const way = door && wayInto(side, door, options.via);
  const reached = given === undefined ? way : way && { ...way, ...reachedAt(given, way), lack: undefined };
  const authority = authorityOf(side);
  const findings = [
    ...namelessFindings([side]),
    ...doorFindings(side, door),
    ...(door === undefined || reached?.lack === undefined ? [] : [pendingFinding(side, door, reached.lack)]),
    ...ownNetworkFindings(side),
    ...authorityFindings(side, authority),
    ...(reached?.addresses ?? []).flatMap((address) => addressFindings(side, address)),
  ];
  if (findings.length > 0 || door === undefined || reached === undefined) return { findings, offer: undefined };
  return { findings, offer: written(side, door, reached, authority, terms) };
}

const reachedAt = ({ host, xdsPort, hbonePort }: GivenAddress, way: WayIn): Partial<WayIn> => ({
  addresses: [host],
  xdsPort: xdsPort ?? way.xdsPort,
  hbonePort: hbonePort ?? way.hbonePort,
});

/** @throws MeshError `invalid` if the cluster says of itself what no other would take. */
function written(side: Side, door: FoundGateway, way: WayIn, authority: Authority, terms: OfferTerms): Offer {
  const { segment, domain } = segmentOf(side);
  const offer: Offer = {
    cluster: side.cluster!,
    network: side.network!,
    trustDomain: side.trustDomain,
    ...{ segment, domain, via: way.via },
    // The best come first, and a Gateway has no room for more.
    addresses: way.addresses.slice(0, ADDRESSES_MAX),
    xdsPort: way.xdsPort,
    ...(way.hbonePort !== undefined && { hbonePort: way.hbonePort }),
    serviceAccount: door.gateway.serviceAccount || door.gateway.id.name,
    roots: authority.roots,
    chain: distinct(authority.chain),
    ...{ answers: terms.answers, madeMs: terms.now, expiresMs: terms.until, maker: VERSION },
  };
  const wrong = wrongFieldOf(offer);
  if (wrong === undefined) return offer;
  throw new MeshError("invalid", `${nameOf(side)} cannot be offered: its ${wrong} is none that another cluster takes`);
}

/** Both files of `cacerts` may begin with one certificate. */
const distinct = (chain: readonly Uint8Array[]): readonly Uint8Array[] => [
  ...new Map(chain.map((der) => [Buffer.from(der).toString("base64"), der])).values(),
];

function segmentOf({ facts, system }: Side): Pick<Offer, "segment" | "domain"> {
  const home = objectsOf(facts, types.NAMESPACES).find(({ metadata }) => metadata.name === system);
  const segment = home?.metadata.labels?.[SEGMENT_LABEL] ?? "";
  const found = objectsOf(facts, types.SEGMENTS)
    .filter(({ metadata }) => metadata.namespace === system && metadata.name === segment)
    .flatMap((object) => readOr(object, false, readSegment) ?? [])[0];
  // A label that names no Segment changes no names.
  return found === undefined ? { segment: "", domain: DEFAULT_GLOBAL_DOMAIN } : { segment, domain: found.domain };
}

/** Whether others could tell whom to believe. */
function authorityFindings(side: Side, { unknown, roots, chain }: Authority): readonly Finding[] {
  const finding = (evidence: string, fix: string): Finding => ({
    ...{ code: "CWY3040", level: "error", cluster: side.cluster, field: "data[root-cert.pem]" },
    ...{ object: `ConfigMap ${side.system}/istio-ca-root-cert`, evidence, fix },
  });
  if (unknown !== undefined)
    return [
      finding(
        `Nobody could tell whether to believe ${nameOf(side)}: ${unknown}`,
        `let yourself read ConfigMaps of namespace ${side.system}, and have a control plane run that publishes its roots there`,
      ),
    ];
  const many = [
    [roots.length, ROOTS_MAX, "roots"],
    [distinct(chain).length, CHAIN_MAX, "certificates from the one that signs to the root"],
  ] as const;
  return many
    .filter(([count, most]) => count > most)
    .map(([count, most, what]) =>
      finding(
        `${nameOf(side)} has ${count} ${what}, and an offer has room for ${most}`,
        "take those out that nobody needs any more (docs/certificates.md)",
      ),
    );
}

function addressFindings(side: Side, address: string): readonly Finding[] {
  const why = whyNotAddress(address);
  if (why === undefined) return [];
  const evidence = `${nameOf(side)} is said to be at ${address}, ${why}, which would lead other clusters to themselves`;
  const fix = `give the address at which other clusters reach it: --address ${side.context || "<context>"}=<host>[:<port>]`;
  return [{ code: "CWY3041", level: "error", cluster: side.cluster, object: nameOf(side), field: "", evidence, fix }];
}
