import { FieldError, isAbsent, type Fields } from "../../registry/kube/fields.ts";
import type { Metadata } from "../../registry/kube/metadata.ts";
import { isClusterId, type ClusterId } from "../../names.ts";
import type { TrustObjectId } from "../policy.ts";
import { matchingText, supportedFieldsOf } from "./read-fields.ts";
import { trustObjectId } from "./trust-object-id.ts";

/** A cluster that is registered: who is not named by one may not call (contract peering.md B21). */
export interface KubernetesCluster {
  readonly id: TrustObjectId;
  /** The object's name. */
  readonly cluster: ClusterId;
  readonly clusterDomain: string;
}

const DOMAIN = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

/** @throws FieldError */
export function readKubernetesCluster(metadata: Metadata, object: Fields): KubernetesCluster {
  const { name } = metadata;
  if (!isClusterId(name))
    throw new FieldError("metadata.name", `has ${name.length} characters; a cluster's name has 128 at most`);
  const spec = isAbsent(object["spec"]) ? {} : supportedFieldsOf(object["spec"], "spec", ["clusterDomain"]);
  return {
    id: trustObjectId("KubernetesCluster", metadata),
    cluster: name,
    clusterDomain: isAbsent(spec["clusterDomain"]) ? "cluster.local" : domainOf(spec["clusterDomain"]),
  };
}

const domainOf = (value: unknown): string =>
  matchingText(value, "spec.clusterDomain", DOMAIN, 253, "give the DNS domain of its Services, as cluster.local");
