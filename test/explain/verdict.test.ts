import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import type { ServiceName } from "../../src/names.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { authorization, object, peerAuthentication, pod } from "../registry/mesh.ts";
import { peered } from "../registry/peers.ts";
import { cart, cartPod } from "../registry/two-networks.ts";
import { admits } from "../registry/verdict.ts";
import { explained } from "./explained.ts";

const HOST = "cart.shop.mesh.internal";
const AMBIENT = { annotations: { "ambient.istio.io/redirection": "enabled" } };
const WEB = pod("web-7d4b-x2", "10.0.0.9", {}, { serviceAccountName: "web" }, AMBIENT);
const OUTSIDER = pod("legacy", "10.0.0.8", {}, { serviceAccountName: "legacy" });
const OBJECTS = [
  cart("10.1.0.1", {}, { labels: { "solo.io/service-scope": "global" } }),
  cartPod("a", "10.0.0.1"),
  WEB,
  OUTSIDER,
];
const web = "cluster.local/ns/shop/sa/web";
const from = (source: object): object => ({ from: [{ source }] });

/** What becomes of a call by `caller`. */
function verdict(objects: readonly KubeObject[], caller = "shop/web") {
  const whole = explained(peered([], [...OBJECTS, ...objects]).registry, HOST, { from: caller });
  const [only, ...others] = whole.caller!.verdicts;
  assert.deepEqual(others, []);
  return { ...only!, seen: whole.caller!.seen, note: whole.caller!.note };
}

const decisions: readonly (readonly [
  what: string,
  objects: readonly KubeObject[],
  allowed: boolean,
  message: RegExp,
])[] = [
  ["nothing binds it", [], true, /no ALLOW policy binds it/],
  [
    "an ALLOW that names the caller",
    [authorization("a", { rules: [from({ principals: [web] })] })],
    true,
    /allowed by AuthorizationPolicy shop\/a/,
  ],
  [
    "an ALLOW for others",
    [authorization("a", { rules: [from({ principals: ["cluster.local/ns/x/sa/y"] })] })],
    false,
    /shop\/a bind it, and none allows this caller/,
  ],
  [
    "a DENY of its namespace",
    [authorization("d", { action: "DENY", rules: [from({ namespaces: ["sh*"] })] })],
    false,
    /denied by AuthorizationPolicy shop\/d/,
  ],
  [
    "a DENY that excepts it",
    [authorization("d", { action: "DENY", rules: [from({ notPrincipals: [web] })] })],
    true,
    /no ALLOW policy binds it/,
  ],
  [
    "a DENY of another port",
    [authorization("d", { action: "DENY", rules: [{ to: [{ operation: { ports: ["9090"] } }] }] })],
    true,
    /no ALLOW/,
  ],
  [
    "an ALLOW of its address",
    [authorization("a", { rules: [from({ ipBlocks: ["10.0.0.8/29"] })] })],
    true,
    /allowed by/,
  ],
  [
    "an ALLOW of other addresses",
    [authorization("a", { rules: [from({ ipBlocks: ["10.9.0.0/16"] })] })],
    false,
    /none allows/,
  ],
  ["a policy of another namespace", [authorization("a", { rules: [] }, { namespace: "bank" })], true, /no ALLOW/],
  [
    "a policy of the whole mesh that allows nobody",
    [authorization("a", {}, { namespace: "istio-system" })],
    false,
    /istio-system\/a bind it/,
  ],
];
for (const [what, objects, allowed, message] of decisions)
  test(`a caller is ${allowed ? "let in" : "kept out"} by ${what}`, () => {
    const found = verdict(objects);
    assert.deepEqual([found.allowed, found.endpoint, found.seen], [allowed, "shop/a", `spiffe://${web}`]);
    assert.match(found.message, message);
  });

test("a caller outside of the mesh has no identity, and is kept out where plain text is", () => {
  const open = verdict([], "shop/legacy");
  assert.deepEqual([open.allowed, open.seen], [true, ""]);
  assert.match(open.note, /calls in plain text: label its namespace/);
  const strict = verdict([peerAuthentication("strict", { mtls: { mode: "STRICT" } })], "shop/legacy");
  assert.equal(strict.allowed, false);
  assert.match(strict.message, /istio_converted_static_strict/);
});

test("behind a waypoint it is the waypoint that ztunnels see, and that policies must let in", () => {
  const waypoint = object(
    "gateway.networking.k8s.io/v1",
    "Gateway",
    { name: "gate" },
    {
      spec: { gatewayClassName: "istio-waypoint", listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }] },
      status: { addresses: [{ type: "IPAddress", value: "10.1.0.9" }] },
    },
  );
  const used = cart("10.1.0.1", {}, { labels: { "solo.io/service-scope": "global", "istio.io/use-waypoint": "gate" } });
  const onlyWeb = authorization("a", { rules: [from({ principals: [web] })] });
  const found = verdict([waypoint, used, onlyWeb]);
  assert.deepEqual([found.allowed, found.seen], [false, "spiffe://cluster.local/ns/shop/sa/gate"]);
  assert.match(found.note, /a waypoint calls for it/);
});

test("another cluster asks about an identity, and whether its endpoints would let it in", () => {
  const { registry } = peered([], [...OBJECTS, authorization("a", { rules: [from({ principals: [web] })] })]);
  for (const [principal, allowed] of [
    [`spiffe://${web}`, true],
    ["spiffe://cluster.local/ns/shop/sa/other", false],
  ] as const)
    assert.deepEqual(
      explained(registry, HOST, { principal }).caller?.verdicts.map((each) => each.allowed),
      [allowed],
    );
});

test("a caller that is not there, or is no pod, is refused with what would be one", () => {
  const { registry } = peered([], OBJECTS);
  assert.throws(
    () => explained(registry, HOST, { from: "shop/nobody" }),
    /cluster east has no pod shop\/nobody with an address/,
  );
  assert.throws(() => explained(registry, HOST, { from: "web" }), /give it as namespace\/pod/);
});

test("for policies of principals and ports the verdict is that of the rules written down a second time", () => {
  const principals = ["cluster.local/ns/shop/sa/web", "cluster.local/ns/shop/sa/other", "*"];
  const rule = fc.record(
    {
      from: fc.constantFrom(undefined, ...principals).map((one) => one && [{ source: { principals: [one] } }]),
      to: fc.constantFrom(undefined, "80", "9090").map((port) => port && [{ operation: { ports: [port] } }]),
    },
    { requiredKeys: [] },
  );
  const written = fc.array(fc.tuple(fc.constantFrom("ALLOW", "DENY"), fc.array(rule, { maxLength: 2 })), {
    maxLength: 4,
  });
  fc.assert(
    fc.property(written, (policies) => {
      const objects = policies.map(([action, rules], at) => authorization(`p${at}`, { action, rules }));
      const mesh = peered([], [...OBJECTS, ...objects]);
      const { verdicts } = explained(mesh.registry, HOST, { from: "shop/web" }).caller!;
      const [to] = mesh.registry.workloadsByService.get("shop/cart.shop.mesh.internal" as ServiceName);
      assert.equal(verdicts[0]!.allowed, admits(mesh, { to: to!, port: verdicts[0]!.port, principal: web }));
    }),
    { numRuns: 60 },
  );
});
