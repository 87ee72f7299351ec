import { objectKey } from "../../names.ts";
import type { KubeService } from "../../registry/kube/service.ts";
import type { FederatedService } from "../../registry/model/federated-service.ts";
import type { Finding } from "../finding.ts";
import { analysed, type AnalysisCodeName, type Subject } from "./codes.ts";
import { own, type Site } from "./site.ts";

/** A Service as one cluster has it. */
export interface Member {
  readonly site: Site;
  readonly kube: KubeService;
  /** What its cluster would tell of it; undefined if it is not shared. */
  readonly told: FederatedService | undefined;
  /** True if its own name is to lead to all clusters. */
  readonly takeover: boolean;
}

/** Services of one name and namespace of which at least one cluster tells others, by `namespace/name`. */
export function sharedMembers(sites: readonly Site[]): ReadonlyMap<string, readonly Member[]> {
  const byName = new Map<string, Member[]>();
  for (const site of sites)
    for (const kube of own(site.registry.objects.services)) {
      if (kube.ofGateway) continue;
      const key = objectKey(site.cluster, kube.id.namespace, kube.id.name);
      const shared = site.registry.shared.get(key);
      const told = shared && site.registry.exports.services.get(key);
      const name = `${kube.id.namespace}/${kube.id.name}`;
      byName.set(name, [...(byName.get(name) ?? []), { site, kube, told, takeover: shared?.takeover ?? false }]);
    }
  const shared = [...byName].filter(([, members]) => members.some(({ told }) => told !== undefined));
  return new Map(shared.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What clusters that share a service do not agree on (contract peering.md 2.12). */
export const sharedServiceFindings = (services: ReadonlyMap<string, readonly Member[]>): readonly Finding[] =>
  [...services.values()].flatMap((members) => {
    const told = members.filter(isTold);
    return [...members.flatMap((member) => notShared(member, told)), ...differences(told), ...emptyEverywhere(told)];
  });

export type ToldMember = Member & { readonly told: FederatedService };
export const isTold = (member: Member): member is ToldMember => member.told !== undefined;

const subjectOf = ({ site, kube: { id } }: Member, field: string): Subject => ({
  ...{ cluster: site.facts.cluster, object: `Service ${id.namespace}/${id.name}` },
  ...{ field, origin: id.origin },
});

const clusters = (members: readonly Member[]): string => members.map(({ site }) => site.facts.cluster).join(", ");

const SCOPE_FIELD = "metadata.labels[solo.io/service-scope]";

/** Of one that keeps to itself in so many words nothing is said: that is a choice. */
function notShared(member: Member, told: readonly ToldMember[]): readonly Finding[] {
  const { site, kube } = member;
  const { cluster } = site.facts;
  if (member.told !== undefined || kube.scope === "cluster") return [];
  const apart = `cluster ${clusters(told)} shares it, and cluster ${cluster}`;
  if (kube.external || isHeadless(kube))
    return [
      analysed(
        "CWY2306",
        subjectOf(member, kube.external ? "spec.type" : "spec.clusterIP"),
        `${apart} has ${kube.external ? "an ExternalName" : "a headless Service"} of that name, so the two are not one service`,
      ),
    ];
  return [
    analysed(
      "CWY2304",
      subjectOf(member, SCOPE_FIELD),
      `${apart} does not, so endpoints of ${cluster} are not behind the global name`,
      {
        fix: `kubectl --context ${site.facts.context ?? cluster} -n ${kube.id.namespace} label service ${kube.id.name} solo.io/service-scope=global, or cluster to keep it local`,
      },
    ),
  ];
}

const isHeadless = ({ clusterIps, external }: KubeService): boolean => !external && clusterIps.length === 0;

/** What is compared, and what it is called; those that are undefined are left out. */
interface Aspect {
  readonly code: AnalysisCodeName;
  readonly field: string;
  readonly what: string;
  readonly of: (member: ToldMember) => string | undefined;
}

const ASPECTS: readonly Aspect[] = [
  { code: "CWY2301", field: "spec.ports", what: "ports", of: ({ told }) => portsOf(told) },
  {
    ...{ code: "CWY2303", field: "metadata.labels[istio.io/use-waypoint]", what: "a waypoint" },
    of: ({ told }) => (told.waypoint === undefined ? "none" : "one"),
  },
  {
    ...{ code: "CWY2305", field: "spec.selector", what: "the selector" },
    of: ({ kube }) => (kube.selector?.pairs ?? []).map(([key, value]) => `${key}=${value}`).join(",") || "none",
  },
  {
    ...{ code: "CWY2308", field: "spec.trafficDistribution", what: "the traffic distribution" },
    of: ({ told }) => told.distribution ?? "none",
  },
  {
    ...{ code: "CWY2311", field: "metadata.labels[solo.io/service-takeover]", what: "the takeover" },
    of: ({ takeover }) => String(takeover),
  },
];

function differences(told: readonly ToldMember[]): readonly Finding[] {
  const [first] = told;
  if (first === undefined) return [];
  const subject = (field: string): Subject => ({ ...subjectOf(told.at(-1)!, field), cluster: undefined });
  const named = (code: AnalysisCodeName, field: string, what: string, of: Aspect["of"]): readonly Finding[] => {
    const values = groupedBy(told, of);
    if (values.length < 2) return [];
    const text = values.map(([value, members]) => `${value} in ${clusters(members)}`).join(" and ");
    return [analysed(code, subject(field), `${what}: ${text}`)];
  };
  const numbers = [...new Set(told.flatMap(({ told: { ports } }) => ports.map(({ number }) => number)))];
  return [
    ...ASPECTS.flatMap(({ code, field, what, of }) => named(code, field, what, of)),
    ...numbers
      .sort((a, b) => a - b)
      .flatMap((number) =>
        named("CWY2302", "spec.ports", `the protocol of port ${number}`, ({ told: { ports } }) => {
          const port = ports.find((each) => each.number === number);
          return port && (port.protocol || "unnamed");
        }),
      ),
  ];
}

function groupedBy(
  told: readonly ToldMember[],
  of: Aspect["of"],
): readonly (readonly [value: string, members: readonly ToldMember[]])[] {
  const values = new Map<string, ToldMember[]>();
  for (const member of told) {
    const value = of(member);
    if (value !== undefined) values.set(value, [...(values.get(value) ?? []), member]);
  }
  return [...values];
}

export const portsOf = ({ ports }: FederatedService): string =>
  ports
    .map(({ number }) => number)
    .sort((a, b) => a - b)
    .join(", ") || "none";

function emptyEverywhere(told: readonly ToldMember[]): readonly Finding[] {
  if (told.some(({ told: { total } }) => total > 0)) return [];
  const last = told.at(-1);
  if (last === undefined) return [];
  return [
    analysed(
      "CWY2317",
      subjectOf(last, "spec.selector"),
      `no cluster that shares it (${clusters(told)}) has a pod that it selects, so calls of its global name fail`,
    ),
  ];
}
