/*
 * The lab of the `kubernetes` suites: API servers (test/kubeapi), what their controllers would write, and Causeways on
 * them, each a process of its own. A test reads like this:
 *
 *   const lab = await KubeLab.open(this);                      // in suiteSetup; skips the suite, and says why, if it must
 *   const east = await lab.cluster("east");                    // an API server with our CRDs and the rules of deploy/rbac
 *   await east.applyExamples();                                // kubectl apply of examples/shop, and the controllers' part
 *   const plane = await lab.causeway({ kubeconfig: await east.kubeconfigFor("istiod"), cluster: "east" });
 *   const client = lab.with(await MeshWatcher.start(plane, await east.ztunnelToken(), "east"));
 *   await east.client.delete(PODS, "ratings-1", "bookshop");   // an administrator's own client; also put, create, merge
 *   await sends(plane, await oracle([east]));                  // within 5 s: what a registry from scratch would
 *   assert.deepEqual(client.removed, ["east//Pod/bookshop/ratings-1"]);
 *   await lab.close();                                         // in suiteTeardown: ends every process, deletes every file
 *
 * Between Causeway and an API server a test can put a `TcpProxy` (cuts, silence) or a `FaultyApi` (bad answers): give its
 * address to `kubeconfigFor`. Several clusters are several calls of `cluster`, and each needs pod addresses of its own; a
 * remote secret is a Secret with the text of `kubeconfig`. A Causeway tells its memory, handles, CPU, metrics and pages.
 */
import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Context } from "mocha";
import { stringify } from "yaml";
import { NAMESPACES, PODS, SECRETS } from "../../src/kube/resource-types.ts";
import { Causeway, type CausewayOptions } from "./causeway-process.ts";
import { controlled, ControllerStandIn } from "./controller-stand-in.ts";
import { KubeClient, type Draft } from "./kube-client.ts";
import { Kubeapi, type KubeapiOptions } from "./kubeapi.ts";
import { binaryIn, BUILD_MS, kubeapiFolder } from "./kubeapi-build.ts";
import { kubectl, type Missing } from "./machine.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const source = join(root, "test", "conformance");
/** The CustomResourceDefinitions that every lab cluster has, unless it says otherwise. */
export const CRDS = join(source, "crds");
export const EXAMPLES = join(root, "examples", "shop");
export const RBAC = join(root, "deploy", "rbac", "causeway.yaml");
/** What is written of peers. */
const PEERING_RBAC = join(root, "deploy", "rbac", "peering.yaml");
/** What single variables need besides. */
export const PEERING_ENTRIES_RBAC = join(root, "deploy", "rbac", "peering-workload-entries.yaml");
export const TRUST_BUNDLE_RBAC = join(root, "deploy", "rbac", "cluster-trust-bundle.yaml");
/** For the deployment of gateways, which is not tried where the rights are missing. */
export const GATEWAYS_RBAC = join(root, "deploy", "rbac", "gateways.yaml");
/** For a trust manager whose intermediates cert-manager signs. */
export const TRUST_CERT_MANAGER_RBAC = join(root, "deploy", "rbac", "trust-cert-manager.yaml");
/** For what is read of SPIRE's controller. */
export const SPIRE_RBAC = join(root, "deploy", "rbac", "spire.yaml");
const SYSTEM = "istio-system";

/** Accounts of deploy/rbac/causeway.yaml. */
export type Account = "istiod" | "istio-reader-service-account";

export interface KubeconfigShape {
  /** Instead of the API server itself, as `https://127.0.0.1:4567` of a proxy. */
  readonly server?: string;
  /** PEM; that of the API server by default. */
  readonly ca?: string;
  /** A path that holds the token, so that it can change; by default the token is in the kubeconfig. */
  readonly tokenFile?: string;
  readonly token?: string;
}

export interface LabCausewayOptions extends Partial<Pick<CausewayOptions, "folder" | "environment">> {
  readonly kubeconfig?: string;
  readonly cluster?: string;
  readonly flags?: readonly string[];
}

