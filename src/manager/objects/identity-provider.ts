import { isFields, isAbsent, type Fields } from "../../registry/kube/fields.ts";
import type { Metadata } from "../../registry/kube/metadata.ts";
import { clusterId, isClusterId, type ClusterId } from "../../names.ts";
import type { TrustObjectId } from "../policy.ts";
import { matchingText, supportedFieldsOf } from "./read-fields.ts";
import { trustObjectId } from "./trust-object-id.ts";

/** The trust domain of all clusters, or of one (contract identity.md 4.2, R13). */
export interface IdentityProvider {
  readonly id: TrustObjectId;
  /** Undefined if it never could be read: then nobody can tell which one its clusters have. */
  readonly trustDomain: string | undefined;
  /** Undefined: for all that have none of their own. It is in no identity. */
  readonly cluster: ClusterId | undefined;
}

const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
const CLUSTER = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/;

/** @throws FieldError */
export function readIdentityProvider(metadata: Metadata, object: Fields): IdentityProvider {
  const { spiffe } = supportedFieldsOf(object["spec"], "spec", ["spiffe"]);
  const { trustDomain, clusterName } = supportedFieldsOf(spiffe, "spec.spiffe", ["trustDomain", "clusterName"]);
  const domain = "use 1 to 255 of a-z, 0-9, '.', '-' and '_', as cluster.local";
  const fix = "give the name of a KubernetesCluster, or leave it out for all clusters";
  return {
    id: trustObjectId("IdentityProvider", metadata),
    trustDomain: matchingText(trustDomain, "spec.spiffe.trustDomain", TRUST_DOMAIN, 255, domain),
    cluster: isAbsent(clusterName)
      ? undefined
      : clusterId(matchingText(clusterName, "spec.spiffe.clusterName", CLUSTER, 128, fix)),
  };
}

/** One that never was readable: of the cluster that it names, or of all if nobody can tell. */
export function readDoubtfulIdentityProvider(metadata: Metadata, object: Fields): IdentityProvider {
  const spec = isFields(object["spec"]) ? object["spec"] : {};
  const { clusterName } = isFields(spec["spiffe"]) ? spec["spiffe"] : {};
  return {
    id: trustObjectId("IdentityProvider", metadata),
    trustDomain: undefined,
    cluster: typeof clusterName === "string" && isClusterId(clusterName) ? clusterName : undefined,
  };
}
