import { type ChildProcess } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import type { IncomingTunnel } from "../kits/hbone.ts";
import type { TestAuthority } from "../kits/tls.ts";
import type { LoadReport, PodAnswer, PodAsk, PodConfig } from "./hbone-pod.ts";
import { GATEWAY_PROGRAM, gatewayEnvironment, gatewayReady } from "./gateway-process.ts";
import type { TestHost } from "./network.ts";
import { remoteGateway, type SeenPeer } from "./peering-lab.ts";
import { fetchIn, until } from "./ztunnel-lab.ts";

const program = join(import.meta.dirname, "..", "..", "src", "main.js");
const podProgram = join(import.meta.dirname, "hbone-pod.js");

/** The machines of one cluster. */
export interface SiteHosts {
  readonly plane: TestHost;
  readonly door: TestHost;
  readonly waypoint: TestHost;
  /** Calls. */
  readonly cart: TestHost;
  /** Is called. */
  readonly reviews: TestHost;
}

export interface SiteParts {
  readonly name: string;
  readonly folder: string;
  readonly hosts: SiteHosts;
  readonly envoy: string;
  readonly root: TestAuthority;
  readonly authority: TestAuthority;
  /** Starts a program that ends with the lab. */
  readonly spawn: (
    host: TestHost,
    command: string,
    args: readonly string[],
    environment?: Readonly<Record<string, string>>,
  ) => ChildProcess;
  /** All that a program has printed. */
  readonly printed: (program: ChildProcess) => string;
}

/** What a pod saw of a request, as its echo says. */
export interface Echo {
  readonly pod: string;
  readonly cluster: string;
  readonly peer: string;
  readonly authority: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A call that somebody answered: the echo, if the pod did. */
export interface Called extends PodAnswer {
  readonly echo: Echo | undefined;
}

export const REVIEWS = "reviews.bookinfo.mesh.internal";
export const PORT = 9080;
const NAMESPACE = "bookinfo";

/**
 * One cluster of a gateway test, as guide 000 has it: a control plane, an east-west gateway and, if started, a waypoint, both
 * stock Envoys beside `causeway gateway`; and pods cart and reviews of namespace bookinfo.
 */
export class GatewaySite {
  readonly #parts: SiteParts;
  readonly name: string;
  plane: ChildProcess | undefined;
  door: ChildProcess | undefined;
  waypoint: ChildProcess | undefined;
  readonly #pods = new Map<string, ChildProcess>();

  constructor(parts: SiteParts) {
    this.#parts = parts;
    this.name = parts.name;
    for (const part of ["manifests", "cacerts"]) mkdirSync(this.at(part), { recursive: true });
    const { root, authority, hosts } = parts;
    const pems = {
      "ca-cert": authority.root,
      "ca-key": authority.key,
      "cert-chain": authority.root + root.root,
      "root-cert": root.root,
    };
    for (const [file, pem] of Object.entries(pems)) writeFileSync(this.at(`cacerts/${file}.pem`), pem);
    writeFileSync(this.at("root.pem"), root.root);
    this.write("cluster", clusterManifest(this.network, hosts.door.address));
    this.write("cart", pod("cart", hosts.cart.address));
    this.write("service", reviewsService());
    this.showReviews(true);
  }

  get network(): string {
    return `network-${this.name}`;
  }
  get addresses(): Readonly<Record<keyof SiteHosts, string>> {
    const { plane, door, waypoint, cart, reviews } = this.#parts.hosts;
    return {
      plane: plane.address,
      door: door.address,
      waypoint: waypoint.address,
      cart: cart.address,
      reviews: reviews.address,
    };
  }

