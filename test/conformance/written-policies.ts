import type { KubeObject } from "../../src/kube/object.ts";
import { guard, tokens } from "../registry/gateways/proxied.ts";

export const ISSUER = "https://issuer.example";
/** A request. */
export interface Ask {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Claims of a token of the issuer. */
  readonly token?: Readonly<Record<string, unknown>>;
  /** Somebody else signs it. */
  readonly forged?: boolean;
}

/** A request, and how it is answered. */
export type Answer = readonly [status: number, ask: Ask];

const operation = (fields: object) => ({ to: [{ operation: fields }] });
const source = (fields: object) => ({ from: [{ source: fields }] });
const [GET, DELETE] = [{ method: "GET" }, { method: "DELETE" }] as const;
const withToken = { token: { groups: ["staff"], scope: "read write" } };
export const RULES = 10_000;

/** As long as it may be. */
const long = (begin: string, unit: string, length = 2_048): string =>
  begin + unit.repeat(Math.floor((length - begin.length) / unit.length));
const PATH = long("/a", "/{*}", 1_000);

const issuer = (rule: object): KubeObject => tokens({ jwtRules: [{ issuer: ISSUER, audiences: ["shop"], ...rule }] });

/** Policies as their authors write them, and how requests to Service shop/cart are answered. */
export const scenarios: readonly (readonly [
  what: string,
  objects: (jwks: string) => readonly KubeObject[],
  answers: readonly Answer[],
])[] = [
  [
    "the read-only policy of guide 000 lets GET pass on its paths, and nothing else",
    () => [guard({ action: "ALLOW", rules: [operation({ methods: ["GET"], paths: ["/reviews/*"] })] })],
    [
      [200, { ...GET, path: "/reviews/7" }],
      [200, { ...GET, path: "/reviews/7?page=2" }],
      [403, { ...DELETE, path: "/reviews/7" }],
      [403, { ...GET, path: "/other" }],
    ],
  ],
  [
    "templates match whole segments",
    () => [guard({ action: "DENY", rules: [operation({ paths: ["/a/{*}/b", "/c/{**}"] })] })],
    [
      [403, { path: "/a/x/b" }],
      [200, { path: "/a/x/y/b" }],
      [403, { path: "/c/x/y" }],
      [200, { path: "/d" }],
    ],
  ],
  [
    "hosts match without regard to case and port",
    () => [guard({ action: "DENY", rules: [operation({ hosts: ["admin.example", "*.inner"] })] })],
    [
      [403, { host: "Admin.Example:80" }],
      [403, { host: "x.INNER" }],
      [200, { host: "cart.shop" }],
    ],
  ],
  [
    "the caller's namespace and service account count, and where it is",
    () => [
      guard({
        rules: [
          {
            ...source({ namespaces: ["shop"], serviceAccounts: ["web"], ipBlocks: ["127.0.0.0/8"] }),
            ...operation({ methods: ["GET"] }),
          },
          { ...source({ notPrincipals: ["cluster.local/ns/shop/sa/web"] }) },
        ],
      }),
    ],
    [
      [200, GET],
      [403, DELETE],
    ],
  ],
  [
    "conditions on headers count, those that are not there too",
    () => [
      guard({
        action: "DENY",
        rules: [{ when: [{ key: "request.headers[X-Team]", notValues: ["red", "blue*"] }] }],
      }),
    ],
    [
      [200, { headers: { "x-team": "red" } }],
      [200, { headers: { "x-team": "blue-2" } }],
      [403, { headers: { "x-team": "green" } }],
      [403, {}],
    ],
  ],
  [
    "a token is asked for, and what it says counts",
    (jwks) => [
      issuer({ jwks }),
      guard({
        rules: [
          {
            ...source({ requestPrincipals: [`${ISSUER}/*`] }),
            when: [
              { key: "request.auth.claims[groups]", values: ["staff"] },
              { key: "request.auth.claims[scope]", values: ["write"] },
            ],
          },
        ],
      }),
    ],
    [
      [403, {}],
      [200, withToken],
      [401, { ...withToken, forged: true }],
      [403, { token: { groups: ["guests"], scope: "read write" } }],
      [403, { token: { groups: ["staff"], scope: "read" } }],
    ],
  ],
  [
    "a rule that cannot be used takes no token of its issuer, and is nothing to those who show none",
    () => [issuer({ jwksUri: "http://localhost:15000/keys" })],
    [
      [401, withToken],
      [200, {}],
    ],
  ],
  [
    "with two rules for one issuer either takes a token",
    (jwks) => [
      tokens({
        jwtRules: [
          { issuer: ISSUER, audiences: ["desk"], jwks },
          { issuer: ISSUER, audiences: ["shop"], jwks },
        ],
      }),
    ],
    [
      [200, withToken],
      [401, { ...withToken, forged: true }],
    ],
  ],
  [
    "CUSTOM denies what it was to ask about",
    () => [guard({ action: "CUSTOM", provider: { name: "opa" }, rules: [operation({ methods: ["DELETE"] })] })],
    [
      [403, DELETE],
      [200, GET],
    ],
  ],
  [
    "a DENY of which nobody can read the methods denies all on its path",
    () => [guard({ action: "DENY", rules: [operation({ methods: 7, paths: ["/a"] })] })],
    [
      [403, { path: "/a" }],
      [200, { path: "/b" }],
    ],
  ],
  [
    "a dry run denies nobody",
    () => [guard({ action: "DENY", rules: [{}] }, { annotations: { "istio.io/dry-run": "true" } })],
    [[200, {}]],
  ],
  [
    "ten thousand rules are enforced to the last",
    () => [
      guard({
        rules: Array.from({ length: RULES }, (_, at) => operation({ methods: ["GET"], paths: [`/p/${at}`] })),
      }),
    ],
    [
      [200, { path: `/p/${RULES - 1}` }],
      [200, { path: "/p/0" }],
      [403, { path: `/p/${RULES}` }],
    ],
  ],
  [
    "values of any length that is read are taken",
    () => [
      guard({
        action: "DENY",
        rules: [
          operation({ hosts: [long("h", "o.", 250)], methods: ["GET"] }),
          operation({ hosts: [long("*.h", "o.")], paths: [PATH, long("/p", "q")] }),
          source({ principals: [long("*/ns/", "n")] }),
          source({ requestPrincipals: [long("https://", "x/", 120)] }),
          source({ namespaces: [long("n", "x")], serviceAccounts: [`${long("n", "x", 60)}/${long("s", "y", 250)}`] }),
          { when: [{ key: "request.headers[x-long]", values: [long("v", "w")] }] },
          operation({ paths: [PATH] }),
        ],
      }),
    ],
    [
      [403, { host: `${long("h", "o.", 250)}:80` }],
      [403, { path: PATH.replaceAll("{*}", "x") }],
      [403, { headers: { "x-long": long("v", "w") } }],
      [200, {}],
    ],
  ],
];
