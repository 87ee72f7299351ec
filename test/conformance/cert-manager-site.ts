import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import type { KubeObject } from "../../src/kube/object.ts";
import { CERTIFICATE_REQUESTS, CLUSTER_ISSUERS, ISSUERS, NAMESPACES, SECRETS } from "../../src/kube/resource-types.ts";
import { systemClock } from "../../src/system-host.ts";
import { CertManagerController, type ControlledCluster } from "../kits/cert-manager-controller.ts";
import { CertManagerSigner } from "../kits/cert-manager-signer.ts";
import type { TestAuthority } from "../kits/tls.ts";
import { endWithUs, eventually } from "./causeway-process.ts";
import { type KubeClient, Refused } from "./kube-client.ts";
import { CRDS, type KubeCluster } from "./kube-lab.ts";

/** Path of cert-manager's controller, to be run in place of the stand-in; `CERT_MANAGER_CRDS` is the folder of its CRDs. */
const BINARY = process.env["CERT_MANAGER"] ?? "";
/** What a cluster with this cert-manager has to have installed. */
export const CERT_MANAGER_CRDS = BINARY === "" ? CRDS : (process.env["CERT_MANAGER_CRDS"] ?? CRDS);

/** The ClusterIssuer, and the Secret that it signs with. */
export const ISSUER = "gloo-mesh-root";
const NAMESPACE = "cert-manager";
const READY_MS = 60_000;

/** A cert-manager in a cluster: its controller, or our stand-in for it. */
export interface CertManagerSite {
  readonly real: boolean;
  /** What the ClusterIssuer signs with. @param above each before its issuer; without the root at the end none is known. */
  use(authority: TestAuthority, above?: readonly string[]): Promise<void>;
  /** Whether anybody approves requests. */
  approve(does: boolean): Promise<void>;
  close(): Promise<void>;
}

export async function certManagerSite(cluster: KubeCluster, folder: string): Promise<CertManagerSite> {
  const { client } = cluster;
  await client.put(NAMESPACES, { metadata: { name: NAMESPACE } });
  await client.put(CLUSTER_ISSUERS, { metadata: { name: ISSUER }, spec: { ca: { secretName: ISSUER } } });
  if (BINARY === "") return new StandInSite(client);
  const site = new RealSite(client, folder);
  await site.approve(true);
  return site;
}

class StandInSite implements CertManagerSite {
  readonly real = false;
  readonly #client: KubeClient;
  #controller: CertManagerController | undefined;

  constructor(client: KubeClient) {
    this.#client = client;
  }

  async use(authority: TestAuthority, above: readonly string[] = []): Promise<void> {
    const signer = new CertManagerSigner(authority, above);
    if (this.#controller !== undefined) this.#controller.signer = signer;
    this.#controller ??= new CertManagerController(signer, inCluster(this.#client), systemClock);
    const condition = { type: "Ready", status: "True", reason: "KeyPairVerified", message: "Signing CA verified" };
    await this.#client.merge(
      CLUSTER_ISSUERS,
      { metadata: { name: ISSUER } },
      { status: { conditions: [condition] } },
      "/status",
    );
  }

  approve(does: boolean): Promise<void> {
    this.#controller!.faults.approves = does;
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#controller?.close();
    return Promise.resolve();
  }
}

const CONTROLLERS = [
  ...["issuers", "clusterissuers", "certificaterequests-issuer-ca", "certificates-trigger", "certificates-issuing"],
  ...["certificates-key-manager", "certificates-request-manager", "certificates-readiness"],
];
const APPROVER = "certificaterequests-approver";

interface ReadyCondition {
  readonly status: string;
  readonly observedGeneration?: number;
}

class RealSite implements CertManagerSite {
  readonly real = true;
  readonly #client: KubeClient;
  readonly #folder: string;
  #secrets = 0;
  #process: ChildProcess | undefined;

  constructor(client: KubeClient, folder: string) {
    this.#client = client;
    this.#folder = folder;
  }

  async use(authority: TestAuthority, above: readonly string[] = []): Promise<void> {
    const root = above.at(-1);
    const chain = [authority.root, ...above.slice(0, -1)].map((pem) => `${pem.trim()}\n`).join("");
    const stringData = { "tls.crt": chain, "tls.key": authority.key, ...(root !== undefined && { "ca.crt": root }) };
    // A Secret of its own each time: what the controller has cached of the one before says nothing of it.
    const name = `${ISSUER}-${(this.#secrets += 1)}`;
    const metadata = { name, namespace: NAMESPACE };
    await this.#client.create(SECRETS, { metadata, type: "kubernetes.io/tls", stringData });
    const issuer = { metadata: { name: ISSUER }, spec: { ca: { secretName: name } } };
    const { generation } = (await this.#client.put(CLUSTER_ISSUERS, issuer)).metadata;
    await eventually("the ClusterIssuer is Ready with it", READY_MS, async () => {
      const { status } = await this.#client.get(CLUSTER_ISSUERS, ISSUER);
      const { conditions = [] } = (status ?? {}) as { conditions?: readonly ReadyCondition[] };
      return conditions.some((shown) => shown.status === "True" && shown.observedGeneration === generation);
    });
  }

  async approve(does: boolean): Promise<void> {
    await this.close();
    const child = spawn(
      BINARY,
      [
        `--kubeconfig=${this.#client.kubeconfig}`,
        "--leader-elect=false",
        "--metrics-listen-address=127.0.0.1:0",
        "--internal-healthz-listen-address=127.0.0.1:0",
        `--cluster-resource-namespace=${NAMESPACE}`,
        `--controllers=${[...CONTROLLERS, ...(does ? [APPROVER] : [])].join()}`,
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    endWithUs(child);
    child.stderr.pipe(createWriteStream(join(this.#folder, "cert-manager.log"), { flags: "a" }));
    this.#process = child;
  }

  async close(): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    if (running === undefined || running.exitCode !== null) return;
    const gone = new Promise((resolve) => running.once("exit", resolve));
    running.kill("SIGTERM");
    await gone;
  }
}

/** For the stand-in, as an administrator. */
function inCluster(client: KubeClient): ControlledCluster {
  return {
    requests: () => orElse(client.list(CERTIFICATE_REQUESTS), []),
    issuer: (kind, namespace, name) =>
      orElse<KubeObject | undefined>(
        kind === "Issuer" ? client.get(ISSUERS, name, namespace) : client.get(CLUSTER_ISSUERS, name),
        undefined,
      ),
    // Merged with the version that was seen: somebody else may have approved or denied it meanwhile.
    setStatus: async ({ metadata }, status) => {
      const { name, namespace, resourceVersion } = metadata;
      const patch = { metadata: { resourceVersion }, status };
      await orElse(
        client.merge(CERTIFICATE_REQUESTS, { metadata: { name, namespace: namespace! } }, patch, "/status"),
        undefined,
      );
    },
    remove: ({ metadata: { name, namespace } }) => client.delete(CERTIFICATE_REQUESTS, name, namespace),
  };
}

/** What the API server refuses is seen again at the next round. */
async function orElse<T>(asked: Promise<T>, other: T): Promise<T> {
  try {
    return await asked;
  } catch (thrown) {
    if (thrown instanceof Refused) return other;
    throw thrown;
  }
}
