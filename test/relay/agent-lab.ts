import { createPublicKey, generateKeyPairSync, hash, type KeyObject } from "node:crypto";
import { AuthorityKeeper, firstStage } from "../../src/ca/authority-keeper.ts";
import { authorityOf, cacertsIn, type CacertsFiles } from "../../src/ca/cacerts.ts";
import type { RememberedRoot, RootMemory } from "../../src/ca/remembered-roots.ts";
import { EMPTY_NAME, keyIdOf, organizationName, serialFrom } from "../../src/ca/certificate.ts";
import { newCsr } from "../../src/ca/client.ts";
import { ownCertificate } from "../../src/ca/own-certificate.ts";
import { MeshError } from "../../src/errors.ts";
import type { Host } from "../../src/host.ts";
import { clusterId } from "../../src/names.ts";
import { toPem } from "../../src/pem.ts";
import { RelayAgent } from "../../src/relay/agent.ts";
import type { AuthorityUpdate, Installed } from "../../src/relay/installed.ts";
import type { Bound, ClusterMessage, ClusterReport, ManagerMessage, Order } from "../../src/relay/messages.ts";
import { fingerprintOf } from "../../src/relay/wish.ts";

export const TRUST_DOMAIN = "mesh.example";
export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

/** A root, and what signs under it. */
export class LabRoot {
  readonly der: Uint8Array;
  readonly fingerprint: string;
  readonly #host: Host;
  readonly #subject: Uint8Array;
  readonly #keyId: Uint8Array;
  readonly #key: KeyObject;

  constructor(host: Host, name: string, lifetimeMs = 3650 * DAY_MS) {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const spki = publicKey.export({ type: "spki", format: "der" });
    this.#host = host;
    this.#subject = organizationName(TRUST_DOMAIN, name);
    this.#keyId = keyIdOf(spki);
    this.#key = privateKey;
    this.der = this.#certify(spki, { subject: this.#subject, lifetimeMs });
    this.fingerprint = fingerprintOf(this.der);
  }

  /** An intermediate for a key. */
  sign(publicKey: Uint8Array, { lifetimeMs = 30 * DAY_MS, uri = `spiffe://${TRUST_DOMAIN}` } = {}): Uint8Array {
    const subject = organizationName("Acme", "Intermediate CA east");
    return this.#certify(publicKey, { subject, lifetimeMs, pathLength: 0, uris: [uri] });
  }

  /** What only looks like an intermediate. */
  leaf(publicKey: Uint8Array): Uint8Array {
    return this.#certify(publicKey, {
      subject: EMPTY_NAME,
      lifetimeMs: DAY_MS,
      uris: [`spiffe://${TRUST_DOMAIN}/ns/a/sa/b`],
      leaf: true,
    });
  }

  get publicKey(): Uint8Array {
    return createPublicKey(this.#key).export({ type: "spki", format: "der" });
  }

  /** Files as of a root that signs for workloads itself. */
  files(folder = "Secret istio-system/istio-ca-secret"): CacertsFiles {
    const pem = toPem("CERTIFICATE", this.der);
    const key = this.#key.export({ type: "pkcs8", format: "pem" }).toString();
    const text = { "ca-cert.pem": pem, "ca-key.pem": key, "root-cert.pem": pem, "cert-chain.pem": "" };
    return cacertsIn(folder, new Map(Object.entries(text)))!;
  }

  #certify(
    publicKey: Uint8Array,
    shape: { subject: Uint8Array; lifetimeMs: number; pathLength?: number; uris?: readonly string[]; leaf?: boolean },
  ): Uint8Array {
    const { clock, random } = this.#host;
    const { subject, lifetimeMs, pathLength, uris } = shape;
    return ownCertificate(
      {
        serial: serialFrom(random.bytes(16)),
        notBefore: clock.now() - 120_000,
        notAfter: clock.now() + lifetimeMs,
        subject,
        publicKey,
        purpose: shape.leaf === true ? "control-plane" : "authority",
        ...(pathLength !== undefined && { pathLength }),
        names: { ...(uris !== undefined && { uris }), ...(shape.leaf === true && { dns: ["a.example"] }) },
      },
      { subject: this.#subject, keyId: this.#keyId, privateKey: this.#key },
    );
  }
}

export function orderOf(signing: LabRoot | undefined, roots: readonly LabRoot[], over: Partial<Order> = {}): Order {
  const order: Omit<Order, "generation"> = {
    trustDomain: TRUST_DOMAIN,
    intermediate: {
      organization: "Acme",
      commonName: "Intermediate CA east",
      pathLength: 0,
      lifetimeMs: 30 * DAY_MS,
      keyType: "ec-p256",
      graceRatio: 0.1,
    },
    roots: roots.map(({ der }) => der),
    signingRoot: signing?.fingerprint,
    autoRestartPods: false,
    bounds: undefined,
    ...over,
  };
  const text = JSON.stringify(order, (_, value: unknown) =>
    value instanceof Uint8Array ? fingerprintOf(value) : value,
  );
  return { generation: hash("sha256", text, "hex").slice(0, 12), ...order };
}