/** One test suite's machines. */
export class KubeLab {
  readonly folder = mkdtempSync(join(tmpdir(), "causeway-kube-"));
  readonly #binary: string;
  readonly #clusters: KubeCluster[] = [];
  readonly #causeways: Causeway[] = [];
  readonly #closing: (() => Promise<void>)[] = [];

  private constructor(binary: string) {
    this.#binary = binary;
  }

  /** Skips the suite whose set-up this is, in a sentence, if this machine lacks something. */
  static async open(context: Context): Promise<KubeLab> {
    context.timeout(BUILD_MS + 60_000);
    const lab = await KubeLab.find();
    if (lab instanceof KubeLab) return lab;
    console.log(`    kubernetes: skipped; ${lab.missing}`);
    return context.skip();
  }

  /** Where there is no test to skip. */
  static async find(): Promise<KubeLab | Missing> {
    const kube = kubectl();
    const built = kube === true ? await kubeapiFolder() : kube;
    return typeof built === "string" ? new KubeLab(binaryIn(built)) : built;
  }

  /** A cluster whose API server runs, with `istio-system` and the accounts and rules of deploy/rbac/causeway.yaml. */
  async cluster(name = "Kubernetes", options: Partial<KubeapiOptions> = {}): Promise<KubeCluster> {
    const folder = join(this.folder, `api-${this.#clusters.length}-${name}`);
    const api = await Kubeapi.start({ binary: this.#binary, crds: CRDS, folder, ...options });
    const cluster = new KubeCluster(name, api, folder);
    this.#clusters.push(cluster);
    await cluster.client.put(NAMESPACES, { metadata: { name: SYSTEM } });
    await cluster.client.kubectl("apply", "-f", RBAC, "-f", PEERING_RBAC);
    return cluster;
  }

  /** A `causeway serve` that is ready. */
  async causeway(options: LabCausewayOptions): Promise<Causeway> {
    const causeway = await Causeway.start(this.#complete(options));
    this.#causeways.push(causeway);
    return causeway;
  }

  /** The same, without waiting. */
  beginCauseway(options: LabCausewayOptions): Causeway {
    const causeway = Causeway.begin(this.#complete(options));
    this.#causeways.push(causeway);
    return causeway;
  }

  /** Something else to close with the lab, as a proxy. */
  with<T extends { close(): Promise<void> }>(other: T): T {
    this.#closing.push(() => other.close());
    return other;
  }

  async close(): Promise<void> {
    await Promise.all(this.#causeways.map((causeway) => causeway.stop()));
    for (const close of this.#closing.reverse()) await close();
    await Promise.all(this.#clusters.map((cluster) => cluster.close()));
    rmSync(this.folder, { recursive: true, force: true });
  }

  #complete({ kubeconfig, cluster = "Kubernetes", flags = [], folder, environment = {} }: LabCausewayOptions) {
    return {
      folder: folder ?? join(this.folder, `state-${randomUUID()}`),
      flags: [...(kubeconfig === undefined ? [] : ["--kubeconfig", kubeconfig]), "--cluster", cluster, ...flags],
      // The API servers of a lab are all on this machine.
      environment: { PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS: "loopback", ...environment },
    };
  }
}

/** One API server, and what people and controllers do to it. */
export class KubeCluster {
  readonly client: KubeClient;
  readonly standIn: ControllerStandIn;
  readonly #folder: string;

  constructor(
    readonly name: string,
    readonly api: Kubeapi,
    folder: string,
  ) {
    this.#folder = folder;
    this.client = new KubeClient(api.admin, api.kubeconfig);
    this.standIn = new ControllerStandIn(this.client);
  }

  /** A token of a service account that lives as long as its secret; see `revoke`. */
  async secretToken(account: Account, secret = `${account}-token-${randomUUID().slice(0, 8)}`): Promise<SecretToken> {
    const metadata = {
      name: secret,
      namespace: SYSTEM,
      annotations: { "kubernetes.io/service-account.name": account },
    };
    const { data } = await this.client.create(SECRETS, { metadata, type: "kubernetes.io/service-account-token" });
    return { secret, token: Buffer.from((data as { token: string }).token, "base64").toString() };
  }

  /** From now on nobody who shows the token is let in. */
  async revoke({ secret }: SecretToken): Promise<void> {
    await this.client.delete(SECRETS, secret, SYSTEM);
  }

  /** A token as a kubelet projects it into a pod: of its service account, bound to it. */
  async podToken(namespace: string, pod: string, account: string, audience: string): Promise<string> {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
    const boundObjectRef = { kind: "Pod", apiVersion: "v1", name: pod };
    const { status } = await this.client.call<{ status: { token: string } }>("POST", path, {
      spec: { audiences: [audience], boundObjectRef },
    });
    return status.token;
  }

  /** Text of a kubeconfig. */
  kubeconfig({ server = this.api.server, ca = this.api.admin.ca, token, tokenFile }: KubeconfigShape): string {
    return stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "c", cluster: { server, "certificate-authority-data": Buffer.from(ca).toString("base64") } }],
      users: [{ name: "u", user: tokenFile === undefined ? { token } : { tokenFile } }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      "current-context": "x",
    });
  }

  /** Path of a new kubeconfig with which a Causeway has exactly the rules of `account`. */
  async kubeconfigFor(account: Account, shape: KubeconfigShape = {}): Promise<string> {
    const credentials = shape.tokenFile ?? shape.token;
    const token = credentials === undefined ? (await this.secretToken(account)).token : shape.token;
    const path = join(this.#folder, `${account}-${randomUUID().slice(0, 8)}.kubeconfig`);
    writeWhole(path, this.kubeconfig({ ...shape, ...(token !== undefined && { token }) }));
    return path;
  }

  /** `kubectl apply` of examples/shop, and what controllers make of it: the mesh that `--manifests examples/shop` serves. */
  async applyExamples(): Promise<void> {
    // kubectl takes files by name, and an object in a namespace that comes later is refused.
    for (const namespace of ["bookshop", "payments"])
      await this.client.kubectl("apply", "-f", join(EXAMPLES, namespace, "namespace.yaml"));
    await this.client.kubectl("apply", "--recursive", "-f", EXAMPLES);
    await this.standIn.write(await controlled(EXAMPLES, this.name));
  }

  /** `kubectl apply` of these objects. */
  async apply(...objects: readonly (Draft & { readonly apiVersion: string; readonly kind: string })[]): Promise<void> {
    const path = join(this.#folder, `${randomUUID()}.yaml`);
    writeWhole(path, objects.map((object) => stringify(object)).join("---\n"));
    await this.client.kubectl("apply", "-f", path);
  }

  /** A token with which a client may read the mesh: of a ztunnel of the examples, as its kubelet gives it. */
  async ztunnelToken(audience = "istio-ca"): Promise<string> {
    const pods = await this.client.list(PODS, SYSTEM);
    const { name } = pods.find(({ metadata }) => metadata.name.startsWith("ztunnel"))!.metadata;
    return this.podToken(SYSTEM, name, "ztunnel", audience);
  }

  /** Whose rules were used how often, and what was denied (test/kubeapi/rbac.go). */
  rbacUsage(): Promise<RbacUsage> {
    return this.client.call<RbacUsage>("GET", "/debug/rbac-usage");
  }

  async close(): Promise<void> {
    this.client.close();
    await this.api.stop();
  }
}

export interface SecretToken {
  readonly secret: string;
  readonly token: string;
}

export interface RbacUsage {
  readonly rules: readonly {
    readonly binding: string;
    readonly role: string;
    readonly verb: string;
    readonly apiGroup: string;
    readonly resource: string;
    readonly name?: string;
    readonly allowed: number;
  }[];
  readonly denied: readonly {
    readonly user: string;
    readonly verb: string;
    readonly apiGroup: string;
    readonly resource: string;
    readonly namespace?: string;
    readonly count: number;
  }[];
}

/** As a kubelet swaps a projected token: nobody reads half of it. */
export function writeWhole(path: string, text: string): void {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
