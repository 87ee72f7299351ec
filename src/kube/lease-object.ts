import type { LeaseRecord } from "./lease.ts";
import { ApiError, pathOf, type ApiRequest } from "./api.ts";
import { LEASES } from "./resource-types.ts";
import { type Fields, isFields } from "./fields.ts";

/** A Lease as the API has it, and what we read of it. */
export interface StoredLease {
  readonly record: LeaseRecord;
  /** Kept for the next write, which must not lose labels and fields of others. */
  readonly object: Fields;
}

const fieldsOf = (value: unknown): Fields => (isFields(value) ? value : {});
const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
const countOf = (value: unknown): number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : 0;

/** @throws ApiError if what was answered is no Lease: it must not pass for one that nobody holds. */
export function readLease(object: unknown): StoredLease {
  const { kind, metadata, spec } = fieldsOf(object);
  const resourceVersion = textOf(fieldsOf(metadata)["resourceVersion"]);
  if (kind !== "Lease" || resourceVersion === "")
    throw new ApiError("internal", "the API server answered something that is no Lease", 200, "");
  const fields = fieldsOf(spec);
  return {
    object: fieldsOf(object),
    record: {
      holder: textOf(fields["holderIdentity"]),
      leaseMs: countOf(fields["leaseDurationSeconds"]) * 1000,
      acquired: textOf(fields["acquireTime"]),
      transitions: countOf(fields["leaseTransitions"]),
      resourceVersion,
    },
  };
}

/** @param renewed RFC 3339 with microseconds, which is the only form that a Lease takes. */
export function writeLease(
  { namespace, name }: { readonly namespace: string; readonly name: string },
  record: LeaseRecord,
  renewed: string,
  stored: Fields | undefined,
): Pick<ApiRequest, "method" | "path" | "body"> {
  const spec = {
    ...fieldsOf(stored?.["spec"]),
    holderIdentity: record.holder,
    leaseDurationSeconds: Math.ceil(record.leaseMs / 1000),
    acquireTime: record.acquired || renewed,
    renewTime: renewed,
    leaseTransitions: record.transitions,
  };
  if (record.resourceVersion === "") {
    const metadata = { name, namespace };
    return { method: "POST", path: pathOf(LEASES, "v1", namespace), body: { ...LEASE, metadata, spec } };
  }
  const metadata = { ...fieldsOf(stored?.["metadata"]), resourceVersion: record.resourceVersion };
  return { method: "PUT", path: pathOf(LEASES, "v1", namespace, name), body: { ...stored, ...LEASE, metadata, spec } };
}

const LEASE = { apiVersion: "coordination.k8s.io/v1", kind: "Lease" };
