import { GATEWAYS } from "../../kube/resource-types.ts";
import type { WantedObject } from "../../kube/wanted-object.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import { filter } from "../collection/filter.ts";
import type { Graph } from "../collection/graph.ts";
import { REMOTE_CLASS } from "../kube/gateway.ts";
import type { ObjectStatus } from "../kube/object-status.ts";
import { peerConditions, peerFindings } from "./peer-conditions.ts";
import type { PeeringViewInputs } from "./peering-view-inputs.ts";
import { wantedStatus, type Verdict } from "./wanted-status.ts";

/** How each peer is, at the Gateway that leads to it; nothing that others say there is touched. */
export function peerGatewayStatuses(
  graph: Graph,
  { objects, peerGateways, peers, paths, options }: PeeringViewInputs,
  prefix: string,
): Collection<string, WantedObject> {
  const remote = filter(
    graph,
    "remote-gateways-here",
    objects.gateways,
    ({ id, className }) => id.cluster === options.localCluster && className === REMOTE_CLASS,
  );
  const { facts, statuses } = peers;
  const { standings, doors } = paths;
  return derive(graph, {
    name: "peer-gateway-statuses",
    from: remote,
    reads: { peerGateways, statuses, facts, standings, doors },
    distinct: true,
    to: (gateway, reads, key) => {
      const { id, status: held } = gateway;
      if (held === undefined) return [];
      const verdicts = peerConditions(peerFindings(key, reads, options), prefix);
      const types = new Set(verdicts.map(({ type }) => type));
      const ours = { ...held, conditions: held.conditions.filter(({ type }) => types.has(type)) };
      const target = { type: GATEWAYS, id, status: ours };
      const wanted = wantedStatus(
        target,
        verdicts.map((verdict) => knownVerdict(verdict, ours)),
      );
      return wanted ? [[`Gateway ${id.namespace}/${id.name}`, wanted] as const] : [];
    },
  });
}

/** Until we know, as after a start, what was said of this very Gateway before stands. */
function knownVerdict(verdict: Verdict, { conditions, generation }: ObjectStatus): Verdict {
  const before = conditions.find(({ type }) => type === verdict.type);
  if (verdict.holds !== undefined || before === undefined || before.observedGeneration !== generation) return verdict;
  const { type, status, reason, message } = before;
  return status === "Unknown" ? verdict : { type, holds: status === "True", reason, message };
}
