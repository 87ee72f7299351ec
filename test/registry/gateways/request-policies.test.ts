import assert from "node:assert/strict";
import { test } from "mocha";
import type { RequestRule } from "../../../src/registry/model/proxy-policies.ts";
import { authorization } from "../mesh.ts";
import { compiled, guard, guarding, problemsIn, proxiedMesh, WP } from "./proxied.ts";

const EVERYTHING: RequestRule = { from: [], to: [], when: [] };
const only = <V>(...values: readonly V[]) => ({ values, notValues: [] });
const none = <V>(...notValues: readonly V[]) => ({ values: [], notValues });
const exact = (value: string) => ({ kind: "exact", value });
const from = (source: object) => ({ from: [{ source }] });
const to = (operation: object) => ({ to: [{ operation }] });
const when = (key: string, ...values: readonly string[]) => ({ when: [{ key, values }] });

/** What each attribute becomes. */
const ATTRIBUTES: readonly (readonly [what: string, rule: object, want: Partial<RequestRule>])[] = [
  [
    "principals",
    from({ principals: ["spiffe://a/ns/b/sa/c"] }),
    { from: [{ principals: only(exact("a/ns/b/sa/c")) }] },
  ],
  ["notPrincipals", from({ notPrincipals: ["*"] }), { from: [{ principals: none({ kind: "presence" }) }] }],
  [
    "requestPrincipals",
    from({ requestPrincipals: ["https://issuer.example/*"], notRequestPrincipals: ["https://issuer.example/eve"] }),
    {
      from: [
        {
          requestPrincipals: {
            values: [{ kind: "prefix", value: "https://issuer.example/" }],
            notValues: [exact("https://issuer.example/eve")],
          },
        },
      ],
    },
  ],
  [
    "namespaces",
    from({ namespaces: ["*-prod"] }),
    { from: [{ namespaces: only({ kind: "suffix", value: "-prod" }) }] },
  ],
  [
    "serviceAccounts",
    from({ serviceAccounts: ["web", "desk/till"] }),
    {
      from: [
        {
          serviceAccounts: only(
            { namespace: "shop", serviceAccount: "web" },
            { namespace: "desk", serviceAccount: "till" },
          ),
        },
      ],
    },
  ],
  [
    "ipBlocks",
    from({ ipBlocks: ["10.1.2.3/16"] }),
    { from: [{ ipBlocks: only({ ip: "10.1.0.0", prefixLength: 16 }) }] },
  ],
  [
    "remoteIpBlocks",
    from({ notRemoteIpBlocks: ["2001:db8::1"] }),
    { from: [{ remoteIpBlocks: none({ ip: "2001:db8::1", prefixLength: 128 }) }] },
  ],
  ["hosts", to({ hosts: ["Cart.Example"] }), { to: [{ hosts: only(exact("cart.example")) }] }],
  ["ports", to({ ports: ["80", 81] }), { to: [{ ports: only(80, 81) }] }],
  ["methods", to({ notMethods: ["GET"] }), { to: [{ methods: none(exact("GET")) }] }],
  [
    "paths",
    to({ paths: ["/a", "/b/*", "*.html", "*", "/a/{*}/b", "/a/{**}"] }),
    {
      to: [
        {
          paths: only<object>(
            exact("/a"),
            { kind: "prefix", value: "/b/" },
            { kind: "suffix", value: ".html" },
            { kind: "presence" },
            { kind: "template", value: "/a/{*}/b" },
            { kind: "template", value: "/a/{**}" },
          ),
        },
      ],
    } as Partial<RequestRule>,
  ],
  [
    "source.ip",
    when("source.ip", "10.0.0.1"),
    { when: [{ on: "source", match: { ipBlocks: only({ ip: "10.0.0.1", prefixLength: 32 }) } }] },
  ],
  [
    "source.namespace",
    when("source.namespace", "web"),
    { when: [{ on: "source", match: { namespaces: only(exact("web")) } }] },
  ],
  [
    "source.principal",
    when("source.principal", "spiffe://a/b"),
    { when: [{ on: "source", match: { principals: only(exact("a/b")) } }] },
  ],
  [
    "source.serviceAccount",
    when("source.serviceAccount", "web"),
    { when: [{ on: "source", match: { serviceAccounts: only({ namespace: "shop", serviceAccount: "web" }) } }] },
  ],
  [
    "remote.ip",
    when("remote.ip", "10.0.0.1"),
    { when: [{ on: "source", match: { remoteIpBlocks: only({ ip: "10.0.0.1", prefixLength: 32 }) } }] },
  ],
  ["destination.port", when("destination.port", "80"), { when: [{ on: "operation", match: { ports: only(80) } }] }],
  [
    "destination.ip",
    when("destination.ip", "10.0.0.0/8"),
    { when: [{ on: "destinationIp", match: only({ ip: "10.0.0.0", prefixLength: 8 }) }] },
  ],
  [
    "connection.sni",
    when("connection.sni", "a.example"),
    { when: [{ on: "serverName", match: only(exact("a.example")) }] },
  ],
  [
    "request.headers",
    when("request.headers[X-Team]", "red*"),
    { when: [{ on: "header", name: "x-team", match: only({ kind: "prefix", value: "red" }) }] },
  ],
  [
    "request.auth.principal",
    when("request.auth.principal", "iss/sub"),
    { when: [{ on: "source", match: { requestPrincipals: only(exact("iss/sub")) } }] },
  ],
  [
    "request.auth.audiences",
    when("request.auth.audiences", "shop"),
    { when: [{ on: "claim", path: ["aud"], match: only(exact("shop")) }] },
  ],
  [
    "request.auth.presenter",
    when("request.auth.presenter", "app"),
    { when: [{ on: "claim", path: ["azp"], match: only(exact("app")) }] },
  ],
  [
    "request.auth.claims",
    { when: [{ key: "request.auth.claims[realm_access][roles]", notValues: ["guest"] }] },
    { when: [{ on: "claim", path: ["realm_access", "roles"], match: none(exact("guest")) }] },
  ],
] as readonly (readonly [string, object, Partial<RequestRule>])[];

