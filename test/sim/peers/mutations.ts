import type { SeededRandom } from "../world.ts";
import { type ModelCluster, type ModelService, type ModelWorld, NAMESPACES, namespaceOf, SERVICES } from "./model.ts";

/** Shared by every cluster all the time, and never touched: what nobody changed must not go. */
export const ANCHOR = "bank/till";
const ANCHOR_PODS = ["bank/p8", "bank/p9"];
const TOUCHED = SERVICES.filter((key) => key !== ANCHOR);

/** Which clusters are on one network. */
const NETWORKS = [
  (name: string) => `net-${name}`,
  (name: string) => `net-${name}`,
  (name: string) => (name === "north" ? "net-north" : "net-both"),
  () => "net-all",
];

export function worldOf(names: readonly string[], random: SeededRandom): ModelWorld {
  const networkOf = random.pick(NETWORKS);
  const ownDomains = random.chance(0.5);
  const world = new Map<string, ModelCluster>();
  for (const [index, name] of names.entries()) {
    const cluster: ModelCluster = {
      ...{ name, index, network: networkOf(name), trustDomain: ownDomains ? `${name}.example` : "cluster.local" },
      services: new Map([
        [ANCHOR, { scope: "global", takeover: false, ports: [80], headless: false, usesWaypoint: false }],
      ]),
      pods: new Map(ANCHOR_PODS.map((pod) => [pod, { app: "till", ready: true, account: "till" }])),
      ...{ scopes: new Map(), waypoints: new Set(), gateways: new Map(), grants: new Map() },
      inSegment: false,
      eastWest: random.chance(0.8) ? "istio-eastwest" : undefined,
    };
    world.set(name, cluster);
  }
  for (const one of world.values())
    for (const peer of world.keys())
      if (peer !== one.name && random.chance(0.95)) one.gateways.set(peer, gateway(random));
  for (const cluster of world.values()) for (let at = 0; at < 12; at++) changeService(cluster, random);
  return world;
}

const gateway = (random: SeededRandom) =>
  ({ doors: random.chance(0.3) ? 2 : 1, region: random.chance(0.3) ? "eu" : "", mistaken: undefined }) as const;

/** One change of one object. @returns of which cluster, and what it was. */
export function mutate(world: ModelWorld, random: SeededRandom): { readonly cluster: string; readonly what: string } {
  const cluster = random.pick([...world.values()]);
  const what = random.chance(0.6)
    ? changeService(cluster, random)
    : random.chance(0.6)
      ? changeLink(cluster, world, random)
      : changeCluster(cluster, random);
  return { cluster: cluster.name, what };
}

function changeService(cluster: ModelCluster, random: SeededRandom): string {
  const key = random.pick(TOUCHED);
  const what = random.below(10);
  if (what < 5) return changePod(cluster, namespaceOf(key), random);
  const service = what === 5 ? undefined : serviceOf(random);
  if (service === undefined) cluster.services.delete(key);
  else cluster.services.set(key, service);
  return `Service ${key} is ${JSON.stringify(service)}`;
}

function changePod(cluster: ModelCluster, namespace: string, random: SeededRandom): string {
  const name = `${namespace}/p${random.below(6)}`;
  const app = namespace === "bank" ? "cart" : random.pick(["cart", "till"]);
  const pod = { app, ready: random.chance(0.75), account: `account-${random.below(2)}` };
  const gone = random.chance(0.25);
  if (gone) cluster.pods.delete(name);
  else cluster.pods.set(name, pod);
  return `Pod ${name} is ${gone ? "gone" : JSON.stringify(pod)}`;
}

const serviceOf = (random: SeededRandom): ModelService => ({
  scope: random.pick(["global", "global", "global", "segment", "cluster", "global-only", ""]),
  takeover: random.chance(0.2),
  ports: random.pick([[80], [80], [80, 443], [443]]),
  headless: random.chance(0.07),
  usesWaypoint: random.chance(0.2),
});

function changeLink(cluster: ModelCluster, world: ModelWorld, random: SeededRandom): string {
  const peer = random.pick([...world.keys()].filter((name) => name !== cluster.name));
  const known = cluster.gateways.get(peer);
  const what = random.below(10);
  if (what === 0) cluster.gateways.delete(peer);
  else if (what === 1 && known !== undefined)
    cluster.gateways.set(peer, { ...known, mistaken: random.pick(["network", "trustDomain"]) });
  else if (what < 5) cluster.gateways.set(peer, gateway(random));
  else if (what === 5) cluster.grants.delete(peer);
  else cluster.grants.set(peer, { exports: namespaces(random), imports: namespaces(random) });
  return `to ${peer} ${JSON.stringify({ gateway: cluster.gateways.get(peer), grant: cluster.grants.get(peer) })}`;
}

const namespaces = (random: SeededRandom): readonly string[] | undefined =>
  random.pick([undefined, undefined, NAMESPACES, ["shop"], ["bank"]]);

function changeCluster(cluster: ModelCluster, random: SeededRandom): string {
  const namespace = random.pick(NAMESPACES);
  const { scopes, waypoints } = cluster;
  const what = random.below(5);
  if (what === 0) cluster.inSegment = !cluster.inSegment;
  else if (what === 1) scopes.set(namespace, random.pick(["global", "segment", "cluster"]));
  else if (what === 2) scopes.delete(namespace);
  else if (what === 3) cluster.eastWest = random.pick([undefined, "istio-eastwest", "other-account"]);
  else if (!waypoints.delete(namespace)) waypoints.add(namespace);
  const { inSegment, eastWest } = cluster;
  return JSON.stringify({ inSegment, scopes: Object.fromEntries(scopes), eastWest, waypoints: [...waypoints] });
}

/** What somebody wrote by mistake is put right. */
export function mend(world: ModelWorld): void {
  for (const { gateways } of world.values())
    for (const [peer, gateway] of gateways) gateways.set(peer, { ...gateway, mistaken: undefined });
}
