import { MeshError } from "../../src/errors.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { CASES, condition, container, DAY_MS, drainedUntil, entry } from "./check-cases.ts";
import { change, changePage, type Edit, remove, type TestCluster } from "./two-clusters.ts";

/** What makes a check find a code. */
export interface CodeCase {
  /** What is done to two clusters that are well. */
  readonly edit: Edit;
  readonly precheck?: boolean;
  /** Files of a folder that is looked at instead, by their paths; nobody has a control plane there. */
  readonly files?: Readonly<Record<string, string>>;
}

const live = (edit: Edit): CodeCase => ({ edit });
const named = (name: string): CodeCase => ({ edit: CASES[name]! });
const inFiles = (files: CodeCase["files"]): CodeCase => ({ edit: () => {}, files: files! });
const hiding = (...resources: readonly string[]): CodeCase => live((east) => void east.hidden.push(...resources));

const healthy = named("healthy");
const linkIs = (type: string, reason: string, message: string): CodeCase =>
  live((east) => change(east, "Gateway", "istio-remote-peer-west", condition(type, "False", reason, message)));
const labelled = (kind: string, name: string, label: string, value: string): CodeCase =>
  live((east) => change(east, kind, name, { metadata: { labels: { [label]: value } } }));
const peerSays = (over: object): CodeCase => live((east) => changePage(east, "peerz", over));
const unready = { status: { phase: "Running", containerStatuses: [{ ready: false, restartCount: 3 }] } };

const GATEWAY = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: NAME
  namespace: istio-eastwest
  labels: { topology.istio.io/cluster: CLUSTER, topology.istio.io/network: CLUSTER, istio.io/expose-istiod: "15012" }
spec:
  gatewayClassName: CLASS
  addresses: [{ type: IPAddress, value: 192.0.2.1 }]
  listeners:
    - { name: cross-network, port: 15008, protocol: HBONE }
    - { name: xds-tls, port: 15012, protocol: TLS }
