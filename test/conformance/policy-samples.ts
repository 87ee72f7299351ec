import fc from "fast-check";
import type { Cidr, StringMatch } from "../../src/registry/model/policy.ts";
import type {
  Condition,
  Matches,
  OperationMatch,
  RequestPolicy,
  RequestRule,
  SourceMatch,
} from "../../src/registry/model/proxy-policies.ts";

/** Few of each, and alike, so that policies often match, and often just not. */
export const PRINCIPALS = [
  "cluster.local/ns/shop/sa/cart",
  "cluster.local/ns/shop/sa/cart-admin",
  "cluster.local/ns/shop-admin/sa/cart",
  "west.example/ns/shop/sa/cart",
  "cluster.local/ns/a.b/sa/shop",
  "cluster.local/workload/odd",
] as const;
export const SOURCE_IPS = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.1.2.3"] as const;
export const METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] as const;
export const HOSTS = [
  "cart",
  "CART",
  "cart:80",
  "cart:8080",
  "cart.",
  "Cart.Example.com",
  "cart.example.com:80",
  "xcart.example.com",
  "cartxexample.com",
] as const;
/** As callers write it, and as policies and services are to see it. */
export const PATHS: readonly (readonly [written: string, seen: string])[] = [
  ["/", "/"],
  ["/a", "/a"],
  ["/a/", "/a/"],
  ["/a/b?x=/admin", "/a/b"],
  ["/a/b/c", "/a/b/c"],
  ["/a/b/b/c", "/a/b/b/c"],
  ["/admin", "/admin"],
  ["/admin/x", "/admin/x"],
  ["/ADMIN", "/ADMIN"],
  ["/adminx", "/adminx"],
  ["//admin", "/admin"],
  ["/a/../admin", "/admin"],
  ["/a/./b", "/a/b"],
  ["/a/%2e%2e/admin/x", "/admin/x"],
  ["/%61dmin", "/admin"],
  ["/a\\..\\admin", "/admin"],
  ["/admin%2Fx", "/admin%2Fx"],
  ["/a/..%5cadmin", "/a/..%5cadmin"],
  ["/admin;x=1", "/admin;x=1"],
  ["/admin/%ff", "/admin/%ff"],
  ["/admin?", "/admin"],
];
export const ROLES: readonly (readonly string[])[] = [
  [],
  [""],
  ["admin"],
  ["user"],
  ["admins"],
  ["user", "admin"],
  ["", "user"],
  ["\xff"],
];
export const ISSUERS = ["https://a.example", "https://b.example/x"] as const;
export const SUBJECTS = ["alice", "x/alice", "bob"] as const;
export const CLAIMS: readonly Readonly<Record<string, unknown>>[] = [
  {},
  { groups: ["admins", "users"], scope: "read write" },
  { groups: "admins", nested: { team: "cart" }, level: 3 },
  { groups: [], scope: "write", nested: { team: ["cart", "shop"] }, level: "3" },
];

const pick = fc.constantFrom;
/** Policies have no empty prefixes or suffixes: those are presence. */
const cut = (text: string) => fc.integer({ min: Math.min(1, text.length - 1), max: text.length - 1 });

/** Of one of `texts`: all of it, how it begins or ends, or anything. */
const matchOf = (...texts: readonly string[]): fc.Arbitrary<StringMatch> =>
  pick(...texts).chain((text) =>
    fc.oneof(
      { weight: 3, arbitrary: fc.constant<StringMatch>({ kind: "exact", value: text }) },
      {
        weight: 2,
        arbitrary: cut(text).map<StringMatch>((at) => ({ kind: "prefix", value: text.slice(0, at) || text })),
      },
      { weight: 2, arbitrary: cut(text).map<StringMatch>((at) => ({ kind: "suffix", value: text.slice(at) })) },
      { weight: 1, arbitrary: fc.constant<StringMatch>({ kind: "presence" }) },
    ),
  );

const matches = <V>(value: fc.Arbitrary<V>): fc.Arbitrary<Matches<V>> =>
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        values: fc.array(value, { minLength: 1, maxLength: 3 }),
        notValues: fc.constant<V[]>([]),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        values: fc.constant<V[]>([]),
        notValues: fc.array(value, { minLength: 1, maxLength: 2 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        values: fc.array(value, { minLength: 1, maxLength: 2 }),
        notValues: fc.array(value, { minLength: 1, maxLength: 2 }),
      }),
    },
  );

const CIDRS: readonly Cidr[] = [
  { ip: "127.0.0.1", prefixLength: 32 },
  { ip: "127.0.0.2", prefixLength: 31 },
  { ip: "127.0.0.0", prefixLength: 8 },
  { ip: "127.0.0.0", prefixLength: 24 },
  { ip: "10.0.0.0", prefixLength: 8 },
  { ip: "0.0.0.0", prefixLength: 0 },
  { ip: "::1", prefixLength: 128 },
];
const cidr = pick(...CIDRS);
const account = fc.record({
  namespace: pick("shop", "shop-admin", "a.b", "axb"),
  serviceAccount: pick("cart", "cart-admin", "shop"),
});

