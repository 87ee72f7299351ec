import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId } from "../../../src/names.ts";
import { readGrpcRoute } from "../../../src/registry/kube/grpc-route.ts";
import { readHttpRoute } from "../../../src/registry/kube/http-route.ts";
import { metadataOf } from "../../../src/registry/kube/metadata.ts";
import type { Route } from "../../../src/registry/kube/route.ts";
import { corrupted } from "../corrupted.ts";
import { backend, grpcRoute, httpRoute, path } from "../gateways/routes.ts";

type Fields = Readonly<Record<string, unknown>>;

const read = (object: Fields): Route => {
  const metadata = metadataOf(object["metadata"], clusterId("east"), "", false);
  return object["kind"] === "GRPCRoute" ? readGrpcRoute(metadata, object) : readHttpRoute(metadata, object);
};
const rule = (fields: Fields): Route => read(httpRoute("r", [fields]));
const errorsOf = ({ errors }: Route): readonly string[] => errors.map(({ field, message }) => `${field} ${message}`);

for (const [name, match, expected] of [
  ["nothing", {}, { path: { kind: "prefix", value: "/" } }],
  ["a prefix with a slash at its end", path("PathPrefix", "/a/"), { path: { kind: "prefix", value: "/a" } }],
  ["the root", path("PathPrefix", "//"), { path: { kind: "prefix", value: "/" } }],
  ["an exact path with a slash at its end", path("Exact", "/a/"), { path: { kind: "exact", value: "/a/" } }],
  ["an expression", path("RegularExpression", "/a.*"), { path: { kind: "regex", value: "/a.*" } }],
  ["a path without a type", { path: { value: "/a" } }, { path: { kind: "prefix", value: "/a" } }],
  ["a method", { method: "GET" }, { method: "GET" }],
  [
    "headers of which two have one name",
    {
      headers: [
        { name: "X-A", value: "1" },
        { name: "x-a", value: "2" },
        { name: "b", type: "RegularExpression", value: "c+" },
      ],
    },
    {
      headers: [
        { name: "x-a", kind: "exact", value: "1" },
        { name: "b", kind: "regex", value: "c+" },
      ],
    },
  ],
  [
    "a parameter",
    { queryParams: [{ name: "Q", value: "1" }] },
    { queryParams: [{ name: "Q", kind: "exact", value: "1" }] },
  ],
] as const)
  test(`a match of ${name} is read as the Gateway API means it`, () => {
    const route = rule({ matches: [match] });
    const any = { path: { kind: "prefix", value: "/" }, method: undefined, headers: [], queryParams: [] };
    assert.deepEqual(route.rules[0]?.matches, [{ ...any, ...expected }]);
    assert.deepEqual(errorsOf(route), []);
  });

for (const [name, match, error] of [
  [
    "an expression that is not RE2's",
    path("RegularExpression", "(?=a)"),
    /matches\[0\]\.path\.value is "\(\?=a\)", which is no RE2/,
  ],
  ["a path without its slash", path("Exact", "a"), /path\.value is "a"; a path begins with a slash/],
  ["a path with a query", path("PathPrefix", "/a?b"), /path\.value is "\/a\?b"/],
  ["an unknown type of path", path("Glob", "/a"), /path\.type is "Glob"/],
  ["a method in small letters", { method: "get" }, /method is "get"/],
  ["a header without a name", { headers: [{ value: "1" }] }, /headers\[0\]\.name is undefined/],
  ["a field with a typo", { header: [{ name: "a", value: "b" }] }, /matches\[0\] has the unknown field "header"/],
  [
    "too many headers",
    { headers: Array.from({ length: 17 }, (_, at) => ({ name: `h${at}`, value: "" })) },
    /has 17 items/,
  ],
] as const)
  test(`a match with ${name} is left out, and the others stay`, () => {
    const route = rule({ matches: [match, path("Exact", "/good")] });
    assert.deepEqual(
      route.rules[0]?.matches.map((each) => each.path?.value),
      ["/good"],
    );
    const [found = "", ...more] = errorsOf(route);
    assert.match(found, error);
    assert.match(found, /the match is left out$/);
    assert.deepEqual(more, []);
  });

test("a rule of which no match can be read matches nothing, rather than everything", () => {
  assert.deepEqual(rule({ matches: [path("RegularExpression", "[")] }).rules[0]?.matches, []);
  assert.deepEqual(rule({ matches: "oops" }).rules[0]?.matches, []);
  assert.deepEqual(rule({ matches: [] }).rules[0]?.matches.length, 1);
});

