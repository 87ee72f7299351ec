import { isTrustDomain } from "../../spiffe.ts";
import { isClusterId, type ClusterId } from "../../names.ts";
import { FieldError, isAbsent, isFields, listOf, textOf, type Fields } from "./fields.ts";
import { idOf, type Metadata, type ObjectId } from "./metadata.ts";
import { onlyFieldsOf } from "./service-scope.ts";

/** What a peer may take from us, and what it may bring (contract peering.md 2.3 and 2.18). */
export interface PeerGrant {
  readonly id: ObjectId;
  /** Whom it is for; with a trust domain as well only if both fit. Never both undefined. */
  readonly cluster: ClusterId | undefined;
  readonly trustDomain: string | undefined;
  /** What it may read here; undefined if the grant does not limit that. */
  readonly exports: GrantScope | undefined;
  /** What it may contribute endpoints to; undefined if the grant does not limit that. */
  readonly imports: GrantScope | undefined;
}

/** A service is in it if its namespace and its name both are. */
export interface GrantScope {
  /** Names, or patterns in which `*` stands for any text; empty is none at all. */
  readonly namespaces: readonly string[];
  /** Names of Services, likewise; undefined is all of those namespaces. */
  readonly services: readonly string[] | undefined;
}

const PATTERN = /^[a-z0-9*]([a-z0-9.*-]*[a-z0-9*])?$/;
const PATTERNS_MAX = 1_000;

/** @throws FieldError, also for a field that nobody knows: what is spelled wrongly must not grant more than was meant. */
export function readPeerGrant(metadata: Metadata, object: Fields): PeerGrant {
  const spec = onlyFieldsOf(object["spec"], "spec", ["cluster", "trustDomain", "export", "import"]);
  const cluster = textOf(spec["cluster"], "spec.cluster", 128);
  const trustDomain = textOf(spec["trustDomain"], "spec.trustDomain", 255);
  if (cluster === "" && trustDomain === "")
    throw new FieldError("spec", "names nobody; give the peer's cluster, or its trustDomain");
  if (cluster !== "" && !isClusterId(cluster))
    throw new FieldError("spec.cluster", `is ${JSON.stringify(cluster)}; use letters, digits, '.', '-' and '_'`);
  if (trustDomain !== "" && !isTrustDomain(trustDomain))
    throw new FieldError("spec.trustDomain", `is ${JSON.stringify(trustDomain)}; give a trust domain, as bank.example`);
  return {
    id: idOf(metadata),
    cluster: cluster === "" ? undefined : (cluster as ClusterId),
    trustDomain: trustDomain || undefined,
    exports: scopeOf(spec["export"], "spec.export"),
    imports: scopeOf(spec["import"], "spec.import"),
  };
}

function scopeOf(value: unknown, field: string): GrantScope | undefined {
  if (isAbsent(value)) return undefined;
  const { namespaces, services } = onlyFieldsOf(value, field, ["namespaces", "services"]);
  return {
    namespaces: isAbsent(namespaces) ? ["*"] : patternsOf(namespaces, `${field}.namespaces`),
    services: isAbsent(services) ? undefined : patternsOf(services, `${field}.services`),
  };
}

function patternsOf(value: unknown, field: string): readonly string[] {
  return listOf(value, field, PATTERNS_MAX).map((item, at) => {
    const text = textOf(item, `${field}[${at}]`, 253);
    if (PATTERN.test(text)) return text;
    throw new FieldError(`${field}[${at}]`, `is ${JSON.stringify(text)}; give a name, or a pattern as shop-*`);
  });
}

const NOTHING: GrantScope = { namespaces: [], services: undefined };

/** One that never was readable grants nothing to whom it names, or to anybody if that cannot be read either. */
export function readDoubtfulPeerGrant(metadata: Metadata, object: Fields): PeerGrant {
  const { cluster, trustDomain } = isFields(object["spec"]) ? object["spec"] : {};
  return {
    id: idOf(metadata),
    cluster: typeof cluster === "string" && isClusterId(cluster) ? cluster : undefined,
    trustDomain: typeof trustDomain === "string" && isTrustDomain(trustDomain) ? trustDomain : undefined,
    exports: NOTHING,
    imports: NOTHING,
  };
}

/** True if the scope takes in the service. */
export function inScope({ namespaces, services }: GrantScope, namespace: string, name: string): boolean {
  return (
    namespaces.some((pattern) => matches(pattern, namespace)) &&
    (services === undefined || services.some((pattern) => matches(pattern, name)))
  );
}

/** `*` stands for any text, also for none; piece by piece, as a regular expression of many stars could take for ever. */
export function matches(pattern: string, text: string): boolean {
  const pieces = pattern.split("*");
  const [head, tail] = [pieces[0]!, pieces.at(-1)!];
  if (pieces.length === 1) return pattern === text;
  if (!text.startsWith(head) || !text.endsWith(tail) || text.length < head.length + tail.length) return false;
  let at = head.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = text.indexOf(piece, at);
    if (found < 0 || found + piece.length > text.length - tail.length) return false;
    at = found + piece.length;
  }
  return true;
}
