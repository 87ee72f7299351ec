import type { KubeObject } from "../../src/kube/object.ts";
import { clusterId, type ObjectKey } from "../../src/names.ts";
import type { Collection } from "../../src/registry/collection/collection.ts";
import { Index } from "../../src/registry/collection/index-by.ts";
import { Source } from "../../src/registry/collection/source.ts";
import { readClusterSpiffeId, type ClusterSpiffeId } from "../../src/registry/kube/cluster-spiffe-id.ts";
import { metadataOf } from "../../src/registry/kube/metadata.ts";
import { spiffeIdSelections } from "../../src/registry/spiffe-id-matches.ts";
import { uncoveredPods } from "../../src/registry/spire-coverage.ts";
import { podEntries, type PodEntries } from "../../src/registry/wanted/spire-entries.ts";
import { isJudged } from "../../src/spire/entries.ts";
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

/** Cluster `east` with what its pods are to have, under these templates, and whom SPIRE misses. */
export function spireMesh(
  objects: readonly KubeObject[],
  { templates = [], ztunnels = [] }: { templates?: readonly ClusterSpiffeId[]; ztunnels?: readonly string[] } = {},
) {
  const mesh = testMesh();
  const { graph, registry } = mesh;
  const given = new Source<ObjectKey, ClusterSpiffeId>(graph, "given-spiffe-ids");
  const byCluster = (from: Collection<ObjectKey, ClusterSpiffeId>) =>
    new Index(graph, from, "cluster", ({ id }) => [id.cluster]);
  const [ours, theirs] = [byCluster(given), byCluster(registry.objects.clusterSpiffeIds)];
  const { objects: sources } = registry;
  const selecting = (name: string, spiffeIds: typeof ours) =>
    spiffeIdSelections(graph, name, { objects: sources, spiffeIds }, EAST);
  const entries = podEntries(graph, { objects: sources, selections: selecting("ours", ours) }, PLACE);
  const coverage = { localCluster: EAST, ztunnelAccounts: new Set(ztunnels), judges: isJudged, ...PLACE };
  const inputs = { objects: sources, spiffeIds: theirs, selections: selecting("theirs", theirs) };
  const uncovered = uncoveredPods(graph, inputs, coverage);
  const register = (...spiffeIds: readonly ClusterSpiffeId[]): void => {
    given.replace(
      "",
      spiffeIds.map((one) => [`east//${one.id.name}` as ObjectKey, { ...one, id: { ...one.id, cluster: EAST } }]),
    );
  };
  register(...templates);
  mesh.apply(namespace("shop"), node("n1"), ...objects);
  const of = (name: string): PodEntries | undefined => entries.get(`east/shop/${name}` as ObjectKey);
  return { ...mesh, register, entries, uncovered, of };
}
