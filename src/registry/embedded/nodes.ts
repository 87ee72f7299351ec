import type { ClusterId } from "../../names.ts";
import type { KubeObject } from "../../kube/object.ts";
import type { AddressPool } from "./address-pool.ts";
import { admit, type Declared } from "./declared.ts";
import { fieldsOf, isFields, listOf, textOf } from "./fields.ts";

/** The nodes of a cluster whose manifests name none: no region, no zone, all alike. */
export function syntheticNodes(cluster: ClusterId, count: number): readonly Declared[] {
  return Array.from({ length: count }, (_, at) => {
    const name = `node-${at + 1}`;
    const labels = { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" };
    const object = admit(cluster, { apiVersion: "v1", kind: "Node", metadata: { name, labels } });
    return { object, origin: "" };
  });
}

/** The address that a manifest states for a node itself. */
export function statedNodeAddress(node: KubeObject): string {
  return textOf(statedAddresses(node).find(({ type }) => type === "InternalIP")?.["address"]);
}

const statedAddresses = (node: KubeObject) => listOf(fieldsOf(node["status"])["addresses"]).filter(isFields);

/** Gives nodes what a kubelet would: an address, readiness and the label with their own name. */
export class Kubelets {
  #ready = new Map<string, { readonly from: KubeObject; readonly address: string; readonly node: KubeObject }>();

  /** @returns the node as the API server would show it; without an address if the pool is exhausted. */
  register(node: KubeObject, pool: AddressPool): KubeObject {
    const { name } = node.metadata;
    const address = statedNodeAddress(node) || pool.assign(name) || "";
    const known = this.#ready.get(name);
    if (known?.from === node && known.address === address) return known.node;
    const registered = registeredNode(node, address);
    this.#ready.set(name, { from: node, address, node: registered });
    return registered;
  }

  /** Forgets all but `names`. */
  retain(names: ReadonlySet<string>): void {
    for (const name of this.#ready.keys()) if (!names.has(name)) this.#ready.delete(name);
  }
}

function registeredNode(node: KubeObject, address: string): KubeObject {
  const { name } = node.metadata;
  const status = fieldsOf(node["status"]);
  // What a cloud adds, as an ExternalIP, stays.
  const stated = statedAddresses(node).filter(({ type }) => type !== "InternalIP" && type !== "Hostname");
  const own = address === "" ? [] : [{ type: "InternalIP", address }];
  const addresses = [...own, ...stated, { type: "Hostname", address: name }];
  return {
    ...node,
    metadata: { ...node.metadata, labels: { "kubernetes.io/hostname": name, ...node.metadata.labels } },
    status: {
      conditions: [{ type: "Ready", status: "True" }],
      ...status,
      ...(statedNodeAddress(node) === "" ? { addresses } : {}),
    },
  };
}
