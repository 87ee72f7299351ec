import Long from "long";
import { causeway } from "../../proto/gen/mesh.js";
import { MeshError, messageOf } from "../errors.ts";
import {
  checkedCredentials,
  checkedEnroll,
  checkedHello,
  checkedOrder,
  checkedRefusal,
  checkedReport,
  checkedRequest,
  checkedSigned,
  type Refusal,
} from "./checked-messages.ts";
import { field, refuse, RELAY_LIMITS } from "./message-rules.ts";
import type {
  Bound,
  ClientCredentials,
  ClusterMessage,
  ClusterReport,
  EnrollRequest,
  Hello,
  IntermediateRequest,
  IntermediateShape,
  ManagerMessage,
  Order,
  RelayedScope,
  RenewRequest,
} from "./messages.ts";

const relay = causeway.relay;

/** Any key in PEM has it in its first line. DER of one is none of a certificate, which all bytes must be. */
const KEY_MARK = "PRIVATE KEY-----";

/** @throws MeshError as all `encode…` here: `invalid`, naming the field that breaks a rule; nothing is sent then. */
export const encodeEnrollRequest = (value: EnrollRequest): Uint8Array =>
  encoded("an EnrollRequest", RELAY_LIMITS.requestBytes, () => {
    const { token, cluster, csr, clock } = checkedEnroll(value);
    return relay.EnrollRequest.encode({ token, cluster, csr, clockMs: long(clock ?? 0) });
  });

/** @throws MeshError as all `decode…` here: `invalid` for bytes that are no such message, naming the field. */
export const decodeEnrollRequest = (bytes: Uint8Array): EnrollRequest =>
  decoded("an EnrollRequest", bytes, RELAY_LIMITS.requestBytes, () => {
    const { token, cluster, csr, clockMs } = relay.EnrollRequest.decode(bytes);
    const clock = clockMs.isZero() ? undefined : clockMs.toNumber();
    return checkedEnroll({ token, cluster: field.cluster(cluster), csr, clock });
  });

export const encodeRenewRequest = ({ csr }: RenewRequest): Uint8Array =>
  encoded("a RenewRequest", RELAY_LIMITS.requestBytes, () => relay.RenewRequest.encode({ csr: field.csr(csr) }));

export const decodeRenewRequest = (bytes: Uint8Array): RenewRequest =>
  decoded("a RenewRequest", bytes, RELAY_LIMITS.requestBytes, () => ({
    csr: field.csr(relay.RenewRequest.decode(bytes).csr),
  }));

/** What answers Enroll and Renew. */
export const encodeClientCredentials = (value: ClientCredentials): Uint8Array =>
  encoded("an EnrollResponse", RELAY_LIMITS.managerMessageBytes, () => {
    const { chain, relayRoots } = checkedCredentials(value);
    return relay.EnrollResponse.encode({ chain: [...chain], relayRoots: [...relayRoots] });
  });

export const decodeClientCredentials = (bytes: Uint8Array): ClientCredentials =>
  decoded("an EnrollResponse", bytes, RELAY_LIMITS.managerMessageBytes, () =>
    checkedCredentials(relay.EnrollResponse.decode(bytes)),
  );

export const encodeClusterMessage = (message: ClusterMessage): Uint8Array =>
  encoded(`a message of the kind ${message.kind}`, RELAY_LIMITS.clusterMessageBytes, () =>
    relay.ClusterMessage.encode(fromClusterMessage(message)),
  );

function fromClusterMessage(message: ClusterMessage): causeway.relay.IClusterMessage {
  switch (message.kind) {
    case "hello": {
      const { cluster, version, clock } = checkedHello(message.hello);
      return { hello: { cluster, version, clockMs: long(clock) } };
    }
    case "request":
      return { request: checkedRequest(message.request) };
    case "report":
      return { report: fromReport(checkedReport(message.report)) };
    case "ping":
      return { ping: { clockMs: long(field.clock(message.clock)) } };
  }
}

