import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fingerprintOf } from "../../src/ca/issued-list.ts";
import { pemBlocks } from "../../src/pem.ts";
import { CONFIG_MAPS, NAMESPACES, PODS, SECRETS, SERVICE_ACCOUNTS } from "../../src/kube/resource-types.ts";
import { type Causeway, eventually } from "./causeway-process.ts";
import { DrillWorkload } from "./drill-workload.ts";
import type { KubeCluster, KubeLab } from "./kube-lab.ts";

const SYSTEM = "istio-system";
const NAMESPACE = "shop";
const INSTALL_MS = 30_000;

export interface DrillPod {
  readonly name: string;
  readonly namespace: string;
  /** Makes its address. */
  readonly index: number;
}

export const appPod = (index: number): DrillPod => ({ name: `app-${index}`, namespace: NAMESPACE, index });
/** The only one that may read the mesh. */
export const ZTUNNEL: DrillPod = { name: "ztunnel", namespace: SYSTEM, index: 200 };

export interface SiteOptions {
  readonly flags: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** The part of /debug/certz that a drill looks at. */
interface Signer {
  readonly chain: readonly { readonly sha256: string }[];
  readonly roots: readonly { readonly sha256: string }[];
}

/** A cluster of a drill: its API server, the Causeway on it, and pods that have certificates. */
export class DrillSite {
  private constructor(
    readonly plane: Causeway,
    readonly cluster: KubeCluster,
  ) {}

  /** A cluster without any Causeway yet; with the authority in `folder` as its Secret `cacerts`, or without one. */
  static async cluster(lab: KubeLab, name: string, folder?: string): Promise<KubeCluster> {
    const cluster = await lab.cluster(name);
    await cluster.client.put(NAMESPACES, { metadata: { name: NAMESPACE } });
    if (folder !== undefined) await putAuthority(cluster, folder);
    return cluster;
  }

  /** A new Causeway on it, of which there may be several. */
  static async on(lab: KubeLab, cluster: KubeCluster, { flags, environment = {} }: SiteOptions): Promise<DrillSite> {
    const kubeconfig = await cluster.kubeconfigFor("istiod");
    return new DrillSite(await lab.causeway({ kubeconfig, cluster: cluster.name, flags, environment }), cluster);
  }

  get name(): string {
    return this.cluster.name;
  }

  /** The token that a kubelet gives to a pod, which runs then. */
  async token(pod: DrillPod): Promise<string> {
    const { name, namespace } = pod;
    await this.cluster.client.put(SERVICE_ACCOUNTS, { metadata: { name, namespace } });
    await this.addPod(pod);
    return this.cluster.podToken(namespace, name, name, "istio-ca");
  }

  /** Its service account has its name. */
  async addPod({ name, namespace, index }: DrillPod): Promise<void> {
    const ip = `10.20.${index}.${this.name.length}`;
    await this.cluster.client.put(PODS, {
      metadata: { name, namespace, labels: { app: name } },
      spec: { nodeName: "node-1", serviceAccountName: name, containers: [{ name: "app", image: "app" }] },
      status: { phase: "Running", podIP: ip, podIPs: [{ ip }] },
    });
  }

  async workload(pod: DrillPod, renewMs: number): Promise<DrillWorkload> {
    const token = await this.token(pod);
    const { name, namespace } = pod;
    const spiffeId = `spiffe://cluster.local/ns/${namespace}/sa/${name}`;
    const mounted = await this.published();
    const { plane } = this;
    return DrillWorkload.start({
      spiffeId,
      plane,
      token,
      cluster: this.name,
      renewMs,
      mounted,
      reads: pod === ZTUNNEL,
    });
  }

  /** As `kubectl apply` of the Secret. */
  async put(folder: string): Promise<void> {
    await putAuthority(this.cluster, folder);
  }

  /** The same, until it is in use and its roots are published. */
  async install(folder: string): Promise<void> {
    await this.put(folder);
    await this.follows(folder);
  }

  /** Waits until it signs with what is in `folder`, trusts what that trusts, and has told its pods. */
  async follows(folder: string): Promise<void> {
    const own = fingerprints(join(folder, "ca-cert.pem"));
    const roots = fingerprints(join(folder, "root-cert.pem")).sort();
    await eventually(`${this.name} signs with ${folder} and trusts what it does`, INSTALL_MS, async () => {
      const { signer } = await this.plane.debug<{ readonly signer: Signer }>("certz");
      const used = signer.roots.map(({ sha256 }) => sha256).sort();
      // A root that signs itself has no chain below it.
      const signs = signer.chain[0]?.sha256 ?? used.find((root) => root === own[0]);
      return signs === own[0] && used.join() === roots.join();
    });
    await eventually(`namespace ${NAMESPACE} of ${this.name} is told of its roots`, INSTALL_MS, async () => {
      const published = fingerprintsIn(await this.published()).toSorted();
      return published.join() === roots.join();
    });
  }

  /** ConfigMap istio-ca-root-cert, as pods mount it. */
  async published(): Promise<string> {
    let pem = "";
    await eventually(`${this.name} publishes its roots`, INSTALL_MS, async () => {
      const { data } = await this.cluster.client.get(CONFIG_MAPS, "istio-ca-root-cert", NAMESPACE);
      pem = (data as { readonly "root-cert.pem": string })["root-cert.pem"];
      return true;
    });
    return pem;
  }
}

async function putAuthority({ client }: KubeCluster, folder: string): Promise<void> {
  const names = readdirSync(folder).filter((name) => statSync(join(folder, name)).isFile());
  const data = Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name)).toString("base64")]));
  await client.put(SECRETS, { metadata: { name: "cacerts", namespace: SYSTEM }, data });
}

const fingerprints = (path: string): string[] => fingerprintsIn(readFileSync(path, "utf8"));
const fingerprintsIn = (pem: string): string[] => pemBlocks(pem, "CERTIFICATE").map(fingerprintOf);
