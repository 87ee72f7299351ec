import type { KubeObject } from "../../src/kube/object.ts";
import { Drills } from "../../src/plane/drills.ts";
import { pod } from "../registry/mesh.ts";
import { CART } from "../registry/peers.ts";
import { cart } from "../registry/two-networks.ts";
import { PeeredRegistries, type Shares } from "./peered-registries.ts";
import { TestHost } from "./test-host.ts";

export const DRAIN = "peering.causeway.dev/drain-until";

export const pods = (count: number, site = 0): readonly KubeObject[] =>
  Array.from({ length: count }, (_each, at) =>
    pod(`cart-${at}`, `10.0.${site}.${at + 1}`, { app: "cart" }, { serviceAccountName: "cart" }),
  );

/** Clusters that hear each other and share `cart`, each with its drills and all with one time. */
export class DrilledSites {
  readonly host: TestHost;
  readonly all: PeeredRegistries;
  readonly #counts: Readonly<Record<string, number>>;
  #drills: readonly Drills[] = [];

  constructor(counts: Readonly<Record<string, number>>, host = new TestHost(), flat = false) {
    this.host = host;
    const sites = Object.keys(counts).map((name, at) => [
      name,
      { network: flat ? "net" : `net-${name}`, doors: [`192.0.2.${at + 1}`] },
    ]);
    this.all = new PeeredRegistries(Object.fromEntries(sites));
    this.#counts = counts;
    for (const [at, [name, count]] of Object.entries(counts).entries())
      this.all.site(name).apply(this.#cart(), ...pods(count, flat ? at : 0));
    this.all.linkAll();
  }

  /** As control planes do once what their peers said is there. */
  start(): this {
    this.#drills = Object.keys(this.#counts).map((name) => new Drills(this.host, this.all.site(name).registry));
    for (const each of this.#drills) each.start();
    this.settle();
    return this;
  }

  drainPeer(at: string, peer: string, until: string | undefined): void {
    this.all.link(at, peer, { annotations: until === undefined ? {} : { [DRAIN]: until } });
    this.settle();
  }

  drainCart(at: string, until: string | undefined): void {
    this.all.site(at).apply(this.#cart(until));
    this.settle();
  }

  in(ms: number): string {
    return new Date(this.host.clock.now() + ms).toISOString();
  }

  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += 1_000) {
      this.host.clock.advance(Math.min(1_000, ms - passed));
      this.settle();
    }
  }

  settle(): void {
    for (let turn = 0; turn < 4; turn += 1) this.all.settle();
  }

  /** Of the calls from a cluster, by where they end, in percent. */
  calls(from: string, name = CART): Readonly<Record<string, number>> {
    return byCluster(this.all.calls(from, name, 80));
  }

  problems(at: string): readonly string[] {
    return Array.from(
      this.all.site(at).registry.problems.entries(),
      ([, { severity, message }]) => `${severity}: ${message}`,
    ).filter((line) => line.includes("drain"));
  }

  #cart(until?: string): KubeObject {
    const annotations = {
      "networking.istio.io/traffic-distribution": "Any",
      ...(until !== undefined && { [DRAIN]: until }),
    };
    return cart("10.1.0.1", {}, { labels: { "solo.io/service-scope": "global" }, annotations });
  }
}

function byCluster(shares: Shares): Readonly<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const [end, share] of Object.entries(shares)) {
    const cluster = end.split("/")[0]!;
    found[cluster] = (found[cluster] ?? 0) + share * 100;
  }
  for (const cluster of Object.keys(found)) found[cluster] = Math.round(found[cluster]!);
  return found;
}
