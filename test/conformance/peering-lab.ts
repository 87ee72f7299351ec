import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Relay } from "../../src/demo/relay.ts";
import { writeCacerts } from "../kits/cacerts.ts";
import { TestAuthority } from "../kits/tls.ts";
import { Causeway, eventually, PROGRAM } from "./causeway-process.ts";
import { MeshClient } from "./mesh-client.ts";
import { TcpProxy } from "./tcp-proxy.ts";

const run = promisify(execFile);
/** On a machine that has other things to do; most of what is waited for takes a tenth of a second. */
const WAIT_MS = 20_000;

export interface SiteShape {
  /** The cluster's name by default. */
  readonly trustDomain?: string;
  readonly network?: string;
  readonly issuer?: TestAuthority;
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** What of a link a test wants otherwise. */
export interface LinkWords {
  readonly trustDomain?: string;
  readonly network?: string;
  readonly preferred?: "nodeport" | "loadbalancer";
  readonly port?: number;
  /** 127.0.0.1 by default. */
  readonly address?: string;
}

/** The parts of peerz that tests look at. */
export interface SeenPeer {
  readonly cluster: string;
  readonly state: "connecting" | "syncing" | "live" | "stale";
  readonly reason: string;
  readonly message: string;
  readonly dataPlane: string;
  readonly services: number;
  readonly denied: number;
  readonly denials: readonly { readonly name: string; readonly reason: string; readonly message: string }[];
}

/** Clusters of which each is one `causeway` process on a folder of manifests, with an authority of its own under one root. */
export class PeeringLab {
  readonly folder = mkdtempSync(join(tmpdir(), "causeway-peering-"));
  readonly root: TestAuthority;
  readonly #sites: PeeredSite[] = [];

  private constructor(root: TestAuthority) {
    this.root = root;
  }

  static async open(): Promise<PeeringLab> {
    return new PeeringLab(await TestAuthority.create("CN=root"));
  }

  /** A cluster whose control plane is not started yet. */
  async site(name: string, shape: SiteShape = {}): Promise<PeeredSite> {
    const { issuer = this.root } = shape;
    const authority = await TestAuthority.create({ name: `CN=${name}`, pathLength: 0 }, issuer);
    const site = await PeeredSite.make(join(this.folder, name), name, { ...shape, issuer, authority });
    this.#sites.push(site);
    return site;
  }

  /** Clusters that run, each linked to all others. */
  async mesh(...names: readonly string[]): Promise<readonly PeeredSite[]> {
    const sites = await Promise.all(names.map((name) => this.site(name)));
    for (const site of sites) for (const other of sites) if (other !== site) site.link(other);
    await Promise.all(sites.map((site) => site.start()));
    await Promise.all(sites.flatMap((site) => sites.filter((other) => other !== site).map((to) => site.hears(to))));
    return sites;
  }

