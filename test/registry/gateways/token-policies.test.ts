import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { test } from "mocha";
import type { TokenRule } from "../../../src/registry/model/proxy-policies.ts";
import { problemsIn, proxiedMesh, refusesAll, tokenRules, tokens } from "./proxied.ts";

const publicKey = ({ publicKey }: { readonly publicKey: KeyObject }) => publicKey.export({ format: "jwk" });
const rsa = (modulusLength: number) => publicKey(generateKeyPairSync("rsa", { modulusLength }));
const ec = (namedCurve: string) => publicKey(generateKeyPairSync("ec", { namedCurve }));
const RSA = { ...rsa(2_048), kid: "one" };
const jwks = (...keys: readonly unknown[]): string => JSON.stringify({ keys });
const ISSUER = "https://issuer.example";
const URL_OF_KEYS = `${ISSUER}/keys`;

const ruleOf = (rule: object): TokenRule => {
  const rules = tokenRules(proxiedMesh([tokens({ jwtRules: [{ issuer: ISSUER, jwksUri: URL_OF_KEYS, ...rule }] })]));
  assert.equal(rules.length, 1);
  return rules[0]!;
};

test("a rule with all of its fields is read as it is written", () => {
  const rule = ruleOf({
    audiences: ["shop"],
    jwksUri: URL_OF_KEYS,
    timeout: "2s",
    fromHeaders: [{ name: "X-Token", prefix: "Token " }],
    fromParams: ["token"],
    fromCookies: ["session"],
    forwardOriginalToken: true,
    outputPayloadToHeader: "X-Payload",
    outputClaimToHeaders: [{ header: "X-Team", claim: "team.name" }],
    spaceDelimitedClaims: ["roles"],
  });
  assert.deepEqual(rule, {
    issuer: ISSUER,
    audiences: ["shop"],
    keys: { kind: "url", url: URL_OF_KEYS, timeoutMs: 2_000, refreshMs: 300_000 },
    fromHeaders: [{ name: "x-token", prefix: "Token " }],
    fromParams: ["token"],
    fromCookies: ["session"],
    forwardToken: true,
    payloadHeader: "x-payload",
    claimHeaders: [{ header: "x-team", claim: "team.name" }],
    spaceDelimitedClaims: ["roles"],
  });
});

test("a rule that says no more than its issuer and keys has defaults", () => {
  const { keys, forwardToken, payloadHeader, spaceDelimitedClaims, ...rest } = ruleOf({});
  assert.deepEqual(keys, { kind: "url", url: URL_OF_KEYS, timeoutMs: 5_000, refreshMs: 300_000 });
  assert.deepEqual([forwardToken, payloadHeader, spaceDelimitedClaims], [false, "", ["scope", "permission"]]);
  assert.deepEqual(rest, {
    issuer: ISSUER,
    audiences: [],
    fromHeaders: [],
    fromParams: [],
    fromCookies: [],
    claimHeaders: [],
  });
});

test("of keys that are written down those are taken that check signatures, and no more of them than that takes", () => {
  const EC = ec("P-256");
  const ED = publicKey(generateKeyPairSync("ed25519"));
  const OCT = { kty: "oct", k: "c2VjcmV0", alg: "HS256" };
  const useless = [
    7,
    {},
    { ...RSA, n: "!!" },
    { ...RSA, alg: "ES256" },
    { ...RSA, use: "enc" },
    { ...EC, alg: "ES384" },
    { ...EC, y: EC.x },
    { ...OCT, k: "" },
    rsa(1_024),
    ec("secp256k1"),
    publicKey(generateKeyPairSync("ed448")),
    publicKey(generateKeyPairSync("x25519")),
  ];
  const { keys } = ruleOf({
    jwksUri: undefined,
    jwks: jwks(...useless, { ...RSA, x5t: "x", use: "sig" }, EC, ED, OCT),
  });
  assert.deepEqual(keys, { kind: "inline", jwks: (keys as { jwks: string }).jwks });
  assert.deepEqual(JSON.parse(keys.jwks), { keys: [RSA, EC, ED, OCT] });
  for (const key of useless)
    assert.ok(refusesAll(ruleOf({ jwksUri: undefined, jwks: jwks(key) })), JSON.stringify(key));
});

