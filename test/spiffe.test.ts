import assert from "node:assert/strict";
import { test } from "mocha";
import { MeshError } from "../src/errors.ts";
import { parseServiceAccountId } from "../src/spiffe.ts";

const cart = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
const accepted: readonly (readonly [string, string, object])[] = [
  ["a service account", "spiffe://cluster.local/ns/shop/sa/cart", cart],
  ["the scheme in capitals, which is made small", "SPIFFE://cluster.local/ns/shop/sa/cart", cart],
  ["an IPv4 address for a trust domain", "spiffe://10.0.0.1/ns/shop/sa/cart", { ...cart, trustDomain: "10.0.0.1" }],
  ["an underscore in its trust domain", "spiffe://a_b/ns/shop/sa/cart", { ...cart, trustDomain: "a_b" }],
  [
    "a trust domain of 255 bytes",
    `spiffe://${"a".repeat(255)}/ns/shop/sa/cart`,
    { ...cart, trustDomain: "a".repeat(255) },
  ],
  ["three dots for a name", "spiffe://cluster.local/ns/shop/sa/...", { ...cart, serviceAccount: "..." }],
  [
    "capitals in its path",
    "spiffe://cluster.local/ns/Shop/sa/Cart",
    { ...cart, namespace: "Shop", serviceAccount: "Cart" },
  ],
  [
    "2048 bytes",
    `spiffe://cluster.local/ns/shop/sa/${"a".repeat(2048 - 34)}`,
    { ...cart, serviceAccount: "a".repeat(2048 - 34) },
  ],
];
for (const [what, text, identity] of accepted)
  test(`an identity with ${what} is read (contract identity.md 2.4)`, () => {
    assert.deepEqual(parseServiceAccountId(text), identity);
  });

const path = /the path is not|not a valid path segment/;
const domain = /the trust domain may only/;
const scheme = /does not begin with spiffe:\/\//;
/** Vectors 6 to 8 of contract identity.md 2.6. */
const refused: readonly (readonly [string, string, RegExp])[] = [
  ["no path", "spiffe://cluster.local", path],
  ["the root for a path", "spiffe://cluster.local/", path],
  ["a slash at its end", "spiffe://cluster.local/ns/shop/sa/cart/", path],
  ["two slashes in its path", "spiffe://cluster.local/ns//sa/cart", path],
  ["two slashes before its path", "spiffe://cluster.local//ns/shop/sa/cart", path],
  ["a dot for a segment", "spiffe://cluster.local/ns/./sa/cart", path],
  ["two dots for a segment", "spiffe://cluster.local/ns/shop/sa/..", path],
  ["a way up", "spiffe://cluster.local/ns/shop/sa/cart/../admin", path],
  ["an escape", "spiffe://cluster.local/ns/shop/sa/c%61rt", path],
  ["an escaped slash", "spiffe://cluster.local/ns/shop/sa/cart%2fadmin", path],
  ["a space", "spiffe://cluster.local/ns/shop/sa/ca rt", path],
  ["a letter beyond ASCII", "spiffe://cluster.local/ns/shop/sa/cärt", path],
  ["NUL", "spiffe://cluster.local/ns/shop/sa/cart\0", path],
  ["a line break at its end", "spiffe://cluster.local/ns/shop/sa/cart\n", path],
  ["2049 bytes", `spiffe://cluster.local/ns/shop/sa/${"a".repeat(2049 - 34)}`, /longer than 2048 bytes/],
  ["another path", "spiffe://cluster.local/workload/cart", path],
  ["capitals in its trust domain", "spiffe://Cluster.local/ns/shop/sa/cart", domain],
  ["a port", "spiffe://cluster.local:443/ns/shop/sa/cart", domain],
  ["a user", "spiffe://u@cluster.local/ns/shop/sa/cart", domain],
  ["no trust domain", "spiffe:///ns/shop/sa/cart", domain],
  ["a trust domain of 256 bytes", `spiffe://${"a".repeat(256)}/ns/shop/sa/cart`, domain],
  ["a comma in its trust domain", "spiffe://a,b/ns/shop/sa/cart", domain],
  ["an IPv6 address for a trust domain", "spiffe://[::1]/ns/shop/sa/cart", domain],
  ["an escape in its trust domain", "spiffe://cluster%2elocal/ns/shop/sa/cart", domain],
  ["another scheme", "https://cluster.local/ns/shop/sa/cart", scheme],
  ["one slash after its scheme", "spiffe:/cluster.local/ns/shop/sa/cart", scheme],
  ["a space before its scheme", " spiffe://cluster.local/ns/shop/sa/cart", scheme],
  ["a query", "spiffe://cluster.local/ns/shop/sa/cart?a=b", path],
  ["a query instead of a path", "spiffe://cluster.local?a=b", domain],
  ["a fragment", "spiffe://cluster.local/ns/shop/sa/cart#f", path],
  ["nothing", "", scheme],
];
for (const [what, text, reason] of refused)
  test(`an identity with ${what} is refused (contract identity.md 2.6)`, () => {
    assert.throws(
      () => parseServiceAccountId(text),
      (error) => error instanceof MeshError && error.code === "invalid" && reason.test(error.message),
    );
  });
