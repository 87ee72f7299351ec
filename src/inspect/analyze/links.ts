import type { KubeGateway } from "../../registry/kube/gateway.ts";
import type { PeerGateway } from "../../registry/model/peer.ts";
import { hostText, isEastWestClass } from "../../registry/network-gateways.ts";
import { nearestName } from "../../nearest-name.ts";
import { GATEWAYS } from "../../kube/resource-types.ts";
import { isFields } from "../../registry/kube/fields.ts";
import type { Finding } from "../finding.ts";
import { analysed, type Subject } from "./codes.ts";
import type { SiteLink } from "./linked-sites.ts";
import { pairsOf } from "./pairs.ts";
import { networkOf, own, writtenIn, type Site } from "./site.ts";

/** Remote Gateways, held against the clusters that they lead to (contract peering.md 2.2). */
export const linkFindings = (sites: readonly Site[], links: readonly SiteLink[]): readonly Finding[] => [
  ...(sites.length > 1 ? sites.flatMap((site) => toNobody(site, sites)) : []),
  ...links.flatMap((link) => [...wrongWords(link), ...wayIn(link), ...oneWay(link, links)]),
  ...pairsOf(sites).flatMap(([a, b]) => unlinked(a, b, links)),
];

const subjectOf = ({ facts, registry }: Site, { gateway, namespace, name }: PeerGateway, field: string): Subject => ({
  ...{ cluster: facts.cluster, object: `Gateway ${namespace}/${name}`, field },
  origin: registry.objects.gateways.get(gateway)?.id.origin ?? "",
});

const CLUSTER_FIELD = "metadata.labels[topology.istio.io/cluster]";

function toNobody(site: Site, sites: readonly Site[]): readonly Finding[] {
  const names = sites.map(({ cluster }) => cluster);
  return own(site.registry.peerGateways).flatMap((gateway) => {
    const { cluster } = gateway;
    if (cluster === undefined || gateway.refused !== undefined || names.includes(cluster)) return [];
    const meant = nearestName(
      cluster,
      names.filter((name) => name !== site.cluster),
    );
    return [
      analysed(
        "CWY2202",
        subjectOf(site, gateway, CLUSTER_FIELD),
        `it leads to cluster ${cluster}, which is none of those that were read (${names.join(", ")})`,
        { fix: meant === undefined ? "read that cluster, too, or correct the label" : `did you mean ${meant}?` },
      ),
    ];
  });
}

/** What the Gateway says of the other cluster, and that says otherwise of itself. */
function wrongWords({ from, to, gateway }: SiteLink): readonly Finding[] {
  const { cluster } = to.facts;
  const found: Finding[] = [];
  const network = networkOf(to);
  if (network !== "" && gateway.network !== network)
    found.push(
      analysed(
        "CWY2204",
        subjectOf(from, gateway, "metadata.labels[topology.istio.io/network]"),
        `it says that cluster ${cluster} is on network ${JSON.stringify(gateway.network)}, and that cluster is on ${JSON.stringify(network)}, so its endpoints are out of reach`,
        { fix: `set the label to ${network}` },
      ),
    );
  const { trustDomain } = to.mesh.settings;
  if (gateway.trustDomain !== trustDomain)
    found.push(
      analysed(
        "CWY2207",
        subjectOf(from, gateway, "metadata.annotations[gateway.istio.io/trust-domain]"),
        `it expects trust domain ${gateway.trustDomain} in cluster ${cluster}, which has ${trustDomain}, so every call to it is refused`,
        { fix: `annotate it gateway.istio.io/trust-domain: ${trustDomain}` },
      ),
    );
  return found;
}

const doorsOf = ({ registry }: Site): readonly KubeGateway[] =>
  own(registry.objects.gateways).filter(({ className }) => isEastWestClass(className));

function wayIn(link: SiteLink): readonly Finding[] {
  const { from, to, gateway } = link;
  const doors = doorsOf(to);
  const xds = doors.flatMap(({ listeners }) => listeners.filter(({ protocol }) => protocol === "TLS"));
  if (xds.length === 0) {
    const what = doors.length === 0 ? "has no Gateway of class istio-eastwest" : "has none with a listener for TLS";
    return [
      analysed(
        "CWY2210",
        subjectOf(from, gateway, CLUSTER_FIELD),
        `cluster ${to.facts.cluster} ${what}, so nobody answers`,
        {
          fix: `causeway multicluster expose --context ${to.facts.context ?? to.cluster}`,
        },
      ),
    ];
  }
  return [...account(link, doors), ...port(link, xds), ...addresses(link), ...serviceType(link, doors)];
}

