import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "mocha";
import { explainCommand } from "../src/commands/explain.ts";
import { type RunningPlane, startPlane } from "../src/commands/running-plane.ts";
import { loadConfig } from "../src/config.ts";
import { run } from "./commands/served-mesh.ts";
import { writeCacerts } from "./kits/cacerts.ts";
import { TestAuthority } from "./kits/tls.ts";
import { nextTurn, until } from "./kits/until.ts";

const folder = mkdtempSync(join(tmpdir(), "causeway-explained-"));
const at = (...parts: readonly string[]): string => join(folder, ...parts);
const planes = new Map<string, RunningPlane>();
/** Where both clusters' east-west gateways seem to be. */
let door: Server;
let doorPort = 0;

/** Two clusters that read each other; east calls, west has `cart` with two pods and shares it. */
before(async () => {
  door = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => void door.listen(0, "127.0.0.1", resolve));
  const bound = door.address();
  doorPort = typeof bound === "object" && bound !== null ? bound.port : 0;
  const root = await TestAuthority.create("CN=root");
  for (const name of ["east", "west"]) {
    await writeAuthority(name, root);
    write(
      name,
      "system.yaml",
      name === "east" ? system(name, ", admin.solo.io/segment: prod") + SEGMENT : system(name),
    );
    planes.set(name, await start(name));
  }
  write("west", "shop.yaml", WEST);
  write("west", "grant.yaml", grant("east", "export: {namespaces: [shop, partners]}"));
  write("east", "web.yaml", EAST);
  write("east", "grant.yaml", grant("west", "import: {namespaces: [shop, vault]}"));
  // West is to know east's segment before east reads it: what is withdrawn is drained for seconds.
  write("west", "peer.yaml", gateway("east"));
  await until(() => planes.get("west")!.plane.peers()[0]?.facts?.segment === "prod");
  write("east", "peer.yaml", gateway("west"));
});
after(async () => {
  for (const plane of planes.values()) await plane.close();
  door.close();
  rmSync(folder, { recursive: true, force: true });
});

async function writeAuthority(name: string, root: TestAuthority): Promise<void> {
  mkdirSync(at(name, "manifests"), { recursive: true });
  writeCacerts(at(name, "cacerts"), await TestAuthority.create({ name: `CN=${name}`, pathLength: 0 }, root), root);
}

function start(name: string): Promise<RunningPlane> {
  const flags = {
    ...{ cluster: name, manifests: [at(name, "manifests")], cacerts: at(name, "cacerts"), state: at(name, "state") },
    ...{ xdsPort: "0", adminPort: "0", healthPort: "0", log_output_level: "none" },
  };
  const config = loadConfig(flags, {}, { listenAddress: "127.0.0.1", stateDir: "" });
  return startPlane({ config, openToAll: false });
}

const write = (name: string, file: string, text: string): void => writeFileSync(at(name, "manifests", file), text);
const admin = (name: string): string => `http://127.0.0.1:${planes.get(name)!.admin.adminPort}`;

const system = (name: string, labels = ""): string =>
  `{apiVersion: v1, kind: Namespace, metadata: {name: istio-system, labels: {topology.istio.io/network: ${name}-net${labels}}}}\n---\n`;

function gateway(peer: string, network = `${peer}-net`): string {
  return `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: istio-remote-peer-${peer}
  namespace: istio-eastwest
  labels: { topology.istio.io/network: ${network}, topology.istio.io/cluster: ${peer} }
spec:
  gatewayClassName: istio-remote
  addresses: [{ type: IPAddress, value: 127.0.0.1 }]
  listeners:
    - { name: xds, port: ${planes.get(peer)!.plane.ports.xds}, protocol: TLS, tls: { mode: Passthrough } }
    - { name: hbone, port: ${doorPort}, protocol: HBONE }
`;
}

const AMBIENT = "{ istio.io/dataplane-mode: ambient }";
const namespaced = (name: string): string =>
  `apiVersion: v1\nkind: Namespace\nmetadata: { name: ${name}, labels: ${AMBIENT} }\n---\n`;
const deployed = (name: string, namespace: string, replicas: number): string => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: ${name} } }
  template: { metadata: { labels: { app: ${name} } }, spec: { containers: [{ name: ${name} }] } }
---
`;
const service = (name: string, labels: string, namespace = "shop", replicas = 2, more = ""): string => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace}, labels: { ${labels} } }
spec: { selector: { app: ${name} }, ports: [{ port: 80 }]${more} }
---
${deployed(name, namespace, replicas)}`;
const GLOBAL = "solo.io/service-scope: global";
const grant = (cluster: string, spec: string): string =>
  `{apiVersion: peering.causeway.dev/v1alpha1, kind: PeerGrant, metadata: {name: limited, namespace: istio-system}, spec: {cluster: ${cluster}, ${spec}}}\n`;

/** One Service that works, and of each cause that lies with objects one that does not. */
const WEST = [
  ...["shop", "vault", "partners"].map(namespaced),
  service("cart", GLOBAL),
  service("plain", ""),
  service("typo", "solo.io/service-scope: globl"),
  service("headless", GLOBAL, "shop", 2, ", clusterIP: None"),
  service("idle", GLOBAL, "shop", 0),
  service("scoped", "solo.io/service-scope: segment"),
  service("kept", GLOBAL, "vault"),
  service("brought", GLOBAL, "partners"),
].join("");
const EAST = namespaced("shop") + deployed("web", "shop", 1);
const SEGMENT =
  "{apiVersion: admin.solo.io/v1alpha1, kind: Segment, metadata: {name: prod, namespace: istio-system}, spec: {domain: prod.example}}\n";