`;
const gateway = (name: string, cluster: string, className: string): string =>
  GATEWAY.replaceAll("NAME", name).replaceAll("CLUSTER", cluster).replaceAll("CLASS", className);
const NAMESPACE = `apiVersion: v1
kind: Namespace
metadata: { name: istio-system, labels: { topology.istio.io/network: east } }
`;
const MANIFESTS = {
  "east/mesh.yaml": NAMESPACE,
  "east/gateways.yaml": `${gateway("istio-eastwest", "east", "istio-eastwest")}---\n${gateway("istio-remote-peer-west", "west", "istio-remote")}`,
};
const declared = inFiles(MANIFESTS);

/** A Secret by which `east` reads a third cluster, with a token of that age that ends so much later than now. */
const remoteSecret =
  (ageMs: number, leftMs: number, kubeconfig?: string): Edit =>
  (east, _, now) => {
    const claims = Buffer.from(
      JSON.stringify({ iat: Math.floor((now - ageMs) / 1000), exp: Math.floor((now + leftMs) / 1000) }),
    ).toString("base64url");
    const text = `apiVersion: v1\nkind: Config\nclusters: [{ name: w, cluster: { server: "https://192.0.2.9:6443" } }]\nusers: [{ name: w, user: { token: eyJhbGciOiJSUzI1NiJ9.${claims}.c2ln } }]\ncontexts: [{ name: w, context: { cluster: w, user: w } }]\ncurrent-context: w\n`;
    const metadata = { name: "istio-remote-secret-south", namespace: "mesh-system" };
    east.objects.push({
      ...{ apiVersion: "v1", kind: "Secret" },
      metadata: { ...metadata, labels: { "istio/multiCluster": "true" } },
      data: { south: Buffer.from(kubeconfig ?? text).toString("base64") },
    });
  };

/** Another replica of the control plane of `east`. */
const secondPlane = (over: object) => (east: TestCluster) => {
  const first = east.objects.find(({ kind, metadata }) => kind === "Pod" && metadata.name === "istiod-1")!;
  east.objects.push({ ...first, ...over, metadata: { ...first.metadata, name: "istiod-2" } } as KubeObject);
};
const variables = (env: Readonly<Record<string, string>>, image?: string) =>
  container(
    Object.entries({ CLUSTER_ID: "east", ...env }).map(([name, value]) => ({ name, value })),
    image,
  );
const signedBy =
  (which: "soon" | "past"): Edit =>
  (east) =>
    change(east, "Secret", "cacerts", { data: { "ca-cert.pem": Buffer.from(east.ending[which]).toString("base64") } });
/** A drain of the east-west Service that ends so much later than now, and what the control plane says of it. */
const drained = (leftMs: number, state?: string): CodeCase =>
  live((east, _, now) => {
    const until = new Date(now + leftMs).toISOString();
    change(east, "Service", "istio-eastwest", drainedUntil(until, "kubectl-annotate", now));
    if (state !== undefined)
      east.pages["drainz"] = { drains: [{ object: "Service istio-eastwest/istio-eastwest", until, state }] };
  });
const flatEntry = (name: string, cluster: string): CodeCase =>
  live((east) => void east.objects.push(entry("WorkloadEntry", name, cluster)));

/** By code; a code that is found for several reasons has a word after it. Each is looked at live and in a folder. */
export const CODE_CASES: Readonly<Record<string, CodeCase>> = {
  CWY0000: healthy,
  "CWY0001 silent": live((_, west) => void (west.silent = true)),
  "CWY0001 refused": live((_, west) => void (west.revoked = true)),
  CWY0002: hiding("services", "nodes"),
  CWY0003: live((_, west) => void ((west.pages["configz"] as { clusterId: string }).clusterId = "east")),
  CWY0004: inFiles({ ...MANIFESTS, "east/broken.yaml": "apiVersion: v1\nkind: Service\nmetadata: { name: a: b }\n" }),
  CWY0100: healthy,
  CWY0101: named("01-environment"),
  CWY0102: live((east) => change(east, "Pod", "istiod-1", variables({ K8S_SELECT_WORKLOAD_ENTRIES: "yes" }))),
  "CWY0103 peering": live(secondPlane(variables({ ENABLE_PEERING_DISCOVERY: "false" }))),
  "CWY0103 selection": live(
    secondPlane(variables({ ENABLE_PEERING_DISCOVERY: "true", K8S_SELECT_WORKLOAD_ENTRIES: "true" })),
  ),
  CWY0200: healthy,
  CWY0201: named("02-features"),
  CWY0202: live((east) => void delete east.pages["configz"]),
  CWY0300: healthy,
  CWY0301: named("03-dns-capture"),
  CWY0302: live((east) => {
    remove(east, "ConfigMap", "istio-cni-config");
    remove(east, "Pod", "istio-cni-node-1");
  }),
  CWY0303: hiding("configmaps", "pods", "daemonsets"),
  CWY0400: healthy,
  CWY0401: live((east) => remove(east, "Pod", "istiod-1")),
  CWY0402: live((east) => change(east, "Pod", "istiod-1", unready)),
  CWY0403: live((east) => remove(east, "Pod", "ztunnel-1")),
  CWY0404: named("04-pods"),
  CWY0405: live((east) => remove(east, "Pod", "istio-eastwest-1")),
  CWY0406: live((east) => change(east, "Pod", "istio-eastwest-1", unready)),
  CWY0407: hiding("pods"),
  CWY0408: declared,
  CWY0500: healthy,
  CWY0501: named("unlinked"),
  "CWY0501 before clusters are linked": { ...named("unlinked"), precheck: true },
  CWY0502: named("05-gateways"),
  CWY0503: live((east) => change(east, "Gateway", "istio-eastwest", { status: { addresses: [] } })),
  CWY0504: hiding("gateways"),
  CWY0505: declared,
  CWY0600: healthy,
  CWY0601: named("unlinked"),
  "CWY0602 known": labelled("Gateway", "istio-remote-peer-west", "topology.istio.io/cluster", ""),
  "CWY0602 unknown": live((east) => {
    const labels = { "topology.istio.io/cluster": "", "topology.istio.io/network": "net-x" };
    change(east, "Gateway", "istio-remote-peer-west", { metadata: { labels } });
    east.pages["peerz"] = [];
  }),
  CWY0603: named("06-peers-disconnected"),
  CWY0604: linkIs("PeeringSucceeded", "SyncPending", "west has not said all of its first state yet."),
  "CWY0605 silent": named("06-peers-stale"),
  "CWY0605 stale": linkIs("PeeringSucceeded", "Stale", "Stale since 06:00: what the peer said last stays in force."),
  "CWY0605 nobody": live((east) => void (east.closed = new Error("pod istiod-1 does not answer"))),
  CWY0606: linkIs("PeerDataPlaneProgrammed", "NoGatewayAddress", "No address is known."),
  CWY0607: named("06-peers-half-linked"),
  CWY0608: named("06-peers-unknown"),
  "CWY0609 unlisted": named("06-peers-refused"),
  "CWY0609 other": live((_, west) => {
    const message = "Gateway istio-eastwest/istio-remote-peer-east expects cluster east in trust domain a.example";
    west.pages["peerclientz"] = { served: [], refused: [{ cluster: "east", reason: "TrustDomainMismatch", message }] };
  }),
  CWY0610: declared,
  CWY0611: linkIs("Accepted", "Conflicted", "It leads to west, as Gateway istio-eastwest/other does."),
  CWY0612: hiding("gateways"),
  CWY0613: live(
    (east) =>
      void (east.closed = new MeshError("denied", "context east may not create pods/portforward in mesh-system")),
  ),
  CWY0700: healthy,
  CWY0701: named("07-shared-services"),
  CWY0702: live((_, west) => void delete west.pages["peerclientz"]),
  CWY0703: peerSays({
    denied: 2,
    denials: [{ name: "west/shop/cart", reason: "namespace", message: "namespace shop is not granted" }],
  }),
  CWY0800: healthy,
  CWY0801: live((east) => remove(east, "ConfigMap", "istio-ca-root-cert")),
  CWY0802: named("08-certificates"),
  "CWY0803 authority": live(signedBy("soon")),
  "CWY0803 root": live((east) => {
    const map = east.objects.find(({ metadata }) => metadata.name === "istio-ca-root-cert")!;
    const { "root-cert.pem": root } = map["data"] as { "root-cert.pem": string };
    change(east, "ConfigMap", "istio-ca-root-cert", { data: { "root-cert.pem": `${root}\n${east.ending.root}` } });
  }),
  CWY0804: live(signedBy("past")),
  CWY0805: hiding("configmaps"),
  CWY0806: declared,
  CWY0900: healthy,
  CWY0901: labelled("Namespace", "mesh-system", "topology.istio.io/network", ""),
  CWY0902: labelled("Gateway", "istio-eastwest", "topology.istio.io/network", "net-west"),
  CWY0903: live((east, west) => {
    (east.pages["configz"] as { peering: object }).peering = { enabled: true, flatPeering: "off" };
    for (const { pages } of [west]) (pages["configz"] as { network: string }).network = "net-east";
    change(west, "Namespace", "mesh-system", { metadata: { labels: { "topology.istio.io/network": "net-east" } } });
  }),
  CWY0904: labelled("Gateway", "istio-remote-peer-west", "topology.istio.io/network", "net-old"),
  CWY0905: live((east) =>
    change(east, "Pod", "ztunnel-1", {
      spec: { containers: [{ name: "istio-proxy", env: [{ name: "NETWORK", value: "net-old" }] }] },
    }),
  ),
  CWY0906: labelled("Gateway", "istio-remote-peer-west", "topology.istio.io/network", ""),
  CWY0907: live((east) => void ((east.pages["configz"] as { network: string }).network = "net-old")),
  CWY0908: hiding("namespaces"),
  CWY1000: healthy,
  CWY1001: named("10-stale-workloads"),
  CWY1002: flatEntry("autogenflat.north.shop.cart-1", "north"),
  CWY1100: healthy,
  CWY1101: named("11-rights"),
  CWY1102: hiding("subjectaccessreviews"),
  CWY1200: healthy,
  CWY1201: named("12-clock"),
  CWY1202: peerSays({ clockSkewSeconds: 12 }),
  CWY1203: declared,
  CWY1300: healthy,
  "CWY1301 no listener": live((east) =>
    change(east, "Gateway", "istio-eastwest", {
      spec: { listeners: [{ name: "xds", port: 15_012, protocol: "TLS" }] },
    }),
  ),
  CWY1302: named("13-gateway-ports"),
  "CWY1303 ports": named("13-gateway-ports"),
  "CWY1303 none": live((east) => remove(east, "Service", "istio-eastwest")),
  CWY1304: peerSays({ dataPlane: "closed" }),
  CWY1305: peerSays({ reason: "ConnectionRefused" }),
  CWY1400: healthy,
  CWY1401: named("14-orphans"),
  CWY1402: live((east) => {
    const metadata = { name: "istio-remote-peer-north", namespace: "istio-eastwest" };
    east.objects.push({ apiVersion: "peering.causeway.dev/v1alpha1", kind: "PeerStatus", metadata });
  }),
  CWY1403: hiding("serviceentries"),
  CWY1500: healthy,
  CWY1501: live(secondPlane(variables({ ENABLE_PEERING_DISCOVERY: "true" }, "causeway/discovery:1.1.0"))),
  CWY1502: named("15-versions"),
  CWY1600: healthy,
  CWY1601: live(remoteSecret(100 * DAY_MS, DAY_MS)),
  CWY1602: live(remoteSecret(2 * DAY_MS, -DAY_MS)),
  CWY1603: live(remoteSecret(0, DAY_MS, "{ clusters: [")),
  CWY1604: hiding("secrets"),
  CWY1605: live((east) => {
    const read = { id: "south", secretName: "mesh-system/istio-remote-secret-south", syncStatus: "timeout" };
    (east.pages["clusterz"] as object[]).push({ ...read, reason: "https://192.0.2.9:6443 does not answer" });
  }),
  CWY1700: healthy,
  CWY1701: named("17-drains"),
  CWY1702: named("17-drains"),
  CWY1703: named("17-drains"),
  CWY1704: named("17-drains"),
  CWY1705: drained(-3_600_000),
  CWY1706: drained(-3_600_000, "drained"),
  CWY1707: drained(600_000),
  CWY1708: hiding("services"),
};
