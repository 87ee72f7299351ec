import { change, changePage, type Edit, remove } from "./two-clusters.ts";

export const condition = (type: string, status: string, reason: string, message: string) => ({
  status: {
    conditions: TYPES.map((each) =>
      each.endsWith(type)
        ? { type: each, status, reason, message }
        : { type: each, status: "True", reason: "Good", message: "" },
    ),
  },
});
const TYPES = [
  "Accepted",
  "Programmed",
  "gloo.solo.io/PeerConnected",
  "gloo.solo.io/PeeringSucceeded",
  "gloo.solo.io/PeerDataPlaneProgrammed",
];
export const entry = (kind: string, name: string, cluster: string) => ({
  ...{ apiVersion: "networking.istio.io/v1", kind },
  metadata: {
    name,
    namespace: "mesh-system",
    labels: { "app.kubernetes.io/managed-by": "causeway" },
    annotations: { "peering.causeway.dev/clusters": cluster },
  },
  spec: { address: "10.2.0.9" },
});
/** As `kubectl annotate` and `drill start` leave it. */
export const drainedUntil = (until: string, manager: string, now: number) => {
  const field = { "f:peering.causeway.dev/drain-until": {} };
  const entry = { manager, operation: "Update", fieldsType: "FieldsV1", time: new Date(now - 60_000).toISOString() };
  return {
    metadata: {
      annotations: { "peering.causeway.dev/drain-until": until },
      managedFields: [
        { ...entry, manager: "helm", fieldsV1: { "f:spec": {} } },
        { ...entry, fieldsV1: { "f:metadata": { "f:annotations": { ...field, "f:other": {} } } } },
      ],
    },
  };
};
export const container = (env: readonly object[], image = "causeway/discovery:1.0.0") => ({
  spec: { containers: [{ name: "discovery", image, env }] },
});
export const DAY_MS = 24 * 3_600_000;

