import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestAuthority } from "../kits/tls.ts";
import { GatewaySite, type SiteHosts } from "./gateway-site.ts";
import { LabPrograms } from "./lab-programs.ts";
import { type TestHost, TestNetwork } from "./network.ts";
import { until } from "./ztunnel-lab.ts";

/** Two clusters, east and west, each on networks of its own under one root, with stock Envoys for gateways. */
export class GatewayLab {
  readonly #network = new TestNetwork(10);
  readonly #folder = mkdtempSync(join(tmpdir(), "causeway-gateways-"));
  readonly programs = new LabPrograms();
  readonly east: GatewaySite;
  readonly west: GatewaySite;

  private constructor(
    envoy: string,
    readonly root: TestAuthority,
    authorities: readonly TestAuthority[],
  ) {
    const hosts = [0, 5].map((from): SiteHosts => {
      const [plane, door, waypoint, cart, reviews] = this.#network.hosts.slice(from, from + 5) as unknown as FiveHosts;
      return { plane, door, waypoint, cart, reviews };
    });
    const shared = { envoy, root, programs: this.programs };
    const [east, west] = ["east", "west"].map(
      (name, at) =>
        new GatewaySite({
          ...shared,
          ...{ name, hosts: hosts[at]!, authority: authorities[at]!, folder: join(this.#folder, name) },
        }),
    );
    this.east = east!;
    this.west = west!;
    apart(hosts[0]!, hosts[1]!);
    apart(hosts[1]!, hosts[0]!);
    this.east.link(this.west);
    this.west.link(this.east);
  }

  static async open(envoy: string): Promise<GatewayLab> {
    const root = await TestAuthority.create("CN=root");
    const under = (name: string) => TestAuthority.create({ name: `CN=${name}`, pathLength: 0 }, root);
    return new GatewayLab(envoy, root, [await under("east"), await under("west")]);
  }

  get sites(): readonly GatewaySite[] {
    return [this.east, this.west];
  }

  /** Control planes, east-west gateways, and all pods; the clusters hear each other. */
  async start(): Promise<void> {
    for (const site of this.sites) site.useWaypoint(false);
    for (const site of this.sites) await site.startPlane();
    await Promise.all(this.sites.map((site) => site.startDoor()));
    await Promise.all(this.sites.flatMap((site) => [site.startPod("cart"), site.startPod("reviews")]));
    await until("east hears west", () => this.east.peer(this.west)?.state === "live");
    await until("west hears east", () => this.west.peer(this.east)?.state === "live");
  }

  async close(): Promise<void> {
    await this.programs.close();
    this.#network[Symbol.dispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

type FiveHosts = readonly [TestHost, TestHost, TestHost, TestHost, TestHost];

/** Of another network only the gateway can be reached, from pods and waypoints. */
function apart(own: SiteHosts, other: SiteHosts): void {
  for (const from of [own.cart, own.reviews, own.waypoint])
    for (const to of [other.cart, other.reviews, other.waypoint, other.plane])
      from.run("ip", ["route", "add", "unreachable", to.address]);
  own.plane.run("ip", ["route", "add", "unreachable", other.plane.address]);
}
