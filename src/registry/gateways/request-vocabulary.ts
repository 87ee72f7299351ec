import type { Cidr, ServiceAccountMatch, StringMatch } from "../model/policy.ts";
import type { Condition, Matches, OperationMatch, PathTemplate, SourceMatch } from "../model/proxy-policies.ts";
import type { ReadableAttribute, Vocabulary } from "../policy-rules.ts";
import { cidr, EXPECTS, port, principal, serviceAccount, stringMatch } from "../policy-values.ts";

/** What each attribute's values are. */
interface Values {
  readonly principals: StringMatch;
  readonly requestPrincipals: StringMatch;
  readonly namespaces: StringMatch;
  readonly serviceAccounts: ServiceAccountMatch;
  readonly ipBlocks: Cidr;
  readonly remoteIpBlocks: Cidr;
  readonly hosts: StringMatch;
  readonly ports: number;
  readonly methods: StringMatch;
  readonly paths: StringMatch | PathTemplate;
  /** Of headers, claims and server names. */
  readonly texts: StringMatch;
  /** Where the caller meant to go. */
  readonly addresses: Cidr;
}

/** As rules say it: an attribute, and `not` with its negation. */
export type WrittenMatch = {
  readonly [K in keyof Values as K | `not${Capitalize<K>}`]?: readonly Values[K][];
};

const negated = <K extends string>(key: K) => `not${key[0]!.toUpperCase()}${key.slice(1)}` as `not${Capitalize<K>}`;

type Attribute = ReadableAttribute<WrittenMatch>;

const READERS: {
  readonly [K in keyof Values]: readonly [(value: unknown, own: string) => Values[K] | undefined, string];
} = {
  principals: [principal, EXPECTS.wildcards],
  requestPrincipals: [requestPrincipal, 'which no token has; use <issuer>/<subject>, or text with "*" only at one end'],
  namespaces: [stringMatch, EXPECTS.wildcards],
  serviceAccounts: [serviceAccount, EXPECTS.accounts],
  ipBlocks: [cidr, EXPECTS.cidrs],
  remoteIpBlocks: [cidr, EXPECTS.cidrs],
  hosts: [host, 'which no host matches; use text with "*" only at one end'],
  ports: [port, EXPECTS.ports],
  methods: [stringMatch, 'which no method matches; use text with "*" only at one end'],
  paths: [
    path,
    'which no path matches; use "/" and more, without a query, with "*" only at one end, or a template whose segments are text, {*}, or last {**}',
  ],
  texts: [stringMatch, 'which is no pattern here; use text with "*" only at one end'],
  addresses: [cidr, EXPECTS.cidrs],
};

function attributes<K extends keyof Values>(key: K): { readonly plain: Attribute; readonly negated: Attribute } {
  const [read, expects] = READERS[key];
  const as = (name: string): Attribute => ({ read, expects, match: (values) => ({ [name]: values }) });
  return { plain: as(key), negated: as(negated(key)) };
}

function fields(...keys: readonly (keyof Values)[]): ReadonlyMap<string, Attribute> {
  return new Map(
    keys.flatMap((key): [string, Attribute][] => [
      [key, attributes(key).plain],
      [negated(key), attributes(key).negated],
    ]),
  );
}

const SOURCE_KEYS = [
  "principals",
  "requestPrincipals",
  "namespaces",
  "serviceAccounts",
  "ipBlocks",
  "remoteIpBlocks",
] as const;
const OPERATION_KEYS = ["hosts", "ports", "methods", "paths"] as const;

/** Keys of `when` whose attribute has a name of its own elsewhere. */
const SAME_AS: ReadonlyMap<string, keyof Values> = new Map<string, keyof Values>([
  ["source.ip", "ipBlocks"],
  ["source.namespace", "namespaces"],
  ["source.principal", "principals"],
  ["source.serviceAccount", "serviceAccounts"],
  ["remote.ip", "remoteIpBlocks"],
  ["request.auth.principal", "requestPrincipals"],
  ["destination.port", "ports"],
  ["destination.ip", "addresses"],
  ["connection.sni", "texts"],
]);

/** Claims with keys of their own. */
const CLAIMS: ReadonlyMap<string, string> = new Map([
  ["request.auth.audiences", "aud"],
  ["request.auth.presenter", "azp"],
]);

