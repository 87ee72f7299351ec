import type { ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestAuthority } from "../kits/tls.ts";
import type { EastWest } from "./east-west-stand-in.ts";
import { GATEWAY_PROGRAM, gatewayEnvironment, gatewayReady } from "./gateway-process.ts";
import { type TestHost, TestNetwork } from "./network.ts";
import { remoteGateway, type SeenPeer } from "./peering-lab.ts";
import { fetchIn, podManifest, socksClient, until } from "./ztunnel-lab.ts";

const program = join(import.meta.dirname, "..", "..", "src", "main.js");
const standIn = join(import.meta.dirname, "east-west-stand-in.js");
const GATEWAY = "spiffe://cluster.local/ns/istio-eastwest/sa/istio-eastwest";

/** The parts of a ztunnel's config dump (contract ztunnel.md 6.8) that tests look at. */
export interface Dump {
  readonly workloads: readonly {
    readonly uid: string;
    readonly name: string;
    readonly network: string;
    readonly serviceAccount: string;
    readonly workloadIps: readonly string[];
    readonly capacity?: number;
    readonly status: string;
    readonly clusterId: string;
    readonly networkGateway?: { readonly destination: string; readonly hboneMtlsPort: number };
    readonly services: readonly string[];
  }[];
  readonly services: readonly {
    readonly hostname: string;
    readonly vips: readonly string[];
    readonly subjectAltNames: readonly string[];
    readonly endpoints: Readonly<Record<string, unknown>>;
  }[];
  readonly stagedServices: Readonly<Record<string, unknown>>;
}

/**
 * Two clusters, each a control plane, an east-west gateway and one pod with a stock ztunnel; a machine for each. The
 * gateway is a stand-in of the tests, or a stock Envoy beside `causeway gateway`; then there is a machine for a waypoint, too.
 */
export class PeeredZtunnels {
  readonly #network: TestNetwork;
  readonly #folder = mkdtempSync(join(tmpdir(), "causeway-peered-ztunnels-"));
  readonly #output = new Map<ChildProcess, string[]>();
  readonly a: ZtunnelSite;
  readonly b: ZtunnelSite;

