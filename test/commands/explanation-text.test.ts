import assert from "node:assert/strict";
import { test } from "mocha";
import type { ExplainFacts } from "../../src/explain/explanation.ts";
import { explanationText } from "../../src/commands/explanation-text.ts";
import { PeeredRegistries } from "../kits/peered-registries.ts";
import { explained, reader } from "../explain/explained.ts";
import { authorization, pod } from "../registry/mesh.ts";
import { federated, peered, status } from "../registry/peers.ts";
import { cart, cartPod } from "../registry/two-networks.ts";

const HOST = "cart.shop.mesh.internal";
const SHARED = { labels: { "solo.io/service-scope": "global" } };
const AMBIENT = { annotations: { "ambient.istio.io/redirection": "enabled" } };

test("what two ends of a link say of a name is one text, with what mends it where only the exporter knows", () => {
  const mesh = new PeeredRegistries({
    east: { network: "net-east", doors: ["192.0.2.1"] },
    west: { network: "net-west", doors: ["192.0.2.2"] },
    north: { network: "net-north", doors: ["192.0.2.3"] },
  });
  mesh.linkAll();
  const onlyWeb = { rules: [{ from: [{ source: { principals: ["cluster.local/ns/shop/sa/web"] } }] }] };
  mesh.site("east").apply(pod("web-1", "10.0.0.9", {}, { serviceAccountName: "web" }, AMBIENT));
  mesh.site("west").apply(cart("10.2.0.1", {}, SHARED), cartPod("a", "10.9.0.1"), authorization("only-web", onlyWeb));
  mesh.site("north").apply(cart("10.3.0.1", {}, { labels: { "solo.io/service-scope": "globl" } }));
  mesh.settle();
  const at = (site: string, over = {}) => explained(mesh.site(site).registry, HOST, over);
  const principal = "spiffe://cluster.local/ns/shop/sa/web";
  const ends = ["west", "north"].map((cluster) => ({
    ...{ where: `http://${cluster}`, cluster, error: undefined },
    explanation: at(cluster, { principal, readers: [reader("east")] }),
  }));
  assert.equal(
    explanationText(at("east", { from: "shop/web", readers: [reader("west")] }), ends),
    `\
cart.shop.mesh.internal leads to 1 endpoint in west.

name, as cluster east has it
  is        the global name of Service shop/cart
  addresses net-east/240.240.255.213, net-east/2001:2::ffd5
  ports     80
  spread    own network first, the rest if that has none that is healthy (nobody said otherwise)
  expects   spiffe://cluster.local/ns/shop/sa/a behind gateways of other networks
  waypoint  no waypoint of this cluster takes the calls, so the destination's enforces L7 if there is one: no peer has said so (once)

clusters
  east (this cluster): Cluster east has no namespace shop, and needs none to call it.
  north (link live): no endpoints, not exported
    Cluster north tells us of no Service shop/cart: it has none, does not share it, or not with us; only that cluster knows.
    north says: not exported
      Service shop/cart has the label solo.io/service-scope with the value "globl", which nobody knows and which shares nothing; was global meant?
      at   Service shop/cart of cluster north, metadata.labels[solo.io/service-scope]
      fix  kubectl --context north -n shop label service cart solo.io/service-scope=global --overwrite
  west (link live): 1 of 1 endpoints healthy, through east-west gateway 192.0.2.2 port 15008 of network net-west

paths
  to west
    hop  component                            enforces
    -    pod of the caller (east)             -         needs no proxy of its own
    1    ztunnel of the caller's node (east)  -         finds the service by its address and proves to be the caller
    2    east-west gateway 192.0.2.2 (west)   -         ends the outer tunnel and passes the inner one on, unopened; it must prove to be spiffe://cluster.local/ns/istio-eastwest/sa/istio-eastwest
    3    ztunnel of the pod's node (west)     L4        policies of cluster west; it sees the caller
    -    pod (west)                           -         gets plain bytes; its ztunnel knows who called

policies
  AuthorizationPolicy shop/only-web of west allows, at ztunnels of its endpoints

caller shop/web
  proves    to be spiffe://cluster.local/ns/shop/sa/web
  L4 at 1 endpoint in west, port 80: allowed by AuthorizationPolicy shop/only-web
`,
  );
});

test("of many clusters that are silent a few are named, and none of those that have something to say is lost", () => {
  const names = Array.from({ length: 30 }, (_, at) => `peer-${at + 10}`);
  const mesh = peered(names);
  mesh.hear(federated("peer-12"), federated("peer-20", { ready: 0 }));
  const text = explanationText(explained(mesh.registry, HOST), []);
  assert.match(text, /^ {2}peer-12 \(link live\): 3 of 4 endpoints healthy/m);
  assert.match(text, /^ {2}peer-20 \(link live\): no endpoints, no ready pods$/m);
  assert.match(
    text,
    /^ {2}peer-10, peer-11, peer-13, .* and 20 more: tell us of no Service shop\/cart; ask them, if they should$/m,
  );
});

test("where the exporter knows no better, what mends it is still said, and so is how old its word is", () => {
  const mesh = peered(["west"]);
  mesh.report(status("west", { state: "stale", staleness: "within-grace" }));
  mesh.hear(federated("west", { ready: 0 }));
  const there = peered([], [cart("10.2.0.1", {}, SHARED)]);
  const far = explained(there.registry, HOST, { readers: [reader("east")] });
  const ends = [
    { where: "http://w", cluster: "west", explanation: far, error: undefined },
    { where: "http://s", cluster: "south", explanation: far, error: undefined },
  ];
  const peers = [{ cluster: "west", denials: [], ageMs: 180_000 }] as unknown as ExplainFacts["peers"];
  const text = explanationText(explained(mesh.registry, HOST, { peers }), ends);
  assert.match(text, /^ {2}west \(link stale, last heard 3m ago\): no endpoints, no ready pods$/m);
  assert.match(
    text,
    /fix {2}have pods that it selects become ready: .*\n.*west says: it told us, acknowledged; 0 of 0/,
  );
  assert.match(text, /http:\/\/s: is cluster south, which neither reads this one nor is read by it/);
});

test("control characters that a peer wrote do not reach the terminal", () => {
  const mesh = peered();
  mesh.hear(
    federated("west", {
      waypoint: { namespace: "shop", name: "far\u001b[2J", identity: "spiffe://cluster.local/ns/a/sa/b" },
    }),
  );
  const text = explanationText(explained(mesh.registry, HOST), []);
  assert.match(text, /far\\u\{1b\}\[2J/);
  assert.ok(!text.includes("\u001b"));
});
