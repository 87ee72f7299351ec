import { MeshError } from "../errors.ts";
import { type ClusterId, isClusterId } from "../names.ts";
import { printable } from "../printable.ts";

/** Of the relay's own certificates, which are of no mesh: nobody's workloads are called so. */
export const RELAY_TRUST_DOMAIN = "relay.causeway.dev";

/** What the manager's certificate says, whatever names and addresses it is reached by. */
export const RELAY_MANAGER_ID = `spiffe://${RELAY_TRUST_DOMAIN}/manager`;

const CLUSTER_PREFIX = `spiffe://${RELAY_TRUST_DOMAIN}/cluster/`;

/** What a cluster's client certificate says. */
export const clusterIdentity = (cluster: ClusterId): string => `${CLUSTER_PREFIX}${cluster}`;

/**
 * The way back, to the letter: nothing is trimmed, unescaped or put in lower case.
 * @throws MeshError `invalid` for any other text.
 */
export function parseClusterIdentity(uri: string): ClusterId {
  const cluster = uri.startsWith(CLUSTER_PREFIX) ? uri.slice(CLUSTER_PREFIX.length) : "";
  if (isClusterId(cluster)) return cluster;
  throw new MeshError("invalid", `${printable(uri, 120)} is no cluster's name, as ${CLUSTER_PREFIX}east is`);
}
