import type { KubeObject } from "../../src/kube/object.ts";
import { clusterId, type ObjectKey } from "../../src/names.ts";
import { Index } from "../../src/registry/collection/index-by.ts";
import { Source } from "../../src/registry/collection/source.ts";
import { readClusterSpiffeId, type ClusterSpiffeId } from "../../src/registry/kube/cluster-spiffe-id.ts";
import { metadataOf } from "../../src/registry/kube/metadata.ts";
import { uncoveredPods } from "../../src/registry/spire-coverage.ts";
import { nodeByName, podEntries, type PodEntries } from "../../src/registry/wanted/spire-entries.ts";
import { object, pod, testMesh } from "./mesh.ts";

const EAST = clusterId("east");
const PLACE = { trustDomain: "cluster.local", clusterDomain: "cluster.local", clusterName: "east-spire" };
export const MESH_ID = "spiffe://{{ .TrustDomain }}/ns/{{ .PodMeta.Namespace }}/sa/{{ .PodSpec.ServiceAccountName }}";

export const spiffeId = (name: string, spec: object = {}, status: object = {}): KubeObject =>
  object(
    "spire.spiffe.io/v1alpha1",
    "ClusterSPIFFEID",
    { name, namespace: undefined },
    { spec: { spiffeIDTemplate: MESH_ID, ...spec }, status },
  );

export const readSpiffeId = (name: string, spec: object = {}): ClusterSpiffeId =>
  readClusterSpiffeId(metadataOf({ name }, EAST, "", true), { spec: { spiffeIDTemplate: MESH_ID, ...spec } });

/** A pod whose traffic the mesh captures. */
export const captured = (name: string, labels: object = {}, metadata: object = {}): KubeObject =>
  pod(name, "10.0.0.1", { ...labels }, {}, { annotations: { "ambient.istio.io/redirection": "enabled" }, ...metadata });

export const node = (name: string): KubeObject =>
  object("v1", "Node", { name, namespace: undefined, uid: `uid-of-${name}` });

export const namespace = (name: string, labels: object = {}): KubeObject =>
  object("v1", "Namespace", { name, namespace: undefined, labels });

/** Cluster `east` with what its pods are to have, under these templates and an agent on node n1, and whom SPIRE misses. */
export function spireMesh(
  objects: readonly KubeObject[],
  { templates = [], ztunnels = [] }: { templates?: readonly ClusterSpiffeId[]; ztunnels?: readonly string[] } = {},
) {
  const mesh = testMesh();
  const { graph, registry } = mesh;
  const given = new Source<string, readonly ClusterSpiffeId[]>(graph, "templates");
  const agents = new Source<string, string>(graph, "agents");
  const entries = podEntries(graph, { ...registry, templates: given, agents }, { localCluster: EAST, ...PLACE });
  const spiffeIds = new Index(graph, registry.objects.clusterSpiffeIds, "cluster", ({ id }) => [id.cluster]);
  const coverage = { localCluster: EAST, ztunnelAccounts: new Set(ztunnels), ...PLACE };
  const uncovered = uncoveredPods(graph, { ...registry, spiffeIds }, coverage);
  given.set(EAST, templates);
  agents.set(nodeByName("n1"), AGENT);
  mesh.apply(namespace("shop"), node("n1"), ...objects);
  const of = (name: string): PodEntries | undefined => entries.get(`east/shop/${name}` as ObjectKey);
  return { ...mesh, given, agents, entries, uncovered, of };
}

export const AGENT = "spiffe://cluster.local/spire/agent/k8s_psat/east-spire/uid-of-n1";
