import assert from "node:assert/strict";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { eventually } from "./causeway-process.ts";
import type { MeshClient } from "./mesh-client.ts";
import { app, globalName, GLOBAL, type PeeredSite, PeeringLab, splits } from "./peering-lab.ts";

const WITHIN_MS = 20_000;
const BY_NODES = { "peering.solo.io/data-plane-service-type": "nodeport" };

suite("what peered clusters call each other's services, and where they enter each other's networks", () => {
  let lab: PeeringLab;
  let [a, b, c]: PeeredSite[] = [];
  let client: MeshClient;

  before(async () => {
    lab = await PeeringLab.open();
    [a, b, c] = await lab.mesh("a", "b", "c");
    client = await a!.client();
  });
  after(async () => lab?.close());

  const pooled = (host: string, ...clusters: readonly string[]) =>
    eventually(`${host} is shared by ${clusters.join(" and ") || "nobody"}`, WITHIN_MS, () => {
      const found = Object.keys(client.counts(host)).sort().join();
      if (found !== clusters.join()) throw new Error(`it is by ${found}`);
      return true;
    });

  test("T09: clusters of a segment pool what they share under its domain and four kinds of aliases, others do not", async () => {
    for (const site of [a!, b!, c!]) {
      site.write("segments", segment("acme", "acme.internal", ALIASES), segment("globex", "globex.internal", "[]"));
      const labels = { ...GLOBAL, team: "cards", tier: "gold" };
      site.write("cart", app("cart", { labels, annotations: { dns: "basket" } }));
    }
    await pooled(globalName("cart"), "a", "b", "c");
    for (const [site, name] of [
      [a!, "acme"],
      [b!, "acme"],
      [c!, "globex"],
    ] as const)
      site.furnish({ "admin.solo.io/segment": name });
    for (const host of HOSTS) await pooled(host, "a", "b");
    await pooled("cart.shop.globex.internal", "c");
    await pooled(globalName("cart"));
    a!.write("cart");
    for (const host of HOSTS) await splits(client, host, { b: 1 });
    const far = await c!.client();
    const known = [...far.services.values()].map(({ hostname }) => hostname as string);
    assert.ok(known.includes("cart.shop.globex.internal"));
    b!.write("cart", app("cart"));
    for (const host of HOSTS.slice(2)) await pooled(host);
    for (const host of HOSTS.slice(0, 2)) await pooled(host, "b");
    for (const site of [a!, b!, c!]) site.furnish();
    await pooled(globalName("cart"), "b", "c");
    for (const host of HOSTS) await pooled(host);
  });

  test("T12: with node ports b is entered by its nodes that are ready, and never by an address within it", async () => {
    const host = globalName("pay");
    b!.write("pay", app("pay"));
    const service = nodePort(b!.doorPort);
    b!.write("nodes", ...NODES, service);
    b!.furnish({}, BY_NODES);
    a!.link(b!, { preferred: "nodeport" });
    const doors = (...wanted: readonly string[]) =>
      eventually(`b is entered by ${wanted.join(" and ") || "nothing"}`, WITHIN_MS, () => {
        const found = client
          .endpoints(host)
          .flatMap((workload) => client.doors(workload))
          .sort()
          .join();
        if (found !== wanted.join()) throw new Error(`it is by ${found}`);
        return true;
      });
    await doors("198.51.100.1:30015", "198.51.100.2:30015");
    await splits(client, host, { b: 1 });
    const { networkGateway } = client.endpoints(host)[0]!;
    assert.deepEqual(networkGateway!.destination, {
      kind: "hostname",
      namespace: "istio-eastwest",
      hostname: "node.istio-eastwest.b.mesh.internal",
    });
    b!.write("nodes", node("n1", EXTERNAL[0]!, "{unschedulable: true}"), NODES[1], service);
    await doors("198.51.100.2:30015");
    b!.write("nodes", node("n3", "{type: InternalIP, address: 10.9.0.3}"), NODES[1], service);
    await doors("10.9.0.3:30015", "198.51.100.2:30015");
    b!.write("nodes", node("n3", "{type: InternalIP, address: 10.9.0.3}"), service);
    await doors("10.9.0.3:30015");
    b!.furnish();
    a!.link(b!);
    await eventually("b is entered by its load balancer again", WITHIN_MS, () =>
      client.endpoints(host).every((workload) => client.doors(workload)[0]?.startsWith("127.0.0.1:") === true),
    );
    await splits(client, host, { b: 1 });
  });
});

const ALIASES = `
    - pattern: "{service}.{namespace}.shop.example"
    - pattern: "{labels['team']}.shop.example"
    - pattern: "{annotations['dns']}.shop.example"
    - {pattern: "{service}-gold.shop.example", selector: {matchLabels: {tier: gold}}}`;

/** What all have comes first. */
const HOSTS = [
  "cart.shop.acme.internal",
  "cart.shop.shop.example",
  "cards.shop.example",
  "basket.shop.example",
  "cart-gold.shop.example",
];

const segment = (name: string, domain: string, aliases: string): string => `
apiVersion: admin.solo.io/v1alpha1
kind: Segment
metadata: {name: ${name}, namespace: istio-system}
spec:
  domain: ${domain}
  aliases: ${aliases}`;

const node = (name: string, address: string, spec = "{}"): string => `
apiVersion: v1
kind: Node
metadata: {name: ${name}}
spec: ${spec}
status: {addresses: [${address}], conditions: [{type: Ready, status: "True"}]}`;

const EXTERNAL = ["198.51.100.1", "198.51.100.2"].map((ip) => `{type: ExternalIP, address: ${ip}}`);
const nodePort = (port: number): string => `
apiVersion: v1
kind: Service
metadata:
  name: istio-eastwest-nodes
  namespace: istio-eastwest
  labels: {gateway.networking.k8s.io/gateway-name: istio-eastwest}
spec: {type: NodePort, ports: [{name: hbone, port: ${port}, nodePort: 30015}]}`;
const NODES = [node("n1", EXTERNAL[0]!), node("n2", EXTERNAL[1]!)] as const;
