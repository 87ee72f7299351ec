import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requestCertificate, verifySvid } from "../../src/ca/client.ts";
import { pemBlocks } from "../../src/pem.ts";
import type { Options } from "../../src/command.ts";
import { loadConfig } from "../../src/config.ts";
import { ControlPlane } from "../../src/control-plane.ts";
import { k8sAgent } from "../../src/demo/spire/agent-service.ts";
import type { NewEntry } from "../../src/demo/spire/entries.ts";
import { SpireStandIn, type SpireStandInOptions } from "../../src/demo/spire/stand-in.ts";
import { MeshError } from "../../src/errors.ts";
import type { Host } from "../../src/host.ts";
import { clusterId } from "../../src/names.ts";
import type { ClusterContext } from "../../src/plane/clusters.ts";
import { EmbeddedClusters } from "../../src/plane/embedded-clusters.ts";
import type { MeshIdentities } from "../../src/plane/mesh-trust.ts";
import { LOOK_MS } from "../../src/plane/unsigned-identities.ts";
import type { SpireAgent } from "../../src/spire/spire.ts";
import { realHost } from "../kits/real-host.ts";
import { nextTurn } from "../kits/until.ts";

const manifests = join(import.meta.dirname, "..", "..", "..", "examples", "shop");
const east = clusterId("east");
export const trustDomain = "shop.test";
export const REVIEWS = `spiffe://${trustDomain}/ns/bookshop/sa/reviews`;
export const ZTUNNEL = `spiffe://${trustDomain}/ns/istio-system/sa/ztunnel`;

/** Certificates, so that lists of them compare. */
export const hex = (ders: readonly Uint8Array[]): readonly string[] =>
  ders.map((der) => Buffer.from(der).toString("hex"));
export const inPem = (pem: string): readonly string[] => hex(pemBlocks(pem, "CERTIFICATE"));

/** Looks are hurried, and pauses that chance has a part in; time limits, the longest of which have one, too, are not. */
function hurried(delayMs: number): number {
  const chance = !Number.isInteger(delayMs) && delayMs < 30_000;
  return delayMs === LOOK_MS || chance ? 10 : delayMs;
}

const agentOn = (node: string, of = trustDomain): SpireAgent => k8sAgent(of, "east", node, Number.MAX_SAFE_INTEGER);

/** Entries for an account on both nodes of the example. */
export function entriesFor(identity: string, more: Partial<NewEntry> = {}): readonly NewEntry[] {
  const [, , , , namespace, , account] = identity.split("/");
  const selectors = [`k8s:ns:${namespace}`, `k8s:sa:${account}`];
  return ["harbour-1", "harbour-2"].map((node) => ({
    ...{ id: `${account}-${node}`, spiffeId: identity, parentId: agentOn(node).id, selectors },
    ...more,
  }));
}

/** A control plane of the example's cluster, and the demo's SPIRE beside it. */
export class SpireLab {
  readonly folder = mkdtempSync(join(tmpdir(), "cw-spire-"));
  readonly host: Host & { readonly lines: readonly string[]; metric(series: string): number };
  /** What `publishTrust` was told, each time: what a cluster's ConfigMaps would have. */
  readonly published: string[] = [];
  note: (mesh: MeshIdentities) => void = () => {};
  #aheadMs = 0;
  #spire: SpireStandIn | undefined;
  #plane: ControlPlane | undefined;

  constructor() {
    const { clock, random, log, metrics, lines, metric } = realHost();
    const own = {
      now: () => clock.now(),
      elapsedMs: () => clock.elapsedMs() + this.#aheadMs,
      after: (delayMs: number, task: () => void) => clock.after(hurried(delayMs), task),
    };
    this.host = { clock: own, random, log, metrics, lines, metric };
  }

