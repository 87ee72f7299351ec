import * as types from "../../src/kube/resource-types.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import type { ResourceType } from "../../src/kube/api.ts";
import { eventually } from "./causeway-process.ts";
import type { KubeCluster } from "./kube-lab.ts";

type Fields = Readonly<Record<string, unknown>>;

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
}

export interface GatewayState {
  readonly addresses: readonly string[];
  readonly conditions: readonly Condition[];
  readonly listeners: readonly { readonly name: string; readonly conditions: readonly Condition[] }[];
}

const NAMESPACE = "shop";
const SOON_MS = 20_000;

/** Gateways in namespace `shop` of a cluster, and what kubelets and load balancers do for what is deployed for them. */
export class DeployedGateways {
  readonly #cluster: KubeCluster;

  constructor(cluster: KubeCluster) {
    this.#cluster = cluster;
  }

  async put(name: string, spec: Fields = {}, metadata: Fields = {}): Promise<KubeObject> {
    const listeners = [{ name: "mesh", port: 15008, protocol: "HBONE" }];
    return this.#cluster.client.put(types.GATEWAYS, {
      metadata: { name, namespace: NAMESPACE, ...metadata },
      spec: { gatewayClassName: "istio-waypoint", listeners, ...spec },
    });
  }

  async state(name: string): Promise<GatewayState> {
    const { status = {} } = await this.#cluster.client.get(types.GATEWAYS, name, NAMESPACE);
    const {
      addresses = [],
      conditions = [],
      listeners = [],
    } = status as {
      readonly addresses?: readonly { readonly type: string; readonly value: string }[];
      readonly conditions?: readonly Condition[];
      readonly listeners?: GatewayState["listeners"];
    };
    return { addresses: addresses.map(({ type, value }) => `${type} ${value}`), conditions, listeners };
  }

  /** Until its condition `Programmed` is as `True Programmed`; then what it says. */
  async programmed(name: string, as: string): Promise<string> {
    let message = "";
    await eventually(`Gateway ${name} is ${as}`, SOON_MS, async () => {
      const { conditions } = await this.state(name);
      const found = conditions.find(({ type }) => type === "Programmed");
      message = found?.message ?? "";
      if (`${found?.status} ${found?.reason}` !== as) throw new Error(JSON.stringify(found));
      return true;
    });
    return message;
  }

  /** Undefined if it is not there. */
  async part(type: ResourceType, name: string): Promise<KubeObject | undefined> {
    const all = await this.#cluster.client.list(type, NAMESPACE);
    return all.find(({ metadata }) => metadata.name === name);
  }

  async made(type: ResourceType, name: string): Promise<KubeObject> {
    let part: KubeObject | undefined;
    await eventually(`${type.kind} ${name} is made`, SOON_MS, async () => {
      part = await this.part(type, name);
      return part !== undefined;
    });
    return part!;
  }

  /** The kubelets' part. */
  async run(name: string, availableReplicas = 1): Promise<void> {
    const of = await this.made(types.DEPLOYMENTS, name);
    await this.#cluster.client.merge(types.DEPLOYMENTS, of, { status: { availableReplicas } }, "/status");
  }

  /** The load balancer's part. */
  async balance(name: string, ingress: readonly Fields[]): Promise<void> {
    const of = await this.made(types.SERVICES, name);
    await this.#cluster.client.merge(types.SERVICES, of, { status: { loadBalancer: { ingress } } }, "/status");
  }

  /** The garbage collector's part: what is owned by nothing that is there. */
  async collect(uid: string): Promise<readonly string[]> {
    const gone: string[] = [];
    for (const type of [types.SERVICES, types.SERVICE_ACCOUNTS, types.DEPLOYMENTS])
      for (const { metadata } of await this.#cluster.client.list(type, NAMESPACE)) {
        if (!metadata.ownerReferences?.some((owner) => owner.uid === uid)) continue;
        await this.#cluster.client.delete(type, metadata.name, NAMESPACE);
        gone.push(`${type.kind} ${metadata.name}`);
      }
    return gone;
  }
}