for (const [what, rule, message] of [
  ["keys that are no JSON", { jwks: "{", jwksUri: "" }, /jwtRules\[0\]\.jwks must be a JSON Web Key Set/],
  ["a key set without keys", { jwks: jwks(), jwksUri: "" }, /holds no key to check signatures with/],
  ["a private key", { jwks: jwks({ ...RSA, d: "x" }), jwksUri: "" }, /holds a private key. Take it out/],
  ["keys in both ways", { jwks: jwks(RSA) }, /has both jwks and jwksUri; keep one/],
  [
    "keys in neither way",
    { jwksUri: "" },
    /has neither jwks nor jwksUri, and the issuer is not asked here; give the jwks_uri/,
  ],
  ["a URL of another scheme", { jwksUri: "file:///etc/passwd" }, /jwksUri must be a URL that begins with https:/],
  ["a URL that is none", { jwksUri: "keys" }, /jwksUri must be a URL that begins with https:/],
  ["a URL with a password", { jwksUri: "https://a:b@issuer.example" }, /holds a password/],
  [
    "a URL of the proxy itself",
    { jwksUri: "http://localhost:15000/keys" },
    /leads to localhost, the proxy's own machine/,
  ],
  ["a URL of a loopback address", { jwksUri: "http://0x7f.1/keys" }, /leads to 127\.0\.0\.1, a loopback address/],
  ["the same in IPv6", { jwksUri: "http://[::ffff:127.0.0.1]/keys" }, /, a loopback address/],
  [
    "a URL of a cloud's metadata",
    { jwksUri: "http://169.254.169.254/latest" },
    /169\.254\.169\.254, a link-local address/,
  ],
  [
    "its name",
    { jwksUri: "http://metadata.google.internal./x" },
    /metadata\.google\.internal, the proxy's own machine or its cloud/,
  ],
] as const)
  test(`a rule with ${what} takes no token of its issuer, and says why`, () => {
    const jwtRules = [
      { issuer: ISSUER, jwksUri: URL_OF_KEYS, ...rule },
      { issuer: "other", jwksUri: URL_OF_KEYS },
    ];
    const mesh = proxiedMesh([tokens({ jwtRules })]);
    const [refused, other] = tokenRules(mesh);
    assert.equal(refused!.issuer, ISSUER);
    assert.ok(refusesAll(refused!));
    assert.equal(other!.keys.kind, "url");
    assert.match(problemsIn(mesh).join(), message);
    assert.match(problemsIn(mesh).join(), /no token of its issuer is taken/);
  });

/** What nobody can read: not a rule that is known to be wrong. */
const UNREADABLE: readonly (readonly [what: string, spec: object])[] = [
  ["rules that are text", { jwtRules: "x" }],
  ["a rule that is text", { jwtRules: ["x"] }],
  ["a rule with a field that nobody knows", { jwtRules: [{ issuer: ISSUER, jwksUri: URL_OF_KEYS, audience: "shop" }] }],
  ["a rule without an issuer", { jwtRules: [{ jwksUri: URL_OF_KEYS }] }],
  ["audiences that are text", { jwtRules: [{ issuer: ISSUER, jwksUri: URL_OF_KEYS, audiences: "shop" }] }],
  ["keys that are a map", { jwtRules: [{ issuer: ISSUER, jwks: { keys: [RSA] } }] }],
  ["a timeout that is none", { jwtRules: [{ issuer: ISSUER, jwksUri: URL_OF_KEYS, timeout: "soon" }] }],
  ["a header that is none", { jwtRules: [{ issuer: ISSUER, jwksUri: URL_OF_KEYS, outputPayloadToHeader: "a b" }] }],
  ["a target without a name", { targetRefs: [{ kind: "Service" }] }],
  ["targets that are text", { targetRefs: "cart" }],
  ["a field that nobody knows", { rules: [] }],
];

for (const [what, spec] of UNREADABLE) {
  test(`a RequestAuthentication that gets ${what} stays as it was, and says so`, () => {
    const mesh = proxiedMesh([tokens({ jwtRules: [{ issuer: ISSUER, jwksUri: URL_OF_KEYS }] })]);
    const before = mesh.policiesAt();
    mesh.apply(tokens(spec));
    assert.deepEqual(mesh.policiesAt(), before);
    assert.match(problemsIn(mesh).join(), /RequestAuthentication shop\/tokens: spec.*stays in force/);
    mesh.apply(tokens({ jwtRules: [] }));
    assert.equal(mesh.policiesAt(), undefined);
    assert.doesNotMatch(problemsIn(mesh).join(), /stays in force/);
  });

  test(`a RequestAuthentication that always had ${what} takes no token of any issuer that it names`, () => {
    const mesh = proxiedMesh([tokens(spec)]);
    assert.ok(tokenRules(mesh).every(refusesAll));
    assert.match(problemsIn(mesh).join(), /RequestAuthentication shop\/tokens: spec/);
  });
}

test("a RequestAuthentication with a label that is a number, and a target that nobody can read, guards its namespace", () => {
  const jwtRules = [{ issuer: ISSUER, jwksUri: URL_OF_KEYS }];
  const targetRefs = [{ kind: 7 }];
  const mesh = proxiedMesh([tokens({ jwtRules, targetRefs }, { labels: { app: 1 } })]);
  assert.deepEqual(tokenRules(mesh).map(refusesAll), [true]);
});

test("rules for one issuer all stay, in one policy and in several", () => {
  const rule = (audience: string) => ({ issuer: ISSUER, jwksUri: URL_OF_KEYS, audiences: [audience] });
  const mesh = proxiedMesh([
    tokens({ jwtRules: [rule("a"), rule("b")] }),
    tokens({ jwtRules: [rule("c")] }, {}, "more"),
  ]);
  assert.deepEqual(
    mesh.policiesAt()?.authentication.map(({ name, rules }) => [name, rules.map(({ audiences }) => audiences[0])]),
    [
      ["shop/more", ["c"]],
      ["shop/tokens", ["a", "b"]],
    ],
  );
});

test("a RequestAuthentication without a target has no effect, with a selector or without, and says so", () => {
  for (const selector of [undefined, { matchLabels: { app: "cart" } }]) {
    const jwtRules = [{ issuer: ISSUER, jwksUri: URL_OF_KEYS }];
    const mesh = proxiedMesh([tokens({ jwtRules, targetRefs: undefined, selector })]);
    assert.equal(mesh.policiesAt(), undefined);
    assert.match(problemsIn(mesh).join(), /spec\.targetRefs is missing: ztunnels read no tokens/);
  }
});