/** A cluster whose disk is this object, and whose control plane takes up what is on it. Its agents come and go. */
export class LabCluster {
  readonly sent: ClusterMessage[] = [];
  /** What lies there; what was there before. */
  disk: Installed = { kind: "absent" };
  readonly history: Installed[] = [];
  bounds: readonly Bound[] | undefined;
  /** What the next deeds fail with. */
  failing: { install?: MeshError; govern?: MeshError; look?: MeshError } = {};
  agent: RelayAgent;
  /** True while a stream is open. */
  open = false;
  readonly #host: Host;
  readonly #rootWaitMs: number;
  /** The key of each request. */
  readonly #keys = new Map<string, Uint8Array>();
  #keeper: AuthorityKeeper | undefined;
  #memory: readonly RememberedRoot[] | undefined;

  constructor(host: Host, { rootWaitMs = 2 * HOUR_MS, disk = { kind: "absent" } as Installed } = {}) {
    this.#host = host;
    this.#rootWaitMs = rootWaitMs;
    this.disk = disk;
    this.agent = this.#newAgent();
  }

  get use() {
    return this.#keeper?.use;
  }
  get requests() {
    return this.sent.flatMap((message) => (message.kind === "request" ? [message.request] : []));
  }
  get report(): ClusterReport {
    return this.sent.findLast((message) => message.kind === "report")!.report;
  }

  publicKeyOf(csr: string): Uint8Array {
    return this.#keys.get(csr)!;
  }

  connect(): void {
    this.open = true;
    this.agent.connected();
  }

  hear(message: ManagerMessage): void {
    if (this.open) this.agent.received(message);
  }

  /** Answers a request, by default the last one, as an honest manager would. */
  answer(root: LabRoot, request = this.requests.at(-1)!, shape: Parameters<LabRoot["sign"]>[1] = {}): void {
    const chain = [root.sign(this.publicKeyOf(request.csr), shape)];
    this.hear({ kind: "certificate", id: request.id, signed: { chain, root: root.der } });
  }

  /** The process ends, and another begins: only the disk, and what is remembered of roots, is left. */
  async restart(): Promise<void> {
    const closing = this.agent.close();
    this.open = false;
    await closing;
    this.#keeper = undefined;
    this.agent = this.#newAgent();
  }

  /** What the control plane does every few seconds: it looks at the disk. */
  async takeUp(): Promise<void> {
    const found = this.disk.kind === "own" ? this.disk.files : new MeshError("absent", "there is nothing");
    if (this.#keeper !== undefined) return this.#keeper.offer(found);
    if (found instanceof MeshError) return;
    const memory: RootMemory = { remembered: this.#memory, remember: (roots) => void (this.#memory = roots) };
    const authority = authorityOf(found, TRUST_DOMAIN, this.#host.clock.now());
    const beginning = { trustDomain: TRUST_DOMAIN, rootWaitMs: this.#rootWaitMs, memory };
    const first = firstStage(this.#host, { authority, ...beginning });
    this.#keeper = new AuthorityKeeper(this.#host, { ...beginning, authority: first, onChange: async () => {} });
  }

  #newAgent(): RelayAgent {
    const options = {
      cluster: clusterId("east"),
      version: "test",
      trustDomain: TRUST_DOMAIN,
      rootWaitMs: this.#rootWaitMs,
    };
    const fail = (error: MeshError | undefined): void => {
      if (error !== undefined) throw error;
    };
    const agent = new RelayAgent(this.#host, options, {
      makeRequest: () => {
        const made = newCsr();
        this.#keys.set(made.csr, made.publicKey);
        return Promise.resolve(made);
      },
      send: (message) => {
        if (this.open && this.agent === agent) this.sent.push(message);
        return this.open;
      },
      look: async () => (fail(this.failing.look), this.disk),
      install: async (update) => (fail(this.failing.install), this.#write(update)),
      govern: async (bounds) => (fail(this.failing.govern), void (this.bounds = bounds)),
      inUse: () => this.#keeper?.use,
      restarts: () => [],
      changed: () => {},
    });
    agent.start();
    return agent;
  }

  #write({ files, wish, replaces }: AuthorityUpdate): void {
    const before = this.disk.kind === "own" ? this.disk.files.digest : undefined;
    if (before !== replaces) throw new MeshError("conflict", "somebody else was faster");
    this.history.push(this.disk);
    this.disk = { kind: "own", files: cacertsIn("Secret istio-system/cacerts", files)!, wish };
  }
}