  get spire(): SpireStandIn {
    return this.#spire!;
  }
  get plane(): ControlPlane {
    return this.#plane!;
  }
  get serverAddress(): string {
    return `unix:${join(this.folder, "spire", "server.sock")}`;
  }
  get roots(): string {
    return readFileSync(this.plane.rootCertificateFile, "utf8");
  }

  async startSpire(options: Partial<SpireStandInOptions> = {}): Promise<SpireStandIn> {
    const { host } = this;
    const agents = ["harbour-1", "harbour-2"].map((node) => agentOn(node, options.trustDomain));
    const folder = join(this.folder, "spire");
    return (this.#spire = await SpireStandIn.start({ host, folder, trustDomain, agents, ...options }));
  }

  async startPlane(options: Options = {}): Promise<ControlPlane> {
    const own = {
      cluster: "east",
      manifests: [manifests],
      state: join(this.folder, "state"),
      xdsPort: "0",
      trustDomain,
    };
    const how = { identity: "spire", spireServer: this.serverAddress };
    const config = loadConfig({ ...own, ...how, ...options }, {}, { listenAddress: "127.0.0.1", stateDir: "" });
    this.#plane = await ControlPlane.open(this.host, {
      config,
      openToAll: false,
      debugPage: () => Promise.reject(new MeshError("absent", "no pages here")),
      openClusters: (context) => this.#clusters(context),
    });
    await this.#plane.start(new AbortController().signal);
    return this.#plane;
  }

  /** What is kept for seconds is old. */
  passSeconds(seconds: number): void {
    this.#aheadMs += seconds * 1000;
  }

  /** As the ztunnel on the node of a pod asks for its identity: what it may show, and what it trusts then. */
  async ask(identity = REVIEWS): Promise<ReturnType<typeof verifySvid>> {
    const elements = await requestCertificate({
      address: `127.0.0.1:${this.plane.ports.xds}`,
      roots: this.roots,
      token: await this.ztunnelToken(identity),
      clusterId: "east",
      impersonate: identity,
      ttlSeconds: 86_400,
      signal: new AbortController().signal,
    });
    return verifySvid(elements, Date.now());
  }

  /** Asks again and again, as a ztunnel does that is to; only a refusal that says so is no reason to. */
  async askAgain(identity = REVIEWS): Promise<ReturnType<typeof verifySvid>> {
    for (;;) {
      this.passSeconds(60);
      try {
        return await this.ask(identity);
      } catch (thrown) {
        if (!(thrown instanceof MeshError) || thrown.code !== "unavailable") throw thrown;
        await nextTurn();
      }
    }
  }

  /** Of the ztunnel on the node where the identity's pod is. */
  async ztunnelToken(identity = REVIEWS): Promise<string> {
    const pods = [...this.plane.registry.pods.entries()].map(([, pod]) => pod);
    const account = identity.split("/").at(-1);
    const { node } = pods.find(({ serviceAccount }) => serviceAccount === account)!;
    const ztunnel = pods.find((pod) => pod.serviceAccount === "ztunnel" && pod.node === node)!;
    const { name, uid, namespace, serviceAccount } = ztunnel;
    return this.plane.tokens.get(east)!.issue({ namespace, serviceAccount, pod: { name, uid, node } });
  }

  /** But for identities without an entry that nobody asks for: few of the example's have one here. */
  problems(): string {
    return this.plane
      .problems()
      .filter(({ object }) => object !== "SPIRE entries")
      .map(({ object, message }) => `${object}: ${message}`)
      .join("\n");
  }

  ready(): string {
    return this.plane
      .readiness()
      .flatMap(({ check }) => check() ?? [])
      .join();
  }

  async close(): Promise<void> {
    await this.#plane?.close();
    await this.#spire?.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #clusters(context: ClusterContext): EmbeddedClusters {
    const clusters = new EmbeddedClusters(context);
    this.note = context.noteMesh;
    clusters.publishTrust = (roots?: string) => void this.published.push(roots ?? "");
    return clusters;
  }
}
