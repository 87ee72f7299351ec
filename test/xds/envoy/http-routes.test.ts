import assert from "node:assert/strict";
import { test } from "mocha";
import type { HttpRule, PathMatch } from "../../../src/registry/model/http-rule.ts";
import { ANY_REQUEST, NO_CHANGES } from "../../../src/registry/model/http-rule.ts";
import type { ProxyPolicies, RequestPolicy } from "../../../src/registry/model/proxy-policies.ts";
import { httpChain } from "../../../src/xds/envoy/http-chain.ts";
import { routeConfiguration, RULES_MAX } from "../../../src/xds/envoy/http-routes.ts";
import { envoy } from "../../../src/xds/envoy/message.ts";
import { policies, port, rule, service } from "../../conformance/waypoint-kit.ts";

const { RouteConfiguration } = envoy.config.route.v3;
const encoded = (rules: readonly HttpRule[], guards?: ProxyPolicies) => {
  const http = port({ rules });
  return RouteConfiguration.encode(routeConfiguration(service(http), http, guards)).finish();
};
const routesOf = (...rules: readonly HttpRule[]) => RouteConfiguration.decode(encoded(rules)).virtualHosts[0]!.routes!;
const path = (kind: PathMatch["kind"], value: string) => ({ match: { ...ANY_REQUEST, path: { kind, value } } });
const named = (name: string, action: RequestPolicy["action"] = "deny"): RequestPolicy => ({
  name,
  action,
  dryRun: false,
  rules: [{ from: [], to: [{ methods: { values: [{ kind: "exact", value: "GET" }], notValues: [] } }], when: [] }],
});

test("rules keep their order, and what none matches is answered with 404", () => {
  const rules = ["/b", "/a", "/"].map((value) => rule({ name: value, ...path("prefix", value) }));
  const routes = routesOf(...rules);
  assert.deepEqual(
    routes.map(({ name }) => name),
    ["/b", "/a", "/", "none"],
  );
  assert.equal(routes.at(-1)!.directResponse!.status, 404);
});

test("a request has no time limit that nobody asked for", () => {
  const timeout = (timeoutMs: number | undefined) => {
    const { seconds = 0, nanos = 0 } = routesOf(rule({ timeoutMs }))[0]!.route!.timeout!;
    return [Number(seconds), nanos];
  };
  assert.deepEqual(
    [timeout(undefined), timeout(0), timeout(1_500)],
    [
      [0, 0],
      [0, 0],
      [1, 500_000_000],
    ],
  );
});

test("a change of policy is a change of routes and of no listener", () => {
  const http = port();
  const chain = (guards: ProxyPolicies) => httpChain(service(http), http, guards);
  const [one, other] = [policies([named("shop/a")]), policies([named("shop/a", "allow")])];
  assert.deepEqual(chain(one), chain(other));
  assert.notDeepEqual(encoded([rule()], one), encoded([rule()], other));
});

test("the same policies are the same bytes, in whatever order they come", () => {
  const [a, b] = [named("shop/a"), named("shop/b")];
  assert.deepEqual(encoded([rule()], policies([a, b])), encoded([rule()], policies([b, a])));
});

test("what Envoy would refuse is refused before, with the names of the rule and of the field", () => {
  const headers = (name: string, value: string) => ({
    requestHeaders: { ...NO_CHANGES, set: [[name, value] as const] },
  });
  const rewrite = (kind: "full" | "prefix", value: string) => ({
    action: { ...rule().action, rewrite: { hostname: undefined, path: { kind, value } } } as HttpRule["action"],
  });
  const wrong: [Partial<HttpRule>, RegExp][] = [
    [path("regex", "("), /^HTTPRoute shop\/cart rule 0 match 0: the path of its match .*RE2/],
    [path("prefix", "a"), /the path of its match, "a", must begin with "\/"/],
    [path("exact", "/a?b"), /must not have "\?"/],
    [
      { match: { ...ANY_REQUEST, headers: [{ name: "x", kind: "regex", value: "(?=a)" }] } },
      /its match of the header x/,
    ],
    [headers("a b", "c"), /its change of request headers names "a b", which is no name of a header/],
    [headers("x", "a\r\nb"), /its change of request headers.x has control characters/],
    [headers("host", "x"), /use a rewrite of the hostname/],
    [headers(":path", "/x"), /no name of a header/],
    [rewrite("full", "a"), /its new path "a" must begin with "\/"/],
    [{ ...path("exact", "/a"), ...rewrite("prefix", "/b") }, /replaces a prefix, but its match is of the kind exact/],
  ];
  for (const [changes, message] of wrong)
    assert.throws(() => encoded([rule({ name: "HTTPRoute shop/cart rule 0 match 0", ...changes })]), {
      name: "MeshError",
      code: "invalid",
      message,
    });
  assert.throws(() => encoded(Array.from({ length: RULES_MAX + 1 }, () => rule())), /has 20001 rules/);
});
