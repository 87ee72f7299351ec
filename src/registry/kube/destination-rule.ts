import type { OutlierDetection } from "../model/proxy-backend.ts";
import type { Unread } from "./authorization-policy.ts";
import { durationOf } from "./duration.ts";
import { describe, FieldError, fieldsOf, integerOf, isAbsent, listOf, textOf, textsOf, type Fields } from "./fields.ts";
import { idOf, type Metadata, type ObjectId } from "./metadata.ts";
import { attempt, ERRORS_MAX } from "./route.ts";
import { isHostname } from "./workload-entry.ts";

/** How connections to a host are made, as a DestinationRule says it. */
export interface DestinationRule {
  readonly id: ObjectId;
  /** Lower case, as written; may begin with `*.`, or be `*`. */
  readonly host: string;
  /** Namespaces, `.` for its own, `*` for all; empty if nobody said, which is all. */
  readonly exportTo: readonly string[];
  readonly traffic: TrafficPolicy;
  /** What replaces `traffic` on single ports. */
  readonly ports: ReadonlyMap<number, TrafficPolicy>;
  /** What it says that has no effect. */
  readonly ignored: readonly Unread[];
}

/** What is said; undefined if nothing is. */
export interface TrafficPolicy {
  readonly connectTimeoutMs?: number;
  readonly maxConnections?: number;
  readonly maxPendingRequests?: number;
  readonly maxRequests?: number;
  readonly maxRequestsPerConnection?: number;
  readonly maxRetries?: number;
  readonly idleTimeoutMs?: number;
  readonly outlierDetection?: OutlierDetection;
  readonly balance?: "round-robin" | "least-request" | "random";
}

const COUNT_MAX = 2_147_483_647;
const PORTS_MAX = 256;
const SPEC_FIELDS = ["host", "trafficPolicy", "exportTo"];
const POLICY_FIELDS = ["connectionPool", "loadBalancer", "outlierDetection", "portLevelSettings"];

/** @throws FieldError only if it does not say which host it is for, or for whom. */
export function readDestinationRule(metadata: Metadata, object: Fields): DestinationRule {
  const spec = fieldsOf(object["spec"], "spec");
  const ignored: Unread[] = [];
  others(spec, "spec", SPEC_FIELDS, ignored);
  const policy = attempt(ignored, () => fieldsOf(spec["trafficPolicy"], "spec.trafficPolicy")) ?? {};
  return {
    id: idOf(metadata),
    host: hostOf(spec["host"]),
    exportTo: textsOf(spec["exportTo"], "spec.exportTo"),
    traffic: readPolicy(policy, "spec.trafficPolicy", ignored),
    ports: readPorts(policy, ignored),
    ignored: ignored.slice(0, ERRORS_MAX),
  };
}

function hostOf(value: unknown): string {
  const host = textOf(value, "spec.host", 253).toLowerCase();
  if (host !== "*" && !isHostname(host.startsWith("*.") ? host.slice(2) : host))
    throw new FieldError("spec.host", `is ${describe(value)}; name a host, as cart or cart.shop.svc.cluster.local`);
  return host;
}

function readPorts(policy: Fields, ignored: Unread[]): ReadonlyMap<number, TrafficPolicy> {
  const where = "spec.trafficPolicy.portLevelSettings";
  const list = attempt(ignored, () => listOf(policy["portLevelSettings"], where, PORTS_MAX)) ?? [];
  return new Map(
    list.flatMap((item, at): [number, TrafficPolicy][] => {
      const field = `${where}[${at}]`;
      const found = attempt(ignored, () => {
        const settings = fieldsOf(item, field);
        const port = integerOf(
          fieldsOf(settings["port"], `${field}.port`)["number"],
          `${field}.port.number`,
          1,
          65_535,
        );
        if (port === undefined) throw new FieldError(`${field}.port.number`, "is missing");
        return { port, settings };
      });
      return found ? [[found.port, readPolicy(found.settings, field, ignored, ["port"])]] : [];
    }),
  );
}

function readPolicy(policy: Fields, field: string, ignored: Unread[], known: readonly string[] = []): TrafficPolicy {
  const part = (of: Fields, at: string, name: string): Fields =>
    attempt(ignored, () => fieldsOf(of[name], `${at}.${name}`)) ?? {};
  others(policy, field, [...POLICY_FIELDS, ...known], ignored);
  const pool = part(policy, field, "connectionPool");
  const at = `${field}.connectionPool`;
  others(pool, at, ["tcp", "http"], ignored);
  const balance = readBalance(part(policy, field, "loadBalancer"), `${field}.loadBalancer`, ignored);
  const outliers = policy["outlierDetection"];
  return {
    ...readTcp(part(pool, at, "tcp"), `${at}.tcp`, ignored),
    ...readHttp(part(pool, at, "http"), `${at}.http`, ignored),
    ...(balance !== undefined && { balance }),
    ...(!isAbsent(outliers) && {
      outlierDetection: readOutliers(part(policy, field, "outlierDetection"), `${field}.outlierDetection`, ignored),
    }),
  };
}