for (const [name, filter, error] of [
  ["of an unknown type", { type: "CORS", cors: {} }, /filters\[0\]\.type is "CORS", which is not supported/],
  ["by reference", { type: "ExtensionRef", extensionRef: { name: "x" } }, /"ExtensionRef", which is not supported/],
  [
    "that changes the host as a header",
    { type: "RequestHeaderModifier", requestHeaderModifier: { set: [{ name: "Host", value: "x" }] } },
    /set\[0\]\.name is the host/,
  ],
  [
    "with a line break in a header",
    { type: "ResponseHeaderModifier", responseHeaderModifier: { add: [{ name: "a", value: "b\r\nc: d" }] } },
    /add\[0\] has control characters/,
  ],
  [
    "with half a character in a header",
    { type: "RequestHeaderModifier", requestHeaderModifier: { set: [{ name: "a", value: "\ud800" }] } },
    /set\[0\] has control characters, or halves of characters/,
  ],
  [
    "with a status that redirects nothing",
    { type: "RequestRedirect", requestRedirect: { statusCode: 304 } },
    /statusCode is 304/,
  ],
  ["to no host", { type: "URLRewrite", urlRewrite: { hostname: "a b" } }, /hostname is "a b", which is no host name/],
  [
    "to a path with a query",
    { type: "URLRewrite", urlRewrite: { path: { type: "ReplaceFullPath", replaceFullPath: "/a?b" } } },
    /replaceFullPath is "\/a\?b"/,
  ],
  [
    "that mirrors more than all",
    { type: "RequestMirror", requestMirror: { backendRef: backend("x"), fraction: { numerator: 3, denominator: 2 } } },
    /fraction\.numerator must be a whole number from 0 to 2/,
  ],
] as const)
  test(`what matches a rule with a filter ${name} is answered with 500: no filter is passed over`, () => {
    const route = rule({ filters: [filter], backendRefs: [backend("cart-v1")] });
    assert.match(route.rules[0]?.broken ?? "", error);
    assert.match(errorsOf(route).join(), /what the rule matches is answered with 500/);
    assert.equal(route.rules[0]?.matches.length, 1);
  });

test("after any number of mistakes the next one counts as much, and twenty of them are listed", () => {
  const bad = { matches: [path("Exact", "oops")] };
  const filters = [{ type: "CORS", cors: {} }];
  const last = { filters, backendRefs: [backend("cart-v1")] };
  const route = read(httpRoute("r", [...Array.from({ length: 40 }, () => bad), last]));
  assert.match(route.rules[40]?.broken ?? "", /"CORS", which is not supported/);
  assert.equal(route.errors.length, 20);
});