export const decodeClusterMessage = (bytes: Uint8Array): ClusterMessage =>
  decoded("a ClusterMessage", bytes, RELAY_LIMITS.clusterMessageBytes, () => {
    const { hello, request, report, ping } = relay.ClusterMessage.decode(bytes);
    if (hello != null) return { kind: "hello", hello: toHello(hello) };
    if (request != null) return { kind: "request", request: toRequest(request) };
    if (report != null) return { kind: "report", report: toReport(report) };
    return ping == null ? unknown() : { kind: "ping", clock: field.clock(number(ping.clockMs)) };
  });

export const encodeManagerMessage = (message: ManagerMessage): Uint8Array =>
  encoded(`a message of the kind ${message.kind}`, RELAY_LIMITS.managerMessageBytes, () =>
    relay.ManagerMessage.encode(fromManagerMessage(message)),
  );

function fromManagerMessage(message: ManagerMessage): causeway.relay.IManagerMessage {
  switch (message.kind) {
    case "order":
      return { order: fromOrder(checkedOrder(message.order)) };
    case "certificate": {
      const { chain, root } = checkedSigned(message.signed);
      return { certificate: { id: field.word("id", message.id), chain: [...chain], root } };
    }
    case "refusal": {
      const { id, code, reason, retryAfterMs } = checkedRefusal(message);
      return { refusal: { id, code, reason, retryAfterMs: long(retryAfterMs) } };
    }
    case "ping":
      return { ping: { clockMs: long(field.clock(message.clock)) } };
  }
}

export const decodeManagerMessage = (bytes: Uint8Array): ManagerMessage =>
  decoded("a ManagerMessage", bytes, RELAY_LIMITS.managerMessageBytes, () => {
    const { order, certificate, refusal, ping } = relay.ManagerMessage.decode(bytes);
    if (order != null) return { kind: "order", order: toOrder(order) };
    if (certificate != null) return toCertificate(certificate);
    if (refusal != null) return toRefusal(refusal);
    return ping == null ? unknown() : { kind: "ping", clock: field.clock(number(ping.clockMs)) };
  });

const toHello = ({ cluster, version, clockMs }: causeway.relay.IHello): Hello =>
  checkedHello({ cluster: field.cluster(cluster ?? ""), version: version ?? "", clock: number(clockMs) });

const toRequest = ({ id, csr, generation }: causeway.relay.ICertificateRequest): IntermediateRequest =>
  checkedRequest({ id: id ?? "", csr: csr ?? "", generation: generation ?? "" });

function fromReport(report: ClusterReport): causeway.relay.IReport {
  return {
    generation: report.generation,
    roots: [...report.roots],
    chain: [...report.chain],
    signingRoot: report.signingRoot ?? "",
    rootWaitMs: long(report.rootWaitMs),
    waits: [...report.waits],
    problems: [...report.problems],
    restarts: [...report.restarts],
    clockMs: long(report.clock),
    version: report.version,
  };
}

const toReport = (report: causeway.relay.IReport): ClusterReport =>
  checkedReport({
    generation: report.generation ?? "",
    roots: report.roots ?? [],
    chain: report.chain ?? [],
    signingRoot: report.signingRoot ?? "",
    rootWaitMs: number(report.rootWaitMs),
    waits: report.waits ?? [],
    problems: report.problems ?? [],
    restarts: report.restarts ?? [],
    clock: number(report.clockMs),
    version: report.version ?? "",
  });

function toCertificate({ id, chain, root }: causeway.relay.ICertificate): ManagerMessage {
  const signed = checkedSigned({ chain: chain ?? [], root: root ?? new Uint8Array() });
  return { kind: "certificate", id: field.word("id", id ?? ""), signed };
}

const toRefusal = ({ id, code, reason, retryAfterMs }: causeway.relay.IRefusal): Refusal =>
  checkedRefusal({
    kind: "refusal",
    id: id ?? "",
    code: field.code(code ?? ""),
    reason: reason ?? "",
    retryAfterMs: number(retryAfterMs),
  });

