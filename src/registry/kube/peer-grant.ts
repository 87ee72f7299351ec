import { isTrustDomain } from "../../spiffe.ts";
import { isClusterId, type ClusterId } from "../../names.ts";
import {
  BOUND_LABEL,
  EVERY_OTHER,
  type GrantScope,
  PATTERNS_MAX,
  type PeerGrant as Grant,
} from "../model/peer-grant.ts";
import { FieldError, isAbsent, isFields, listOf, textOf, type Fields } from "./fields.ts";
import { labelsOf } from "./labels.ts";
import { idOf, type Metadata, type ObjectId } from "./metadata.ts";
import { onlyFieldsOf } from "./service-scope.ts";

/** A grant as the object says it; one that names neither a cluster nor a trust domain could not be read, or is a bound. */
export interface PeerGrant extends Grant {
  readonly id: ObjectId;
}

const PATTERN = /^[a-z0-9*]([a-z0-9.*-]*[a-z0-9*])?$/;

/** @throws FieldError, also for a field that nobody knows: what is spelled wrongly must not grant more than was meant. */
export function readPeerGrant(metadata: Metadata, object: Fields): PeerGrant {
  const spec = onlyFieldsOf(object["spec"], "spec", ["cluster", "trustDomain", "export", "import"]);
  const bound = boundOf(metadata.labels.map.get(BOUND_LABEL));
  const cluster = textOf(spec["cluster"], "spec.cluster", 128);
  const trustDomain = textOf(spec["trustDomain"], "spec.trustDomain", 255);
  if (cluster === "" && trustDomain === "")
    throw new FieldError("spec", "names nobody; give the peer's cluster, or its trustDomain");
  const isForTheRest = bound && cluster === EVERY_OTHER;
  if (cluster === EVERY_OTHER && !bound)
    throw new FieldError("spec.cluster", `is "*", which only a bound may be for; name the peer's cluster`);
  if (cluster !== "" && !isForTheRest && !isClusterId(cluster))
    throw new FieldError("spec.cluster", `is ${JSON.stringify(cluster)}; use letters, digits, '.', '-' and '_'`);
  if (trustDomain !== "" && !isTrustDomain(trustDomain))
    throw new FieldError("spec.trustDomain", `is ${JSON.stringify(trustDomain)}; give a trust domain, as bank.example`);
  return {
    id: idOf(metadata),
    bound,
    cluster: cluster === "" || isForTheRest ? undefined : (cluster as ClusterId),
    trustDomain: trustDomain || undefined,
    exports: scopeOf(spec["export"], "spec.export"),
    imports: scopeOf(spec["import"], "spec.import"),
  };
}

function boundOf(label: string | undefined): boolean {
  if (label === undefined || label === "true" || label === "false") return label === "true";
  throw new FieldError(
    `metadata.labels[${BOUND_LABEL}]`,
    `is ${JSON.stringify(label)}; use true or false, or remove it`,
  );
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
    bound: doubtfulBound(object["metadata"]),
    cluster: typeof cluster === "string" && isClusterId(cluster) ? cluster : undefined,
    trustDomain: typeof trustDomain === "string" && isTrustDomain(trustDomain) ? trustDomain : undefined,
    exports: NOTHING,
    imports: NOTHING,
  };
}

function doubtfulBound(metadata: unknown): PeerGrant["bound"] {
  try {
    const labels = labelsOf(isFields(metadata) ? metadata["labels"] : undefined, "metadata.labels");
    return boundOf(labels.map.get(BOUND_LABEL));
  } catch {
    return "unknown";
  }
}
