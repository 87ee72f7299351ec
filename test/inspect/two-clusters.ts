import assert from "node:assert/strict";
import { isFields } from "../../src/kube/fields.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { SIGNS_LISTS, TestAuthority } from "../kits/tls.ts";

/** What a test may change of one cluster before anybody looks at it. */
export interface TestCluster {
  readonly name: string;
  objects: KubeObject[];
  /** What its control plane says of itself, by page. */
  readonly pages: Record<string, unknown>;
  aheadMs: number;
  /** A root that nobody here trusts, in PEM. */
  readonly strangeRoot: string;
  /** In PEM, under the root of both: an authority that ends within days, and one that has ended; and a root that ends soon. */
  readonly ending: Ending;
  /** Rights, as `list pods`, that its account lacks. */
  readonly lacks: string[];
  /** Resources, as `pods`, that whoever looks may not list. */
  readonly hidden: string[];
  /** Its API server answers nothing. */
  silent: boolean;
  /** Its API server takes our credentials no more. */
  revoked: boolean;
  /** What asking for a page of its control plane ends in; undefined if it answers. */
  closed: Error | undefined;
}

/** What is done to two clusters that are well. */
export type Edit = (east: TestCluster, west: TestCluster, now: number) => void;

interface Ending {
  readonly soon: string;
  readonly past: string;
  readonly root: string;
}

type Texts = Readonly<Record<string, string>>;
const HOUR_MS = 3_600_000;
const DIGEST = (digit: number) => ({ records: digit, digest: `${digit}`.repeat(16) });
const CONDITIONS = [
  "Accepted",
  "Programmed",
  "gloo.solo.io/PeerConnected",
  "gloo.solo.io/PeeringSucceeded",
  "gloo.solo.io/PeerDataPlaneProgrammed",
];

let root: Promise<TestAuthority> | undefined;
const sharedRoot = (now: number): Promise<TestAuthority> =>
  (root ??= TestAuthority.create({ name: "CN=root", usages: SIGNS_LISTS, ...life(now) }));
const life = (now: number) => ({ notBeforeMs: now - 24 * HOUR_MS, notAfterMs: now + 2_000 * HOUR_MS });

let endings: Promise<Ending> | undefined;
const sharedEndings = (now: number): Promise<Ending> => (endings ??= endingsOf(now));
async function endingsOf(now: number): Promise<Ending> {
  const until = (hours: number) => ({ notBeforeMs: now - 24 * HOUR_MS, notAfterMs: now + hours * HOUR_MS });
  const common = await sharedRoot(now);
  const [soon, past] = await Promise.all([
    TestAuthority.create({ name: "CN=soon", ...until(240) }, common),
    TestAuthority.create({ name: "CN=past", ...until(-1) }, common),
  ]);
  const root = await TestAuthority.create({ name: "CN=old root", ...until(240) });
  return { soon: soon.root, past: past.root, root: root.root };
}

/** `east` and `west`, linked both ways under one root, each installed over three namespaces. */
export async function twoClusters(now: number): Promise<readonly [east: TestCluster, west: TestCluster]> {
  return [await testCluster("east", "west", now), await testCluster("west", "east", now)];
}

