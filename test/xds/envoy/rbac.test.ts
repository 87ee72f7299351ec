import assert from "node:assert/strict";
import { test } from "mocha";
import type { OperationMatch, RequestPolicy } from "../../../src/registry/model/proxy-policies.ts";
import { authorizationPerRoute, authorizationPerTunnel } from "../../../src/xds/envoy/authorization-filters.ts";
import { envoy } from "../../../src/xds/envoy/message.ts";
import { rbacOf } from "../../../src/xds/envoy/rbac.ts";
import { CONNECTION, REQUEST, type Sight } from "../../../src/xds/envoy/rbac-layer.ts";
import { policies } from "../../conformance/waypoint-kit.ts";

const policy = (to: OperationMatch, changes: Partial<RequestPolicy> = {}): RequestPolicy => ({
  name: "shop/p",
  action: "allow",
  dryRun: false,
  rules: [{ from: [], to: [to], when: [] }],
  ...changes,
});
const GET: OperationMatch = { methods: { values: [{ kind: "exact", value: "GET" }], notValues: [] } };
const on = (...values: number[]): OperationMatch => ({ ports: { values, notValues: [] } });

const names = (one: RequestPolicy, sight: Sight) =>
  Object.keys(rbacOf(one.action, [one], { sight, port: 80 }).policies ?? {});

test("a rule for other ports is not in the way of this one, and what allows only those denies all", () => {
  assert.deepEqual(names(policy(on(80, 90)), REQUEST), ["shop/p[0]"]);
  assert.deepEqual(names(policy(on(90)), REQUEST), []);
  const { [`rbac.allow`]: allow } = authorizationPerRoute(policies([policy(on(90))]), 80);
  const { rbac } = envoy.extensions.filters.http.rbac.v3.RBACPerRoute.decode(allow!.value!);
  assert.deepEqual([rbac?.rules?.action, rbac?.rules?.policies], [envoy.config.rbac.v3.RBAC.Action.ALLOW, {}]);
});

test("where there is no HTTP, what allows by it allows nothing, and what denies by it denies all", () => {
  assert.deepEqual(names(policy(GET), CONNECTION), []);
  const denied = rbacOf("deny", [policy(GET, { action: "deny" })], { sight: CONNECTION, port: 80 });
  assert.deepEqual(denied.policies, { "shop/p[0]": { principals: [{ any: true }], permissions: [{ any: true }] } });
});

test("a policy in dry-run decides nothing", () => {
  const perRoute = authorizationPerRoute(policies([policy(GET, { dryRun: true })]), 80);
  const { rbac } = envoy.extensions.filters.http.rbac.v3.RBACPerRoute.decode(perRoute["rbac.allow"]!.value!);
  assert.equal(rbac?.rules ?? undefined, undefined);
  assert.deepEqual(Object.keys(rbac?.shadowRules?.policies ?? {}), ["shop/p[0]"]);
  assert.deepEqual(authorizationPerTunnel([policy(GET, { dryRun: true })], { number: 80, protocol: "tcp" }), {});
});

test("tunnels to ports of HTTP are open: their requests are asked one by one", () => {
  const deny = policy(on(80), { action: "deny" });
  assert.deepEqual(authorizationPerTunnel([deny], { number: 80, protocol: "http" }), {});
  assert.deepEqual(Object.keys(authorizationPerTunnel([deny], { number: 80, protocol: "tcp" })), ["rbac.deny"]);
});

test("a principal of a token with slashes without end is refused with its name", () => {
  const value = `https://${"/".repeat(65)}`;
  const from = [{ requestPrincipals: { values: [{ kind: "exact" as const, value }], notValues: [] } }];
  const wrong = policy({}, { rules: [{ from, to: [], when: [] }] });
  assert.throws(() => names(wrong, REQUEST), {
    name: "MeshError",
    code: "invalid",
    message: /^requestPrincipals "https/,
  });
});