  async close(): Promise<void> {
    await Promise.all(this.#sites.map((site) => site.close()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One cluster, its control plane, and the two ports by which its peers reach it: wires that tests can cut. */
export class PeeredSite {
  readonly #folder: string;
  readonly #shape: SiteShape;
  readonly #door: Relay;
  #doorPort = 0;
  #plane: Causeway | undefined;
  #xdsPort = 0;
  #clients: MeshClient[] = [];

  private constructor(
    folder: string,
    readonly name: string,
    shape: SiteShape,
    /** To its control plane, as port 15012 of an east-west gateway. */
    readonly wire: TcpProxy,
  ) {
    this.#folder = folder;
    this.#shape = shape;
    this.#door = new Relay("127.0.0.1", () => undefined);
  }

  static async make(
    folder: string,
    name: string,
    shape: SiteShape & { readonly issuer: TestAuthority; readonly authority: TestAuthority },
  ): Promise<PeeredSite> {
    const wire = await TcpProxy.start(() => site.#xdsPort);
    const site: PeeredSite = new PeeredSite(folder, name, shape, wire);
    site.#doorPort = await site.#door.openDoor(0);
    mkdirSync(join(folder, "manifests"), { recursive: true });
    writeCacerts(join(folder, "cacerts"), shape.authority, shape.issuer);
    site.furnish();
    return site;
  }

  get plane(): Causeway {
    return this.#plane!;
  }
  get network(): string {
    return this.#shape.network ?? `${this.name}-net`;
  }
  get trustDomain(): string {
    return this.#shape.trustDomain ?? "cluster.local";
  }
  get xdsPort(): number {
    return this.#xdsPort;
  }
  /** Of its east-west gateway, for data. */
  get doorPort(): number {
    return this.#doorPort;
  }

  write(file: string, ...documents: readonly string[]): void {
    writeFileSync(join(this.#folder, "manifests", `${file}.yaml`), documents.join("\n---\n"));
  }
  remove(file: string): void {
    rmSync(join(this.#folder, "manifests", `${file}.yaml`), { force: true });
  }

  /** The cluster itself: its network, a node, a ztunnel to read the mesh as, and its east-west gateway. */
  furnish(labels: Readonly<Record<string, string>> = {}, gateway: Readonly<Record<string, string>> = {}): void {
    const all = { "topology.istio.io/network": this.network, ...labels };
    this.write("cluster", clusterOf(all), eastWestGateway(this.network, this.#doorPort, gateway));
  }

  /** Has it read `other`: what that says of itself decides where data goes. */
  link(other: PeeredSite, words: LinkWords = {}): void {
    const { name } = other;
    const said = { network: other.network, trustDomain: other.trustDomain, port: other.wire.port, ...words };
    this.write(`peer-${name}`, remoteGateway(name, said));
  }
  unlink(other: PeeredSite): void {
    this.remove(`peer-${other.name}`);
  }

  /** Starts its control plane, on the port and the state that the one before had. */
  async start(): Promise<void> {
    const at = (part: string): string => join(this.#folder, part);
    const given = ["--cluster", this.name, "--manifests", at("manifests"), "--cacerts", at("cacerts")];
    const { flags = [], environment = {} } = this.#shape;
    this.#plane = await Causeway.start({
      folder: at("state"),
      flags: [...given, "--trust-domain", this.trustDomain, "--xds-port", `${this.#xdsPort}`, ...flags],
      environment,
    });
    this.#xdsPort = Number(this.#plane.connection!.xds.split(":").at(-1));
  }

  /** A command of ours that asks this control plane. */
  async run(...words: readonly string[]): Promise<{ readonly out: string; readonly code: number }> {
    const { admin } = this.plane.connection!;
    const ended = await run(process.execPath, [PROGRAM, ...words, "--admin", admin]).catch(
      (thrown: { stdout: string; code: number }) => thrown,
    );
    return { out: ended.stdout, code: "code" in ended ? ended.code : 0 };
  }

  /** Of the ztunnel of its node. */
  async ztunnelToken(): Promise<string> {
    const at = (part: string): string => join(this.#folder, part);
    const pod = ["-n", "istio-system", "--pod", "ztunnel", "--cluster", this.name];
    const from = ["--manifests", at("manifests"), "--state", at("state")];
    return (await run(process.execPath, [PROGRAM, "token", ...pod, ...from])).stdout.trim();
  }

  /** What a ztunnel of this cluster holds. */
  async client(): Promise<MeshClient> {
    const token = await this.ztunnelToken();
    const client = await MeshClient.start(this.plane, { token, cluster: this.name, network: this.network });
    this.#clients.push(client);
    return client;
  }

  async peers(): Promise<readonly SeenPeer[]> {
    return this.plane.debug<readonly SeenPeer[]>("peerz");
  }
  async peer(other: string | PeeredSite): Promise<SeenPeer | undefined> {
    const name = typeof other === "string" ? other : other.name;
    return (await this.peers()).find(({ cluster }) => cluster === name);
  }

  /** Resolves once its link to `other` is live, or in another state. */
  async hears(other: PeeredSite, state: SeenPeer["state"] = "live", limitMs = WAIT_MS): Promise<number> {
    const what = `${this.name} has a link to ${other.name} that is ${state}`;
    return eventually(what, limitMs, async () => {
      const seen = await this.peer(other);
      if (seen?.state === state) return true;
      throw new Error(`it is ${seen?.state}: ${seen?.reason} ${seen?.message}`);
    });
  }

  /** Whether what `other` said is on its disk. */
  remembers(other: PeeredSite): boolean {
    return existsSync(join(this.#folder, "state", "peers", `${other.name}.json`));
  }

  /** As an address that refuses what comes for data. */
  closeDoor(): Promise<void> {
    return this.#door.closeDoor();
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    await this.#plane?.stop("SIGKILL");
    await this.wire.close();
    await this.#door.close();
  }
}

const labelsOf = (labels: Readonly<Record<string, string>>): string =>
  `{${Object.entries(labels)
    .map(([key, value]) => `${key}: "${value}"`)
    .join(", ")}}`;

const clusterOf = (labels: Readonly<Record<string, string>>): string => `
apiVersion: v1
kind: Namespace
metadata: {name: istio-system, labels: ${labelsOf(labels)}}
---
apiVersion: v1
kind: Pod
metadata: {name: ztunnel, namespace: istio-system, labels: {app: ztunnel}}
spec: {serviceAccountName: ztunnel, containers: [{name: istio-proxy, image: ztunnel}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}`;

const eastWestGateway = (network: string, port: number, annotations: Readonly<Record<string, string>>): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: istio-eastwest
  namespace: istio-eastwest
  labels: {topology.istio.io/network: ${network}}
  annotations: ${labelsOf(annotations)}
spec:
  gatewayClassName: istio-eastwest
  addresses: [{type: IPAddress, value: 127.0.0.1}]
  listeners: [{name: cross-network, port: ${port}, protocol: HBONE, tls: {mode: Passthrough}}]`;

/** The Gateway by which a cluster is read. */
export function remoteGateway(cluster: string, words: LinkWords): string {
  const { network, trustDomain, port, preferred, address = "127.0.0.1" } = words;
  const kind = "peering.solo.io/preferred-data-plane-service-type";
  const wanted = preferred === undefined ? {} : { [kind]: preferred };
  const annotations = { "gateway.istio.io/trust-domain": trustDomain!, ...wanted };
  return `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: istio-remote-peer-${cluster}
  namespace: istio-eastwest
  labels: {topology.istio.io/network: ${network}, topology.istio.io/cluster: ${cluster}}
  annotations: ${labelsOf(annotations)}
spec:
  gatewayClassName: istio-remote
  addresses: [{type: IPAddress, value: ${address}}]
  listeners: [{name: xds-tls, port: ${port}, protocol: TLS, tls: {mode: Passthrough}}]`;
}

export const GLOBAL = { "solo.io/service-scope": "global" };

export interface AppShape {
  readonly replicas?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Of the Service, as YAML. */
  readonly ports?: string;
  /** Of the container, as YAML. */
  readonly containerPorts?: string;
  readonly ready?: boolean;
}

/** A Service of namespace shop with a Deployment, shared with all unless its labels say otherwise. */
export function app(name: string, shape: AppShape = {}): string {
  const { replicas = 1, labels = GLOBAL, annotations = {}, ready = true } = shape;
  const { ports = "[{name: http, port: 80, targetPort: 8080}]", containerPorts = "[{containerPort: 8080}]" } = shape;
  return `
${serviceOf(name, labels, annotations, ports)}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: shop, annotations: {causeway.dev/ready: "${ready}"}}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec: {serviceAccountName: ${name}, containers: [{name: ${name}, image: app, ports: ${containerPorts}}]}`;
}

const serviceOf = (
  name: string,
  labels: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>>,
  ports: string,
): string => `
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: shop, labels: ${labelsOf(labels)}, annotations: ${labelsOf(annotations)}}
spec: {selector: {app: ${name}}, ports: ${ports}}`;

/** The name that everybody calls it by. */
export const globalName = (name: string): string => `${name}.shop.mesh.internal`;
export const localName = (name: string): string => `${name}.shop.svc.cluster.local`;

/** Waits until `client` splits its calls so. */
export async function splits(client: MeshClient, host: string, wanted: Readonly<Record<string, number>>, port = 80) {
  const sorted = (split: object): string => JSON.stringify(Object.entries(split).sort());
  return eventually(`calls to ${host} end as ${sorted(wanted)}`, WAIT_MS, () => {
    const found = sorted(client.calls(host, port));
    if (found !== sorted(wanted)) throw new Error(`they end as ${found}`);
    return true;
  });
}
