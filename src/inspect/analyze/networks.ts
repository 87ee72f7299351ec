import type { Cidr } from "../../registry/model/policy.ts";
import { NODES } from "../../kube/resource-types.ts";
import type { KubeObject } from "../../kube/object.ts";
import { isCidrWithin, parseCidr } from "../../registry/ip.ts";
import { isFields } from "../../registry/kube/fields.ts";
import { isEastWestClass } from "../../registry/network-gateways.ts";
import type { Finding } from "../finding.ts";
import { analysed, type Subject } from "./codes.ts";
import type { SiteLink } from "./linked-sites.ts";
import { pairsOf } from "./pairs.ts";
import { networkOf, originOf, own, writtenIn, type Site } from "./site.ts";

const NETWORK_FIELD = "metadata.labels[topology.istio.io/network]";

/** Names and networks of clusters, and what of them does not go together (contract peering.md 2.2, C27, C28). */
export function networkFindings(sites: readonly Site[], links: readonly SiteLink[]): readonly Finding[] {
  const distinct = [...new Map(sites.map((site) => [site.cluster, site])).values()];
  const pairs = pairsOf(distinct);
  return [
    ...twins(sites),
    ...sites.flatMap((site) => withoutNetwork(site, sites.length > 1)),
    ...sites.flatMap(gatewaysElsewhere),
    ...sites.flatMap(beyondReach),
    ...pairs.flatMap(([a, b]) => oneNetwork(a, b)),
    ...pairs.flatMap(([a, b]) => trustDomains(a, b, links)),
  ];
}

function twins(sites: readonly Site[]): readonly Finding[] {
  return pairsOf(sites).flatMap(([a, b]) =>
    a.cluster !== b.cluster
      ? []
      : [
          analysed(
            "CWY2102",
            { cluster: a.facts.cluster, object: `cluster ${a.facts.cluster}` },
            `${a.facts.source} and ${b.facts.source} are both called ${a.facts.cluster}: peers refuse the second`,
          ),
        ],
  );
}

export function systemNamespaceOf(site: Site): Subject {
  const { facts, registry, systemNamespace } = site;
  const found = own(registry.namespaces).find(({ name }) => name === systemNamespace);
  const object = `Namespace ${systemNamespace}`;
  return { cluster: facts.cluster, object, field: NETWORK_FIELD, origin: found?.origin ?? "" };
}

/** One that is all alone needs none. */
function withoutNetwork(site: Site, amongOthers: boolean): readonly Finding[] {
  const { registry, cluster, systemNamespace } = site;
  const joins = amongOthers || own(registry.peerGateways).length > 0 || own(registry.shared).length > 0;
  if (networkOf(site) !== "" || !joins) return [];
  return [
    analysed(
      "CWY2101",
      systemNamespaceOf(site),
      `Namespace ${systemNamespace} has no label topology.istio.io/network, so other clusters take its pods for their own network's, ` +
        "and a global name has an address and no endpoint",
      { fix: `kubectl --context ${cluster} label namespace ${systemNamespace} topology.istio.io/network=${cluster}` },
    ),
  ];
}

function gatewaysElsewhere(site: Site): readonly Finding[] {
  const { registry, facts } = site;
  const network = networkOf(site);
  return own(registry.objects.gateways).flatMap(({ id, className, network: said }) =>
    !isEastWestClass(className) || said === undefined || said === network || network === ""
      ? []
      : [
          analysed(
            "CWY2106",
            {
              ...{ cluster: facts.cluster, object: `Gateway ${id.namespace}/${id.name}` },
              ...{ field: NETWORK_FIELD, origin: id.origin },
            },
            `it says that it leads to network ${JSON.stringify(said)}, and its cluster is on ${JSON.stringify(network)}`,
            { fix: `set the label to ${network}` },
          ),
        ],
  );
}