function fromOrder(order: Order): causeway.relay.IOrder {
  const { lifetimeMs, ...shape } = order.intermediate;
  return {
    generation: order.generation,
    trustDomain: order.trustDomain,
    intermediate: { ...shape, lifetimeMs: long(lifetimeMs) },
    roots: [...order.roots],
    signingRoot: order.signingRoot ?? "",
    autoRestartPods: order.autoRestartPods,
    bounds: order.bounds === undefined ? null : { bounds: order.bounds.map(fromBound) },
  };
}

function toOrder(order: causeway.relay.IOrder): Order {
  if (order.intermediate == null) return refuse("intermediate", "it is missing");
  return checkedOrder({
    generation: order.generation ?? "",
    trustDomain: order.trustDomain ?? "",
    intermediate: toShape(order.intermediate),
    roots: order.roots ?? [],
    signingRoot: order.signingRoot ?? "",
    autoRestartPods: order.autoRestartPods ?? false,
    bounds: order.bounds == null ? undefined : (order.bounds.bounds ?? []).map(toBound),
  });
}

const toShape = (shape: causeway.relay.IIntermediate): IntermediateShape => ({
  organization: shape.organization ?? "",
  commonName: shape.commonName ?? "",
  pathLength: shape.pathLength ?? 0,
  lifetimeMs: number(shape.lifetimeMs),
  keyType: field.keyType(shape.keyType ?? ""),
  graceRatio: shape.graceRatio ?? 0,
});

const fromBound = ({ cluster, exports, imports }: Bound): causeway.relay.IBound => ({
  cluster: cluster ?? "",
  exports: exports.map(fromScope),
  imports: imports.map(fromScope),
});

const toBound = ({ cluster, exports, imports }: causeway.relay.IBound): Bound => ({
  cluster: (cluster ?? "") === "" ? undefined : field.cluster(cluster!),
  exports: (exports ?? []).map(toScope),
  imports: (imports ?? []).map(toScope),
});

const fromScope = ({ namespaces, services }: RelayedScope): causeway.relay.IScope => ({
  namespaces: [...namespaces],
  services: [...(services ?? [])],
  allServices: services === undefined,
});

function toScope({ namespaces, services, allServices }: causeway.relay.IScope): RelayedScope {
  if (allServices === true && (services ?? []).length > 0) refuse("services", "they are listed, and all of them");
  return { namespaces: namespaces ?? [], services: allServices === true ? undefined : (services ?? []) };
}

const long = (value: number): Long => Long.fromNumber(value);
/** What does not fit into a number is over every bound. */
const number = (value: Long | number | null | undefined): number => (value == null ? 0 : Number(value));

/** A kind that is not known here is skipped by the decoder; of several the last is left, as protobuf has it. */
function unknown(): never {
  return refuse("message", "it is of no kind that is known here");
}

function encoded(what: string, bytesMax: number, encode: () => { finish(): Uint8Array }): Uint8Array {
  return failing(`${what} cannot be sent`, () => {
    const bytes = encode().finish();
    if (Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(KEY_MARK))
      refuse("message", "a private key is in it, which never leaves its cluster");
    if (bytes.length > bytesMax) refuse("message", `it has ${bytes.length} bytes; ${bytesMax} is the most`);
    return bytes;
  });
}

function decoded<T>(what: string, bytes: Uint8Array, bytesMax: number, decode: () => T): T {
  return failing(`the message is not ${what}`, () => {
    if (bytes.length > bytesMax) refuse("message", `it has ${bytes.length} bytes; ${bytesMax} is the most`);
    return decode();
  });
}

function failing<T>(what: string, step: () => T): T {
  try {
    return step();
  } catch (thrown) {
    throw new MeshError("invalid", `${what}: ${messageOf(thrown)}`, {}, { cause: thrown });
  }
}
