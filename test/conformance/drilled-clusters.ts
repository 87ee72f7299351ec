import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { PODS, SERVICE_ACCOUNTS, SERVICES } from "../../src/kube/resource-types.ts";
import type { Problem } from "../../src/registry/model/problem.ts";
import type { DrillView } from "../../src/commands/drill-view.ts";
import { eventually, PROGRAM } from "./causeway-process.ts";
import { CheckedSite, EAST_WEST, meshRoot } from "./checked-site.ts";
import { causeway, type Operator, ran, type Ran, running, SYSTEM } from "./istioctl-lab.ts";
import type { KubeLab } from "./kube-lab.ts";
import { MeshClient, type Split } from "./mesh-client.ts";
import { writeMergedKubeconfig } from "./merged-kubeconfig.ts";

export const CART = "cart.shop.mesh.internal";
const SOON_MS = 20_000;

/** Two clusters on real API servers, linked by the real commands, that share `shop/cart`, and an operator of both. */
export class DrilledClusters {
  readonly #lab: KubeLab;
  readonly operator: Operator;

  private constructor(
    lab: KubeLab,
    readonly east: CheckedSite,
    readonly west: CheckedSite,
  ) {
    this.#lab = lab;
    this.operator = { api: { kubeconfig: join(lab.folder, "contexts.yaml") } };
  }

  static async open(lab: KubeLab): Promise<DrilledClusters> {
    const root = await meshRoot();
    const [east, west] = await Promise.all([
      CheckedSite.open(lab, "east", 1, root),
      CheckedSite.open(lab, "west", 2, root),
    ]);
    const clusters = new DrilledClusters(lab, east, west);
    writeMergedKubeconfig(clusters.operator.api.kubeconfig, [east.cluster, west.cluster]);
    await clusters.#link();
    for (const site of [east, west]) await clusters.#furnish(site);
    return clusters;
  }

  /** As an operator types it; `drill start …` without the first two words. */
  drill(...words: readonly string[]): Promise<Ran> {
    return causeway(this.operator, "multicluster", "drill", ...words);
  }

  /** Somebody who may see all of east, and change nothing but what `rules` say. */
  async reader(...rules: readonly object[]): Promise<Operator> {
    const { client } = this.east.cluster;
    const metadata = { name: "reader" };
    const look = [
      { apiGroups: ["*"], resources: ["*"], verbs: ["get", "list"] },
      { apiGroups: [""], resources: ["pods/portforward"], verbs: ["create"] },
      { apiGroups: ["authorization.k8s.io"], resources: ["*"], verbs: ["create"] },
    ];
    const group = "rbac.authorization.k8s.io";
    await client.put(SERVICE_ACCOUNTS, { metadata: { ...metadata, namespace: SYSTEM } });
    await this.east.cluster.apply(
      { apiVersion: `${group}/v1`, kind: "ClusterRole", metadata, rules: [...look, ...rules] },
      {
        ...{ apiVersion: `${group}/v1`, kind: "ClusterRoleBinding", metadata },
        roleRef: { apiGroup: group, kind: "ClusterRole", name: "reader" },
        subjects: [{ kind: "ServiceAccount", name: "reader", namespace: SYSTEM }],
      },
    );
    const path = `/api/v1/namespaces/${SYSTEM}/serviceaccounts/reader/token`;
    const { status } = await client.call<{ status: { token: string } }>("POST", path, { spec: {} });
    const kubeconfig = join(this.#lab.folder, "reader.yaml");
    const text = this.east.cluster.kubeconfig({ token: status.token });
    writeFileSync(kubeconfig, text.replaceAll(": x", ": east"), { mode: 0o600 });
    return { api: { kubeconfig } };
  }

  /** A line of a shell, as a fix is pasted. */
  async pasted(line: string): Promise<void> {
    const shell = `causeway() { "${process.execPath}" "${PROGRAM}" "$@"; }\n${line}`;
    const { code, err } = await ran(this.operator, "sh", ["-ec", shell]);
    assert.equal(code, 0, `${line}: ${err}`);
  }

  /** Holds what a ztunnel of that cluster would, from now on. */
  async client({ cluster, plane, name }: CheckedSite): Promise<MeshClient> {
    const token = await cluster.podToken(SYSTEM, "ztunnel-client", "ztunnel", "istio-ca");
    const client = await MeshClient.start(plane, { token, cluster: name, network: `net-${name}` });
    return this.#lab.with(client);
  }

  async view(site: CheckedSite): Promise<DrillView> {
    return site.plane.debug<DrillView>("drainz");
  }

  /** What its control plane says of drains. */
  async problems(site: CheckedSite): Promise<readonly Problem[]> {
    const all = await site.plane.debug<readonly Problem[]>("problemz");
    return all.filter(({ field }) => field.includes("drain-until"));
  }

  async #link(): Promise<void> {
    const { east, west } = this;
    const both = ["--contexts", "east,west"];
    const done = async (...words: readonly string[]): Promise<void> => {
      const { code, out, err } = await causeway(this.operator, "multicluster", ...words, ...both);
      assert.equal(code, 0, out + err);
    };
    await done("expose");
    await Promise.all([east.runEastWest(), west.runEastWest()]);
    await done("link", "--address", "east=127.0.0.1", "--address", "west=127.0.0.1");
    await Promise.all([east.relayTo(west), west.relayTo(east)]);
  }

  async #furnish({ cluster, at }: CheckedSite): Promise<void> {
    const { client } = cluster;
    await client.put(SERVICE_ACCOUNTS, { metadata: { name: "ztunnel", namespace: SYSTEM } });
    await client.put(PODS, {
      metadata: { name: "ztunnel-client", namespace: SYSTEM, labels: { app: "ztunnel" } },
      spec: { serviceAccountName: "ztunnel", containers: [{ name: "istio-proxy", image: "ztunnel:1" }] },
      status: running(`10.${at}.0.251`, "istio-proxy"),
    });
    // Near and far alike, or nothing would be seen to move.
    const annotations = { "networking.istio.io/traffic-distribution": "Any" };
    await client.merge(SERVICES, { metadata: { name: "cart", namespace: "shop" } }, { metadata: { annotations } });
  }
}

/** Once calls from there are shared so, within `limitMs`. @returns after how many milliseconds. */
export const shared = (client: MeshClient, split: Split, limitMs = SOON_MS): Promise<number> =>
  eventually(`calls are ${JSON.stringify(split)}`, limitMs, () => {
    const calls = client.calls(CART);
    assert.deepEqual(calls, split);
    return true;
  });

export const gatewayTo = (peer: string): string => `Gateway ${EAST_WEST}/istio-remote-peer-${peer}`;