/** Without what is preferred the other is used, for as long as there is one. */
function serviceType({ from, to, gateway }: SiteLink, doors: readonly KubeGateway[]): readonly Finding[] {
  const offered = new Set(
    doors.flatMap(({ serviceType = "loadbalancer" }) => serviceType.toLowerCase().split(/\s*,\s*/)),
  );
  if (gateway.preferred === undefined || offered.has(gateway.preferred)) return [];
  return [
    analysed(
      "CWY2211",
      subjectOf(from, gateway, "metadata.annotations[peering.solo.io/preferred-data-plane-service-type]"),
      `it prefers ${gateway.preferred}, and the gateway of cluster ${to.facts.cluster} offers ${[...offered].sort().join(", ")}`,
      { fix: "annotate that gateway peering.solo.io/data-plane-service-type, or prefer what it offers" },
    ),
  ];
}

function account({ from, to, gateway }: SiteLink, doors: readonly KubeGateway[]): readonly Finding[] {
  const accounts = doors.map(({ serviceAccount, id }) => serviceAccount || id.name);
  if (accounts.includes(gateway.serviceAccount)) return [];
  return [
    analysed(
      "CWY2208",
      subjectOf(from, gateway, "metadata.annotations[gateway.istio.io/service-account]"),
      `it expects the gateway of cluster ${to.facts.cluster} to run as ${gateway.serviceAccount}, and it runs as ${accounts.join(", ")}, so its certificate is refused`,
      { fix: `annotate it gateway.istio.io/service-account: ${accounts[0]}` },
    ),
  ];
}

/** Of node ports only the cluster itself knows the numbers. */
function port({ from, to, gateway }: SiteLink, xds: KubeGateway["listeners"]): readonly Finding[] {
  const ports = xds.map(({ port }) => port);
  if (gateway.preferred === "nodeport" || ports.includes(gateway.xdsPort)) return [];
  return [
    analysed(
      "CWY2209",
      subjectOf(from, gateway, "spec.listeners"),
      `it asks for the control plane of cluster ${to.facts.cluster} at port ${gateway.xdsPort}, and that is passed on at ${ports.join(", ")}`,
      { fix: `set the port of its TLS listener to ${ports[0]}` },
    ),
  ];
}

/** Only if the other cluster says where it is: of manifests nobody knows which address a load balancer will give. */
function addresses({ from, to, gateway }: SiteLink): readonly Finding[] {
  const known = new Set(writtenIn(to, GATEWAYS).flatMap(statedAddresses));
  const asked = gateway.hosts.map(hostText);
  if (known.size === 0 || gateway.preferred === "nodeport" || asked.some((host) => known.has(host))) return [];
  return [
    analysed(
      "CWY2205",
      subjectOf(from, gateway, "spec.addresses"),
      `it leads to ${asked.join(", ")}, and the gateway of cluster ${to.facts.cluster} is at ${[...known].join(", ")}`,
      { fix: "correct the address, unless something forwards it" },
    ),
  ];
}

function statedAddresses(gateway: { readonly [field: string]: unknown }): readonly string[] {
  const [spec, status] = [gateway["spec"], gateway["status"]].map((part) => (isFields(part) ? part : {}));
  if (typeof spec!["gatewayClassName"] !== "string" || !isEastWestClass(spec!["gatewayClassName"])) return [];
  return [spec!["addresses"], status!["addresses"]].flatMap((list) =>
    Array.isArray(list) ? list.flatMap((item: unknown) => (isFields(item) ? valueOf(item["value"]) : [])) : [],
  );
}

const valueOf = (value: unknown): readonly string[] => (typeof value === "string" && value !== "" ? [value] : []);

/** It is allowed, and seldom meant. */
function oneWay({ from, to, gateway }: SiteLink, links: readonly SiteLink[]): readonly Finding[] {
  if (links.some((other) => other.from === to && other.to === from)) return [];
  const [here, there] = [from.facts.cluster, to.facts.cluster];
  return [
    analysed(
      "CWY2203",
      subjectOf(from, gateway, ""),
      `cluster ${here} hears ${there}, and ${there} has no Gateway that leads to ${here}: pods of ${there} reach nothing of ${here}`,
      { fix: `causeway multicluster link --contexts ${here},${there}, unless only one direction is wanted` },
    ),
  ];
}

/** A service that both share under one name, and neither hears of the other's. */
function unlinked(a: Site, b: Site, links: readonly SiteLink[]): readonly Finding[] {
  if (a.cluster === b.cluster || links.some(({ from, to }) => [a, b].includes(from) && [a, b].includes(to))) return [];
  const [here, there] = [a.facts.cluster, b.facts.cluster];
  const names = new Set(sharedNames(a));
  const common = sharedNames(b).filter((name) => names.has(name));
  if (common.length === 0) return [];
  return [
    analysed(
      "CWY2212",
      { cluster: undefined, object: `clusters ${here} and ${there}` },
      `both share ${common.slice(0, 3).join(", ")}${common.length > 3 ? ` and ${common.length - 3} more` : ""}, and no Gateway of class istio-remote leads from one to the other`,
      { fix: `causeway multicluster link --contexts ${here},${there}` },
    ),
  ];
}

const sharedNames = ({ registry }: Site): readonly string[] =>
  own(registry.shared)
    .filter(({ kube }) => !kube.ofGateway)
    .map(({ kube: { id } }) => `Service ${id.namespace}/${id.name}`)
    .sort();
