import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { NAMESPACES, SECRETS } from "../../src/kube/resource-types.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { trustTypeOf } from "../../src/manager/feeds/trust-types.ts";
import type { TrustKind, TrustState } from "../../src/manager/policy.ts";
import { trustObject } from "../kits/trust-objects.ts";
import { eventually } from "./causeway-process.ts";
import { type KubeCluster, type KubeconfigShape, type KubeLab, type RbacUsage, writeWhole } from "./kube-lab.ts";
import type { KubeapiOptions } from "./kubeapi.ts";
import { causeway, TrustManagerProcess } from "./trust-manager-process.ts";

const DEPLOY = join(import.meta.dirname, "..", "..", "..", "deploy");
export const TRUST_CRDS = join(DEPLOY, "crds");
export const NAMESPACE = "gloo-mesh";
const ACCOUNT = "causeway-trust";
const SEEN_MS = 30_000;

export interface TrustStatus {
  readonly state: TrustState;
  readonly message: string;
  readonly observedGeneration?: number;
  readonly conditions: readonly { readonly type: string; readonly status: string; readonly message: string }[];
  readonly roots?: readonly { readonly sha256: string; readonly role: string }[];
  readonly rotation?: { readonly phase: string; readonly notes: readonly string[] };
  readonly relay?: { readonly connected: boolean; readonly signingRoot?: string };
}

/** The cluster that trust managers of a test run in, with deploy/crds and the account of deploy/rbac/trust-manager.yaml. */
export class Management {
  readonly cluster: KubeCluster;
  readonly #lab: KubeLab;

  private constructor(lab: KubeLab, cluster: KubeCluster) {
    this.#lab = lab;
    this.cluster = cluster;
  }

  /** @param crds undefined: they come later. */
  static async open(lab: KubeLab, options: Pick<KubeapiOptions, "crds"> = { crds: TRUST_CRDS }): Promise<Management> {
    const management = await Management.without(lab, options);
    await management.cluster.client.kubectl("apply", "-f", join(DEPLOY, "rbac", "trust-manager.yaml"));
    return management;
  }

  /** The same, where the account is made by somebody else. */
  static async without(
    lab: KubeLab,
    options: Pick<KubeapiOptions, "crds"> = { crds: TRUST_CRDS },
  ): Promise<Management> {
    const cluster = await lab.cluster("mgmt", options);
    await cluster.client.put(NAMESPACES, { metadata: { name: NAMESPACE } });
    return new Management(lab, cluster);
  }

  /** Path of a new kubeconfig with exactly the rules of deploy/rbac/trust-manager.yaml. */
  async kubeconfig(shape: KubeconfigShape = {}): Promise<string> {
    const annotations = { "kubernetes.io/service-account.name": ACCOUNT };
    const metadata = { name: `token-${randomUUID().slice(0, 8)}`, namespace: NAMESPACE, annotations };
    const type = "kubernetes.io/service-account-token";
    const { data } = await this.cluster.client.create(SECRETS, { metadata, type });
    const token = Buffer.from((data as { token: string }).token, "base64").toString();
    const path = join(this.#lab.folder, `${ACCOUNT}-${randomUUID()}.kubeconfig`);
    writeWhole(path, this.cluster.kubeconfig({ ...shape, token }));
    return path;
  }

  /** A manager that leads. @param flags beside those of where its objects are. */
  async manager(flags: readonly string[] = [], shape?: KubeconfigShape): Promise<TrustManagerProcess> {
    const manager = await this.beginManager(flags, shape);
    await manager.leads();
    return manager;
  }

  /** The same, without waiting. */
  async beginManager(
    flags: readonly string[] = [],
    shape?: KubeconfigShape,
    environment?: Readonly<Record<string, string>>,
  ): Promise<TrustManagerProcess> {
    const manager = TrustManagerProcess.begin(["--kubeconfig", await this.kubeconfig(shape), ...flags], environment);
    this.#lab.with({ close: () => manager.stop() });
    return manager;
  }

  /** A bootstrap token, as an administrator makes it. */
  async token(cluster: string): Promise<string> {
    const { kubeconfig } = this.cluster.client;
    return (await causeway("trust", "token", "--cluster", cluster, "--kubeconfig", kubeconfig)).trim();
  }

  /** `kubectl apply` of these objects. */
  apply(...objects: readonly KubeObject[]): Promise<void> {
    return this.cluster.apply(...objects);
  }

  register(...clusters: readonly string[]): Promise<void> {
    const spec = { clusterDomain: "cluster.local" };
    return this.apply(...clusters.map((cluster) => trustObject("KubernetesCluster", cluster, spec)));
  }

  get(kind: TrustKind, name: string): Promise<KubeObject> {
    return this.cluster.client.get(trustTypeOf(kind), name, NAMESPACE);
  }

  delete(kind: TrustKind, name: string): Promise<void> {
    return this.cluster.client.delete(trustTypeOf(kind), name, NAMESPACE);
  }

  /** Resolves with the status of an object once `is` holds of it. @throws with what it says instead. */
  async status(
    kind: TrustKind,
    name: string,
    is: (status: TrustStatus) => boolean,
    limitMs = SEEN_MS,
  ): Promise<TrustStatus> {
    let status: TrustStatus | undefined;
    await eventually(`the status of ${kind} ${name} is as it should be`, limitMs, async () => {
      status = (await this.get(kind, name))["status"] as TrustStatus | undefined;
      if (status !== undefined && is(status)) return true;
      throw new Error(`it is ${JSON.stringify(status)}`);
    });
    return status!;
  }

  /** Texts of a Secret of the manager's. */
  async secret(name: string): Promise<Readonly<Record<string, string>>> {
    const { data } = await this.cluster.client.get(SECRETS, name, NAMESPACE);
    return textsOf(data);
  }

  /** Of the manager's own account. */
  async rbacUsage(): Promise<RbacUsage> {
    const { rules, denied } = await this.cluster.rbacUsage();
    return {
      rules: rules.filter(({ binding }) => binding.includes(ACCOUNT)),
      denied: denied.filter(({ user }) => user.includes(ACCOUNT)),
    };
  }
}

/** What is in a Secret's `data`, decoded. */
export const textsOf = (data: unknown): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries((data ?? {}) as Readonly<Record<string, string>>).map(([key, text]) => [
      key,
      Buffer.from(text, "base64").toString(),
    ]),
  );
