import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  CONFIG_MAPS,
  DAEMON_SETS,
  DEPLOYMENTS,
  GATEWAYS,
  NAMESPACES,
  NODES,
  PODS,
  SECRETS,
  SERVICE_ACCOUNTS,
  SERVICES,
} from "../../src/kube/resource-types.ts";
import type { FederatedService } from "../../src/registry/model/federated-service.ts";
import { FSDS_TYPE } from "../../src/xds/resource.ts";
import { SIGNS_LISTS, TestAuthority } from "../kits/tls.ts";
import { type Causeway, eventually } from "./causeway-process.ts";
import { running, SYSTEM, writeControlPlanePod } from "./istioctl-lab.ts";
import { GATEWAYS_RBAC, type KubeCluster, type KubeLab } from "./kube-lab.ts";
import { TcpProxy } from "./tcp-proxy.ts";

export const EAST_WEST = "istio-eastwest";
const SHOP = "shop";
const SOON_MS = 20_000;

/** The root of a mesh of several. */
export const meshRoot = (name = "CN=root"): Promise<TestAuthority> =>
  TestAuthority.create({ name, usages: SIGNS_LISTS });

/** A cluster as its operators see it: its control plane is a pod that can be forwarded to, and all other parts have theirs. */
export class CheckedSite {
  readonly #lab: KubeLab;
  #plane: Causeway | undefined;
  /** By which its peers read it, in the place of its east-west gateway. */
  relay!: TcpProxy;
  /** What must be in nothing that leaves the cluster. */
  readonly secrets: string[] = [];

  private constructor(
    lab: KubeLab,
    readonly cluster: KubeCluster,
    readonly at: number,
  ) {
    this.#lab = lab;
  }

  static async open(lab: KubeLab, name: string, at: number, root: TestAuthority): Promise<CheckedSite> {
    const site = new CheckedSite(lab, await lab.cluster(name, { flags: ["--local-pods"] }), at);
    await site.cluster.client.kubectl("apply", "-f", GATEWAYS_RBAC);
    const labels = { "topology.istio.io/network": `net-${name}` };
    await site.cluster.client.merge(NAMESPACES, { metadata: { name: SYSTEM } }, { metadata: { labels } });
    await site.signUnder(root);
    await site.#furnish();
    site.relay = lab.with(await TcpProxy.start(() => site.xdsPort));
    await site.serve();
    return site;
  }

  get name(): string {
    return this.cluster.name;
  }
  get plane(): Causeway {
    return this.#plane!;
  }
  /** Where its control plane listens, or did before it was killed. */
  xdsPort = 0;

