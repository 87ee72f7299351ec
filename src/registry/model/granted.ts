import type { ClusterId } from "../../names.ts";
import { type GrantScope, inScope, matchesPattern, type PeerGrant } from "./peer-grant.ts";

/** Whom a grant may be for. */
export interface GrantedPeer {
  readonly cluster: ClusterId;
  readonly trustDomain: string;
}

/** A service must be in one of the scopes. */
export interface GrantLimit {
  /** Who limits: grants of this cluster, or the trust manager's Workspaces. */
  readonly by: "PeerGrant" | "Workspace";
  readonly scopes: readonly GrantScope[];
}

/** What of one direction is granted: what every limit takes in, so without any all of it. */
export type Granted = readonly GrantLimit[];

/** Whether a grant or a bound is for this peer. */
export const isFor = ({ cluster, trustDomain }: PeerGrant, peer: GrantedPeer): boolean =>
  (cluster === undefined || cluster === peer.cluster) &&
  (trustDomain === undefined || trustDomain === peer.trustDomain);

/** What a peer may read of what we share. */
export const exportsTo = (peer: GrantedPeer, grants: Iterable<PeerGrant>): Granted => granted(peer, grants, "exports");

/** What a peer may contribute endpoints to. */
export const importsFrom = (peer: GrantedPeer, grants: Iterable<PeerGrant>): Granted =>
  granted(peer, grants, "imports");

/**
 * Grants add up, and one that does not speak of a direction limits none. So do bounds, which limit what grants give; those
 * for the rest are for peers that have none of their own.
 */
function granted(peer: GrantedPeer, grants: Iterable<PeerGrant>, direction: "exports" | "imports"): Granted {
  const [given, own, rest]: [GrantScope[], GrantScope[], GrantScope[]] = [[], [], []];
  for (const grant of grants) {
    const scope = grant[direction];
    if (scope === undefined || !isFor(grant, peer)) continue;
    if (grant.bound !== true) given.push(scope);
    if (grant.bound !== false) (isForTheRest(grant) ? rest : own).push(scope);
  }
  return [...limit("PeerGrant", given), ...limit("Workspace", own.length > 0 ? own : rest)];
}

/** Whether a bound is for peers that have none of their own. */
export const isForTheRest = ({ cluster, trustDomain }: PeerGrant): boolean =>
  cluster === undefined && trustDomain === undefined;

const limit = (by: GrantLimit["by"], scopes: readonly GrantScope[]): Granted =>
  scopes.length === 0 ? [] : [{ by, scopes }];

/** Whether a service is granted. */
export const takesIn = (granted: Granted, namespace: string, name: string): boolean =>
  limitAgainst(granted, namespace, name) === undefined;

/** What keeps a service out; undefined if it is granted. */
export const limitAgainst = (granted: Granted, namespace: string, name: string): GrantLimit | undefined =>
  granted.find(({ scopes }) => !scopes.some((scope) => inScope(scope, namespace, name)));

/** What keeps all of a namespace out; undefined if anything of it may be granted. */
export const limitAgainstNamespace = (granted: Granted, namespace: string): GrantLimit | undefined =>
  granted.find(
    ({ scopes }) =>
      !scopes.some(
        ({ namespaces, services }) =>
          (services === undefined || services.length > 0) &&
          namespaces.some((pattern) => matchesPattern(pattern, namespace)),
      ),
  );