  at(path: string): string {
    return join(this.#parts.folder, path);
  }
  write(file: string, ...documents: readonly string[]): void {
    writeFileSync(this.at(`manifests/${file}.yaml`), documents.join("\n---\n"));
  }
  remove(file: string): void {
    rmSync(this.at(`manifests/${file}.yaml`), { force: true });
  }
  link(other: GatewaySite): void {
    const said = { network: other.network, trustDomain: "cluster.local", port: 15_012, address: other.addresses.door };
    this.write(`peer-${other.name}`, remoteGateway(other.name, said));
  }

  /** Whether the API server has pod reviews. */
  showReviews(there: boolean): void {
    if (there) this.write("reviews", pod("reviews", this.addresses.reviews));
    else this.remove("reviews");
  }

  /** Whether the namespace's services go through a waypoint, which then has to be started. It stays when they no longer do. */
  useWaypoint(used: boolean): void {
    if (used) this.write("waypoint", waypointManifest(this.addresses.waypoint));
    this.write("namespace", namespaceManifest(this.network, used));
  }

  async startPlane(): Promise<void> {
    const { hosts, spawn, printed, name } = this.#parts;
    const files = ["--manifests", this.at("manifests"), "--cacerts", this.at("cacerts"), "--state", this.at("state")];
    const accounts = ["cart", "reviews"].map((account) => `${NAMESPACE}/${account}`).join(",");
    const readers = [
      "--serving-name",
      hosts.plane.address,
      "--trusted-node-accounts",
      `istio-system/ztunnel,${accounts}`,
    ];
    const flags = ["serve", "--cluster", name, "--listen", "0.0.0.0", ...files, ...readers];
    const environment = { GATEWAY_DISCOVERY_ADDRESS: `${hosts.plane.address}:15012` };
    const plane = spawn(hosts.plane, process.execPath, ["--enable-source-maps", program, ...flags], environment);
    this.plane = plane;
    await until(`the control plane of ${name} is ready`, () => printed(plane).includes("causeway is ready"));
  }

  async startDoor(): Promise<void> {
    this.door = await this.#startGateway(this.#parts.hosts.door, "istio-eastwest", "istio-eastwest");
  }
  async startWaypoint(): Promise<void> {
    this.waypoint = await this.#startGateway(this.#parts.hosts.waypoint, NAMESPACE, "waypoint");
  }

  async #startGateway(host: TestHost, namespace: string, gateway: string): Promise<ChildProcess> {
    const { spawn, envoy, hosts } = this.#parts;
    const token = this.at(`${gateway}.token`);
    writeFileSync(token, this.token(namespace, `${gateway}-1`));
    const files = { token, root: this.at("root.pem"), runDir: this.at(`run-${gateway}`) };
    const place = { namespace, gateway, cluster: this.name, control: `${hosts.plane.address}:15012` };
    const child = spawn(host, process.execPath, GATEWAY_PROGRAM, gatewayEnvironment(host, envoy, place, files));
    await gatewayReady(host, `${gateway} of ${this.name}`);
    return child;
  }

  token(namespace: string, podName: string): string {
    const words = ["token", "-n", namespace, "--pod", podName, "--cluster", this.name];
    const from = ["--manifests", this.at("manifests"), "--state", this.at("state")];
    return this.#parts.hosts.plane.run(process.execPath, [program, ...words, ...from]).trim();
  }