test("filters of a rule and of its backends are read, and what only a rule can do goes to the rule", () => {
  const route = rule({
    filters: [
      {
        type: "RequestHeaderModifier",
        requestHeaderModifier: { set: [{ name: "X-A", value: "1" }], add: [{ name: "b", value: "2" }], remove: ["C"] },
      },
      { type: "RequestMirror", requestMirror: { backendRef: backend("copy"), percent: 25 } },
    ],
    backendRefs: [
      backend("cart-v1", {
        filters: [
          { type: "ResponseHeaderModifier", responseHeaderModifier: { remove: ["server"] } },
          {
            type: "URLRewrite",
            urlRewrite: { hostname: "V1.example", path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/x" } },
          },
          {
            type: "RequestMirror",
            requestMirror: { backendRef: backend("other"), fraction: { numerator: 1, denominator: 3 } },
          },
        ],
      }),
      backend("cart-v2", { weight: 0 }),
    ],
  });
  assert.deepEqual(errorsOf(route), []);
  const { filters, backends } = route.rules[0]!;
  assert.deepEqual(filters.requestHeaders, { set: [["x-a", "1"]], add: [["b", "2"]], remove: ["c"] });
  assert.deepEqual(filters.rewrite, { hostname: "v1.example", path: { kind: "prefix", value: "/x" } });
  assert.deepEqual(
    filters.mirrors.map(({ target, perMillion }) => [target.name, perMillion]),
    [
      ["copy", 250_000],
      ["other", 333_333],
    ],
  );
  assert.deepEqual(backends[0]?.filters.responseHeaders.remove, ["server"]);
});

test("of several backends one that rewrites is not sent to, and its share is answered with 500", () => {
  const filters = [{ type: "URLRewrite", urlRewrite: { hostname: "x.example" } }];
  const route = rule({ backendRefs: [backend("cart-v1", { filters }), backend("cart-v2")] });
  assert.deepEqual(
    route.rules[0]?.backends.map(({ broken }) => broken !== undefined),
    [true, false],
  );
  assert.match(
    errorsOf(route).join(),
    /backendRefs\[0\]\.filters of one backend among several can only change headers/,
  );
});

test("a prefix can be replaced only where one matched", () => {
  const filters = [
    { type: "RequestRedirect", requestRedirect: { path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/b" } } },
  ];
  assert.match(
    rule({ matches: [path("Exact", "/a")], filters }).rules[0]?.broken ?? "",
    /needs|has none; use PathPrefix/,
  );
  assert.equal(rule({ matches: [path("PathPrefix", "/a")], filters }).rules[0]?.broken, undefined);
  assert.match(
    rule({ filters: [...filters, { type: "URLRewrite", urlRewrite: {} }] }).rules[0]?.broken ?? "",
    /both a RequestRedirect and a URLRewrite/,
  );
});

test("timeouts and retries are read, and what of them cannot be read stops no request", () => {
  const good = rule({
    timeouts: { request: "1m30s", backendRequest: "250ms" },
    retry: { attempts: 3, codes: [503, 500, 503], backoff: "10ms" },
  });
  assert.deepEqual(errorsOf(good), []);
  const { timeoutMs, backendTimeoutMs, retry } = good.rules[0]!;
  assert.deepEqual([timeoutMs, backendTimeoutMs], [90_000, 250]);
  assert.deepEqual(retry, { attempts: 3, codes: [500, 503], backoffMs: 10 });
  const bad = rule({ timeouts: { request: "soon" }, retry: { codes: [200] }, backendRefs: [backend("cart-v1")] });
  assert.deepEqual(
    [bad.rules[0]?.timeoutMs, bad.rules[0]?.retry, bad.rules[0]?.broken],
    [undefined, undefined, undefined],
  );
  assert.match(
    errorsOf(bad).join(),
    /timeouts\.request must be a time as 10s.*retry\.codes\[0\] must be a whole number from 400/,
  );
});

for (const [name, method, expected] of [
  ["a service and a method", { service: "a.B", method: "C" }, { kind: "exact", value: "/a.B/C" }],
  ["a service", { service: "a.B" }, { kind: "prefix", value: "/a.B" }],
  ["a method", { method: "C" }, { kind: "regex", value: "/[^/]+/C" }],
  [
    "expressions",
    { type: "RegularExpression", service: "a|b", method: "C.*" },
    { kind: "regex", value: "/(?:a|b)/(?:C.*)" },
  ],
] as const)
  test(`a match of gRPC by ${name} is one of the path`, () => {
    const route = read(grpcRoute("r", [{ matches: [{ method }] }]));
    assert.deepEqual(errorsOf(route), []);
    assert.deepEqual(route.rules[0]?.matches[0]?.path, expected);
  });

test("a gRPC match of neither service nor method, or of an expression that closes a group, is left out", () => {
  for (const method of [{}, { type: "RegularExpression", service: "a)|(b" }, { service: "a/b" }]) {
    const route = read(grpcRoute("r", [{ matches: [{ method }] }]));
    assert.deepEqual([route.rules[0]?.matches.length, route.errors.length], [0, 1]);
  }
});

const whole = httpRoute("r", [
  {
    matches: [
      { ...path("RegularExpression", "/a+"), method: "GET", headers: [{ type: "Exact", name: "a", value: "b" }] },
    ],
    filters: [
      { type: "RequestHeaderModifier", requestHeaderModifier: { set: [{ name: "a", value: "b" }] } },
      {
        type: "RequestMirror",
        requestMirror: { backendRef: backend("copy"), fraction: { numerator: 1, denominator: 3 } },
      },
      { type: "URLRewrite", urlRewrite: { hostname: "a.b", path: { type: "ReplaceFullPath", replaceFullPath: "/" } } },
    ],
    backendRefs: [backend("cart-v1", { weight: 2 }), backend("cart-v2", { filters: [] })],
    timeouts: { request: "1s" },
    retry: { attempts: 1, codes: [500] },
  },
]);

test("no field of a route that turns to garbage makes its rule match more, unless what matches is answered with 500", () => {
  const before = JSON.stringify(read(whole).rules[0]?.matches);
  const wider = [...corrupted(whole)].flatMap(([field, bad]) => {
    if (field.startsWith("metadata") || /(name|value|method) = /.test(field)) return [];
    const now = read(bad).rules[0];
    const same = now === undefined || now.matches.length === 0 || JSON.stringify(now.matches) === before;
    return same || now.broken !== undefined ? [] : [field];
  });
  assert.deepEqual(wider, []);
});

test("garbage in a route is always said, and never ends in anything but a value", () => {
  for (const [field, bad] of corrupted(whole)) {
    if (field.startsWith("metadata")) continue;
    const route = read(bad);
    for (const { field: at, message } of [...route.errors, ...route.ignored])
      assert.ok(at !== "" && message !== "", field);
  }
});