  private constructor(programs: Programs, root: TestAuthority, authorities: readonly TestAuthority[]) {
    this.#network = new TestNetwork(8);
    const [planeA, doorA, podA, waypointA, planeB, doorB, podB, waypointB] = this.#network
      .hosts as unknown as EightHosts;
    const shared = { ...programs, root, spawn: this.#spawn.bind(this), printed: this.printed.bind(this) };
    const site = (name: string, app: string, hosts: SiteHosts, authority: TestAuthority): ZtunnelSite =>
      new ZtunnelSite({ ...shared, name, app, hosts, authority, folder: join(this.#folder, name) });
    this.a = site("a", "web", { plane: planeA, door: doorA, pod: podA, waypoint: waypointA }, authorities[0]!);
    this.b = site("b", "cart", { plane: planeB, door: doorB, pod: podB, waypoint: waypointB }, authorities[1]!);
    // Pods of different networks reach each other through gateways, or not at all.
    for (const [from, to] of [
      [podA, podB],
      [podB, podA],
      [waypointA, podB],
      [waypointB, podA],
    ] as const)
      from.run("ip", ["route", "add", "unreachable", to.address]);
    this.a.link(this.b);
    this.b.link(this.a);
  }

  static async open(ztunnel: string, envoy?: string): Promise<PeeredZtunnels> {
    const root = await TestAuthority.create("CN=root");
    const under = (name: string) => TestAuthority.create({ name: `CN=${name}`, pathLength: 0 }, root);
    return new PeeredZtunnels({ ztunnel, envoy }, root, [await under("a"), await under("b")]);
  }

  /** Control planes, stand-ins, applications and ztunnels of both clusters. */
  async start(): Promise<void> {
    for (const site of [this.a, this.b]) await site.startPlane();
    for (const site of [this.a, this.b]) await site.startRest();
  }

  /** All that a program has printed. */
  printed(program: ChildProcess): string {
    return (this.#output.get(program) ?? []).join("");
  }

  async close(): Promise<void> {
    for (const [child] of this.#output) await stop(child, "SIGTERM");
    this.#network[Symbol.dispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #spawn(host: TestHost, command: string, args: readonly string[], environment = {}): ChildProcess {
    const child = host.spawn(command, args, environment);
    const output: string[] = [];
    this.#output.set(child, output);
    for (const stream of [child.stdout!, child.stderr!])
      stream.on("data", (bytes: Buffer) => output.push(bytes.toString()));
    return child;
  }
}

type EightHosts = readonly [TestHost, TestHost, TestHost, TestHost, TestHost, TestHost, TestHost, TestHost];

/** Paths of stock binaries; without an Envoy the gateways are stand-ins. */
interface Programs {
  readonly ztunnel: string;
  readonly envoy: string | undefined;
}

interface SiteHosts {
  readonly plane: TestHost;
  readonly door: TestHost;
  readonly pod: TestHost;
  readonly waypoint: TestHost;
}

interface SiteParts extends Programs {
  readonly name: string;
  /** Of its pod, and of the Service that it shares. */
  readonly app: string;
  readonly folder: string;
  readonly hosts: SiteHosts;
  readonly root: TestAuthority;
  readonly authority: TestAuthority;
  readonly printed: (program: ChildProcess) => string;
  readonly spawn: (
    host: TestHost,
    command: string,
    args: readonly string[],
    environment?: Readonly<Record<string, string>>,
  ) => ChildProcess;
}

export class ZtunnelSite {
  readonly #parts: SiteParts;
  plane: ChildProcess | undefined;
  ztunnel: ChildProcess | undefined;
  door: ChildProcess | undefined;
  waypoint: ChildProcess | undefined;

  constructor(parts: SiteParts) {
    this.#parts = parts;
    const { name, app, hosts, root, authority, folder } = parts;
    for (const part of ["manifests", "cacerts"]) mkdirSync(join(folder, part), { recursive: true });
    const pems = {
      "ca-cert": authority.root,
      "ca-key": authority.key,
      "cert-chain": authority.root + root.root,
      "root-cert": root.root,
    };
    for (const [file, pem] of Object.entries(pems)) writeFileSync(join(folder, "cacerts", `${file}.pem`), pem);
    this.write("cluster", cluster(this.network, hosts.door.address));
    this.write("namespace", namespaceShop(false));
    this.write("pod", podManifest({ name: app, host: hosts.pod }));
    this.write("service", service(app));
    writeFileSync(this.at("root.pem"), root.root);
    this.name = name;
  }

  readonly name: string;
  get network(): string {
    return `${this.#parts.name}-net`;
  }
  get doorAddress(): string {
    return this.#parts.hosts.door.address;
  }
  get #planeAddress(): string {
    return this.#parts.hosts.plane.address;
  }

  at(path: string): string {
    return join(this.#parts.folder, path);
  }
  write(file: string, text: string): void {
    writeFileSync(this.at(`manifests/${file}.yaml`), text);
  }
  remove(file: string): void {
    rmSync(this.at(`manifests/${file}.yaml`), { force: true });
  }

  link(other: ZtunnelSite): void {
    const said = { network: other.network, trustDomain: "cluster.local", port: 15_012, address: other.doorAddress };
    this.write(`peer-${other.name}`, remoteGateway(other.name, said));
  }

  async startPlane(): Promise<void> {
    const { hosts, spawn, printed, name, app } = this.#parts;
    const files = ["--manifests", this.at("manifests"), "--cacerts", this.at("cacerts"), "--state", this.at("state")];
    // A ztunnel in dedicated mode has its pod's account.
    const accounts = ["--trusted-node-accounts", `istio-system/ztunnel,shop/${app}`];
    const readers = ["--serving-name", hosts.plane.address, ...accounts];
    const flags = ["serve", "--cluster", name, "--listen", "0.0.0.0", ...files, ...readers];
    const environment = { GATEWAY_DISCOVERY_ADDRESS: `${hosts.plane.address}:15012` };
    this.plane = spawn(hosts.plane, process.execPath, [program, ...flags], environment);
    const { plane } = this;
    await until(`the control plane of ${name} is ready`, () => printed(plane).includes("causeway is ready"));
  }

  /** @param signal SIGTERM to leave as in an upgrade, SIGKILL as in a crash. */
  async stopPlane(signal: NodeJS.Signals): Promise<void> {
    await stop(this.plane!, signal);
  }

  async startRest(): Promise<void> {
    await this.startDoor();
    const { hosts, spawn, app } = this.#parts;
    const answer = `require("http").createServer((_, answer) => answer.end("hello from ${app}")).listen(8080)`;
    spawn(hosts.pod, process.execPath, ["-e", answer]);
    writeFileSync(this.at("token"), this.#token("shop", app));
    const address = `https://${this.#planeAddress}:15012`;
    this.ztunnel = spawn(hosts.pod, this.#parts.ztunnel, [], {
      ...{ PROXY_MODE: "dedicated", PROXY_WORKLOAD_INFO: `shop/${app}/${app}` },
      ...{ ENABLE_ORIG_SRC: "false", UNSTABLE_ENABLE_SOCKS5: "true", NETWORK: this.network, CLUSTER_ID: this.name },
      ...{
        XDS_ADDRESS: address,
        CA_ADDRESS: address,
        XDS_ROOT_CA: this.at("root.pem"),
        CA_ROOT_CA: this.at("root.pem"),
      },
      ...{ AUTH_TOKEN: this.at("token"), POD_NAME: app, POD_NAMESPACE: "shop", INSTANCE_IP: hosts.pod.address },
      ...{ NODE_NAME: "node-1", RUST_LOG: "info" },
    });
    await until(`the ztunnel of ${app} is ready`, () =>
      fetchIn(hosts.pod, "http://127.0.0.1:15021/healthz/ready").includes("ready"),
    );
  }

  async startDoor(): Promise<void> {
    const { envoy, hosts } = this.#parts;
    if (envoy === undefined) return this.#startStandIn();
    this.door = await this.#startGateway(envoy, hosts.door, "istio-eastwest", "istio-eastwest");
  }

  /** Has the namespace's services go through a waypoint, on a machine of its own. */
  async startWaypoint(): Promise<void> {
    const { envoy, hosts } = this.#parts;
    this.write("waypoint", waypoint(hosts.waypoint.address));
    this.write("namespace", namespaceShop(true));
    this.waypoint = await this.#startGateway(envoy!, hosts.waypoint, "shop", "waypoint");
  }

  async #startGateway(envoy: string, host: TestHost, namespace: string, gateway: string): Promise<ChildProcess> {
    const token = this.at(`${gateway}.token`);
    writeFileSync(token, this.#token(namespace, `${gateway}-1`));
    const files = { token, root: this.at("root.pem"), runDir: this.at(`run-${gateway}`) };
    const place = { namespace, gateway, cluster: this.name, control: `${this.#planeAddress}:15012` };
    const environment = gatewayEnvironment(host, envoy, place, files);
    const child = this.#parts.spawn(host, process.execPath, GATEWAY_PROGRAM, environment);
    await gatewayReady(host, `${gateway} of ${this.name}`);
    return child;
  }

  #token(namespace: string, pod: string): string {
    const words = ["token", "-n", namespace, "--pod", pod, "--cluster", this.name];
    const from = ["--manifests", this.at("manifests"), "--state", this.at("state")];
    return this.#parts.hosts.plane.run(process.execPath, [program, ...words, ...from]).trim();
  }

  /** The stand-in has a certificate of its cluster's authority, for the account that peers expect. */
  async #startStandIn(): Promise<void> {
    const { hosts, spawn, authority, root, app } = this.#parts;
    const { certificate, key } = await authority.issue([GATEWAY]);
    const config: EastWest = {
      ...{ address: hosts.door.address, plane: hosts.plane.address, key, roots: root.root },
      chain: `${certificate}\n${authority.root}`,
      backends: { [`${app}.shop.mesh.internal:80`]: hosts.pod.address },
    };
    this.door = spawn(hosts.door, process.execPath, [standIn, JSON.stringify(config)]);
  }

  async stopDoor(): Promise<void> {
    await stop(this.door!);
  }

  dump(): Dump {
    return JSON.parse(fetchIn(this.#parts.hosts.pod, "http://127.0.0.1:15000/config_dump")) as Dump;
  }
  metrics(): string {
    return fetchIn(this.#parts.hosts.pod, "http://127.0.0.1:15020/stats/prometheus");
  }

  /** What its pod gets when it calls `http://address:port/` through its ztunnel; empty if it is refused. */
  call(address: string, port = 80): string {
    return this.#parts.hosts.pod.run(process.execPath, ["-e", socksClient, address, String(port)]);
  }

  peer(other: ZtunnelSite): SeenPeer | undefined {
    const page = fetchIn(this.#parts.hosts.plane, "http://127.0.0.1:15014/debug/peerz");
    const peers = JSON.parse(page) as readonly SeenPeer[];
    return peers.find(({ cluster: name }) => name === other.name);
  }
}

async function stop(child: ChildProcess, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await gone;
}

const cluster = (network: string, door: string): string => `
apiVersion: v1
kind: Namespace
metadata: {name: istio-system, labels: {topology.istio.io/network: ${network}}}
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
---
${gatewayPod("istio-eastwest", "istio-eastwest", door)}`;

const gatewayPod = (namespace: string, gateway: string, address: string): string => `
apiVersion: v1
kind: Pod
metadata:
  name: ${gateway}-1
  namespace: ${namespace}
  labels: {gateway.networking.k8s.io/gateway-name: ${gateway}}
spec: {nodeName: node-2, serviceAccountName: ${gateway}, containers: [{name: proxy, image: envoy}]}
status: {phase: Running, podIPs: [{ip: ${address}}], podIP: ${address}}
`;

const namespaceShop = (waypoint: boolean): string => `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient${waypoint ? ", istio.io/use-waypoint: waypoint" : ""}}}
`;

const waypoint = (address: string): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
status: {addresses: [{type: IPAddress, value: ${address}}]}
---
${gatewayPod("shop", "waypoint", address)}`;

const service = (app: string): string => `
apiVersion: v1
kind: Service
metadata: {name: ${app}, namespace: shop, labels: {solo.io/service-scope: global}}
spec: {selector: {app: ${app}}, ports: [{name: http, port: 80, targetPort: 8080}]}
`;