  /** A certificate of this cluster's authority, or of `issuer`, for an account of bookinfo. */
  async svid(
    account: string,
    issuer = this.#parts.authority,
    trustDomain = "cluster.local",
  ): Promise<PodConfig["svid"]> {
    const { certificate, key } = await issuer.issue([`spiffe://${trustDomain}/ns/${NAMESPACE}/sa/${account}`]);
    return { chain: `${certificate}\n${issuer.root}`, key, roots: this.#parts.root.root };
  }

  async startPod(name: "cart" | "reviews"): Promise<void> {
    const { hosts, spawn, printed, root } = this.#parts;
    const control = this.#control(name);
    rmSync(control, { force: true });
    const config: PodConfig = {
      ...{ name: `${name}-${this.name}`, address: hosts[name].address, network: this.network, cluster: this.name },
      svid: await this.svid(name),
      xds: { address: `${hosts.plane.address}:15012`, roots: root.root, token: this.token(NAMESPACE, `${name}-1`) },
      control,
    };
    const child = spawn(hosts[name], process.execPath, ["--enable-source-maps", podProgram, JSON.stringify(config)]);
    this.#pods.set(name, child);
    await until(`pod ${name} of ${this.name} is ready`, () => printed(child).includes("the pod is ready"));
  }

  /** As a pod that crashes; the API server may say so later. */
  async stopPod(name: "cart" | "reviews"): Promise<void> {
    await stopped(this.#pods.get(name)!);
  }

  /** What pod cart gets when it calls reviews, or another host. */
  async call(
    words: {
      readonly method?: string;
      readonly path?: string;
      readonly host?: string;
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ): Promise<Called> {
    const { method = "GET", path = "/reviews/1", host = REVIEWS, headers = {} } = words;
    const asked = {
      ask: "call",
      host,
      port: PORT,
      method,
      path,
      headers: { host: `${host}:${PORT}`, ...headers },
    } as const;
    return calledOf((await this.#ask("cart", asked)) as PodAnswer);
  }

  /** Opens just this tunnel from pod cart. */
  async tunnel(
    asked: Omit<Extract<PodAsk, { ask: "tunnel" }>, "ask" | "method" | "path" | "headers">,
  ): Promise<Called> {
    const words = { method: "GET", path: "/reviews/1", headers: { host: REVIEWS } };
    return calledOf((await this.#ask("cart", { ask: "tunnel", ...words, ...asked })) as PodAnswer);
  }

  async startLoad(atOnce: number): Promise<void> {
    const words = { method: "GET", path: "/reviews/1", headers: { host: `${REVIEWS}:${PORT}` } };
    await this.#ask("cart", { ask: "load", host: REVIEWS, port: PORT, atOnce, ...words });
  }
  async endLoad(): Promise<LoadReport> {
    return (await this.#ask("cart", { ask: "loaded" })) as LoadReport;
  }

  /** The tunnels that came to a pod. */
  async seen(name: "cart" | "reviews"): Promise<readonly IncomingTunnel[]> {
    return (await this.#ask(name, { ask: "seen" })) as readonly IncomingTunnel[];
  }

  /** Lines of a gateway's access log, parsed. */
  accessLog(gateway: "door" | "waypoint"): readonly Readonly<Record<string, unknown>>[] {
    return this.#parts
      .printed(this[gateway]!)
      .split("\n")
      .filter((line) => line.startsWith("{") && line.includes('"authority"'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  peer(other: GatewaySite): SeenPeer | undefined {
    const page = fetchIn(this.#parts.hosts.plane, "http://127.0.0.1:15014/debug/peerz");
    return (JSON.parse(page) as readonly SeenPeer[]).find(({ cluster }) => cluster === other.name);
  }

  /** A command of ours that asks this control plane. */
  causeway(...words: readonly string[]): string {
    return this.#parts.hosts.plane.run(process.execPath, [program, ...words, "--state", this.at("state")]);
  }

  #control(name: string): string {
    return this.at(`${name}.sock`);
  }

  async #ask(name: "cart" | "reviews", ask: PodAsk): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const asked = request({ socketPath: this.#control(name), method: "POST" }, (answer) => {
        let text = "";
        answer.on("data", (bytes: Buffer) => (text += bytes.toString())).on("end", () => resolve(JSON.parse(text)));
      });
      asked.on("error", reject);
      asked.end(JSON.stringify(ask));
    });
  }
}

const calledOf = (answer: PodAnswer): Called => ({
  ...answer,
  echo: answer.status === 200 ? (JSON.parse(answer.body) as Echo) : undefined,
});

export async function stopped(child: ChildProcess, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await gone;
}

const clusterManifest = (network: string, door: string): string => `
apiVersion: v1
kind: Namespace
metadata: {name: istio-system, labels: {topology.istio.io/network: ${network}}}
---
apiVersion: v1
kind: Pod
metadata: {name: istio-eastwest-1, namespace: istio-eastwest, labels: {gateway.networking.k8s.io/gateway-name: istio-eastwest}}
spec: {nodeName: node-1, serviceAccountName: istio-eastwest, containers: [{name: proxy, image: envoy}]}
status: {phase: Running, podIPs: [{ip: ${door}}], podIP: ${door}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: istio-eastwest
  namespace: istio-eastwest
  labels: {topology.istio.io/network: ${network}, istio.io/expose-istiod: "15012"}
spec:
  gatewayClassName: istio-eastwest
  addresses: [{type: IPAddress, value: ${door}}]
  listeners:
    - {name: cross-network, port: 15008, protocol: HBONE, tls: {mode: Passthrough}}
    - {name: xds-tls, port: 15012, protocol: TLS, tls: {mode: Passthrough}}
`;

const namespaceManifest = (network: string, waypoint: boolean): string => `
apiVersion: v1
kind: Namespace
metadata:
  name: ${NAMESPACE}
  labels: {istio.io/dataplane-mode: ambient, topology.istio.io/network: ${network}${waypoint ? ", istio.io/use-waypoint: waypoint" : ""}}
`;

const waypointManifest = (address: string): string => `
apiVersion: v1
kind: Pod
metadata: {name: waypoint-1, namespace: ${NAMESPACE}, labels: {gateway.networking.k8s.io/gateway-name: waypoint}}
spec: {nodeName: node-1, serviceAccountName: waypoint, containers: [{name: proxy, image: envoy}]}
status: {phase: Running, podIPs: [{ip: ${address}}], podIP: ${address}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: ${NAMESPACE}}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
status: {addresses: [{type: IPAddress, value: ${address}}]}
`;

const pod = (name: string, address: string): string => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}-1, namespace: ${NAMESPACE}, labels: {app: ${name}}}
spec:
  nodeName: node-1
  serviceAccountName: ${name}
  containers: [{name: app, image: app, ports: [{containerPort: ${PORT}}]}]
status: {phase: Running, podIPs: [{ip: ${address}}], podIP: ${address}}
`;

/** As guide 000 has it; `more` are annotations. */
export const reviewsService = (more: Readonly<Record<string, string>> = {}): string => `
apiVersion: v1
kind: Service
metadata:
  name: reviews
  namespace: ${NAMESPACE}
  labels: {solo.io/service-scope: global}
  annotations: ${JSON.stringify(more)}
spec:
  ports: [{name: http, port: ${PORT}, targetPort: ${PORT}}]
  selector: {app: reviews}
`;