for (const [what, rule, want] of ATTRIBUTES)
  for (const action of ["ALLOW", "DENY"])
    test(`a waypoint ${action === "ALLOW" ? "allows" : "denies"} by ${what}`, () => {
      const mesh = proxiedMesh([guard({ action, rules: [rule] })]);
      assert.deepEqual(guarding(mesh), {
        name: "shop/guard",
        action: action.toLowerCase(),
        dryRun: false,
        rules: [{ ...EVERYTHING, ...want }],
      });
      assert.deepEqual(
        problemsIn(mesh).filter((text) => !text.includes("targetRefs") && !text.includes("waypoint")),
        [],
      );
    });

/** Rules with one part that means nothing. */
const UNREADABLE: readonly (readonly [what: string, rule: unknown])[] = [
  ["text for a rule", "GET"],
  ["a field that nobody knows", { form: [] }],
  ["a source that is none", { from: [{ principals: ["a"] }] }],
  ["a field of a source that nobody knows", from({ principal: ["a"] })],
  ["a field of an operation that nobody knows", to({ method: ["GET"] })],
  ["methods that are text", to({ methods: "GET" })],
  ["a path without a slash", to({ paths: ["admin"] })],
  ["a path with a query", to({ paths: ["/admin?x=1"] })],
  ["a path with a star in its midst", to({ paths: ["/a*b"] })],
  ["a path with a regular expression", to({ paths: ["/a/[0-9]+{2}"] })],
  ["a template with text beside its operator", to({ paths: ["/a/{*}.txt"] })],
  ["a template that goes on after {**}", to({ paths: ["/{**}/a/{*}"] })],
  ["a template of a name", to({ paths: ["/a/{id}"] })],
  ["a host that is a number", to({ hosts: [7] })],
  ["a port that is a name", to({ ports: ["http"] })],
  ["an address that is none", from({ remoteIpBlocks: ["10.0.0.0/40"] })],
  ["a token without an issuer", from({ requestPrincipals: ["eve"] })],
  ["a condition without a key", { when: [{ values: ["a"] }] }],
  ["a condition that nobody knows", when("request.body", "a")],
  ["a condition on a header without name", when("request.headers[]", "a")],
  ["a condition on a claim without name", when("request.auth.claims", "a")],
  ["a condition with a stranger beside it", { when: [{ key: "source.ip", value: "10.0.0.1" }] }],
];

