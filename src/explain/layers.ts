import { objectKey, type ClusterId } from "../names.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import { recordKey } from "../registry/global-candidate.ts";
import type { WaypointPolicy } from "../registry/model/federated-service.ts";
import { chosenWaypoint } from "../registry/waypoints.ts";
import { hostText } from "../registry/network-gateways.ts";
import { waysTo } from "./contributions.ts";
import type { Contribution, ExplainFacts, Hop, Path, WaypointView } from "./explanation.ts";
import type { Question } from "./question.ts";

/** Which waypoints could take the calls, and which of them does: exactly one enforces L7, unless somebody wants both (contract peering.md 2.9). */
export function waypointView(question: Question, facts: ExplainFacts): WaypointView {
  const { registry } = facts;
  const { offers, options, peers } = registry.globalCandidates.inputs;
  const { namespace, name, key } = question;
  const { localCluster } = options;
  const kube = registry.objects.services.get(objectKey(localCluster, namespace, name));
  const { namespaces } = registry.objects;
  const { waypoints } = registry.statusInputs;
  const chosen = kube?.ofGateway
    ? undefined
    : chosenWaypoint(
        { cluster: localCluster, namespace, use: kube?.useWaypoint, kind: "service" },
        { namespaces, waypoints },
      );
  const takes = registry.services.get(key)?.waypoint !== undefined;
  const there = Array.from(registry.peerGateways.entries(), ([, { cluster }]) => cluster).flatMap((cluster) => {
    const waypoint = cluster && peers.federated.get(recordKey(cluster, question))?.waypoint;
    return waypoint ? [{ cluster, waypoint: `${waypoint.namespace}/${waypoint.name}` }] : [];
  });
  const policy: WaypointPolicy = offers.hosts.get(key)?.waypointPolicy ?? "once";
  const here = takes ? (chosen?.name ?? "") : "";
  const refused = chosen?.refused === undefined ? "" : `${chosen.name} ${chosen.refused}`;
  const ofOne = here === "" ? "none" : `${here} takes the calls and enforces L7`;
  const rule = offers.hosts.get(key) === undefined ? ofOne : `${ruleOf(policy, here, there.length > 0)} (${policy})`;
  return { here, refused, there, policy, rule };
}

function ruleOf(policy: WaypointPolicy, here: string, there: boolean): string {
  const ours =
    here === "" ? "no waypoint of this cluster takes the calls" : `waypoint ${here} of this cluster takes the calls`;
  switch (policy) {
    case "once":
      return here !== ""
        ? `${ours} and enforces L7, so the destination's does not`
        : `${ours}, so the destination's enforces L7 ${there ? "where there is one" : "if there is one: no peer has said so"}`;
    case "source":
      return here !== ""
        ? `${ours} and enforces L7; the destination's never does`
        : `${ours}, and the destination's never does: nobody enforces L7`;
    case "destination":
      return "the destination's enforces L7, whatever the caller's cluster has";
    case "both":
      return `${ours}, and the destination's enforces again`;
  }
}

/** The boxes that calls go through, one way for each cluster that has endpoints (contract peering.md 1.1, A21). */
export function pathsTo(
  question: Question,
  contributions: readonly Contribution[],
  waypoint: WaypointView,
  facts: ExplainFacts,
): readonly Path[] {
  const { localCluster } = facts.registry.globalCandidates.inputs.options;
  return contributions
    .filter(({ cause, healthy }) => cause === undefined && healthy > 0)
    .map((contribution) => ({
      to: contribution.cluster,
      hops:
        contribution.cluster === localCluster
          ? [...fromCaller(waypoint, localCluster), ...arrival(localCluster, seenAfter(waypoint.here))]
          : [...fromCaller(waypoint, localCluster), ...abroad(contribution, question, waypoint, facts)],
    }));
}

const seenAfter = (waypoint: string): string => (waypoint === "" ? "the caller" : `waypoint ${waypoint}`);

function fromCaller({ here }: WaypointView, cluster: ClusterId): readonly Hop[] {
  const pod: Hop = { cluster, what: "pod of the caller", enforces: "nothing", note: "needs no proxy of its own" };
  const ztunnel: Hop = {
    ...{ cluster, what: "ztunnel of the caller's node", enforces: "nothing" },
    note: `finds the service by its address and proves to be the caller${here === "" ? "" : "; the service has a waypoint, so it sends all there"}`,
  };
  const waypoint: Hop = {
    ...{ cluster, what: `waypoint ${here}`, enforces: "L4 and L7" },
    note: "policies with targetRefs to it or to the Service; it chooses the endpoint, and calls on in its own name",
  };
  return here === "" ? [pod, ztunnel] : [pod, ztunnel, waypoint];
}

function abroad(
  { cluster, via, through }: Contribution,
  question: Question,
  { here, there, policy }: WaypointView,
  facts: ExplainFacts,
): readonly Hop[] {
  const theirs = there.find((each) => each.cluster === cluster)?.waypoint;
  const ways = waysTo({ cluster: cluster as ClusterId, via } as Parameters<typeof waysTo>[0], question, facts);
  const { mesh } = facts.registry.globalCandidates.inputs.options;
  const identities = ways.map(({ namespace, serviceAccount, trustDomain = mesh.trustDomain }) =>
    formatServiceAccountId({ trustDomain, namespace, serviceAccount }),
  );
  const gateway: Hop = {
    ...{ cluster, what: `east-west gateway ${ways.map(({ host }) => hostText(host)).join(", ")}`, enforces: "nothing" },
    note: `ends the outer tunnel and passes the inner one on, unopened; it must prove to be ${[...new Set(identities)].join(" or ")}`,
  };
  const passed = policy === "both" || policy === "destination" || (policy === "once" && here === "");
  const waypoint = theirs === undefined ? [] : [waypointThere(cluster, theirs, passed)];
  return [
    ...(through.length === 0 ? [] : [gateway]),
    ...(passed ? waypoint : []),
    ...arrival(cluster, seenAfter(passed && theirs !== undefined ? theirs : here)),
    ...(passed ? [] : waypoint),
  ];
}

const waypointThere = (cluster: string, name: string, passed: boolean): Hop => ({
  ...{ cluster, what: `waypoint ${name}`, enforces: passed ? "L4 and L7" : "nothing" },
  ...(passed
    ? { note: `policies of cluster ${cluster}` }
    : { offPath: true, note: "L7 was enforced before, or is not to be here" }),
});

const arrival = (cluster: string, seen: string): readonly Hop[] => [
  {
    cluster,
    what: "ztunnel of the pod's node",
    enforces: "L4",
    note: `policies of cluster ${cluster}; it sees ${seen}`,
  },
  { cluster, what: "pod", enforces: "nothing", note: "gets plain bytes; its ztunnel knows who called" },
];
