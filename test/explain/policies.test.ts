import assert from "node:assert/strict";
import { test } from "mocha";
import { explanationText } from "../../src/commands/explanation-text.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { PeeredRegistries } from "../kits/peered-registries.ts";
import { authorization, object, peerAuthentication } from "../registry/mesh.ts";
import { peered } from "../registry/peers.ts";
import { cart, cartPod } from "../registry/two-networks.ts";
import { explained } from "./explained.ts";

const HOST = "cart.shop.mesh.internal";
const GATE = object(
  "gateway.networking.k8s.io/v1",
  "Gateway",
  { name: "gate" },
  {
    spec: {
      gatewayClassName: "istio-waypoint",
      listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }],
    },
    status: { addresses: [{ type: "IPAddress", value: "10.1.0.9" }] },
  },
);
const SHARED = { labels: { "solo.io/service-scope": "global" } };
const GUARDED = { labels: { ...SHARED.labels, "istio.io/use-waypoint": "gate" } };
const targetRefs = [{ group: "", kind: "Service", name: "cart" }];
const toGate = [{ group: "gateway.networking.k8s.io", kind: "Gateway", name: "gate" }];
const rules = [{}];
const tokens = object(
  "security.istio.io/v1",
  "RequestAuthentication",
  { name: "tokens" },
  { spec: { targetRefs, jwtRules: [{ issuer: "i", jwksUri: "https://issuer.example/keys" }] } },
);
const policiesOf = (...objects: readonly KubeObject[]) => {
  const { policies } = explained(peered([], objects).registry, HOST);
  return policies.map(({ object, does, at }) => `${object} ${does} at ${at || "nobody"}`);
};

test("policies on the way of a call are listed, with what they do and who enforces them", () => {
  assert.deepEqual(
    policiesOf(
      GATE,
      cart("10.1.0.1", {}, GUARDED),
      cartPod("a", "10.0.0.1"),
      tokens,
      authorization("gate-deny", { targetRefs: toGate, action: "DENY", rules }),
      authorization("get", { targetRefs, rules }),
      authorization("audit", { targetRefs, action: "AUDIT", rules }),
      authorization("trial", { targetRefs, rules }, { annotations: { "istio.io/dry-run": "true" } }),
      authorization("l4", { selector: { matchLabels: { app: "cart" } }, action: "DENY", rules: [] }),
      authorization("all", {}, { namespace: "istio-system" }),
      peerAuthentication("strict", { mtls: { mode: "STRICT" } }),
      authorization("desk", { targetRefs: [{ kind: "Service", name: "desk" }], rules }),
      authorization("web", { rules }, { namespace: "web" }),
    ),
    [
      "AuthorizationPolicy shop/audit does nothing at nobody",
      "AuthorizationPolicy shop/gate-deny denies at waypoint shop/gate",
      "AuthorizationPolicy shop/get allows at waypoint shop/gate",
      "AuthorizationPolicy shop/trial is tried at waypoint shop/gate",
      "RequestAuthentication shop/tokens checks tokens at waypoint shop/gate",
      "AuthorizationPolicy istio-system/all allows at ztunnels of its endpoints",
      "AuthorizationPolicy shop/l4 denies at ztunnels of its endpoints",
    ],
  );
});

test("a policy for a Service that has no waypoint is enforced by nobody, and the text says why", () => {
  const { registry } = peered([], [cart("10.1.0.1", {}, SHARED), authorization("get", { targetRefs, rules })]);
  assert.match(
    explanationText(explained(registry, HOST), []),
    /policies\n {2}AuthorizationPolicy shop\/get of east is enforced by nobody: Service cart has no waypoint that could enforce it; label it istio\.io\/use-waypoint\.\n/,
  );
});

test("policies of a destination whose waypoint calls from here do not pass are said to be passed by", () => {
  const mesh = new PeeredRegistries({
    east: { network: "net-east", doors: ["192.0.2.1"] },
    west: { network: "net-west", doors: ["192.0.2.2"] },
  });
  mesh.linkAll();
  const get = authorization("get", { targetRefs, rules });
  for (const site of ["east", "west"])
    mesh.site(site).apply(GATE, cart("10.2.0.1", {}, GUARDED), cartPod("a", "10.9.0.1"), get);
  mesh.settle();
  const at = (site: string) => explained(mesh.site(site).registry, HOST);
  const ends = [{ where: "http://west", cluster: "west", error: undefined, explanation: at("west") }];
  const text = explanationText(at("east"), ends);
  assert.match(
    text,
    /policies\n {2}AuthorizationPolicy shop\/get of east allows, at waypoint shop\/gate\n {2}AuthorizationPolicy shop\/get of west allows, at waypoint shop\/gate, which calls from east do not pass\n/,
  );
  // Once: as what both ends of the link make of it, and not again as the problem of the policy.
  assert.equal(text.match(/AuthorizationPolicy shop\/get is enforced by waypoint/g)?.length, 1);
  assert.equal(text.match(/is shared with other clusters/g), null);
});