for (const [what, rule] of UNREADABLE) {
  test(`an ALLOW with ${what} allows nobody by that rule, and by the others whom they say`, () => {
    const sound = to({ methods: ["GET"] });
    assert.deepEqual(compiled("ALLOW", rule, sound), [{ ...EVERYTHING, to: [{ methods: only(exact("GET")) }] }]);
  });

  test(`a DENY with ${what} denies without that part, and says so`, () => {
    const mesh = proxiedMesh([guard({ action: "DENY", rules: [rule] })]);
    assert.deepEqual(guarding(mesh)?.rules, [EVERYTHING]);
    assert.match(problemsIn(mesh).join(), /AuthorizationPolicy shop\/guard: spec\.rules\[0\].*(denie[ds]|exempts)/);
  });
}

test("of a list of values a DENY keeps the whole, and an ALLOW those that mean something", () => {
  assert.deepEqual(compiled("ALLOW", to({ paths: ["/a", "b"] })), [
    { ...EVERYTHING, to: [{ paths: only(exact("/a")) }] },
  ]);
  assert.deepEqual(compiled("DENY", to({ paths: ["/a", "b"] })), [EVERYTHING]);
  assert.deepEqual(compiled("DENY", to({ notPaths: ["/a", "b"] })), [
    { ...EVERYTHING, to: [{ paths: none(exact("/a")) }] },
  ]);
  assert.deepEqual(compiled("ALLOW", to({ notPaths: ["/a", "b"] })), []);
});

test("a DENY keeps what stands beside a part that nobody can read", () => {
  const rule = { ...from({ principals: ["a/b"] }), ...to({ methods: 7 }) };
  assert.deepEqual(compiled("DENY", rule), [{ ...EVERYTHING, from: [{ principals: only(exact("a/b")) }] }]);
});

test("no rules match nothing, an empty rule everything, for both actions", () => {
  for (const action of ["ALLOW", "DENY"]) {
    assert.deepEqual(compiled(action), []);
    assert.deepEqual(compiled(action, {}), [EVERYTHING]);
  }
});

test("a CUSTOM policy denies what it was to ask about, and says so", () => {
  const mesh = proxiedMesh([
    guard({ action: "CUSTOM", provider: { name: "opa" }, rules: [to({ methods: ["POST"] })] }),
  ]);
  assert.deepEqual(guarding(mesh), {
    name: "shop/guard",
    action: "deny",
    dryRun: false,
    rules: [{ ...EVERYTHING, to: [{ methods: only(exact("POST")) }] }],
  });
  assert.match(problemsIn(mesh).join(), /spec\.action is CUSTOM, and there is no external authorizer/);
});

test("an AUDIT policy neither allows nor denies, and says so", () => {
  const mesh = proxiedMesh([guard({ action: "AUDIT", rules: [{}] })]);
  assert.equal(mesh.policiesAt(), undefined);
  assert.match(problemsIn(mesh).join(), /spec\.action is AUDIT, which waypoints here cannot do/);
});