/** What is done to two clusters that are well; the name of each is that of its golden file. */
export const CASES: Readonly<Record<string, Edit>> = {
  healthy: () => {},
  unlinked: (east, west) => {
    for (const cluster of [east, west]) {
      remove(cluster, "Gateway", /./);
      remove(cluster, "Pod", "istio-eastwest-1");
      cluster.pages["peerz"] = [];
      cluster.pages["peerclientz"] = { served: [], refused: [] };
    }
  },
  "01-environment": (east) =>
    change(
      east,
      "Pod",
      "istiod-1",
      container([
        { name: "CLUSTER_ID", value: "east" },
        { name: "ENABLE_PEERING_DISCOVERY", value: "false" },
      ]),
    ),
  "02-features": (east) =>
    void (east.pages["configz"] = { clusterId: "east", network: "net-east", peering: { enabled: false } }),
  "03-dns-capture": (east) => change(east, "ConfigMap", "istio-cni-config", { data: { AMBIENT_DNS_CAPTURE: "false" } }),
  "04-pods": (east, west) => {
    change(east, "Pod", "ztunnel-1", {
      status: {
        phase: "Running",
        containerStatuses: [{ ready: false, restartCount: 7, state: { waiting: { reason: "CrashLoopBackOff" } } }],
      },
    });
    remove(west, "Pod", "ztunnel-1");
  },
  "05-gateways": (east) =>
    change(east, "Gateway", "istio-eastwest", {
      status: {
        addresses: [],
        conditions: [
          {
            type: "Programmed",
            status: "False",
            reason: "AddressNotAssigned",
            message: "The Service has no address yet.",
          },
        ],
      },
    }),
  "06-peers-disconnected": (east) =>
    change(
      east,
      "Gateway",
      "istio-remote-peer-west",
      condition("PeerConnected", "False", "DialTimeout", "Since 06:00: nobody answers at 192.0.2.2 port 15012."),
    ),
  "06-peers-stale": (east, _, now) =>
    changePage(east, "peerz", { state: "live", heardAt: new Date(now - 240_000).toISOString() }),
  "06-peers-half-linked": (_, west) => remove(west, "Gateway", "istio-remote-peer-east"),
  "06-peers-refused": (_, west) =>
    void (west.pages["peerclientz"] = {
      served: [],
      refused: [{ cluster: "east", reason: "NotListed", message: "no Gateway leads to cluster east" }],
    }),
  "06-peers-unknown": (east) => {
    const [west] = east.objects.filter(({ metadata }) => metadata.name === "istio-remote-peer-west");
    const { metadata } = west!;
    const labels = {
      ...metadata.labels,
      "topology.istio.io/cluster": "north",
      "topology.istio.io/network": "net-north",
    };
    east.objects.push({ ...west!, metadata: { ...metadata, name: "istio-remote-peer-north", labels } });
  },
  "07-shared-services": (east) => {
    changePage(east, "peerz", { contents: { FSDS: { records: 4, digest: "feedfacefeedface" } } });
  },
  "08-certificates": (_, west) =>
    change(west, "Secret", "cacerts", { data: { "ca-cert.pem": Buffer.from(west.strangeRoot).toString("base64") } }),
  "09-networks": (east, west) => {
    change(east, "Namespace", "mesh-system", { metadata: { labels: { "topology.istio.io/network": "" } } });
    change(west, "Gateway", "istio-eastwest", { metadata: { labels: { "topology.istio.io/network": "net-east" } } });
    change(west, "Gateway", "istio-remote-peer-east", {
      metadata: { labels: { "topology.istio.io/network": "net-old" } },
    });
    change(west, "Pod", "ztunnel-1", {
      spec: { containers: [{ name: "istio-proxy", env: [{ name: "NETWORK", value: "net-old" }] }] },
    });
  },
  "10-stale-workloads": (east) => {
    east.objects.push(entry("WorkloadEntry", "autogenflat.west.mesh-system.istiod-1", "west"));
    east.objects.push(entry("WorkloadEntry", "autogenflat.west.shop.gone-1", "west"));
  },
  "11-rights": (east) => void east.lacks.push("list pods", "watch pods", "patch gateways/status"),
  "12-clock": (east, west) => {
    east.aheadMs = -90_000;
    changePage(west, "peerz", { clockSkewSeconds: 12 });
  },
  "13-gateway-ports": (east, west) => {
    change(east, "Gateway", "istio-eastwest", { metadata: { labels: { "istio.io/expose-istiod": "" } } });
    change(east, "Service", "istio-eastwest", { spec: { ports: [{ port: 15_012 }] } });
    changePage(west, "peerz", { dataPlane: "closed" });
  },
  "14-orphans": (east) => void east.objects.push(entry("ServiceEntry", "autogen.shop.cart", "north")),
  "15-versions": (_, west) =>
    change(
      west,
      "Pod",
      "istiod-1",
      container(
        [
          { name: "CLUSTER_ID", value: "west" },
          { name: "ENABLE_PEERING_DISCOVERY", value: "true" },
        ],
        "causeway/discovery:1.1.0",
      ),
    ),
  "17-drains": (east, west, now) => {
    const at = (ms: number): string => new Date(now + ms).toISOString();
    const until = at(10 * 60_000);
    change(east, "Gateway", "istio-remote-peer-west", drainedUntil(until, "causeway-link", now));
    change(east, "Service", "istio-eastwest", drainedUntil(until, "kubectl-annotate", now));
    east.pages["drainz"] = {
      drains: [
        { object: "Gateway istio-eastwest/istio-remote-peer-west", until, state: "drained" },
        { object: "Service istio-eastwest/istio-eastwest", until, state: "spared" },
      ],
    };
    change(west, "Gateway", "istio-remote-peer-east", drainedUntil(at(2 * DAY_MS), "kubectl-annotate", now));
    change(west, "Service", "istio-eastwest", drainedUntil("in ten minutes", "kubectl-annotate", now));
  },
  "16-remote-secrets": (east, _, now) => {
    const claims = (age: number) =>
      Buffer.from(JSON.stringify({ iat: (now - age) / 1000, exp: (now + DAY_MS) / 1000 })).toString("base64url");
    const text = `apiVersion: v1\nkind: Config\nclusters: [{ name: w, cluster: { server: "https://192.0.2.9:6443" } }]\nusers: [{ name: w, user: { token: eyJhbGciOiJSUzI1NiJ9.${claims(100 * DAY_MS)}.c2ln } }]\ncontexts: [{ name: w, context: { cluster: w, user: w } }]\ncurrent-context: w\n`;
    const metadata = {
      name: "istio-remote-secret-south",
      namespace: "mesh-system",
      labels: { "istio/multiCluster": "true" },
    };
    east.objects.push({
      apiVersion: "v1",
      kind: "Secret",
      metadata,
      data: { south: Buffer.from(text).toString("base64") },
    });
  },
};
