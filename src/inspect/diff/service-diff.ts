import { UsageError } from "../../command.ts";
import { MeshError } from "../../errors.ts";
import { nearestName } from "../../nearest-name.ts";
import { objectKey } from "../../names.ts";
import { printable } from "../../printable.ts";
import { DISTRIBUTION_NAMES } from "../../registry/kube/traffic-labels.ts";
import type { KubeService } from "../../registry/kube/service.ts";
import { carryAll, linksBetween } from "../analyze/linked-sites.ts";
import { own, siteOf, type Site, type SiteOptions } from "../analyze/site.ts";
import type { ClusterFacts } from "../cluster-facts.ts";
import { policiesOf } from "./applying-policies.ts";

/** One property of a service, as each cluster has it. */
export interface DiffRow {
  readonly aspect: string;
  /** In the order of the clusters. */
  readonly values: readonly string[];
  readonly differs: boolean;
  /** True if callers notice the difference; else clusters may well differ in it, as in how many endpoints there are. */
  readonly matters: boolean;
}

export interface ServiceDiff {
  /** As `shop/cart`. */
  readonly service: string;
  readonly clusters: readonly string[];
  /** Those of them that have no such Service; what others share is called there all the same. */
  readonly without: readonly string[];
  readonly rows: readonly DiffRow[];
}

/** One service of each cluster. */
interface Side {
  readonly site: Site;
  readonly kube: KubeService;
}

/**
 * One service across clusters (contract peering.md 6 no. 8).
 * @param asked as `shop/cart`, `cart.shop` or `cart.shop.mesh.internal`.
 * @throws UsageError if it is no name, MeshError `absent` if no cluster has it, `invalid` if there are fewer than two clusters.
 */
export function diffService(asked: string, all: readonly ClusterFacts[], options: SiteOptions): ServiceDiff {
  const [namespace, name] = serviceNamed(asked);
  if (all.length < 2)
    throw new MeshError("invalid", `only ${all.length} cluster was read, and a difference takes two: name another one`);
  const sites = all.map((facts, at) => siteOf(facts, at, options));
  carryAll(linksBetween(sites));
  const sides = sites.map((site): Side | undefined => {
    const kube = site.registry.objects.services.get(objectKey(site.cluster, namespace, name));
    return kube && { site, kube };
  });
  if (sides.every((side) => side === undefined)) throw unknownService(`${namespace}/${name}`, sites);
  return {
    service: `${namespace}/${name}`,
    clusters: sites.map(({ facts }) => facts.cluster),
    without: sites.filter((_, at) => sides[at] === undefined).map(({ facts }) => facts.cluster),
    rows: ASPECTS.map(({ aspect, matters, of }) => {
      const values = sides.map((side) => (side === undefined ? ABSENT : of(side)));
      // A cluster without the Service says nothing of it, so it contradicts nobody.
      const said = values.filter((_, at) => sides[at] !== undefined);
      return { aspect, values, differs: new Set(said).size > 1, matters };
    }),
  };
}

/** In the column of a cluster without the Service. */
const ABSENT = "-";

/** Of a Service, however it is called. @throws UsageError if it is no name of one. */
export function serviceNamed(asked: string): readonly [namespace: string, name: string] {
  const [, namespace, name] = /^([a-z0-9-]+)\/([a-z0-9-]+)$/.exec(asked) ?? [];
  if (name !== undefined) return [namespace!, name];
  const [, first, second] = /^([a-z0-9-]+)\.([a-z0-9-]+)(?:\..*)?$/.exec(asked) ?? [];
  if (second !== undefined) return [second, first!];
  throw new UsageError(`"${printable(asked, 120)}" names no service: give it as shop/cart, or cart.shop.mesh.internal`);
}

function unknownService(service: string, sites: readonly Site[]): MeshError {
  const names = sites.flatMap(({ registry }) =>
    own(registry.objects.services).map(({ id }) => `${id.namespace}/${id.name}`),
  );
  const meant = nearestName(service, names);
  const hint = meant === undefined ? "" : `; did you mean ${meant}?`;
  return new MeshError(
    "absent",
    `no cluster has Service ${service} (${sites.map(({ facts }) => facts.cluster).join(", ")})${hint}`,
  );
}