/** Some of the fields, and never none. */
const some = <T extends object>(fields: { [K in keyof T]-?: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc
    .subarray(Object.keys(fields) as (keyof T & string)[], { minLength: 1, maxLength: 2 })
    .chain((names) => fc.record(Object.fromEntries(names.map((name) => [name, fields[name]])))) as fc.Arbitrary<T>;

const asked = ISSUERS.flatMap((issuer) => SUBJECTS.map((subject) => `${issuer}/${subject}`));
const source: fc.Arbitrary<SourceMatch> = some<SourceMatch>({
  principals: matches(matchOf(...PRINCIPALS, "/ns/shop/sa/cart", "cart", "/cluster.local/ns/shop/sa/cart")),
  requestPrincipals: matches(matchOf(...asked)),
  namespaces: matches(matchOf("shop", "shop-admin", "a.b", "axb")),
  serviceAccounts: matches(account),
  ipBlocks: matches(cidr),
  remoteIpBlocks: matches(cidr),
});

const template = pick("/a/{*}", "/a/{*}/c", "/a/{**}", "/{**}/c", "/{*}", "/admin/{*}", "/{**}").map((value) => ({
  kind: "template" as const,
  value,
}));
const operation: fc.Arbitrary<OperationMatch> = some<OperationMatch>({
  hosts: matches(matchOf("cart", "cart:80", "cart.example.com", "cart.example.com:80", "Cart")),
  ports: matches(pick(80, 8080)),
  methods: matches(matchOf(...METHODS)),
  paths: matches(
    fc.oneof(
      { weight: 3, arbitrary: matchOf("/admin", "/admin/x", "/a/b", "/a/b/c", "/", "/admin/%ff") },
      { weight: 1, arbitrary: template },
    ),
  ),
});

const claim = fc.oneof(
  fc.record({ path: fc.constant(["groups"]), match: matches(matchOf("admins", "users")) }),
  fc.record({ path: fc.constant(["scope"]), match: matches(matchOf("read", "write", "read write")) }),
  fc.record({ path: fc.constant(["nested", "team"]), match: matches(matchOf("cart", "shop")) }),
  fc.record({ path: fc.constant(["level"]), match: matches(matchOf("3")) }),
  fc.record({ path: fc.constant(["iss"]), match: matches(matchOf(...ISSUERS)) }),
  fc.record({ path: fc.constant(["aud"]), match: matches(matchOf("shop")) }),
);
const condition: fc.Arbitrary<Condition> = fc.oneof(
  source.map((match): Condition => ({ on: "source", match })),
  operation.map((match): Condition => ({ on: "operation", match })),
  fc.record({
    on: fc.constant("header" as const),
    name: fc.constant("x-role"),
    match: matches(matchOf("admin", "user", "user,admin")),
  }),
  claim.map((it): Condition => ({ on: "claim", ...it })),
  fc.record({ on: fc.constant("destinationIp" as const), match: matches(cidr) }),
  fc.record({ on: fc.constant("serverName" as const), match: matches(matchOf("cart")) }),
);

const upTo = <T>(arbitrary: fc.Arbitrary<T>, maxLength: number) => fc.array(arbitrary, { maxLength });
const rule: fc.Arbitrary<RequestRule> = fc.oneof(
  fc.record({ from: upTo(source, 2), to: upTo(operation, 1), when: fc.constant([]) }),
  fc.record({ from: upTo(source, 1), to: upTo(operation, 2), when: upTo(condition, 1) }),
  fc.record({ from: fc.constant([]), to: upTo(operation, 1), when: upTo(condition, 2) }),
);

/** Policies of one service, named apart. */
export const somePolicies: fc.Arbitrary<readonly RequestPolicy[]> = fc
  .array(
    fc.record({
      action: pick("allow" as const, "deny" as const),
      dryRun: pick(false, false, false, true),
      rules: upTo(rule, 3),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((all) => all.map((policy, index) => ({ name: `shop/policy-${index}`, ...policy })));

/** What a caller sends. */
export interface SampleRequest {
  readonly principal: string;
  readonly sourceIp: string;
  readonly method: string;
  readonly host: string;
  readonly path: readonly [written: string, seen: string];
  readonly roles: readonly string[];
  readonly token: SampleToken;
}

export interface SampleToken {
  readonly kind: "none" | "good" | "expired" | "wrong-audience" | "unknown-issuer" | "forged";
  readonly issuer: string;
  readonly subject: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

export const someRequest: fc.Arbitrary<SampleRequest> = fc.record({
  principal: pick(...PRINCIPALS),
  sourceIp: pick(...SOURCE_IPS),
  method: pick(...METHODS),
  host: pick(...HOSTS),
  path: pick(...PATHS),
  roles: pick(...ROLES),
  token: fc.record({
    kind: pick<SampleToken["kind"][]>(
      "none",
      "none",
      "none",
      "none",
      "none",
      "good",
      "good",
      "good",
      "good",
      "good",
      "expired",
      "wrong-audience",
      "unknown-issuer",
      "forged",
    ),
    issuer: pick(...ISSUERS),
    subject: pick(...SUBJECTS),
    claims: pick(...CLAIMS),
  }),
});