async function testCluster(name: string, peer: string, now: number): Promise<TestCluster> {
  const common = await sharedRoot(now);
  const own = await TestAuthority.create({ name: `CN=${name}`, ...life(now) }, common);
  const strange = await TestAuthority.create({ name: "CN=strange", ...life(now) });
  const ending = await sharedEndings(now);
  const created = new Date(now - HOUR_MS / 6).toISOString();
  const object = (
    apiVersion: string,
    kind: string,
    namespace: string,
    name: string,
    rest: object,
    labels: Texts = {},
  ) =>
    ({
      apiVersion,
      kind,
      metadata: { name, ...(namespace !== "" && { namespace }), labels, creationTimestamp: created },
      ...rest,
    }) as KubeObject;
  const pod = (namespace: string, name: string, labels: Texts, container: string, env: Texts = {}) =>
    object(
      "v1",
      "Pod",
      namespace,
      name,
      {
        spec: {
          serviceAccountName: container,
          containers: [
            {
              name: container,
              image: `causeway/${container}:1.0.0`,
              env: Object.entries(env).map(([name, value]) => ({ name, value })),
            },
          ],
        },
        status: { phase: "Running", containerStatuses: [{ ready: true, restartCount: 0 }] },
      },
      labels,
    );
  const network = { "topology.istio.io/network": `net-${name}` };
  const secret = (pem: Texts): object => ({
    data: Object.fromEntries(Object.entries(pem).map(([key, text]) => [key, Buffer.from(text).toString("base64")])),
  });
  const objects = [
    object("v1", "Namespace", "", "mesh-system", {}, network),
    object("v1", "Namespace", "", "shop", {}),
    pod("mesh-system", "istiod-1", { app: "istiod" }, "discovery", {
      CLUSTER_ID: name,
      ENABLE_PEERING_DISCOVERY: "true",
    }),
    pod("ztunnel-system", "ztunnel-1", { app: "ztunnel" }, "istio-proxy", { NETWORK: `net-${name}` }),
    pod("cni-system", "istio-cni-node-1", { "k8s-app": "istio-cni-node" }, "install-cni"),
    pod(
      "istio-eastwest",
      "istio-eastwest-1",
      { "gateway.networking.k8s.io/gateway-name": "istio-eastwest" },
      "istio-proxy",
    ),
    object("v1", "ConfigMap", "cni-system", "istio-cni-config", { data: { AMBIENT_DNS_CAPTURE: "true" } }),
    object("v1", "ConfigMap", "mesh-system", "istio-ca-root-cert", { data: { "root-cert.pem": common.root } }),
    object(
      "v1",
      "Secret",
      "mesh-system",
      "cacerts",
      secret({ "ca-cert.pem": own.root, "cert-chain.pem": own.root, "root-cert.pem": common.root }),
    ),
    object("v1", "Service", "istio-eastwest", "istio-eastwest", {
      spec: { type: "NodePort", ports: [{ port: 15_008 }, { port: 15_012 }] },
    }),
    object(
      "gateway.networking.k8s.io/v1",
      "Gateway",
      "istio-eastwest",
      "istio-eastwest",
      {
        spec: {
          gatewayClassName: "istio-eastwest",
          listeners: [
            { name: "cross-network", port: 15_008, protocol: "HBONE" },
            { name: "xds-tls", port: 15_012, protocol: "TLS" },
          ],
        },
        status: {
          addresses: [{ type: "IPAddress", value: `192.0.2.${name === "east" ? 1 : 2}` }],
          conditions: [{ type: "Programmed", status: "True" }],
        },
      },
      { ...network, "istio.io/expose-istiod": "15012", "topology.istio.io/cluster": name },
    ),
    object(
      "gateway.networking.k8s.io/v1",
      "Gateway",
      "istio-eastwest",
      `istio-remote-peer-${peer}`,
      {
        spec: {
          gatewayClassName: "istio-remote",
          addresses: [{ type: "IPAddress", value: `192.0.2.${peer === "east" ? 1 : 2}` }],
          listeners: [{ name: "xds", port: 15_012, protocol: "TLS" }],
        },
        status: { conditions: CONDITIONS.map((type) => ({ type, status: "True", reason: "Good", message: "" })) },
      },
      { "topology.istio.io/network": `net-${peer}`, "topology.istio.io/cluster": peer },
    ),
  ];
  const exported = (from: string) => ({ FSDS: DIGEST(from === "east" ? 3 : 4), SGDS: DIGEST(1) });
  const pages = {
    configz: {
      clusterId: name,
      network: `net-${name}`,
      systemNamespace: "mesh-system",
      peering: { enabled: true, served: "any", flatPeering: "auto" },
      gateways: { enabled: true },
    },
    peerz: [
      {
        ...{
          cluster: peer,
          gateway: `${name}/istio-eastwest/istio-remote-peer-${peer}`,
          state: "live",
          staleness: "fresh",
        },
        ...{
          hosts: [`192.0.2.${peer === "east" ? 1 : 2}`],
          xdsPort: 15_012,
          ageSeconds: 0,
          heardAt: new Date(now).toISOString(),
        },
        ...{
          dataPlane: "open",
          reason: "",
          clockSkewSeconds: 0.2,
          version: "1.0.0",
          denied: 0,
          denials: [],
          contents: exported(peer),
        },
      },
    ],
    peerclientz: { served: [{ cluster: peer, contents: exported(name) }], refused: [] },
    clusterz: [{ id: name, secretName: "", syncStatus: "synced" }],
    certz: { trusted: {} },
  };
  return {
    name,
    objects,
    pages,
    aheadMs: 400,
    lacks: [],
    hidden: [],
    silent: false,
    revoked: false,
    closed: undefined,
    strangeRoot: strange.root,
    ending,
  };
}

/** Changes the one object of a kind that has this name: what `over` says replaces what is there, map by map. */
export function change(cluster: TestCluster, kind: string, name: string, over: object): void {
  const at = cluster.objects.findIndex((each) => each.kind === kind && each.metadata.name === name);
  assert.ok(at >= 0, `${kind} ${name}`);
  cluster.objects[at] = merged(cluster.objects[at], over) as KubeObject;
}

/** Changes the first entry of a page that is a list. */
export function changePage(cluster: TestCluster, page: string, over: object): void {
  const [first, ...rest] = cluster.pages[page] as readonly unknown[];
  cluster.pages[page] = [merged(first, over), ...rest];
}

function merged(before: unknown, over: unknown): unknown {
  if (!isFields(before) || !isFields(over)) return over;
  const changed = Object.entries(over).map(([key, value]) => [key, merged(before[key], value)]);
  return { ...before, ...Object.fromEntries(changed) };
}

/** Takes objects away. */
export function remove(cluster: TestCluster, kind: string, name: string | RegExp): void {
  cluster.objects = cluster.objects.filter(
    (each) =>
      each.kind !== kind || !(typeof name === "string" ? each.metadata.name === name : name.test(each.metadata.name)),
  );
}