test("a dry run is handed on as one, unless nobody can read that it is", () => {
  const trial = (value: unknown) => ({ annotations: { "istio.io/dry-run": value } });
  assert.equal(guarding(proxiedMesh([guard({}, trial("true"))]))?.dryRun, true);
  assert.equal(guarding(proxiedMesh([guard({}, trial("false"))]))?.dryRun, false);
  assert.equal(guarding(proxiedMesh([guard({}, trial(true))]))?.dryRun, false);
});

test("an action, rules or a spec that nobody can read deny all that the policy binds", () => {
  const all = [
    { action: "deny", rules: [EVERYTHING] },
    { action: "allow", rules: [] },
  ];
  for (const bad of [
    { action: 7 },
    { action: "REJECT" },
    { action: "DENY", rules: "x" },
    { rules: 7 },
    { rule: [{}] },
  ]) {
    const { action, rules } = guarding(proxiedMesh([guard(bad)]))!;
    assert.ok(
      all.some((each) => each.action === action && each.rules.length === rules.length),
      JSON.stringify(bad),
    );
  }
});

test("a policy whose metadata nobody can read stays as it was, and otherwise denies what it denies and allows nobody", () => {
  const bad = { labels: { app: 1 } };
  const deny = guard({ action: "DENY", rules: [to({ methods: ["DELETE"] })] });
  const mesh = proxiedMesh([deny]);
  const before = guarding(mesh);
  mesh.apply(guard({ action: "ALLOW", rules: [{}] }, bad));
  assert.deepEqual(guarding(mesh), before);
  assert.deepEqual(guarding(proxiedMesh([guard({ action: "ALLOW", rules: [{}] }, bad)]))?.rules, []);
  assert.deepEqual(guarding(proxiedMesh([guard({ action: "DENY", rules: [{}] }, bad)]))?.rules, [EVERYTHING]);
});

test("a policy with a target that nobody can read binds all that one of its namespace may name", () => {
  const targetRefs = [{ group: "", kind: "Service", name: 7 }];
  const mesh = proxiedMesh([guard({ targetRefs, action: "DENY", rules: [{}] })]);
  assert.deepEqual(guarding(mesh)?.rules, [EVERYTHING]);
  assert.match(problemsIn(mesh).join(), /spec\.targetRefs\[0\] must have group, kind and name/);
  const allow = proxiedMesh([guard({ targetRefs, action: "ALLOW", rules: [{}] })]);
  assert.deepEqual(guarding(allow)?.rules, []);
  const elsewhere = proxiedMesh([authorization("p", { targetRefs }, { namespace: "web" })]);
  assert.equal(elsewhere.policiesAt(), undefined);
  const root = proxiedMesh([authorization("p", { targetRefs }, { namespace: "istio-system" })]);
  assert.deepEqual(
    root.policiesAt(WP)?.authorization.map(({ name }) => name),
    ["istio-system/p"],
  );
});

test("ten thousand rules are enforced, and one more denies all and says so", () => {
  const rules = Array.from({ length: 10_001 }, (_, at) => to({ paths: [`/p${at}`], methods: ["GET", "POST"] }));
  const mesh = proxiedMesh([guard({ rules: rules.slice(0, -1) })]);
  assert.equal(guarding(mesh)?.rules.length, 10_000);
  mesh.apply(guard({ rules }));
  assert.deepEqual([guarding(mesh)?.action, guarding(mesh)?.rules], ["deny", [EVERYTHING]]);
  assert.match(problemsIn(mesh).join(), /spec\.rules has 10001 rules, and 10000 are read at most; split the policy/);
});

test("one rule with a hundred thousand values and more denies all, and text of any length is none", () => {
  const paths = Array.from({ length: 100_001 }, (_, at) => `/p${at}`);
  const mesh = proxiedMesh([guard({ action: "ALLOW", rules: [to({ paths })] })]);
  assert.deepEqual(guarding(mesh)?.rules, [EVERYTHING]);
  assert.equal(guarding(mesh)?.action, "deny");
  assert.deepEqual(compiled("ALLOW", to({ paths: [`/${"x".repeat(5_000)}`] })), []);
});
