import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../../src/kube/object.ts";
import { corrupted } from "../corrupted.ts";
import { guard, proxiedMesh, refusesAll, tokenRules, tokens, type ProxiedMesh } from "./proxied.ts";
import { lets, type TestRequest } from "./request-verdict.ts";

/** What eve asks for; both guards keep it out. */
const request: TestRequest = {
  principal: "cluster.local/ns/shop/sa/eve",
  ip: "10.0.0.7",
  host: "cart.shop",
  port: 80,
  method: "DELETE",
  path: "/items/7",
  headers: { "x-team": "red" },
  claims: { iss: "https://issuer.example", sub: "eve", groups: "guests" },
};
const metadata = { labels: { team: "a" }, annotations: { note: "x" }, uid: "u" };

/** Everything of it matches. */
const denies = [
  {
    from: [
      {
        source: {
          principals: ["cluster.local/ns/shop/sa/eve"],
          notPrincipals: ["cluster.local/ns/shop/sa/bob"],
          requestPrincipals: ["https://issuer.example/eve"],
          namespaces: ["shop"],
          notServiceAccounts: ["shop/bob"],
          ipBlocks: ["10.0.0.0/24"],
          notRemoteIpBlocks: ["10.1.0.0/16"],
        },
      },
    ],
    to: [
      {
        operation: {
          hosts: ["cart.shop"],
          ports: ["80"],
          methods: ["DELETE"],
          paths: ["/items/{*}"],
          notPaths: ["/open"],
        },
      },
    ],
    when: [
      { key: "request.headers[X-Team]", values: ["red"], notValues: ["blue"] },
      { key: "request.auth.claims[groups]", values: ["guests"] },
    ],
  },
];
/** Bob may, with what eve has not. */
const allows = [
  {
    from: [{ source: { principals: ["cluster.local/ns/shop/sa/bob"] } }],
    to: [{ operation: { methods: ["GET"], notPaths: ["/items/*"] } }],
    when: [{ key: "request.headers[x-team]", notValues: ["red"] }],
  },
];
const guards: readonly (readonly [string, KubeObject])[] = [
  ["a DENY", guard({ action: "DENY", rules: denies }, metadata)],
  ["an ALLOW", guard({ action: "ALLOW", rules: allows }, metadata)],
  ["a CUSTOM policy", guard({ action: "CUSTOM", provider: { name: "opa" }, rules: denies }, metadata)],
];

/** Values that are sound where they stand, so that they hold as they are written: another text, another list of them. */
const isMeant = (field: string): boolean =>
  [
    / = ("a b"|"\\u0000"|"")$/.test(field) &&
      /\.(\d+|kind|name|group|namespace|key|issuer)$/.test(field.split(" = ")[0]!),
    /ports(\.0)? = \[?7\]?$/.test(field),
    /^spec\.targetRefs\.0 = /.test(field) && field.endsWith("{}"),
    /provider/.test(field),
  ].includes(true);
const isNowhere = (field: string): boolean => /^metadata = |^metadata\.(namespace|name) = /.test(field);

/** What may be for ztunnels as well as for waypoints is closed by them. */
const isClosedBefore = ({ registry }: ProxiedMesh): boolean =>
  Array.from(registry.policies.entries(), ([, policy]) => policy).some(({ action, rules }) =>
    action === "allow" ? rules.length === 0 : rules.some(({ clauses }) => clauses.length === 0),
  );

function isOpen(mesh: ProxiedMesh): boolean {
  return lets(mesh.policiesAt(), request) && !isClosedBefore(mesh);
}

for (const [what, policy] of guards) {
  test(`no single field of ${what} for a waypoint that turns to garbage lets anybody in`, () => {
    assert.equal(lets(proxiedMesh().policiesAt(), request), true);
    assert.equal(lets(proxiedMesh([policy]).policiesAt(), request), false);
    const mesh = proxiedMesh();
    const open = [...corrupted(policy)]
      .filter(([field]) => !isMeant(field) && !isNowhere(field))
      .filter(([, bad]) => {
        mesh.apply(bad);
        const found = isOpen(mesh);
        mesh.remove(policy);
        return found;
      })
      .map(([field]) => field);
    assert.equal(mesh.policiesAt(), undefined);
    assert.deepEqual(open, []);
  });
}

test("no single field of a RequestAuthentication that turns to garbage has a token pass that was refused before", () => {
  const rule = { issuer: "https://issuer.example", audiences: ["shop"], jwksUri: "http://localhost/keys" };
  const policy = tokens({ jwtRules: [rule] }, metadata);
  assert.deepEqual(tokenRules(proxiedMesh([policy])).map(refusesAll), [true]);
  const mesh = proxiedMesh();
  const open = [...corrupted(policy)]
    .filter(([field, bad]) => {
      mesh.apply(bad);
      const found = !tokenRules(mesh).every(refusesAll);
      mesh.remove(isNowhere(field) ? bad : policy);
      return found;
    })
    .map(([field]) => field);
  assert.deepEqual(open, []);
});

test("no single field of a RequestAuthentication that turns to garbage takes the place of what checked tokens before", () => {
  const rule = { issuer: "https://issuer.example", audiences: ["shop"], jwksUri: "https://issuer.example/keys" };
  const policy = tokens({ jwtRules: [rule] }, metadata);
  const mesh = proxiedMesh([policy]);
  const before = tokenRules(mesh);
  const wrong = [...corrupted(policy)].flatMap(([field, bad]) => {
    mesh.apply(policy);
    mesh.apply(bad);
    const after = tokenRules(mesh);
    if (isNowhere(field)) mesh.remove(bad);
    const isSame = JSON.stringify(after) === JSON.stringify(before);
    return isSame || after.every(refusesAll) || isMeant(field) || isNowhere(field) ? [] : [field];
  });
  assert.deepEqual(wrong, []);
});
