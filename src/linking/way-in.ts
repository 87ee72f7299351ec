import { objectsOf } from "../inspect/cluster-facts.ts";
import { isFields, type Fields } from "../kube/fields.ts";
import * as types from "../kube/resource-types.ts";
import { readNode } from "../registry/kube/namespace.ts";
import { readService, type KubeService } from "../registry/kube/service.ts";
import type { DataPlaneServiceType } from "../registry/model/peer.ts";
import { hostText } from "../registry/network-gateways.ts";
import { serviceTypeOf } from "../registry/peer-gateways.ts";
import { readOr, type FoundGateway, type Side } from "./side.ts";

const GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name";
/** A Gateway has at most 16 addresses; four nodes that are all gone are a cluster that is gone. */
const NODES_MAX = 4;

/** Where a cluster is reached from others; `lack` says why nowhere yet. */
export interface WayIn {
  readonly addresses: readonly string[];
  readonly xdsPort: number;
  /** Undefined if it is the peer's to say. */
  readonly hbonePort: number | undefined;
  readonly via: DataPlaneServiceType;
  /** What follows the name of the gateway in a sentence; undefined if it can be reached. */
  readonly lack: string | undefined;
}

/** @param preferred how it is to be reached; undefined for what its gateway offers. */
export function wayInto(side: Side, door: FoundGateway, preferred: DataPlaneServiceType | undefined): WayIn {
  const via = preferred ?? offeredBy(door);
  return via === "nodeport" ? byNodes(side, door) : byLoadBalancer(side, door);
}

/** A load balancer where that is offered at all. */
function offeredBy({ gateway }: FoundGateway): DataPlaneServiceType {
  const offered = (gateway.serviceType ?? "").split(",").flatMap((text) => serviceTypeOf(text) ?? []);
  return offered.length > 0 && !offered.includes("loadbalancer") ? "nodeport" : "loadbalancer";
}

const portsOf = ({ gateway }: FoundGateway) => ({
  xds: gateway.listeners.find(({ protocol }) => protocol === "TLS")?.port ?? 0,
  hbone: gateway.listeners.find(({ protocol }) => protocol === "HBONE")?.port ?? 0,
});

function byLoadBalancer(side: Side, door: FoundGateway): WayIn {
  const ports = portsOf(door);
  const found = new Set([
    ...door.gateway.addresses.map(hostText).filter((host) => !host.includes(".svc.")),
    ...servicesOf(side, door).flatMap(({ object }) => balancersOf(object)),
  ]);
  return {
    addresses: [...found],
    xdsPort: ports.xds,
    hbonePort: ports.hbone,
    via: "loadbalancer",
    lack: found.size > 0 ? undefined : "has no address of a load balancer yet",
  };
}

function byNodes(side: Side, door: FoundGateway): WayIn {
  const ports = portsOf(door);
  const service = servicesOf(side, door).find(({ service }) => nodePortOf(service, ports.xds) !== undefined)?.service;
  const nodes = service === undefined ? [] : nodesOf(side, door, service);
  const lack =
    service === undefined
      ? `has no Service with a node port for its port ${ports.xds} yet`
      : nodes.length === 0
        ? "has a node port, but no node is ready and takes pods"
        : undefined;
  // Tunnels go to nodes that the peer names as they come and go.
  const xdsPort = (service && nodePortOf(service, ports.xds)) ?? ports.xds;
  return { addresses: nodes.slice(0, NODES_MAX), xdsPort, hbonePort: undefined, via: "nodeport", lack };
}

const nodePortOf = ({ ports }: KubeService, wanted: number): number | undefined =>
  ports.find(({ port }) => port === wanted)?.nodePort;

/** By name, so that the same ones are taken each time. */
function nodesOf({ facts }: Side, { gateway }: FoundGateway, { nodePortsLocal }: KubeService): readonly string[] {
  const running = new Set(
    objectsOf(facts, types.PODS)
      .filter(({ metadata }) => metadata.namespace === gateway.id.namespace)
      .filter(({ metadata }) => metadata.labels?.[GATEWAY_NAME] === gateway.id.name)
      .flatMap(({ spec }) => (isFields(spec) && typeof spec["nodeName"] === "string" ? [spec["nodeName"]] : [])),
  );
  return [...objectsOf(facts, types.NODES)]
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .filter(({ metadata }) => !nodePortsLocal || running.has(metadata.name))
    .flatMap((object) => {
      const node = readOr(object, true, readNode);
      return node?.address !== undefined && node.ready && !node.cordoned ? [node.address] : [];
    });
}

function servicesOf({ facts }: Side, { gateway }: FoundGateway) {
  const { namespace, name } = gateway.id;
  return objectsOf(facts, types.SERVICES).flatMap((object) => {
    const { metadata } = object;
    if (metadata.namespace !== namespace || metadata.labels?.[GATEWAY_NAME] !== name) return [];
    const service = readOr(object, false, readService);
    return service === undefined ? [] : [{ service, object: object as Fields }];
  });
}

/** What a cloud has given to a Service of type LoadBalancer. */
function balancersOf({ status }: Fields): readonly string[] {
  const balancer = isFields(status) && isFields(status["loadBalancer"]) ? status["loadBalancer"] : {};
  const ingress: readonly unknown[] = Array.isArray(balancer["ingress"]) ? balancer["ingress"] : [];
  return ingress.filter(isFields).flatMap(({ ip, hostname }) => {
    const address = ip ?? hostname;
    return typeof address === "string" && address !== "" ? [address] : [];
  });
}
