import { clusterId } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { ENDPOINT_SLICES, GATEWAYS, NODES, PODS, SERVICE_ACCOUNTS, SERVICES } from "../../src/kube/resource-types.ts";
import { EmbeddedCluster } from "../../src/registry/embedded/embedded-cluster.ts";
import { realHost } from "../kits/real-host.ts";
import type { KubeClient } from "./kube-client.ts";

/**
 * What the controllers, the scheduler, the kubelets and the CNI agents of a cluster would make of a folder of manifests,
 * as the embedded cluster has it, addresses included. So an API server can be given the very mesh that `--manifests`
 * would serve, and any difference is Causeway's.
 */
export async function controlled(folder: string, cluster = "Kubernetes"): Promise<readonly KubeObject[]> {
  const objects: KubeObject[] = [];
  const embedded = new EmbeddedCluster(realHost(), {
    cluster: clusterId(cluster),
    folder,
    sink: { set: (object) => void objects.push(object), delete: () => {} },
    knows: () => true,
    store: { load: () => Promise.resolve({}), save: () => Promise.resolve() },
    clusterDomain: "cluster.local",
  });
  await embedded.start();
  await embedded.close();
  return objects;
}

/** Writes what nobody declares: it is the controllers' part of a cluster, beside what users `kubectl apply`. */
export class ControllerStandIn {
  readonly #client: KubeClient;
  /** By namespace and name: the API server gives pods uids of its own, which slices refer to. */
  readonly #uids = new Map<string, string>();

  constructor(client: KubeClient) {
    this.#client = client;
  }

  async write(objects: readonly KubeObject[]): Promise<void> {
    const of = (kind: string): readonly KubeObject[] => objects.filter((object) => object.kind === kind);
    for (const account of of("ServiceAccount")) await this.#client.put(SERVICE_ACCOUNTS, bare(account));
    for (const node of of("Node")) await this.#client.put(NODES, bare(node));
    for (const service of of("Service")) await this.#client.put(SERVICES, bare(service));
    for (const gateway of of("Gateway"))
      await this.#client.merge(GATEWAYS, gateway, { status: gateway["status"] }, "/status");
    for (const pod of of("Pod")) await this.#writePod(pod);
    for (const slice of of("EndpointSlice")) await this.#writeSlice(slice);
  }

  async #writePod(pod: KubeObject): Promise<void> {
    const { metadata } = await this.#client.put(PODS, bare(pod));
    this.#uids.set(`${metadata.namespace}/${metadata.name}`, metadata.uid!);
  }

  async #writeSlice(slice: KubeObject): Promise<void> {
    const endpoints = (slice["endpoints"] as readonly Endpoint[]).map(({ targetRef, ...endpoint }) => {
      const uid = targetRef && this.#uids.get(`${targetRef.namespace}/${targetRef.name}`);
      return { ...endpoint, ...(targetRef && { targetRef: { ...targetRef, uid } }) };
    });
    await this.#client.put(ENDPOINT_SLICES, { ...bare(slice), endpoints });
  }
}

interface Endpoint {
  readonly targetRef?: { readonly namespace: string; readonly name: string; readonly uid: string };
}

/** Without what only an API server gives. */
function bare({ metadata, ...object }: KubeObject): KubeObject {
  const { uid: _, creationTimestamp: __, ownerReferences, ...rest } = metadata;
  const owners = ownerReferences?.map((owner) => ({ uid: "-", ...owner }));
  return { ...object, metadata: { ...rest, ...(owners && { ownerReferences: owners }) } } as KubeObject;
}
