import type { ObjectKey } from "../../names.ts";
import type { Collection } from "../collection/collection.ts";
import { derive } from "../collection/derive.ts";
import type { Graph } from "../collection/graph.ts";
import { Index } from "../collection/index-by.ts";
import { servesHere } from "../export-counts.ts";
import { localName } from "../exported-services.ts";
import type { Problem } from "../model/problem.ts";
import type { ProxyGateway } from "../model/proxy-gateway.ts";
import type { ProxyPolicies } from "../model/proxy-policies.ts";
import type { ProxyService } from "../model/proxy-service.ts";
import type { Offer } from "../service-offers.ts";
import type { SharedService } from "../shared-services.ts";
import { union } from "../union.ts";
import { DEFAULT_NETWORK } from "../workload-shape.ts";
import type { GatewayInputs } from "./gateway-inputs.ts";
import { RULES_MAX, TOO_MANY } from "./proxy-services.ts";
import { TOO_MUCH } from "./proxy-policies.ts";
import { protocolsOf } from "./service-protocols.ts";

export interface GatewayProblemInputs extends GatewayInputs {
  readonly gateways: Collection<ObjectKey, ProxyGateway>;
  readonly proxied: Collection<string, ProxyService>;
  readonly policies: Collection<string, ProxyPolicies>;
  /** Of the local cluster. */
  readonly ownShared: Collection<ObjectKey, SharedService>;
}

/** What our gateways cannot carry, though somebody's objects ask them to. */
export const trafficProblems = (graph: Graph, inputs: GatewayProblemInputs): Collection<string, Problem> =>
  union(graph, "gateway-traffic-problems", [problemsAtWaypoints(graph, inputs), problemsOfShared(graph, inputs)]);

function problemsAtWaypoints(graph: Graph, inputs: GatewayProblemInputs): Collection<string, Problem> {
  const { proxied, policies, winners, services, objects } = inputs;
  return derive(graph, {
    name: "problems-at-waypoints",
    distinct: true,
    from: proxied,
    reads: { policies, winners, services, kubeServices: objects.services, entries: objects.serviceEntries },
    to: ({ gateway, service, ports }, reads, key): readonly (readonly [string, Problem])[] => {
      const offer = reads.winners.get(service);
      // What other clusters have is theirs to mend.
      if (offer === undefined || offer.elsewhere || (offer.global && offer.global.kind !== "local")) return [];
      const passed = reads.services.get(service)?.loadBalancing?.mode === "passthrough";
      const udp = [...protocolsOf(offer, reads)].flatMap(([number, protocol]) => (protocol === "UDP" ? [number] : []));
      const shut = reads.policies.get(key)?.authorization[0]?.name === TOO_MUCH.name;
      const found = [
        passed ? unknownDestination : undefined,
        udp.length > 0 ? datagrams(udp) : undefined,
        shut ? tooMuch(ports.length) : undefined,
        ports.some(({ rules }) => rules[0]?.name === TOO_MANY) ? tooManyRoutes : undefined,
      ];
      return found.flatMap((said, at) =>
        said === undefined ? [] : [[`${key}#traffic${at}`, problemOf(offer, said, gateway)] as const],
      );
    },
  });
}

type Said = readonly [field: string, message: string];

function problemOf({ kind, id }: Offer, [field, message]: Said, gateway: ObjectKey): Problem {
  const object = `${kind} ${id.namespace}/${id.name}`;
  const waypoint = gateway.slice(gateway.indexOf("/") + 1);
  const text = `${object} goes through waypoint ${waypoint}, ${message}.`;
  return { object, origin: id.origin, field, message: text, severity: "warning" };
}

const unknownDestination: Said = [
  "spec.resolution",
  "but has resolution NONE, so only its callers know where their connections are to go, and the waypoint refuses them; " +
    "give it endpoints and resolution STATIC, or the label istio.io/use-waypoint: none",
];

const datagrams = (ports: readonly number[]): Said => [
  "spec.ports",
  `which carries no UDP: what is sent to port ${ports.slice(0, 8).join(", ")} passes it by, and its policies with it; ` +
    "guard that port by other means",
];

const tooMuch = (ports: number): Said => [
  "spec.ports",
  `which denies all that is sent to it: each of its ${ports} ports would have all of its policies, more than 64 MiB; ` +
    "make the policies smaller, or the ports fewer",
];

const tooManyRoutes: Said = [
  "spec.ports",
  `which answers 500 on some of its ports: all of its ports together have more than ${RULES_MAX} matches of routes; ` +
    "give the routes' parentRefs the ports that they are for",
];

/** Endpoints that calls from other networks never reach, as those end in a ztunnel (contract peering.md 2.6). */
function problemsOfShared(
  graph: Graph,
  { ownShared, gateways, workloadsByService: byService, paths, options }: GatewayProblemInputs,
): Collection<string, Problem> {
  const kinds = new Index(graph, gateways, "kind-of-gateway", ({ kind }) => [kind]);
  const { localCluster } = options;
  return derive(graph, {
    name: "problems-of-shared",
    distinct: true,
    from: ownShared,
    reads: { kinds, byService, networks: paths.networks },
    to: ({ kube }, reads, key): readonly (readonly [string, Problem])[] => {
      if (kube.ofGateway || reads.kinds.get("east-west").length === 0) return [];
      const network = reads.networks.get(localCluster) ?? DEFAULT_NETWORK;
      const here = reads.byService
        .get(localName(kube, options))
        .filter((workload) => servesHere(workload, localCluster, network));
      const [first, ...others] = here.filter(({ tunnel }) => tunnel === "none");
      if (first === undefined) return [];
      const object = `Service ${kube.id.namespace}/${kube.id.name}`;
      const message =
        `${object} is shared with other clusters, but ${others.length + 1} of its ${here.length} endpoints take no HBONE, ` +
        `${first.name} among them, so no call of another network reaches those; put the label ` +
        "istio.io/dataplane-mode: ambient on their namespace or pods.";
      const problem: Problem = { object, origin: kube.id.origin, field: "spec.selector", message, severity: "warning" };
      return [[`Service ${key}#hbone`, problem]];
    },
  });
}
