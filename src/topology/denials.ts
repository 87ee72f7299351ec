import type { FederatedService } from "../registry/model/federated-service.ts";
import { limitAgainst } from "../registry/model/granted.ts";
import type { Reader, TopologyInputs } from "./inputs.ts";
import type { Shown, TopologyDenial } from "./topology.ts";

const SHOWN_MAX = 200;
/** Of one peer: a thousand refused records have one cause. */
const OF_ONE_MAX = 20;
/** Services held against grants for one page: hundreds of peers with a grant each must not stop the rest. */
const CHECKS_MAX = 20_000;

/** Edges that are not there, as one end wants them not to be. */
export function denials(inputs: TopologyInputs, exported: readonly FederatedService[]): Shown<TopologyDenial> {
  const { peers, readers, refused, peerGateways } = inputs;
  const served = new Set<string>(readers.map(({ cluster }) => cluster));
  const withheld = withheldServices(readers, exported);
  const imports = peers.reduce((sum, peer) => sum + peer.denials.length, 0);
  const rest: readonly TopologyDenial[] = [
    ...[...peerGateways].flatMap(({ cluster, namespace, name, refused }) =>
      refused === undefined
        ? []
        : [{ cluster: cluster ?? "", kind: "link refused" as const, what: `Gateway ${namespace}/${name}`, ...refused }],
    ),
    ...refused
      .filter(({ cluster }) => !served.has(cluster))
      .map(({ cluster, identity, reason, message }) => ({
        ...{ cluster, kind: "reader refused" as const, what: identity, reason, message },
      })),
  ];
  const shown = [...rest, ...peers.flatMap(importDenials), ...withheld.shown].slice(0, SHOWN_MAX);
  return { shown, total: rest.length + imports + withheld.total, more: withheld.more };
}

const importDenials = ({ cluster, denials }: TopologyInputs["peers"][number]): readonly TopologyDenial[] =>
  denials
    .slice(0, OF_ONE_MAX)
    .map(({ name, reason, message }) => ({ cluster, kind: "import refused", what: name, reason, message }));

/** What we share, and a reader is not told of, as its grant does not take it in. */
function withheldServices(readers: readonly Reader[], exported: readonly FederatedService[]): Shown<TopologyDenial> {
  const seen = new Set<string>();
  const shown: TopologyDenial[] = [];
  let [total, left, more] = [0, CHECKS_MAX, false];
  for (const { cluster, granted } of readers) {
    if (seen.has(cluster) || granted.length === 0) continue;
    seen.add(cluster);
    left -= exported.length;
    if (left < 0) return { shown, total, more: true };
    const denied = exported.flatMap(({ namespace, name }) => {
      const limit = limitAgainst(granted, namespace, name);
      return limit === undefined ? [] : [exportDenial(cluster, `${namespace}/${name}`, limit.by)];
    });
    shown.push(...denied.slice(0, OF_ONE_MAX));
    total += denied.length;
  }
  return { shown, total, more };
}

const exportDenial = (cluster: string, service: string, by: string): TopologyDenial => ({
  ...{ cluster, kind: "export denied", what: service, reason: by },
  message: `Cluster ${cluster} is not told of Service ${service}: no ${by} that limits what it may read takes that in.`,
});
