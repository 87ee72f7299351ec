import type { ClusterFacts } from "../inspect/cluster-facts.ts";
import { objectsOf } from "../inspect/cluster-facts.ts";
import { isFields } from "../kube/fields.ts";
import type { KubeObject } from "../kube/object.ts";
import * as types from "../kube/resource-types.ts";
import { clusterId } from "../names.ts";
import { readGateway, REMOTE_CLASS, type KubeGateway } from "../registry/kube/gateway.ts";
import { readMeshConfig, type DeclaredMesh } from "../registry/kube/mesh-config.ts";
import { metadataOf, type Metadata } from "../registry/kube/metadata.ts";
import { isEastWestClass } from "../registry/network-gateways.ts";
import { CLUSTER_LABEL, NETWORK_LABEL } from "./gateways.ts";

/** A Gateway as the control plane reads it, and as it is. */
export interface FoundGateway {
  readonly gateway: KubeGateway;
  readonly object: KubeObject;
}

/** One of the clusters that are joined: what it says of itself. */
export interface Side {
  /** As in the kubeconfig; empty for the current one. */
  readonly context: string;
  /** Its ID; undefined if nothing says it, or if it is said twice and differently. */
  readonly cluster: string | undefined;
  /** Of its system namespace; undefined if that has no such label. */
  readonly network: string | undefined;
  readonly system: string;
  readonly trustDomain: string;
  readonly mesh: DeclaredMesh | undefined;
  /** East-west gateways, the oldest first. */
  readonly doors: readonly FoundGateway[];
  /** Gateways that lead to peers. */
  readonly remotes: readonly FoundGateway[];
  readonly facts: ClusterFacts;
  /** True if it was not read: an offer of its team is all that is known. */
  readonly offered?: boolean;
}

/** One cluster that is to read another. */
export interface Pair {
  readonly reader: Side;
  readonly peer: Side;
  /** True if the peer is to read it, too. */
  readonly mutual: boolean;
}

export interface SideOptions {
  readonly system: string;
  /** What somebody says of it with flags counts before what is found. */
  readonly cluster?: string | undefined;
  readonly network?: string | undefined;
}

const SOMEWHERE = clusterId("somewhere");
const DEFAULT_TRUST_DOMAIN = "cluster.local";

export function sideOf(facts: ClusterFacts, { system, cluster, network }: SideOptions): Side {
  const gateways = gatewaysOf(facts);
  const doors = gateways.filter(({ gateway }) => isEastWestClass(gateway.className));
  const home = objectsOf(facts, types.NAMESPACES).find(({ metadata }) => metadata.name === system)?.metadata.labels;
  const mesh = meshOf(facts, system);
  return {
    context: facts.context ?? "",
    cluster:
      cluster ?? onlyOne(clusterIds(facts, system)) ?? home?.[CLUSTER_LABEL] ?? onlyOne(doors.map(clusterOfDoor)),
    network: network ?? (home?.[NETWORK_LABEL] || undefined),
    system,
    trustDomain: mesh?.trustDomain ?? DEFAULT_TRUST_DOMAIN,
    mesh,
    doors,
    // One without a listener of protocol TLS only says where another network is.
    remotes: gateways.filter(
      ({ gateway }) =>
        gateway.className === REMOTE_CLASS && gateway.listeners.some(({ protocol }) => protocol === "TLS"),
    ),
    facts,
  };
}

/** As in `cluster east (context kind-east)`. */
export const nameOf = ({ cluster, context }: Pick<Side, "cluster" | "context">): string =>
  cluster === undefined
    ? context === ""
      ? "the cluster of the current context"
      : `the cluster of context ${context}`
    : context === "" || context === cluster
      ? `cluster ${cluster}`
      : `cluster ${cluster} (context ${context})`;

/** What goes before the words of a command of kubectl. */
export const kubectl = ({ context }: Pick<Side, "context">): string =>
  context === "" ? "kubectl" : `kubectl --context ${context}`;

const clusterOfDoor = ({ gateway }: FoundGateway): string | undefined => gateway.leadsTo;

function gatewaysOf(facts: ClusterFacts): readonly FoundGateway[] {
  return objectsOf(facts, types.GATEWAYS)
    .flatMap((object) => {
      const gateway = readOr(object, false, readGateway);
      return gateway === undefined ? [] : [{ gateway, object }];
    })
    .sort(
      (a, b) => a.gateway.id.createdMs - b.gateway.id.createdMs || (a.gateway.id.name < b.gateway.id.name ? -1 : 1),
    );
}

/** An object that cannot be read counts for nothing here, as it does to the control plane. */
export function readOr<T>(
  object: KubeObject,
  clusterWide: boolean,
  read: (metadata: Metadata, object: KubeObject) => T,
): T | undefined {
  try {
    return read(metadataOf(object.metadata, SOMEWHERE, "", clusterWide), object);
  } catch {
    return undefined;
  }
}

function meshOf(facts: ClusterFacts, system: string): DeclaredMesh | undefined {
  const found = objectsOf(facts, types.CONFIG_MAPS).find(
    ({ metadata }) => metadata.namespace === system && metadata.name === "istio",
  );
  try {
    return found && readMeshConfig(found).config;
  } catch {
    return undefined;
  }
}

/** What the pods of its control plane are told. */
function clusterIds(facts: ClusterFacts, system: string): readonly string[] {
  return objectsOf(facts, types.PODS)
    .filter(({ metadata }) => metadata.namespace === system && metadata.labels?.["app"] === "istiod")
    .flatMap(({ spec }) => (isFields(spec) && Array.isArray(spec["containers"]) ? spec["containers"] : []))
    .flatMap((container: unknown) => (isFields(container) && Array.isArray(container["env"]) ? container["env"] : []))
    .flatMap((variable: unknown) =>
      isFields(variable) && variable["name"] === "CLUSTER_ID" && typeof variable["value"] === "string"
        ? [variable["value"]]
        : [],
    );
}

function onlyOne(said: readonly (string | undefined)[]): string | undefined {
  const names = new Set(said.filter((name) => name !== undefined && name !== ""));
  return names.size === 1 ? [...names][0] : undefined;
}
