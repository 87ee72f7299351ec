import { clusterId } from "../../src/names.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import type { Intake } from "../../src/registry/kube/intake.ts";
import type { KubeObject, ObjectReference } from "../../src/kube/object.ts";
import type { RegistryOptions } from "../../src/registry/options.ts";
import { Registry } from "../../src/registry/registry.ts";

type Fields = Readonly<Record<string, unknown>>;

export interface TestMesh {
  readonly graph: Graph;
  readonly registry: Registry;
  readonly intake: Intake;
  /** Writes the objects and settles. */
  readonly apply: (...objects: readonly KubeObject[]) => void;
  /** Deletes the objects and settles. */
  readonly remove: (...objects: readonly ObjectReference[]) => void;
}

/** A registry with one cluster, `east`, and these objects in it; without global names unless `options` want them. */
export function testMesh(objects: readonly KubeObject[] = [], options: Partial<RegistryOptions> = {}): TestMesh {
  const graph = new Graph();
  const mesh = { trustDomain: "cluster.local", rootNamespace: "istio-system", clusterDomain: "cluster.local" };
  const registry = new Registry(graph, { mesh, localCluster: clusterId("east"), peeringDiscovery: false, ...options });
  const intake = registry.intake(clusterId("east"));
  const apply = (...written: readonly KubeObject[]): void => {
    for (const object of written) intake.set(object, "mesh.yaml:1");
    graph.flush();
  };
  const remove = (...gone: readonly ObjectReference[]): void => {
    for (const object of gone) intake.delete(object);
    graph.flush();
  };
  // Without objects it is not flushed yet: who adds to the graph can.
  if (objects.length > 0) apply(...objects);
  return { graph, registry, intake, apply, remove };
}

/** An object in namespace `shop`, unless `metadata` says otherwise. */
export function object(apiVersion: string, kind: string, metadata: Fields, rest: Fields = {}): KubeObject {
  return { apiVersion, kind, metadata: { namespace: "shop", ...metadata }, ...rest } as unknown as KubeObject;
}

export const pod = (
  name: string,
  ip: string,
  labels: Fields = {},
  spec: Fields = {},
  metadata: Fields = {},
): KubeObject =>
  object(
    "v1",
    "Pod",
    { name, uid: `uid-${name}`, labels, ...metadata },
    {
      spec: { nodeName: "n1", serviceAccountName: name, ...spec },
      status: { phase: "Running", podIPs: [{ ip }], conditions: [{ type: "Ready", status: "True" }] },
    },
  );

export const service = (name: string, clusterIP: string, spec: Fields = {}, metadata: Fields = {}): KubeObject =>
  object(
    "v1",
    "Service",
    { name, ...metadata },
    { spec: { clusterIP, selector: { app: name }, ports: [{ port: 80 }], ...spec } },
  );

export const serviceEntry = (name: string, spec: Fields, rest: Fields = {}): KubeObject =>
  object("networking.istio.io/v1", "ServiceEntry", { name, ...rest }, { spec });

export const authorization = (name: string, spec: Fields, metadata: Fields = {}): KubeObject =>
  object("security.istio.io/v1", "AuthorizationPolicy", { name, ...metadata }, { spec });

export const peerAuthentication = (name: string, spec: Fields, metadata: Fields = {}): KubeObject =>
  object("security.istio.io/v1", "PeerAuthentication", { name, ...metadata }, { spec });
