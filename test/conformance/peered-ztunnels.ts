import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestAuthority } from "../kits/tls.ts";
import type { EastWest } from "./east-west-stand-in.ts";
import { ambientNamespace, clusterManifest, waypointManifest } from "./gateway-manifests.ts";
import { LabCluster } from "./lab-cluster.ts";
import { LabPrograms } from "./lab-programs.ts";
import { type TestHost, TestNetwork } from "./network.ts";
import { fetchIn, podManifest, socksClient, until } from "./ztunnel-lab.ts";

const standIn = join(import.meta.dirname, "east-west-stand-in.js");
/** A Service that tests may share from both clusters. */
export const BOTH = "both";
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
  readonly programs = new LabPrograms();
  readonly a: ZtunnelSite;
  readonly b: ZtunnelSite;

  private constructor(binaries: Binaries, root: TestAuthority, authorities: readonly TestAuthority[]) {
    this.#network = new TestNetwork(8);
    const [planeA, doorA, podA, waypointA, planeB, doorB, podB, waypointB] = this.#network
      .hosts as unknown as EightHosts;
    const shared = { ...binaries, root, programs: this.programs };
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

  async close(): Promise<void> {
    await this.programs.close();
    this.#network[Symbol.dispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

type EightHosts = readonly [TestHost, TestHost, TestHost, TestHost, TestHost, TestHost, TestHost, TestHost];

/** Paths of stock binaries; without an Envoy the gateways are stand-ins. */
interface Binaries {
  readonly ztunnel: string;
  readonly envoy: string | undefined;
}

interface SiteHosts {
  readonly plane: TestHost;
  readonly door: TestHost;
  readonly pod: TestHost;
  readonly waypoint: TestHost;
}

interface SiteParts extends Binaries {
  readonly name: string;
  /** Of its pod, and of the Service that it shares. */
  readonly app: string;
  readonly folder: string;
  readonly hosts: SiteHosts;
  readonly root: TestAuthority;
  readonly authority: TestAuthority;
  readonly programs: LabPrograms;
}

export class ZtunnelSite extends LabCluster {
  readonly #parts: SiteParts;
  ztunnel: ChildProcess | undefined;
  door: ChildProcess | undefined;
  waypoint: ChildProcess | undefined;

  constructor(parts: SiteParts) {
    const { name, app, hosts } = parts;
    super({ ...parts, network: `${name}-net`, readers: [`shop/${app}`] });
    this.#parts = parts;
    this.write("cluster", clusterManifest(this.network, hosts.door.address));
    this.write("namespace", ambientNamespace("shop", this.network));
    this.write("pod", podManifest({ name: app, host: hosts.pod }));
    this.write("service", service(app));
  }

  async startRest(): Promise<void> {
    await this.startDoor();
    const { hosts, programs, app } = this.#parts;
    const answer = `require("http").createServer((_, answer) => answer.end("hello from ${app}")).listen(8080)`;
    programs.start(hosts.pod, process.execPath, ["-e", answer]);
    writeFileSync(this.at("token"), this.token("shop", app));
    const address = `https://${this.control}`;
    this.ztunnel = programs.start(hosts.pod, this.#parts.ztunnel, [], {
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
    this.door = await this.startGateway(envoy, hosts.door, "istio-eastwest", "istio-eastwest");
  }

  /** Has the namespace's services go through a waypoint, on a machine of its own. */
  async startWaypoint(): Promise<void> {
    const { envoy, hosts } = this.#parts;
    this.write("waypoint", waypointManifest("shop", hosts.waypoint.address));
    this.write("namespace", ambientNamespace("shop", this.network, "waypoint"));
    this.waypoint = await this.startGateway(envoy!, hosts.waypoint, "shop", "waypoint");
  }

  /** The stand-in has a certificate of its cluster's authority, for the account that peers expect. */
  async #startStandIn(): Promise<void> {
    const { hosts, programs, authority, root, app } = this.#parts;
    const { certificate, key } = await authority.issue([GATEWAY]);
    const config: EastWest = {
      ...{ address: hosts.door.address, plane: hosts.plane.address, key, roots: root.root },
      chain: `${certificate}\n${authority.root}`,
      backends: Object.fromEntries([app, BOTH].map((name) => [`${name}.shop.mesh.internal:80`, hosts.pod.address])),
    };
    this.door = programs.start(hosts.door, process.execPath, [standIn, JSON.stringify(config)]);
  }

  async stopDoor(): Promise<void> {
    await this.#parts.programs.stop(this.door!);
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
}

const service = (app: string): string => `
apiVersion: v1
kind: Service
metadata: {name: ${app}, namespace: shop, labels: {solo.io/service-scope: global}}
spec: {selector: {app: ${app}}, ports: [{name: http, port: 80, targetPort: 8080}]}
`;
