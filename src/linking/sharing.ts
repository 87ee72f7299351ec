import type { Finding } from "../inspect/finding.ts";
import { whyUnknown } from "../inspect/cluster-facts.ts";
import * as types from "../kube/resource-types.ts";
import type { KubeService } from "../registry/kube/service.ts";
import { DISTRIBUTION_NAMES } from "../registry/kube/traffic-labels.ts";
import { protocolHint } from "../registry/protocol-hint.ts";
import { sharingOf, toldTo, type SharedHere, type Sharing } from "./shared.ts";
import { nameOf, type Pair, type Side } from "./side.ts";

/** What callers would find that they do not find today, because clusters say the same names (contract peering.md 2.12, 6.2). */
export function sharingFindings(plans: readonly { readonly pair: Pair }[]): readonly Finding[] {
  const sharings = new Map<Side, Sharing>();
  const sharing = (side: Side): Sharing => {
    const known = sharings.get(side) ?? sharingOf(side);
    sharings.set(side, known);
    return known;
  };
  return plans.flatMap(({ pair }) => {
    const unread = [pair.reader, pair.peer].flatMap(unreadFindings);
    return unread.length > 0 ? unread : findingsOf(pair, sharing(pair.reader), sharing(pair.peer));
  });
}

function unreadFindings(side: Side): readonly Finding[] {
  return [types.SERVICES, types.NAMESPACES].flatMap((type) => {
    const why = whyUnknown(side.facts, type);
    if (why === undefined) return [];
    const evidence = `What ${nameOf(side)} shares is not known: ${why}`;
    const fix = `let yourself list ${type.plural} there`;
    return [
      { code: "CWY3020", level: "warning", cluster: side.cluster, object: nameOf(side), field: "", evidence, fix },
    ] satisfies readonly Finding[];
  });
}

function findingsOf({ reader, peer }: Pair, own: Sharing, theirs: Sharing): readonly Finding[] {
  // Names in another segment's domain are other names: there is nothing to merge.
  const oneDomain = own.domain === theirs.domain;
  return toldTo(theirs, own.segment).flatMap(([key, told]): readonly Finding[] => {
    const host = `${told.kube.id.name}.${told.kube.id.namespace}.${theirs.domain}`;
    const finding = (code: string, level: Finding["level"], evidence: string, fix = "", field = ""): Finding => ({
      ...{ code, level, cluster: reader.cluster, object: `Service ${key}`, field, evidence, fix },
    });
    const ours = oneDomain ? own.shared.get(key) : undefined;
    const namesake = own.services.get(key);
    const found =
      ours !== undefined
        ? mergeFindings(finding, { reader, peer, host, ours, told })
        : namesake !== undefined
          ? [finding("CWY3023", "warning", namesakeText(reader, peer, host, oneDomain), SAMENESS)]
          : [
              finding(
                "CWY3021",
                "info",
                `${nameOf(reader)} would get ${host} from ${peer.cluster} (${portsText(told)})`,
              ),
            ];
    return [...found, ...takeoverFindings(finding, { reader, peer, key, ours, namesake, told })];
  });
}

type Say = (code: string, level: Finding["level"], evidence: string, fix?: string, field?: string) => Finding;

const SAMENESS =
  "rename one of them, or keep the peer's out with spec.import of a PeerGrant, if they are not one service";

const namesakeText = (reader: Side, peer: Side, host: string, oneDomain: boolean): string =>
  `${nameOf(reader)} has a Service of that name that it does not share: there ${host} would lead to ${peer.cluster} only` +
  (oneDomain ? ", and its cluster-local name to its own only" : "");

interface Merge {
  readonly reader: Side;
  readonly peer: Side;
  readonly host: string;
  readonly ours: SharedHere;
  readonly told: SharedHere;
}

function mergeFindings(finding: Say, { reader, peer, host, ours, told }: Merge): readonly Finding[] {
  const wish = DISTRIBUTION_NAMES[ours.kube.distribution ?? "same-network"] ?? "PreferNetwork";
  const traffic =
    wish === "Any"
      ? `calls in ${reader.cluster} would be shared among both`
      : `calls in ${reader.cluster} would go to ${peer.cluster} once nothing nearer is healthy (${wish})`;
  return [
    finding("CWY3022", "info", `${host} would be one service of ${reader.cluster} and ${peer.cluster}: ${traffic}`),
    ...protocolConflicts(finding, reader, peer, ours.kube, told.kube),
    ...portDifferences(finding, reader, peer, ours.kube, told.kube),
  ];
}

function protocolConflicts(
  finding: Say,
  reader: Side,
  peer: Side,
  ours: KubeService,
  theirs: KubeService,
): readonly Finding[] {
  return ours.ports.flatMap((own) => {
    const other = theirs.ports.find(({ port }) => port === own.port);
    const [here, there] = [own, other ?? own].map((port) => protocolHint(port) || "not said");
    if (here === there) return [];
    const evidence = `Port ${own.port} is ${here} in ${reader.cluster} and ${there} in ${peer.cluster}: callers in ${reader.cluster} would speak ${here} to both`;
    const fix = "set one appProtocol in both clusters";
    return [finding("CWY3024", "warning", evidence, fix, `spec.ports[port=${own.port}].appProtocol`)];
  });
}

function portDifferences(
  finding: Say,
  reader: Side,
  peer: Side,
  ours: KubeService,
  theirs: KubeService,
): readonly Finding[] {
  const only = (one: KubeService, other: KubeService): readonly number[] =>
    one.ports.map(({ port }) => port).filter((port) => other.ports.every((each) => each.port !== port));
  const said = [[reader, only(ours, theirs)] as const, [peer, only(theirs, ours)] as const].flatMap(([side, ports]) =>
    ports.length === 0 ? [] : [`${ports.join(", ")} only in ${side.cluster}`],
  );
  if (said.length === 0) return [];
  const evidence = `The clusters differ in ports: ${said.join("; ")}. Calls of a port go only to clusters that have it`;
  return [
    finding("CWY3025", "warning", evidence, "give both Services the same ports, if that is not meant", "spec.ports"),
  ];
}

interface Takeover {
  readonly reader: Side;
  readonly peer: Side;
  readonly key: string;
  readonly ours: SharedHere | undefined;
  readonly namesake: KubeService | undefined;
  readonly told: SharedHere;
}

/** Where the cluster-local name would lead elsewhere (contract peering.md 2.8). */
function takeoverFindings(finding: Say, { reader, peer, key, ours, namesake, told }: Takeover): readonly Finding[] {
  const [namespace, name] = key.split("/");
  const local = `${name}.${namespace}.svc.cluster.local`;
  const field = "metadata.labels[solo.io/service-takeover]";
  const fix = "take the label away first, if callers of that name must stay where they are";
  if (ours?.takeover === true)
    return [
      finding("CWY3026", "warning", `${local} in ${reader.cluster} would lead to ${peer.cluster}, too`, fix, field),
    ];
  if (namesake !== undefined || !told.takeover) return [];
  const evidence = `${local}, which nobody has in ${reader.cluster}, would lead to ${peer.cluster}, as that has the label`;
  return [finding("CWY3026", "warning", evidence, fix, field)];
}

const portsText = ({ kube }: SharedHere): string => `ports ${kube.ports.map(({ port }) => port).join(", ") || "none"}`;
