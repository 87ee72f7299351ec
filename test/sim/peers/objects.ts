import type { KubeObject } from "../../../src/kube/object.ts";
import { peerGateway } from "../../registry/peers.ts";
import { object, pod, service } from "../../registry/mesh.ts";
import { eastWest, unready } from "../../registry/two-networks.ts";
import {
  doorsOf,
  type ModelCluster,
  type ModelGrant,
  type ModelWorld,
  NAMESPACES,
  nameOf,
  namespaceOf,
  podIp,
  SEGMENT_DOMAIN,
  SERVICES,
  targetOf,
  waypointIp,
} from "./model.ts";

const CREATED = { creationTimestamp: "2026-01-01T00:00:00Z" };

/** What the API server of a cluster holds, by what tells objects apart. */
export function objectsOf(cluster: ModelCluster, world: ModelWorld): ReadonlyMap<string, KubeObject> {
  const all = [
    ...namespacesOf(cluster),
    object(
      "admin.solo.io/v1alpha1",
      "Segment",
      { namespace: "istio-system", name: "blue", ...CREATED },
      { spec: { domain: SEGMENT_DOMAIN } },
    ),
    ...servicesOf(cluster),
    ...podsOf(cluster),
    ...[...cluster.waypoints].map((namespace) => waypointIn(cluster, namespace)),
    ...eastWestOf(cluster),
    ...remoteGatewaysOf(cluster, world),
    ...[...cluster.grants].map(([peer, grant]) => grantTo(peer, grant)),
  ];
  return new Map(all.map((each) => [`${each.kind}/${each.metadata.namespace ?? ""}/${each.metadata.name}`, each]));
}

function namespacesOf({ network, inSegment, scopes }: ModelCluster): readonly KubeObject[] {
  const namespace = (name: string, labels: object): KubeObject =>
    object("v1", "Namespace", { namespace: undefined, name, labels });
  const segment = inSegment ? { "admin.solo.io/segment": "blue" } : {};
  return [
    namespace("istio-system", { "topology.istio.io/network": network, ...segment }),
    ...NAMESPACES.map((name) => namespace(name, scopes.has(name) ? { "solo.io/service-scope": scopes.get(name) } : {})),
  ];
}

const servicesOf = ({ index, services }: ModelCluster): readonly KubeObject[] =>
  [...services].map(([key, { scope, takeover, ports, headless, usesWaypoint }]) => {
    const labels = {
      ...(scope !== "" && { "solo.io/service-scope": scope }),
      ...(takeover && { "solo.io/service-takeover": "true" }),
      ...(usesWaypoint && { "istio.io/use-waypoint": "wp" }),
    };
    const spec = { ports: ports.map((port) => ({ name: `tcp-${port}`, port, targetPort: targetOf(port) })) };
    const ip = headless ? "None" : `10.10${index}.0.${SERVICES.indexOf(key as "shop/cart") + 1}`;
    return service(nameOf(key), ip, spec, { namespace: namespaceOf(key), labels, ...CREATED });
  });

const podsOf = (cluster: ModelCluster): readonly KubeObject[] =>
  [...cluster.pods].map(([key, { app, ready, account }]) => {
    const spec = { serviceAccountName: account };
    const written = pod(nameOf(key), podIp(cluster, key), { app }, spec, { namespace: namespaceOf(key) });
    return ready ? written : unready(written);
  });

const waypointIn = (cluster: ModelCluster, namespace: string): KubeObject =>
  object(
    "gateway.networking.k8s.io/v1",
    "Gateway",
    { name: "wp", namespace },
    {
      spec: {
        gatewayClassName: "istio-waypoint",
        listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }],
      },
      status: { addresses: [{ type: "IPAddress", value: waypointIp(cluster, namespace) }] },
    },
  );

function eastWestOf(cluster: ModelCluster): readonly KubeObject[] {
  if (cluster.eastWest === undefined) return [];
  const annotations = { "gateway.istio.io/service-account": cluster.eastWest };
  const metadata = { name: "istio-eastwest", namespace: "istio-eastwest", annotations };
  return [eastWest(cluster.network, doorsOf(cluster).slice(0, 1), {}, metadata)];
}

const remoteGatewaysOf = ({ gateways }: ModelCluster, world: ModelWorld): readonly KubeObject[] =>
  [...gateways].map(([name, { doors, region, mistaken }]) => {
    const peer = world.get(name)!;
    const trustDomain = mistaken === "trustDomain" ? "wrong.example" : peer.trustDomain;
    return peerGateway(name, {
      network: mistaken === "network" ? "net-wrong" : peer.network,
      addresses: doorsOf(peer).slice(0, doors),
      labels: region === "" ? {} : { "topology.kubernetes.io/region": region },
      annotations: { "gateway.istio.io/trust-domain": trustDomain },
    });
  });

function grantTo(peer: string, { exports, imports }: ModelGrant): KubeObject {
  const spec = {
    cluster: peer,
    ...(exports !== undefined && { export: { namespaces: exports } }),
    ...(imports !== undefined && { import: { namespaces: imports } }),
  };
  return object("peering.causeway.dev/v1alpha1", "PeerGrant", { namespace: "istio-system", name: peer }, { spec });
}
