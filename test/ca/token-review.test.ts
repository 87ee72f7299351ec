import assert from "node:assert/strict";
import { test } from "mocha";
import { readReview, readTokenClaims } from "../../src/ca/token-review.ts";
import { MeshError } from "../../src/errors.ts";
import { claimsOf, jwt, NOW, statusOf } from "./reviewed-tokens.ts";

const refused = (attempt: () => unknown, reason: RegExp, row: string): void =>
  assert.throws(
    attempt,
    (error) =>
      (error instanceof MeshError && error.code === "unauthenticated" && reason.test(error.message)) ||
      assert.fail(`${row}: ${String(error)}`),
  );

test("what no API server would accept for us is refused without asking one", () => {
  assert.deepEqual(readTokenClaims(jwt({}), NOW), claimsOf({}));
  assert.equal(readTokenClaims(jwt({ aud: ["a", "istio-ca"] }), NOW).username, "system:serviceaccount:shop:cart");
  assert.equal(readTokenClaims(jwt({ "kubernetes.io": {} }), NOW).pod, undefined);
  const seconds = NOW / 1000;
  const rows: readonly (readonly [string, string, RegExp])[] = [
    ["no JWT", "abc", /no signed JWT/],
    ["two dots only", "..", /no signed JWT/],
    ["two parts", "a.b", /no signed JWT/],
    ["four parts", `${jwt({})}.x`, /no signed JWT/],
    ["not base64url", "a+b.c/d.e=", /no signed JWT/],
    ["unsigned", jwt({}, { alg: "none" }, ""), /no signed JWT/],
    ["alg none", jwt({}, { alg: "none" }), /not signed in a way/],
    ["alg None", jwt({}, { alg: "None" }), /not signed in a way/],
    ["signed with a public key", jwt({}, { alg: "HS256" }), /not signed in a way/],
    ["no alg", jwt({}, {}), /not signed in a way/],
    ["alg is no text", jwt({}, { alg: ["RS256"] }), /not signed in a way/],
    ["header is a list", jwt({}, []), /header is no JSON object/],
    ["header is no JSON", `abcd.${jwt({}).split(".")[1]}.sig`, /header is no JSON object/],
    ["payload is null", jwt(null), /payload is no JSON object/],
    ["nested deeply", jwt({ x: nested(3_000), sub: 1 }), /names no subject/],
    ["no subject", jwt({ sub: undefined }), /names no subject/],
    ["a user", jwt({ sub: "alice" }), /not of a service account/],
    ["a node", jwt({ sub: "system:node:n1" }), /not of a service account/],
    ["another's audience", jwt({ aud: ["https://kubernetes.default.svc"] }), /not for audience istio-ca/],
    ["no audience", jwt({ aud: undefined }), /not for audience istio-ca/],
    ["audience within a text", jwt({ aud: "x istio-ca" }), /not for audience istio-ca/],
    ["audience within a list", jwt({ aud: [["istio-ca"]] }), /not for audience istio-ca/],
    ["no expiry", jwt({ exp: undefined }), /never expires/],
    ["expiry is a text", jwt({ exp: "9999999999" }), /never expires/],
    ["expires at the end of numbers", jwt({ exp: 1e308 }), /never expires/],
    ["expired now", jwt({ exp: seconds }), /has expired/],
    ["a pod without a uid", jwt({ "kubernetes.io": { pod: { name: "cart-0" } } }), /binding to a pod cannot be read/],
  ];
  for (const [row, token, reason] of rows) refused(() => readTokenClaims(token, NOW), reason, row);
});

test("a review proves whom it names, if it says so for our audience", () => {
  assert.deepEqual(readReview(statusOf({}), claimsOf({})), {
    namespace: "shop",
    serviceAccount: "cart",
    pod: { name: "cart-0", uid: "u1" },
  });
  const user = statusOf({}).user;
  const withUser = (over: object): unknown => statusOf({ user: { ...user, ...over } });
  const extra = (name: unknown, uid: unknown): unknown =>
    withUser({ extra: { "authentication.kubernetes.io/pod-name": name, "authentication.kubernetes.io/pod-uid": uid } });
  const rows: readonly (readonly [string, unknown, RegExp])[] = [
    ["no status", undefined, /does not accept the token$/],
    ["a text", "authenticated", /does not accept/],
    ["empty", {}, /does not accept/],
    ["not authenticated", statusOf({ authenticated: false }), /does not accept/],
    ["authenticated, as a text", statusOf({ authenticated: "true" }), /does not accept/],
    ["with a reason", { error: "[invalid bearer\u001b token" }, /accept the token: \[invalid bearer\\u\{1b\} token/],
    ["audiences ignored", statusOf({ audiences: undefined }), /not accepted for audience istio-ca/],
    ["another audience", statusOf({ audiences: ["kubernetes"] }), /not accepted for audience istio-ca/],
    ["audiences as a text", statusOf({ audiences: "istio-ca" }), /not accepted for audience istio-ca/],
    ["no user", statusOf({ user: undefined }), /not in group/],
    ["no groups", withUser({ groups: undefined }), /not in group/],
    ["other groups", withUser({ groups: ["system:authenticated"] }), /not in group/],
    ["no name", withUser({ username: undefined }), /not of a service account/],
    ["a node's name", withUser({ username: "system:node:n1" }), /not of a service account/],
    ["too long a name", withUser({ username: "system:serviceaccount:shop:cart:x" }), /not of a service account/],
    ["a path in the name", withUser({ username: "system:serviceaccount:shop:../x" }), /not of a service account/],
    ["another's name", withUser({ username: "system:serviceaccount:shop:bank" }), /its review .*:bank/],
    ["another pod", extra(["cart-1"], ["u2"]), /name different pods/],
    ["that pod's successor", extra(["cart-0"], ["u2"]), /name different pods/],
    ["half a pod", extra(["cart-0"], undefined), /binding to a pod cannot be read/],
    ["two pods", extra(["cart-0", "cart-1"], ["u1"]), /binding to a pod cannot be read/],
    ["a pod as a text", extra("cart-0", "u1"), /binding to a pod cannot be read/],
    ["a nameless pod", extra([""], ["u1"]), /binding to a pod cannot be read/],
  ];
  for (const [row, status, reason] of rows) refused(() => readReview(status, claimsOf({})), reason, row);
});

test("a token is bound to a pod if its claims or its review say so", () => {
  const { username, groups } = statusOf({}).user;
  const withoutExtra = statusOf({ user: { username, groups } });
  assert.deepEqual(readReview(withoutExtra, claimsOf({})).pod, { name: "cart-0", uid: "u1" });
  assert.deepEqual(readReview(statusOf({}), claimsOf({ pod: undefined })).pod, { name: "cart-0", uid: "u1" });
  assert.equal(readReview(withoutExtra, claimsOf({ pod: undefined })).pod, undefined);
});

const nested = (depth: number): unknown => JSON.parse(`${"[".repeat(depth)}${"]".repeat(depth)}`);
