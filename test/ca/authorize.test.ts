import assert from "node:assert/strict";
import { test } from "mocha";
import { authorizeIdentity, type AuthorizationRules } from "../../src/ca/authorize.ts";
import type { Caller } from "../../src/caller.ts";
import { MeshError } from "../../src/errors.ts";
import { clusterId } from "../../src/names.ts";
import { livePods } from "./live-pods.ts";

const east = clusterId("east");
const rules: AuthorizationRules = {
  trustDomain: "cluster.local",
  trustedNodeAccounts: new Set(["istio-system/ztunnel"]),
  pods: livePods({
    "east/istio-system/zt-1": { uid: "u1", node: "n1", serviceAccount: "ztunnel" },
    "east/istio-system/zt-adrift": { uid: "u3", node: "", serviceAccount: "ztunnel" },
    "east/istio-system/masked": { uid: "u4", node: "n1", serviceAccount: "other" },
    "east/shop/cart-0": { uid: "u5", node: "n1", serviceAccount: "cart" },
    "east/shop/pay-0": { uid: "u6", node: "n2", serviceAccount: "pay" },
    "west/shop/far-0": { uid: "u7", node: "n1", serviceAccount: "far" },
  }),
};

const ztunnel: Caller = {
  identity: { trustDomain: "cluster.local", namespace: "istio-system", serviceAccount: "ztunnel" },
  cluster: east,
  via: "token",
  pod: { name: "zt-1", uid: "u1" },
  expiresAt: Infinity,
};
const cart: Caller = {
  ...ztunnel,
  identity: { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" },
  pod: { name: "cart-0", uid: "u5" },
};

/** Who shows what either of the two asks for. */
const ofCart = {
  cluster: east,
  node: "n1",
  pods: [{ namespace: "shop", name: "cart-0", uid: "u5", node: "n1", serviceAccount: "cart", labels: new Map() }],
};

test("everyone may have its own identity", () => {
  assert.deepEqual(authorizeIdentity(cart, undefined, rules), { identity: cart.identity, bearer: ofCart });
  for (const pod of [undefined, { name: "cart-0", uid: "of the old one" }]) {
    const nobody = { identity: cart.identity, bearer: undefined };
    assert.deepEqual(authorizeIdentity({ ...cart, pod }, undefined, rules), nobody);
  }
});

test("a caller of an alias of our trust domain gets its identity in ours; none is made in the alias", () => {
  const aliased = { ...rules, aliases: new Set(["old.example"]) };
  const caller = { ...cart, identity: { ...cart.identity, trustDomain: "old.example" } };
  assert.deepEqual(authorizeIdentity(caller, undefined, aliased).identity, cart.identity);
  assert.throws(() => authorizeIdentity(caller, undefined, rules), /its trust domain is old\.example/);
  assert.throws(
    () => authorizeIdentity(ztunnel, "spiffe://old.example/ns/shop/sa/cart", aliased),
    /asked for trust domain old\.example; this one is cluster\.local/,
  );
});

test("nobody gets a certificate for a certificate, which outlives its pod", () => {
  const byCertificate = { via: "certificate", pod: undefined } as const;
  for (const caller of [cart, ztunnel])
    for (const asked of [undefined, "spiffe://cluster.local/ns/shop/sa/cart"])
      assert.throws(
        () => authorizeIdentity({ ...caller, ...byCertificate }, asked, rules),
        (error) => error instanceof MeshError && error.code === "denied" && /ask with a token/.test(error.message),
      );
});

test("a trusted node account may have the identity of a pod on its node", () => {
  const authorized = authorizeIdentity(ztunnel, "spiffe://cluster.local/ns/shop/sa/cart", rules);
  assert.deepEqual(authorized, { identity: cart.identity, bearer: ofCart });
});

const refused: readonly (readonly [string, Caller, string | undefined, RegExp])[] = [
  ["a workload for another", cart, "spiffe://cluster.local/ns/shop/sa/pay", /shop\/cart is not a trusted node account/],
  ["a workload even for itself", cart, "spiffe://cluster.local/ns/shop/sa/cart", /not a trusted node account/],
  [
    "the pod of another node",
    ztunnel,
    "spiffe://cluster.local/ns/shop/sa/pay",
    /no live pod of .*pay is on its node n1/,
  ],
  ["the pod of another cluster", ztunnel, "spiffe://cluster.local/ns/shop/sa/far", /no live pod/],
  ["a pod that is not there", ztunnel, "spiffe://cluster.local/ns/shop/sa/gone", /no live pod/],
  ["another trust domain", ztunnel, "spiffe://other/ns/shop/sa/cart", /asked for trust domain other/],
  ["a namesake of the trust domain", ztunnel, "spiffe://cluster.local.evil/ns/shop/sa/cart", /trust domain/],
  ["upper case in the trust domain", ztunnel, "spiffe://CLUSTER.local/ns/shop/sa/cart", /a-z, 0-9/],
  ["a path that goes up", ztunnel, "spiffe://cluster.local/ns/shop/sa/x/../cart", /path is not/],
  ["a dot segment", ztunnel, "spiffe://cluster.local/ns/../sa/cart", /namespace is not a valid/],
  ["percent encoding", ztunnel, "spiffe://cluster.local/ns/shop/sa/c%61rt", /service account is not a valid/],
  ["a slash too many", ztunnel, "spiffe://cluster.local/ns/shop/sa/cart/", /path is not/],
  ["a NUL", ztunnel, "spiffe://cluster.local/ns/shop/sa/cart\u0000", /service account is not a valid/],
  ["an empty text", ztunnel, "", /does not begin with spiffe/],
  [
    "a token without a pod",
    { ...ztunnel, pod: undefined },
    "spiffe://cluster.local/ns/shop/sa/cart",
    /not bound to a pod/,
  ],
  [
    "a pod of another uid",
    { ...ztunnel, pod: { name: "zt-1", uid: "u0" } },
    "spiffe://cluster.local/ns/shop/sa/cart",
    /zt-1 is not live/,
  ],
  [
    "a pod that has ended",
    { ...ztunnel, pod: { name: "zt-2", uid: "u2" } },
    "spiffe://cluster.local/ns/shop/sa/cart",
    /zt-2 is not live/,
  ],
  [
    "a pod on no node",
    { ...ztunnel, pod: { name: "zt-adrift", uid: "u3" } },
    "spiffe://cluster.local/ns/shop/sa/cart",
    /on no node/,
  ],
  [
    "a pod of another account",
    { ...ztunnel, pod: { name: "masked", uid: "u4" } },
    "spiffe://cluster.local/ns/shop/sa/cart",
    /runs as other/,
  ],
  [
    "a cluster that did not verify it",
    { ...ztunnel, cluster: clusterId("west") },
    "spiffe://cluster.local/ns/shop/sa/far",
    /not live/,
  ],
  [
    "an own identity of another trust domain",
    { ...cart, identity: { ...cart.identity, trustDomain: "other" } },
    undefined,
    /its trust domain is other/,
  ],
];
for (const [what, caller, asked, reason] of refused)
  test(`no identity for ${what}`, () => {
    assert.throws(
      () => authorizeIdentity(caller, asked, rules),
      (error) => error instanceof MeshError && error.code === "denied" && reason.test(error.message),
    );
  });
