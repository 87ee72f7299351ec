import { field, refuse, RELAY_LIMITS, upTo } from "./message-rules.ts";
import type {
  Bound,
  ClientCredentials,
  ClusterReport,
  EnrollRequest,
  Hello,
  IntermediateRequest,
  IntermediateShape,
  ManagerMessage,
  Order,
  RelayedScope,
  SignedIntermediate,
} from "./messages.ts";

const DAY_MS = 86_400_000;

export type Refusal = Extract<ManagerMessage, { kind: "refusal" }>;

// Each returns the message with its sentences made fit to be printed, or throws MeshError `invalid` with the field that
// breaks a rule. Both ends hold what they write and what they read to them.

export const checkedEnroll = ({ token, cluster, csr, clock }: EnrollRequest): EnrollRequest => ({
  token: field.token(token),
  cluster: field.cluster(cluster),
  csr: field.csr(csr),
  clock: clock === undefined ? undefined : field.clock(clock),
});

export function checkedCredentials({ chain, relayRoots }: ClientCredentials): ClientCredentials {
  if (chain.length === 0) refuse("chain", "it is empty");
  if (relayRoots.length === 0) refuse("relay_roots", "there is none");
  return {
    chain: upTo(RELAY_LIMITS.chain, "chain", chain).map((pem) => field.certificatePem("chain", pem)),
    relayRoots: upTo(RELAY_LIMITS.roots, "relay_roots", relayRoots).map((pem) =>
      field.certificatePem("relay_roots", pem),
    ),
  };
}

export const checkedHello = ({ cluster, version, clock }: Hello): Hello => ({
  cluster: field.cluster(cluster),
  version: field.text(version),
  clock: field.clock(clock),
});

export const checkedRequest = ({ id, csr, generation }: IntermediateRequest): IntermediateRequest => ({
  id: field.word("id", id),
  csr: field.csr(csr),
  generation: field.word("generation", generation),
});

export const checkedReport = (report: ClusterReport): ClusterReport => ({
  generation: field.wordOrNone("generation", report.generation),
  roots: field.certificates("roots", report.roots, RELAY_LIMITS.roots),
  chain: field.certificates("chain", report.chain, RELAY_LIMITS.chain),
  signingRoot: field.fingerprint("signing_root", report.signingRoot),
  rootWaitMs: field.span("root_wait_ms", report.rootWaitMs, 0),
  waits: field.texts(report.waits),
  problems: field.texts(report.problems),
  restarts: field.texts(report.restarts),
  clock: field.clock(report.clock),
  version: field.text(report.version),
});

export function checkedSigned({ chain, root }: SignedIntermediate): SignedIntermediate {
  if (chain.length === 0) refuse("chain", "it is empty");
  return {
    chain: field.certificates("chain", chain, RELAY_LIMITS.chain),
    root: field.certificate("root", root),
  };
}

export const checkedRefusal = ({ id, code, reason, retryAfterMs }: Refusal): Refusal => ({
  kind: "refusal",
  id: field.wordOrNone("id", id),
  code: field.code(code),
  reason: field.text(reason),
  retryAfterMs: field.whole("retry_after_ms", retryAfterMs, 0, 365 * DAY_MS),
});

export function checkedOrder(order: Order): Order {
  if (order.roots.length === 0) refuse("roots", "there is none, and a cluster never trusts nobody");
  return {
    generation: field.word("generation", order.generation),
    trustDomain: field.trustDomain(order.trustDomain),
    intermediate: checkedShape(order.intermediate),
    roots: field.certificates("roots", order.roots, RELAY_LIMITS.roots),
    signingRoot: field.fingerprint("signing_root", order.signingRoot),
    autoRestartPods: order.autoRestartPods,
    bounds: order.bounds === undefined ? undefined : checkedBounds(order.bounds),
  };
}

const checkedShape = (shape: IntermediateShape): IntermediateShape => ({
  organization: field.nameAttribute("organization", shape.organization),
  commonName: field.nameAttribute("common_name", shape.commonName),
  pathLength: field.whole("path_length", shape.pathLength, 0, 127),
  lifetimeMs: field.span("lifetime_ms", shape.lifetimeMs, 1_000),
  keyType: field.keyType(shape.keyType),
  graceRatio: field.ratio(shape.graceRatio),
});

function checkedBounds(bounds: readonly Bound[]): readonly Bound[] {
  upTo(RELAY_LIMITS.bounds, "bounds", bounds);
  const scopes = bounds.flatMap(({ exports, imports }) => [...exports, ...imports]);
  const names = scopes.reduce((sum, scope) => sum + 1 + scope.namespaces.length + (scope.services?.length ?? 0), 0);
  if (names > RELAY_LIMITS.boundNames) refuse("bounds", `${names} names; ${RELAY_LIMITS.boundNames} is the most`);
  return bounds.map(({ cluster, exports, imports }) => ({
    cluster: cluster === undefined ? undefined : field.cluster(cluster),
    exports: exports.map(checkedScope),
    imports: imports.map(checkedScope),
  }));
}

const checkedScope = ({ namespaces, services }: RelayedScope): RelayedScope => ({
  namespaces: namespaces.map((name) => field.boundName("namespaces", name)),
  services: services?.map((name) => field.boundName("services", name)),
});
