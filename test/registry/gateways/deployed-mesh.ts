import type { KubeObject } from "../../../src/kube/object.ts";
import type { WantedObject } from "../../../src/kube/wanted-object.ts";
import { clusterId, type ObjectKey } from "../../../src/names.ts";
import { Graph } from "../../../src/registry/collection/graph.ts";
import { Source } from "../../../src/registry/collection/source.ts";
import { Registry } from "../../../src/registry/registry.ts";
import { readPart, type FoundPart } from "../../../src/registry/wanted/gateways/found-part.ts";
import {
  partKey,
  type GatewaySettings,
  type PartTrouble,
} from "../../../src/registry/wanted/gateways/gateway-inputs.ts";
import { readParameters, type GatewayParameters } from "../../../src/registry/wanted/gateways/gateway-parameters.ts";
import { wantedOfGateways } from "../../../src/registry/wanted/gateways/wanted-of-gateways.ts";

export const SETTINGS: GatewaySettings = {
  revision: "default",
  makesClasses: true,
  agentImage: "causeway:test",
  envoyImage: "envoyproxy/envoy:distroless-test",
  pullPolicy: undefined,
  pullSecrets: [],
  replicas: undefined,
  resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { memory: "1Gi" } },
  priorityClass: undefined,
  discoveryAddress: "istiod.istio-system.svc:15012",
  rootConfigMap: "istio-ca-root-cert",
  network: "",
  spire: undefined,
};

/** Cluster `east`, whose Gateways are deployed, and what is wanted there. */
export function deployedMesh(objects: readonly KubeObject[] = [], settings: Partial<GatewaySettings> = {}) {
  const graph = new Graph();
  const mesh = { trustDomain: "cluster.local", rootNamespace: "istio-system", clusterDomain: "cluster.local" };
  const registry = new Registry(graph, { mesh, localCluster: clusterId("east") });
  const parts = new Source<string, FoundPart>(graph, "parts");
  const troubles = new Source<string, PartTrouble>(graph, "troubles");
  const parameters = new Source<ObjectKey, GatewayParameters>(graph, "parameters");
  const phase = new Source<"phase", "started">(graph, "phase");
  const { objects: sources, localCluster } = registry.statusInputs;
  const inputs = { objects: sources, mesh, localCluster, parts, troubles, parameters, phase };
  const wanted = wantedOfGateways(graph, inputs, { ...SETTINGS, ...settings });
  const intake = registry.intake(clusterId("east"));
  phase.set("phase", "started");
  const apply = (...written: readonly KubeObject[]): void => {
    for (const object of written) intake.set(object, "");
    graph.flush();
  };
  apply(...objects);
  const of = (key: string): WantedObject | undefined => wanted.anybodys.get(key) ?? wanted.ours.get(key);
  /** As an API server that has it; `more` is what others said besides. */
  const store = (object: KubeObject): void => {
    parts.set(partKey(object.kind, object.metadata.namespace ?? "", object.metadata.name), readPart(object));
    graph.flush();
  };
  const forget = (key: string): void => {
    parts.delete(key);
    graph.flush();
  };
  const configure = (name: string, data: Readonly<Record<string, string>>): void => {
    const metadata = { name, namespace: "shop" };
    const map = { apiVersion: "v1", kind: "ConfigMap", metadata, data };
    parameters.set(`east/shop/${name}` as ObjectKey, readParameters(map));
    graph.flush();
  };
  /** As `Programmed=False Pending`. */
  const verdicts = (key = "Gateway shop/wp"): readonly string[] =>
    (of(key)?.conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`);
  const message = (type: string, key = "Gateway shop/wp"): string =>
    of(key)?.conditions?.find((condition) => condition.type === type)?.message ?? "";
  const flush = (): void => graph.flush();
  return { wanted, of, apply, store, forget, configure, troubles, flush, verdicts, message, intake };
}

/** A part as an API server has it once it was written. */
export function storedPart(wanted: WantedObject, more: Readonly<Record<string, unknown>> = {}): KubeObject {
  const { type, namespace, name, labels = {}, annotations = {}, owner, fields } = wanted;
  const metadata = {
    ...{ namespace, name, labels, annotations, resourceVersion: "1", uid: `uid-of-${type.kind}-${name}` },
    ...(owner && { ownerReferences: [owner] }),
  };
  return { apiVersion: "v1", kind: type.kind, metadata, ...fields, ...more };
}

type Fields = Readonly<Record<string, unknown>>;

export const gateway = (metadata: Fields = {}, spec: Fields = {}, more: Fields = {}): KubeObject => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "Gateway",
  metadata: { namespace: "shop", name: "wp", uid: "uid-gateway", generation: 1, ...metadata },
  spec: {
    gatewayClassName: "istio-waypoint",
    listeners: [{ name: "mesh", port: 15008, protocol: "HBONE" }],
    ...spec,
  },
  ...more,
});

/** As the chart of guide 001 makes it. */
export const eastWest = (metadata: Fields = {}, spec: Fields = {}): KubeObject =>
  gateway(
    {
      name: "istio-eastwest",
      namespace: "istio-eastwest",
      labels: {
        "istio.io/expose-istiod": "15012",
        "topology.istio.io/cluster": "trustusbank-bank",
        "topology.istio.io/network": "trustusbank-bank",
      },
      annotations: { "peering.solo.io/data-plane-service-type": "nodeport" },
      ...metadata,
    },
    {
      gatewayClassName: "istio-eastwest",
      listeners: [
        { name: "tls-hbone", port: 15008, protocol: "HBONE" },
        { name: "tls-xds", port: 15012, protocol: "TLS" },
      ],
      ...spec,
    },
  );
