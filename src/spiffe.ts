import { MeshError } from "./errors.ts";

/** What a Kubernetes workload is called in a mesh: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. */
export interface ServiceAccountId {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** SPIFFE-ID 2.1: lower case letters, digits, dots, dashes and underscores; at most 255 bytes. */
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
/** SPIFFE-ID 2.2: letters, digits, dots, dashes and underscores, but neither `.` nor `..`. */
const PATH_SEGMENT = /^(?!\.{1,2}$)[a-zA-Z0-9._-]+$/;
/** SPIFFE-ID 2.3. */
const ID_BYTES_MAX = 2048;

export function isTrustDomain(text: string): boolean {
  return TRUST_DOMAIN.test(text);
}

/** Whether a service account, or a namespace, can be part of an identity. */
export const isPathSegment = (text: string): boolean => PATH_SEGMENT.test(text);

/**
 * Parses an identity to the letter of the SPIFFE standard: nothing is trimmed or unescaped, and only the scheme may be
 * in capitals (RFC 3986 3.1). What `formatServiceAccountId` makes of it is the one way to write it.
 * @throws MeshError `invalid`, naming the part that is wrong.
 */
export function parseServiceAccountId(text: string): ServiceAccountId {
  const refuse = (why: string) =>
    new MeshError("invalid", `identity ${JSON.stringify(text.slice(0, 120))} is not a service account's: ${why}`);
  if (text.length > ID_BYTES_MAX) throw refuse(`longer than ${ID_BYTES_MAX} bytes`);
  const [scheme, empty, trustDomain, ns, namespace, sa, serviceAccount, ...rest] = text.split("/");
  if (scheme?.toLowerCase() !== "spiffe:" || empty !== "") throw refuse("it does not begin with spiffe://");
  if (trustDomain === undefined || !isTrustDomain(trustDomain))
    throw refuse("the trust domain may only hold a-z, 0-9, '.', '-' and '_'");
  if (ns !== "ns" || sa !== "sa" || rest.length > 0 || namespace === undefined || serviceAccount === undefined)
    throw refuse("the path is not /ns/<namespace>/sa/<service account>");
  if (!PATH_SEGMENT.test(namespace)) throw refuse("the namespace is not a valid path segment");
  if (!PATH_SEGMENT.test(serviceAccount)) throw refuse("the service account is not a valid path segment");
  return { trustDomain, namespace, serviceAccount };
}

export function formatServiceAccountId(id: ServiceAccountId): string {
  return `spiffe://${id.trustDomain}/ns/${id.namespace}/sa/${id.serviceAccount}`;
}

/** What a control plane is called: its service account, as charts name it (contract peering.md 2.3). */
export const controlPlaneId = (trustDomain: string, systemNamespace: string): ServiceAccountId => ({
  trustDomain,
  namespace: systemNamespace,
  serviceAccount: "istiod",
});