/** All that a waypoint can look at. */
export const L7_VOCABULARY: Vocabulary<WrittenMatch> = {
  source: fields(...SOURCE_KEYS),
  operation: fields(...OPERATION_KEYS),
  condition: (key) => {
    const same = SAME_AS.get(key) ?? (headerOf(key) !== undefined || claimOf(key) !== undefined ? "texts" : undefined);
    if (same === undefined) return undefined;
    const { plain, negated } = attributes(same);
    return new Map([
      ["values", plain],
      ["notValues", negated],
    ]);
  },
};

export const sourceMatch = (written: WrittenMatch): SourceMatch => matchOf(SOURCE_KEYS, written);
export const operationMatch = (written: WrittenMatch): OperationMatch => matchOf(OPERATION_KEYS, written);

/** Those of `keys` that are there. */
function matchOf<K extends keyof Values>(keys: readonly K[], written: WrittenMatch) {
  const found = keys.flatMap((key) => {
    const matches = matchesOf(key, written);
    return matches === undefined ? [] : [[key, matches] as const];
  });
  return Object.fromEntries(found) as { readonly [N in K]?: Matches<Values[N]> };
}

function matchesOf<K extends keyof Values>(key: K, written: WrittenMatch): Matches<Values[K]> | undefined {
  const values = (written[key] ?? []) as readonly Values[K][];
  const notValues = (written[negated(key) as keyof WrittenMatch] ?? []) as readonly Values[K][];
  return values.length + notValues.length === 0 ? undefined : { values, notValues };
}

const NONE: Matches<never> = { values: [], notValues: [] };

/** A `when` whose key `L7_VOCABULARY` knows. */
export function conditionOf(key: string, written: WrittenMatch): Condition {
  const texts = matchesOf("texts", written) ?? NONE;
  const header = headerOf(key);
  if (header !== undefined) return { on: "header", name: header, match: texts };
  const claim = claimOf(key);
  if (claim !== undefined) return { on: "claim", path: claim, match: texts };
  if (key === "connection.sni") return { on: "serverName", match: texts };
  if (key === "destination.ip") return { on: "destinationIp", match: matchesOf("addresses", written) ?? NONE };
  return key === "destination.port"
    ? { on: "operation", match: operationMatch(written) }
    : { on: "source", match: sourceMatch(written) };
}

/** Lower case; a pseudo-header, as `:authority`, is one, too. */
const headerOf = (key: string): string | undefined =>
  /^request\.headers\[(:?[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256})\]$/.exec(key)?.[1]?.toLowerCase();

/** Of `request.auth.claims[realm_access][roles]`, say. */
function claimOf(key: string): readonly string[] | undefined {
  const own = CLAIMS.get(key);
  if (own !== undefined) return [own];
  const [, path] = /^request\.auth\.claims((?:\[[^[\]]{1,256}\]){1,16})$/.exec(key) ?? [];
  return path?.slice(1, -1).split("][");
}

/** Compared without regard to case. */
function host(value: unknown): StringMatch | undefined {
  return stringMatch(typeof value === "string" ? value.toLowerCase() : value);
}

/** Any slash may be the one between issuer and subject; proxies try them all. */
const SLASHES_MAX = 64;

function requestPrincipal(value: unknown): StringMatch | undefined {
  const match = stringMatch(value);
  if (match === undefined || match.kind === "presence") return match;
  const slashes = match.value.split("/").length - 1;
  return slashes > SLASHES_MAX || (match.kind === "exact" && slashes === 0) ? undefined : match;
}

/** The query is no part of it. */
function path(value: unknown): StringMatch | PathTemplate | undefined {
  if (typeof value !== "string" || /[?#\s]/.test(value)) return undefined;
  if (/[{}]/.test(value)) return isTemplate(value) ? { kind: "template", value } : undefined;
  const match = stringMatch(value);
  const begins = match?.kind === "exact" || match?.kind === "prefix";
  return begins && !match.value.startsWith("/") ? undefined : match;
}

/** Segments of what RFC 3986 lets be in them, but for stars; operators fill a whole segment, and none follows `{**}`. */
function isTemplate(text: string): boolean {
  if (!text.startsWith("/") || text.length > 2048) return false;
  const segments = text.slice(1).split("/");
  const isSound = (segment: string): boolean =>
    segment === "{*}" || segment === "{**}" || /^[A-Za-z0-9._~%!$&'()+,;:@=-]*$/.test(segment);
  const operators = segments.filter((segment) => segment.startsWith("{"));
  return (
    segments.every(isSound) &&
    operators.indexOf("{**}") === operators.lastIndexOf("{**}") &&
    !operators.slice(0, -1).includes("{**}")
  );
}