interface Aspect {
  readonly aspect: string;
  readonly matters: boolean;
  readonly of: (side: Side) => string;
}

const keyOf = ({ site, kube }: Side) => objectKey(site.cluster, kube.id.namespace, kube.id.name);
const sharedOf = (side: Side) => side.site.registry.shared.get(keyOf(side));
const toldOf = (side: Side) => side.site.registry.exports.services.get(keyOf(side));

/** Ports by number, so that their order makes no difference. */
function ports({ kube }: Side, text: (port: KubeService["ports"][number]) => string): string {
  const sorted = [...kube.ports].sort((a, b) => a.port - b.port);
  return sorted.map((port) => `${port.port}${text(port)}`).join(", ") || "none";
}

const typeOf = ({ external, clusterIps }: KubeService): string =>
  external ? "ExternalName" : clusterIps.length === 0 ? "headless" : "ClusterIP";

function waypointOf(side: Side): string {
  const waypoint = toldOf(side)?.waypoint;
  if (waypoint !== undefined) return `${waypoint.namespace}/${waypoint.name}`;
  const { useWaypoint } = side.kube;
  return typeof useWaypoint === "object" ? `${useWaypoint.namespace}/${useWaypoint.name} (asked for)` : "none";
}

const protocolOf = (side: Side, number: number): string =>
  toldOf(side)?.ports.find((port) => port.number === number)?.protocol || "unnamed";

const ASPECTS: readonly Aspect[] = [
  { aspect: "type", matters: true, of: ({ kube }) => typeOf(kube) },
  { aspect: "scope", matters: true, of: (side) => sharedOf(side)?.scope ?? "cluster" },
  {
    aspect: "global names",
    matters: true,
    of: (side) => (sharedOf(side)?.hosts ?? []).map(({ host }) => host).join(", ") || "none",
  },
  { aspect: "ports", matters: true, of: (side) => ports(side, () => "") },
  { aspect: "protocols", matters: true, of: (side) => ports(side, ({ port }) => `=${protocolOf(side, port)}`) },
  {
    aspect: "appProtocol",
    matters: true,
    of: (side) => ports(side, ({ appProtocol = "unsaid" }) => `=${appProtocol}`),
  },
  {
    aspect: "target ports",
    matters: false,
    of: (side) => ports(side, ({ port, targetPort = port }) => `=${targetPort}`),
  },
  {
    ...{ aspect: "selector", matters: false },
    of: ({ kube }) => (kube.selector?.pairs ?? []).map(([key, value]) => `${key}=${value}`).join(",") || "none",
  },
  { aspect: "waypoint", matters: true, of: waypointOf },
  { aspect: "waypoint policy", matters: true, of: (side) => sharedOf(side)?.waypointPolicy ?? "once" },
  {
    ...{ aspect: "traffic distribution", matters: true },
    of: ({ kube: { distribution } }) =>
      (distribution && (DISTRIBUTION_NAMES[distribution] ?? distribution)) ?? "unsaid",
  },
  { aspect: "takeover", matters: true, of: (side) => String(sharedOf(side)?.takeover ?? false) },
  { aspect: "policies", matters: true, of: ({ site, kube }) => policiesOf(site, kube).join(", ") || "none" },
  { aspect: "trust domain", matters: false, of: ({ site }) => site.mesh.settings.trustDomain },
  { aspect: "identities", matters: false, of: (side) => toldOf(side)?.identities.join(", ") || "none" },
  { aspect: "endpoints", matters: false, of: endpointsOf },
];

/** Ready, and all; of one that is not shared its own pods are not counted by anybody. */
function endpointsOf(side: Side): string {
  const told = toldOf(side);
  return told === undefined ? "not shared" : `${told.ready}/${told.total}`;
}