/** Reads numbers and times of one map; 0 is how Istio says nothing. */
function reader(fields: Fields, field: string, ignored: Unread[]) {
  return {
    count: (name: string): number | undefined =>
      attempt(ignored, () => integerOf(fields[name], `${field}.${name}`, 0, COUNT_MAX)) || undefined,
    ms: (name: string): number | undefined =>
      attempt(ignored, () => durationOf(fields[name], `${field}.${name}`)) || undefined,
  };
}

type Parts = Record<string, number | undefined>;
const said = (parts: Parts): TrafficPolicy =>
  Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined));

function readTcp(tcp: Fields, field: string, ignored: Unread[]): TrafficPolicy {
  others(tcp, field, ["maxConnections", "connectTimeout", "idleTimeout"], ignored);
  const { count, ms } = reader(tcp, field, ignored);
  return said({
    maxConnections: count("maxConnections"),
    connectTimeoutMs: ms("connectTimeout"),
    idleTimeoutMs: ms("idleTimeout"),
  });
}

const HTTP_FIELDS = [
  "http1MaxPendingRequests",
  "http2MaxRequests",
  "maxRequestsPerConnection",
  "maxRetries",
  "idleTimeout",
];

function readHttp(http: Fields, field: string, ignored: Unread[]): TrafficPolicy {
  others(http, field, HTTP_FIELDS, ignored);
  const { count, ms } = reader(http, field, ignored);
  return said({
    maxPendingRequests: count("http1MaxPendingRequests"),
    maxRequests: count("http2MaxRequests"),
    maxRequestsPerConnection: count("maxRequestsPerConnection"),
    maxRetries: count("maxRetries"),
    idleTimeoutMs: ms("idleTimeout"),
  });
}

const BALANCES: ReadonlyMap<unknown, TrafficPolicy["balance"]> = new Map([
  ["ROUND_ROBIN", "round-robin"],
  ["LEAST_REQUEST", "least-request"],
  ["LEAST_CONN", "least-request"],
  ["RANDOM", "random"],
  ["UNSPECIFIED", undefined],
]);

function readBalance(balancer: Fields, field: string, ignored: Unread[]): TrafficPolicy["balance"] {
  others(balancer, field, ["simple"], ignored);
  const { simple } = balancer;
  if (isAbsent(simple) || BALANCES.has(simple)) return BALANCES.get(simple);
  const message = `is ${describe(simple)}, which is not supported; use ROUND_ROBIN, LEAST_REQUEST or RANDOM`;
  ignored.push({ field: `${field}.simple`, message });
  return undefined;
}

const OUTLIER_FIELDS = [
  "consecutive5xxErrors",
  "consecutiveErrors",
  "consecutiveGatewayErrors",
  "interval",
  "baseEjectionTime",
  "maxEjectionPercent",
];

/** What is not said is as Istio has it: five failures in a row, looked at each 10 s, 30 s, a tenth of the endpoints. */
function readOutliers(outliers: Fields, field: string, ignored: Unread[]): OutlierDetection {
  others(outliers, field, OUTLIER_FIELDS, ignored);
  const { ms } = reader(outliers, field, ignored);
  const count = (name: string, max = COUNT_MAX): number | undefined =>
    attempt(ignored, () => integerOf(outliers[name], `${field}.${name}`, 0, max));
  const gateway = count("consecutiveGatewayErrors") ?? count("consecutiveErrors");
  return {
    // 0 turns one kind of counting off.
    consecutive5xx: (count("consecutive5xxErrors") ?? 5) || undefined,
    consecutiveGatewayErrors: gateway || undefined,
    intervalMs: ms("interval") ?? 10_000,
    baseEjectionMs: ms("baseEjectionTime") ?? 30_000,
    maxEjectionPercent: count("maxEjectionPercent", 100) ?? 10,
  };
}

const WHY: Readonly<Record<string, string>> = {
  subsets: "have no effect at waypoints; give each version a Service, and share between them with an HTTPRoute",
  workloadSelector: "chooses sidecars, and has no effect at waypoints",
  tls: "has no effect: waypoints and their callers always use the mesh's mutual TLS",
};

function others(fields: Fields, field: string, known: readonly string[], ignored: Unread[]): void {
  for (const name of Object.keys(fields).slice(0, 64))
    if (!known.includes(name) && !isAbsent(fields[name]))
      ignored.push({
        field: `${field}.${name.slice(0, 80)}`,
        message: WHY[name] ?? "is not supported, and has no effect",
      });
}
