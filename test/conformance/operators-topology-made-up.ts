import type { Topology, TopologyCluster, TopologyLink } from "../../src/topology/topology.ts";

const NOW = "2026-11-22T02:00:00.000Z";
const SINCE = "2026-11-22T01:00:00.000Z";

export const madeUpCluster = (name: string, more: Partial<TopologyCluster> = {}): TopologyCluster => ({
  ...{
    name,
    roles: ["peer"],
    network: `net-${name}`,
    trustDomain: "cluster.local",
    segment: "",
    domain: "mesh.internal",
  },
  ...{ version: "0.1.0", services: 3, oneWay: "", drain: null },
  ...more,
});

export const madeUpLink = (cluster: string, more: Partial<TopologyLink> = {}): TopologyLink => ({
  ...{ cluster, direction: "we read", via: "peer", state: "live", reason: "", message: "", since: SINCE, heardAt: "" },
  ...{ backlog: 0, behindSince: "", skewSeconds: 0, denied: 0, staleness: "fresh", dataPlane: "open", source: "a/b" },
  granted: "",
  ...more,
});

export function madeUpTopology(more: Partial<Topology>): Topology & { readonly digest: string } {
  const none = { shown: [], total: 0, more: false };
  return {
    ...{ schema: "causeway.dev/topology/v1", at: NOW, controlPlane: "istiod-1", version: "0.1.0", cluster: "east" },
    ...{
      clusters: [],
      links: [],
      services: none,
      drains: none,
      denied: none,
      certificates: none,
      problems: none,
      digest: "1",
    },
    ...more,
  };
}

/** Five hundred peers: most are well, and one in fifty is not. */
export function largeTopology(): Topology & { readonly digest: string } {
  const names = Array.from({ length: 500 }, (_, at) => `peer-${`${at}`.padStart(3, "0")}`);
  const states = ["stale", "syncing", "connecting", "refused"] as const;
  const links = names.flatMap((name, at) => {
    const state = at % 50 === 49 ? states[Math.floor(at / 50) % states.length]! : "live";
    const away = state === "live" ? {} : { message: `${name} does not answer`, reason: "DialTimeout", heardAt: SINCE };
    return [
      madeUpLink(name, { state, ...away }),
      madeUpLink(name, { direction: "reads us", staleness: "", dataPlane: "" }),
    ];
  });
  const own = madeUpCluster("east", { roles: ["own"] });
  return madeUpTopology({ clusters: [own, ...names.map((name) => madeUpCluster(name))], links });
}

/** What a peer, or who pretends to be one, might call itself. */
export const HOSTILE = [
  `<img src=x onerror="window.harmed=1">`,
  `"><script>window.harmed=1</script>`,
  `javascript:window.harmed=1`,
  `a b'c&amp;<svg/onload=window.harmed=1>`,
  `\u202Egnp.exe`,
] as const;

const LEAVING = { until: "2026-11-22T03:30:00.000Z", state: "leaving" } as const;

/** Such names in every place that has a text. */
export function hostileTopology(): Topology & { readonly digest: string } {
  const evil = HOSTILE[0];
  const shown = <T>(each: (name: string) => T) => ({ shown: HOSTILE.map(each), total: HOSTILE.length, more: false });
  return madeUpTopology({
    ...{ cluster: evil, controlPlane: evil, version: evil },
    clusters: [
      madeUpCluster("east", { roles: ["own"], network: evil, version: evil }),
      ...HOSTILE.map((name) => madeUpCluster(name, { network: name, trustDomain: name, version: name, oneWay: name })),
    ],
    links: HOSTILE.map((name) =>
      madeUpLink(name, { state: "stale", message: name, reason: name, source: name, granted: name, staleness: name }),
    ),
    services: shown((name) => ({
      service: name,
      host: name,
      clusters: [{ cluster: name, ready: 1, total: 1, drain: LEAVING }],
    })),
    drains: shown((name) => ({ ...LEAVING, object: name, cluster: name, service: name, message: name })),
    denied: shown((name) => ({
      cluster: name,
      kind: "import refused" as const,
      what: name,
      reason: name,
      message: name,
    })),
    certificates: shown((name) => ({
      ...{ use: "root" as const, of: name, subject: name, sha256: name, peers: [name], peersTotal: 1 },
      ...{ notAfter: "2027-01-01T00:00:00.000Z", level: "ok" as const },
    })),
    problems: shown((name) => ({ severity: "error" as const, object: name, field: name, origin: name, message: name })),
  });
}
