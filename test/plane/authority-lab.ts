import { X509Certificate } from "node:crypto";
import type { Authority } from "../../src/ca/authority.ts";
import { newCsr } from "../../src/ca/client.ts";
import { LocalSigner } from "../../src/ca/local-signer.ts";
import type { Environment } from "../../src/command.ts";
import { loadConfig } from "../../src/config.ts";
import type { Host } from "../../src/host.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { RelistGate } from "../../src/kube/relist-gate.ts";
import { SECRETS } from "../../src/kube/resource-types.ts";
import { KubernetesAuthority } from "../../src/plane/kubernetes-authority.ts";
import type { KubernetesAccess } from "../../src/plane/kubernetes-access.ts";
import { MeshConfigFollower } from "../../src/registry/kube/mesh-config-follower.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import { TestHost } from "../kits/test-host.ts";
import { TestAuthority } from "../kits/tls.ts";

const namespace = "istio-system";
const trustDomain = "cluster.local";
export const HOUR_MS = 3_600_000;

export type Files = Readonly<Record<string, string>>;

/** As istiod names them. */
export const istioFiles = (own: TestAuthority, roots: readonly TestAuthority[], chain = own.root): Files => ({
  "ca-cert.pem": own.root,
  "ca-key.pem": own.key,
  "cert-chain.pem": chain,
  "root-cert.pem": roots.map(({ root }) => root).join("\n"),
});

/** One process that reads its authority from Secrets. */
export interface Replica {
  readonly authority: KubernetesAuthority;
  readonly lines: readonly string[];
  /** Each that it signed with, the first included. */
  readonly seen: readonly Authority[];
  readonly access: KubernetesAccess;
  ready(): boolean;
  /** The roots that a new certificate comes with, and whether it verifies by one of them. */
  sign(): Promise<{ readonly leaf: X509Certificate; readonly roots: readonly X509Certificate[] }>;
}

/** An API server in memory, whose time is the machine's at the start: certificates are dated by a library. */
export class AuthorityLab {
  readonly time = new TestHost();
  readonly server: FakeApiServer;
  readonly #offset = Date.now() - this.time.clock.now();
  readonly #replicas: Replica[] = [];

  constructor() {
    this.server = new FakeApiServer(this.time.clock);
    this.server.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
  }

  now(): number {
    return this.time.clock.now() + this.#offset;
  }

  putSecret(name: string, files: Files): void {
    const data = Object.fromEntries(
      Object.entries(files).map(([key, text]) => [key, Buffer.from(text).toString("base64")]),
    );
    this.server.put({ apiVersion: "v1", kind: "Secret", metadata: { name, namespace }, data });
  }

  /** What workloads were told to trust. */
  publish(pem: string): void {
    const metadata = { name: "istio-ca-root-cert", namespace };
    this.server.put({ apiVersion: "v1", kind: "ConfigMap", metadata, data: { "root-cert.pem": pem } });
  }

  removeSecret(name: string): void {
    this.server.remove({ apiVersion: "v1", kind: "Secret", metadata: { name, namespace } });
  }

  secret(name: string): KubeObject | undefined {
    return this.server.get(SECRETS, namespace, name);
  }

  text(name: string, key: string): string {
    const data = this.secret(name)!["data"] as Files;
    return Buffer.from(data[key]!, "base64").toString("utf8");
  }

  replica({ rootWait = "0", leads = false, environment = {} as Environment } = {}): Replica {
    const host = this.#host();
    const config = loadConfig({ rootWait }, environment, { listenAddress: "127.0.0.1", stateDir: "/nowhere" });
    const access: KubernetesAccess = {
      api: this.server.connect(),
      connect: () => this.server.connect(),
      gate: new RelistGate(),
      meshConfig: new MeshConfigFollower(host.log.scope("kube"), {
        maps: config.meshConfigMaps,
        defaults: config,
        onChange: () => {},
        onProblems: () => {},
      }),
      onMeshConfig: () => {},
      onProblems: () => {},
      unfollow: () => Promise.resolve(),
      leads: () => leads,
    };
    const authority = new KubernetesAuthority({ host, config, noteProblems: () => {} }, access);
    const seen: Authority[] = [];
    let signer: LocalSigner | undefined;
    void authority.first(new AbortController().signal).then((first) => {
      seen.push(first);
      signer = new LocalSigner(host, first, trustDomain);
      authority.follow((changed) => {
        seen.push(changed);
        signer!.rotate(changed);
        return Promise.resolve();
      });
    });
    const identity = { trustDomain, namespace: "shop", serviceAccount: "cart" };
    const replica: Replica = {
      authority,
      lines: host.lines,
      seen,
      access,
      ready: () => authority.waitingFor() === undefined,
      sign: async () => {
        const request = { identity, publicKey: newCsr().publicKey, ttlSeconds: 600 };
        const [leaf] = await signer!.sign(request, new AbortController().signal);
        const roots = signer!.bundles.get(trustDomain)!.roots.map((der) => new X509Certificate(der));
        return { leaf: new X509Certificate(leaf!), roots };
      },
    };
    this.#replicas.push(replica);
    return replica;
  }

  pass(ms: number): Promise<void> {
    return this.time.clock.pass(ms);
  }

  async close(): Promise<void> {
    for (const { authority } of this.#replicas) {
      const closing = authority.close();
      await this.pass(100);
      await closing;
    }
  }

  #host(): Host & { readonly lines: readonly string[] } {
    const { random, log, metrics, lines, clock } = this.time;
    const after = (delayMs: number, task: () => void) => clock.after(delayMs, task);
    const own = { now: () => this.now(), elapsedMs: () => clock.elapsedMs(), after };
    return { clock: own, random, log, metrics, lines };
  }
}
