import { ADDRESS_KINDS, kindOfHost } from "../address-kind.ts";
import type { ClusterId, NetworkId } from "../names.ts";
import { DEFAULT_GLOBAL_DOMAIN, type ClusterFacts } from "../registry/model/peer.ts";
import type { FederatedService } from "../registry/model/federated-service.ts";
import { type Granted, type GrantLimit, limitAgainst, limitAgainstNamespace } from "../registry/model/granted.ts";
import type { Workload } from "../registry/model/workload.ts";
import { parseServiceAccountId } from "../spiffe.ts";
import type { PeerTarget } from "./peer.ts";

/** What one peer may say: only of itself (contract peering.md 2.18; operations.md 3.3, S2). */
export interface PeerRules {
  readonly target: PeerTarget;
  /** What it may contribute endpoints to, as our grants say. */
  readonly granted: Granted;
}

/** Why a record is not taken. Few, as they are labels of `peer_denied_total`. */
export type DenialReason =
  "unreadable" | "cluster" | "network" | "trust-domain" | "namespace" | "workspace" | "name" | "address" | "quota";

export interface Denial {
  readonly reason: DenialReason;
  /** What follows the name of the record: the field, its value, and what it had to be. */
  readonly message: string;
}

/** The answer of a check: undefined if the record may be taken. */
export type Verdict = Denial | undefined;

const deny = (reason: DenialReason, message: string): Denial => ({ reason, message });

export function checkService(name: string, service: FederatedService, rules: PeerRules): Verdict {
  const { cluster, namespace, waypoint, identities } = service;
  return (
    checkCluster(cluster, rules) ??
    checkName(name, [cluster, namespace, service.name].join("/")) ??
    checkGrant(namespace, service.name, rules) ??
    firstOf([...identities, ...(waypoint === undefined ? [] : [waypoint.identity])], (identity) =>
      checkIdentity(identity, rules),
    )
  );
}

export function checkFacts(name: string, facts: ClusterFacts, rules: PeerRules): Verdict {
  const { cluster, network, trustDomain, doors } = facts;
  return (
    checkCluster(cluster, rules) ??
    checkName(name, cluster) ??
    checkNetwork(network, rules) ??
    checkTrustDomain(trustDomain, rules) ??
    firstOf(doors, ({ identity }) => checkTrustDomain(trustDomainOf(identity), rules))
  );
}

export function checkWorkload(name: string, workload: Workload, rules: PeerRules): Verdict {
  const { cluster, uid, network, trustDomain, namespace, addresses } = workload;
  return (
    checkCluster(cluster, rules) ??
    checkName(name, uid) ??
    checkPrefix(uid, cluster) ??
    checkNetwork(network, rules) ??
    checkTrustDomain(trustDomain, rules) ??
    checkNamespace(namespace, rules) ??
    firstOf(addresses, checkAddress)
  );
}

/** What a peer says of itself, without nodes that are this machine or its link: nobody has us, or our clients, call those. */
export const withoutOwnNodes = (facts: ClusterFacts): ClusterFacts => ({
  ...facts,
  doors: facts.doors.filter(
    ({ serviceType, host }) => serviceType !== "nodeport" || host.kind !== "ip" || kindOfHost(host.ip) === undefined,
  ),
});

/**
 * A workload without what is not for its peer to say: which of our policies bind it, how its network is entered, and that
 * it is behind any name but a global one of the peer's domain, as one of our own cluster.
 */
export function trimmed(workload: Workload, facts: ClusterFacts | undefined): Workload {
  const domain = `.${facts?.domain ?? DEFAULT_GLOBAL_DOMAIN}`;
  const { waypoint } = workload;
  const { destination } = waypoint ?? {};
  return {
    ...workload,
    policies: [],
    hostname: "",
    networkGateway: undefined,
    services: workload.services.filter(({ service }) => service.endsWith(domain)),
    waypoint: destination?.kind === "hostname" && destination.hostname.endsWith(domain) ? waypoint : undefined,
  };
}

function checkCluster(cluster: ClusterId, { target }: PeerRules): Verdict {
  if (cluster === target.cluster) return undefined;
  return deny(
    "cluster",
    `it says that it is of cluster ${cluster || '""'}, and Gateway ${target.gateway} leads to ${target.cluster}; correct ` +
      "its label topology.istio.io/cluster, or spec.addresses if another cluster is meant",
  );
}

function checkName(name: string, right: string): Verdict {
  return name === right ? undefined : deny("name", `its content is that of ${right}`);
}

function checkPrefix(uid: string, cluster: ClusterId): Verdict {
  return uid.startsWith(`${cluster}/`) ? undefined : deny("name", `its uid must begin with ${cluster}/`);
}

function checkNetwork(network: NetworkId, { target }: PeerRules): Verdict {
  if (network === target.network) return undefined;
  const said = `it says network ${network || '""'}, and Gateway ${target.gateway} ${target.network}`;
  return deny(
    "network",
    `${said}; correct the label topology.istio.io/network there, or of the peer's system namespace`,
  );
}

function checkAddress(address: string): Verdict {
  const kind = kindOfHost(address);
  return kind && deny("address", `it has the address ${address}, ${ADDRESS_KINDS[kind]}, which no pod of a peer has`);
}

function checkTrustDomain(trustDomain: string, { target }: PeerRules): Verdict {
  if (trustDomain === target.trustDomain) return undefined;
  const right = `annotation gateway.istio.io/trust-domain of Gateway ${target.gateway}, or our own, is ${target.trustDomain}`;
  return deny("trust-domain", `it says trust domain ${trustDomain || '""'}, and ${right}`);
}

function checkGrant(namespace: string, name: string, { granted, target }: PeerRules): Verdict {
  const limit = limitAgainst(granted, namespace, name);
  return limit && denyImport(limit, target, `service ${name} of namespace ${namespace}`);
}

function checkNamespace(namespace: string, { granted, target }: PeerRules): Verdict {
  const limit = limitAgainstNamespace(granted, namespace);
  return limit && denyImport(limit, target, `anything of namespace ${namespace}`);
}

const denyImport = ({ by }: GrantLimit, { cluster }: PeerTarget, what: string): Denial =>
  deny(by === "Workspace" ? "workspace" : "namespace", `no ${by} has ${cluster} import ${what}`);

/** A service account's, in the peer's own trust domain, and of a namespace that it may feed. */
function checkIdentity(identity: string, rules: PeerRules): Verdict {
  const denied = checkTrustDomain(trustDomainOf(identity), rules);
  if (denied !== undefined) return { ...denied, message: `identity ${identity}: ${denied.message}` };
  try {
    return checkNamespace(parseServiceAccountId(identity).namespace, rules);
  } catch {
    return deny("trust-domain", `identity ${identity} is not a service account's`);
  }
}

const trustDomainOf = (identity: string): string => /^spiffe:\/\/([^/]*)/.exec(identity)?.[1] ?? "";

function firstOf<T>(items: readonly T[], check: (item: T) => Verdict): Verdict {
  for (const item of items) {
    const denied = check(item);
    if (denied !== undefined) return denied;
  }
  return undefined;
}