/** Endpoints that somebody wrote down: of those of other clusters the control plane says so itself. */
function beyondReach(site: Site): readonly Finding[] {
  const { registry, facts } = site;
  const entered = new Set(own(registry.networkGateways).map(({ network }) => network as string));
  const reached = (network: string | undefined): boolean =>
    network === undefined || network === "" || network === networkOf(site) || entered.has(network);
  return own(registry.objects.workloadEntries).flatMap(({ id, entry: { network } }) =>
    reached(network)
      ? []
      : [
          analysed(
            "CWY2108",
            {
              ...{ cluster: facts.cluster, object: `WorkloadEntry ${id.namespace}/${id.name}` },
              ...{ field: "spec.network", origin: id.origin },
            },
            `it is on network ${JSON.stringify(network)}, and no gateway leads there, so calls to it fail`,
            {
              fix: `correct the network, or make a Gateway of class istio-remote with the label topology.istio.io/network: ${network}`,
            },
          ),
        ],
  );
}

/** Where nobody meant it, calls go to addresses of pods that cannot be reached, and time out. */
function oneNetwork(a: Site, b: Site): readonly Finding[] {
  const network = networkOf(a);
  if (network === "" || network !== networkOf(b)) return [];
  const overlap = overlapOf(a, b);
  const both = `clusters ${a.facts.cluster} and ${b.facts.cluster} are both on network ${JSON.stringify(network)}`;
  if (overlap !== undefined)
    return [
      analysed("CWY2105", overlap.subject, `${both}, where pods call each other's addresses, and ${overlap.what}`, {
        fix: "give each cluster its own range of pod addresses, or its own network",
      }),
    ];
  return [
    analysed(
      "CWY2103",
      systemNamespaceOf(b),
      `${both}, so pods of one call addresses of the other directly, through no gateway`,
      { fix: "keep it if the pods reach each other; else give each cluster a network of its own" },
    ),
  ];
}

interface PodRange {
  readonly node: KubeObject;
  readonly cidr: Cidr;
}

function overlapOf(a: Site, b: Site): { readonly subject: Subject; readonly what: string } | undefined {
  const [ours, theirs] = [podRanges(a), podRanges(b)];
  for (const { cidr, node } of theirs)
    for (const other of ours)
      if (isCidrWithin(cidr, other.cidr) || isCidrWithin(other.cidr, cidr))
        return {
          subject: {
            ...{ cluster: b.facts.cluster, object: `Node ${node.metadata.name}` },
            ...{ field: "spec.podCIDR", origin: originOf(b.facts, node) },
          },
          what: `pods of node ${node.metadata.name} have ${textOf(cidr)}, those of ${other.node.metadata.name} ${textOf(other.cidr)}`,
        };
  return undefined;
}

const textOf = ({ ip, prefixLength }: Cidr): string => `${ip}/${prefixLength}`;

const podRanges = (site: Site): readonly PodRange[] =>
  writtenIn(site, NODES).flatMap((node) => {
    const { podCIDR, podCIDRs } = isFields(node["spec"]) ? node["spec"] : {};
    const texts = Array.isArray(podCIDRs) && podCIDRs.length > 0 ? podCIDRs : [podCIDR];
    return texts.flatMap((text: unknown): readonly PodRange[] => {
      const cidr = typeof text === "string" ? parseCidr(text) : undefined;
      return cidr === undefined ? [] : [{ node, cidr }];
    });
  });

/** Those that are linked say so in their Gateways, and are looked at there. */
function trustDomains(a: Site, b: Site, links: readonly SiteLink[]): readonly Finding[] {
  const [mine, theirs] = [a.mesh.settings.trustDomain, b.mesh.settings.trustDomain];
  const linked = links.some(({ from, to }) => (from === a && to === b) || (from === b && to === a));
  if (mine === theirs || linked) return [];
  return [
    analysed(
      "CWY2110",
      { cluster: undefined, object: `clusters ${a.facts.cluster} and ${b.facts.cluster}`, field: "mesh.trustDomain" },
      `the trust domain is ${mine} in ${a.facts.cluster} and ${theirs} in ${b.facts.cluster}, so neither takes the other's certificates as they are`,
      {
        fix: "annotate the Gateway that leads there gateway.istio.io/trust-domain, and give each the other's roots (docs/trust-bundles.md)",
      },
    ),
  ];
}