/** What the command says at `cluster` once it says what is expected; the last that it said if it never does. */
async function explained(cluster: string, expected: RegExp, ...words: readonly string[]): Promise<string> {
  const asked = words.length === 0 ? [CART] : words;
  let said = "";
  for (let tries = 0; tries < 4_000 && !expected.test(said); tries++) {
    said = (await run(explainCommand, ...asked, "--admin", admin(cluster))).out;
    await nextTurn();
  }
  assert.match(said, expected);
  return said;
}

const CART = "cart.shop.mesh.internal";
const whole = () => explained("east", /^cart\.shop\.mesh\.internal leads to 2 endpoints in west\.$/m);
test("two control planes explain a name that works, the caller's way to it, and who has acknowledged what", async () => {
  await whole();
  await explained(
    "east",
    /L4 at 2 endpoints in west, port 80: allowed/,
    CART,
    "--peer-admin",
    admin("west"),
    "--from",
    "shop/web",
  );
  await explained("west", /^ {2}east: acknowledged, last at 20/m);
});

interface Broken {
  readonly cause: string;
  readonly host: string;
  /** What the consumer says, and what the other end adds to that. */
  readonly east: RegExp;
  readonly west?: RegExp;
}

const broken: readonly Broken[] = [
  {
    cause: "the exporter has not labelled it",
    host: "plain.shop.mesh.internal",
    east: /west \(link live\): no endpoints, not exported/,
    west: /west says: not exported\n.*neither it, nor Namespace shop.*\n.*at {3}Service shop\/plain of cluster west, metadata\.labels\[solo\.io\/service-scope\]\n.*fix {2}give Service shop\/plain in \S+\/west\/manifests\/shop\.yaml:\d+ the label solo\.io\/service-scope: global\n/,
  },
  {
    cause: "the exporter's label is mistyped",
    host: "typo.shop.mesh.internal",
    east: /west \(link live\): no endpoints, not exported/,
    west: /west says: not exported\n.*the value "globl", which nobody knows.*was global meant\?/,
  },
  {
    cause: "it is headless",
    host: "headless.shop.mesh.internal",
    east: /west \(link live\): no endpoints, not exported/,
    west: /west says: headless\n.*HeadlessNotExported.*\n.*spec\.clusterIP\n/,
  },
  {
    cause: "the exporter's grant leaves it out",
    host: "kept.vault.mesh.internal",
    east: /west \(link live\): no endpoints, not exported/,
    west: /west says: export denied\n.*\n.*at {3}PeerGrant istio-system\/limited of cluster west, spec\.export\n.*namespaces: \[vault\]/,
  },
  {
    cause: "our own grant leaves it out",
    host: "brought.partners.mesh.internal",
    east: /west \(link live\): no endpoints, import denied\n.*\n.*at {3}PeerGrant istio-system\/limited of cluster east, spec\.import\n.*edit PeerGrant istio-system\/limited in \S+\/east\/manifests\/grant\.yaml:1\n/,
  },
  {
    cause: "no pod of it is ready",
    host: "idle.shop.mesh.internal",
    east: /west \(link live\): no endpoints, no ready pods\n.*west has 0 endpoints, and none is ready/,
    west: /west says: it told us, acknowledged; 0 of 0 endpoints are ready there/,
  },
  {
    cause: "it has no such port",
    host: "cart.shop.mesh.internal:8443",
    east: /no endpoints, port mismatch\n.*has the ports 80, and not 8443/,
  },
  {
    cause: "it is for another segment",
    host: "scoped.shop.mesh.internal",
    east: /west \(link live\): no endpoints, not exported[^]*It is in segment "", and we are in prod/,
    west: /west says: segment differs\n.*only for segment "", and east is in prod.*\n.*at {3}Service shop\/scoped of cluster west/,
  },
];

for (const { cause, host, east, west } of broken)
  test(`over a real link explain names the cause, the object and the fix, where it is known: ${cause}`, async () => {
    await whole();
    await explained("east", east, host);
    if (west !== undefined) await explained("east", west, host, "--peer-admin", admin("west"));
    assert.equal((await run(explainCommand, host, "--admin", admin("east"))).code, 1);
  });

/** What is wrong with the link itself, and is mended again. */
const cut: readonly (Omit<Broken, "host" | "west"> & { readonly breakIt: () => void })[] = [
  {
    cause: "there is no link",
    breakIt: () => rmSync(at("east", "manifests", "peer.yaml")),
    east: /west \(link none\): no endpoints, no link\n.*no Gateway here leads to it.*\n.*at {3}Gateway of class istio-remote of cluster east\n.*leads to west/,
  },
  {
    cause: "the Gateway names our own network",
    breakIt: () => write("east", "peer.yaml", gateway("west", "east-net")),
    east: /network mismatch\n(?:.*\n)?.*metadata\.labels\[topology\.istio\.io\/network\]\n.*give Gateway istio-eastwest\/istio-remote-peer-west in \S+\/east\/manifests\/peer\.yaml:2 the label topology\.istio\.io\/network: west-net\n/,
  },
];

for (const { cause, breakIt, east } of cut)
  test(`over a real link explain names the cause, the object and the fix: ${cause}`, async () => {
    await whole();
    breakIt();
    await explained("east", east);
    write("east", "peer.yaml", gateway("west"));
    await whole();
  });
