import { livePodsOf } from "../commands/tokens.ts";
import type { ControlPlane } from "../control-plane.ts";
import { formatServiceAccountId, type ServiceAccountId } from "../spiffe.ts";
import { systemClock, systemHost } from "../system-host.ts";
import type { DemoCluster, DemoConfig } from "./clusters.ts";
import { k8sAgent } from "./spire/agent-service.ts";
import type { NewEntry } from "./spire/entries.ts";
import { SpireStandIn } from "./spire/stand-in.ts";

/** How often bundles go from server to server, as federation of SPIRE has it every few minutes. */
const FEDERATE_MS = 5_000;
const AGENT_LIFE_MS = 10 * 365 * 86_400_000;

/** A stand-in for SPIRE beside each cluster: a trust domain each, and all of them federated. */
export class DemoAttestation implements AsyncDisposable {
  readonly #standIns: ReadonlyMap<DemoCluster, SpireStandIn>;
  #timer: Disposable | undefined;

  private constructor(standIns: ReadonlyMap<DemoCluster, SpireStandIn>) {
    this.#standIns = standIns;
    this.#federate();
  }

  /** Of those that have a folder for one. @throws MeshError if one cannot listen. */
  static async start(configs: readonly DemoConfig[]): Promise<DemoAttestation> {
    const started = new Map<DemoCluster, SpireStandIn>();
    try {
      for (const { cluster, config, spireDir: folder } of configs) {
        if (folder === undefined) continue;
        const host = systemHost({ logLevels: config.log.levels, logAsJson: config.log.asJson });
        started.set(cluster, await SpireStandIn.start({ host, folder, trustDomain: config.trustDomain }));
      }
    } catch (thrown) {
      for (const standIn of started.values()) await standIn.close();
      throw thrown;
    }
    return new DemoAttestation(started);
  }

  /** Undefined where the cluster's own authority signs. */
  of(cluster: DemoCluster): SpireStandIn | undefined {
    return this.#standIns.get(cluster);
  }

  /** Registers every account of the cluster's pods, as an operator of SPIRE would; what was registered before is gone. */
  register(cluster: DemoCluster, { registry, localCluster }: Pick<ControlPlane, "registry" | "localCluster">): void {
    const standIn = this.#standIns.get(cluster);
    if (standIn === undefined) return;
    const { trustDomain, entries } = standIn;
    const pods = livePodsOf(registry, localCluster);
    const nodes = [...new Set(pods.map(({ node }) => node))].filter((node) => node !== "");
    standIn.agents = nodes.map((node) => k8sAgent(trustDomain, cluster, node, systemClock.now() + AGENT_LIFE_MS));
    const accounts = new Map(pods.map((pod) => [`${pod.namespace}/${pod.serviceAccount}`, pod]));
    const parentId = `spiffe://${trustDomain}/nodes`;
    const ofAccount = [...accounts].map(([name, { namespace, serviceAccount }]): NewEntry => ({
      id: name.replace("/", "."),
      spiffeId: formatServiceAccountId({ trustDomain, namespace, serviceAccount }),
      parentId,
      selectors: [`k8s:ns:${namespace}`, `k8s:sa:${serviceAccount}`],
    }));
    const nodesOfCluster: NewEntry = {
      id: "nodes",
      spiffeId: parentId,
      parentId: `spiffe://${trustDomain}/spire/server`,
      selectors: [`k8s_psat:cluster:${cluster}`],
    };
    entries.remove(...entries.all().map(({ id }) => id));
    entries.put(nodesOfCluster, ...ofAccount);
  }

  /** Takes the entries of an identity away. @returns what brings them back. */
  withhold(cluster: DemoCluster, identity: ServiceAccountId): () => void {
    const { entries } = this.#standIns.get(cluster)!;
    const spiffeId = formatServiceAccountId(identity);
    const withheld = entries.all().filter((entry) => entry.spiffeId === spiffeId);
    entries.remove(...withheld.map(({ id }) => id));
    return () => void entries.put(...withheld);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    for (const standIn of this.#standIns.values()) await standIn.close();
  }

  #federate(): void {
    for (const standIn of this.#standIns.values())
      for (const { trustDomain, trust } of this.#standIns.values())
        if (trustDomain !== standIn.trustDomain && differs(standIn, trustDomain, trust.own.roots))
          standIn.trust.federate(trustDomain, trust.own.roots);
    this.#timer = systemClock.after(FEDERATE_MS, () => this.#federate());
  }
}

function differs({ trust }: SpireStandIn, trustDomain: string, roots: readonly Uint8Array[]): boolean {
  const held = trust.federated.get(trustDomain)?.roots ?? [];
  return held.length !== roots.length || roots.some((root, at) => !Buffer.from(root).equals(held[at]!));
}