  /** What of a peer it would know after a restart, before the peer has spoken again. */
  saved(other: CheckedSite): readonly FederatedService[] {
    const file = join(this.#lab.folder, `plane-${this.name}`, "peers", `${other.name}.json`);
    if (!existsSync(file)) return [];
    const [, body] = readFileSync(file, "utf8").split("\n");
    const { records } = JSON.parse(body!) as { records: Record<string, readonly { value: FederatedService }[]> };
    return records[FSDS_TYPE]!.map(({ value }) => value);
  }

  /** A new intermediate under `root`, in the Secret from which its control plane signs. */
  async signUnder(root: TestAuthority): Promise<void> {
    const own = await TestAuthority.create(`CN=${this.name}`, root);
    const stringData = {
      "ca-cert.pem": own.root,
      "ca-key.pem": own.key,
      "cert-chain.pem": own.root,
      "root-cert.pem": root.root,
    };
    this.secrets.push(...own.key.split("\n").filter((line) => line.length > 20 && !line.includes("-----")));
    await this.cluster.client.put(SECRETS, { metadata: { name: "cacerts", namespace: SYSTEM }, stringData });
  }

  /** Starts its control plane, again on the same state if it ran before, and writes its pod. */
  async serve(): Promise<void> {
    await this.#plane?.stop();
    const { token } = await this.cluster.secretToken("istiod");
    this.secrets.push(token);
    this.#plane = await this.#lab.causeway({
      kubeconfig: await this.cluster.kubeconfigFor("istiod", { token }),
      cluster: this.name,
      folder: join(this.#lab.folder, `plane-${this.name}`),
      flags: ["--pod-name", "istiod-1", "--ctrlz_port", "0"],
    });
    this.xdsPort = Number(new URL(`https://${this.#plane.connection!.xds}`).port);
    await writeControlPlanePod(this.#lab, this.cluster, this.#plane);
  }

  /** What a cloud and kubelets do for an east-west gateway that was exposed, until it is programmed. */
  async runEastWest(): Promise<void> {
    const { client } = this.cluster;
    const of = { metadata: { name: EAST_WEST, namespace: EAST_WEST } };
    await eventually(`the gateway of ${this.name} is deployed`, SOON_MS, async () => {
      await client.merge(DEPLOYMENTS, of, { status: { availableReplicas: 1 } }, "/status");
      const ingress = [{ ip: `192.0.2.${this.at}` }];
      await client.merge(SERVICES, of, { status: { loadBalancer: { ingress } } }, "/status");
      return true;
    });
    const labels = { "gateway.networking.k8s.io/gateway-name": EAST_WEST };
    await this.#pod(EAST_WEST, `${EAST_WEST}-1`, 240, "istio-proxy", labels);
    await eventually(`the gateway of ${this.name} is programmed`, SOON_MS, async () => {
      const { status } = await client.get(GATEWAYS, EAST_WEST, EAST_WEST);
      const text = JSON.stringify(status);
      if (!/"type":"Programmed"/.test(text) || !text.includes("192.0.2.")) throw new Error(text);
      return true;
    });
  }

  /** The remote gateway that `link` made of a peer leads to its relay from now on, which is at no port that is known before. */
  async relayTo(other: CheckedSite): Promise<void> {
    const { client } = this.cluster;
    const of = await client.get(GATEWAYS, `istio-remote-peer-${other.name}`, EAST_WEST);
    const { listeners } = of["spec"] as { readonly listeners: readonly object[] };
    const relayed = listeners.map((listener) => ({ ...listener, port: other.relay.port }));
    await client.merge(GATEWAYS, of, { spec: { listeners: relayed } });
  }

  async #furnish(): Promise<void> {
    const { client } = this.cluster;
    await client.put(NODES, { metadata: { name: `node-${this.name}` } });
    await client.put(NAMESPACES, { metadata: { name: SHOP, labels: { "istio.io/dataplane-mode": "ambient" } } });
    await this.#pod(SYSTEM, `ztunnel-${this.name}`, 250, "istio-proxy", { app: "ztunnel" });
    const spec = {
      selector: { matchLabels: { "k8s-app": "istio-cni-node" } },
      template: {
        metadata: { labels: { "k8s-app": "istio-cni-node" } },
        spec: { containers: [{ name: "install-cni", image: "cni:1" }] },
      },
    };
    await client.put(DAEMON_SETS, { metadata: { name: "istio-cni-node", namespace: SYSTEM }, spec });
    const data = { AMBIENT_DNS_CAPTURE: "true" };
    await client.put(CONFIG_MAPS, { metadata: { name: "istio-cni-config", namespace: SYSTEM }, data });
    for (const [at, app] of ["cart", `books-${this.name}`].entries()) {
      await client.put(SERVICES, {
        metadata: { name: app, namespace: SHOP, labels: { "istio.io/global": "true" } },
        spec: { clusterIP: `10.96.${this.at}.${at + 1}`, selector: { app }, ports: [{ name: "http", port: 80 }] },
      });
      await this.#pod(SHOP, `${app}-1`, at + 1, app, { app });
    }
  }

  async #pod(namespace: string, name: string, last: number, container: string, labels: Record<string, string>) {
    const { client } = this.cluster;
    await client.put(SERVICE_ACCOUNTS, { metadata: { name: container, namespace } });
    await client.put(PODS, {
      metadata: { name, namespace, labels },
      spec: {
        nodeName: `node-${this.name}`,
        serviceAccountName: container,
        containers: [{ name: container, image: `${container}:1` }],
      },
      status: running(`10.${this.at}.0.${last}`, container),
    });
  }
}
