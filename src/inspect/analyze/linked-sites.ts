import type { ClusterId } from "../../names.ts";
import type { PeerGateway, PeerStatus } from "../../registry/model/peer.ts";
import { asHeard, type ExportScope, mayHear } from "../../peering/export.ts";
import { targetOf } from "../../peering/peer.ts";
import { checkService, checkWorkload, type PeerRules, trimmed } from "../../peering/rules.ts";
import { exportsTo, importsFrom } from "../../registry/model/granted.ts";
import { own, type Site } from "./site.ts";

/** One cluster hears another: by the Gateway of the one that asks. */
export interface SiteLink {
  readonly from: Site;
  readonly to: Site;
  readonly gateway: PeerGateway;
}

/** Links that Gateways ask for between the clusters that are known, as if each were up. */
export function linksBetween(sites: readonly Site[]): readonly SiteLink[] {
  const byName = new Map(sites.toReversed().map((site) => [site.cluster, site]));
  return sites.flatMap((from) =>
    own(from.registry.peerGateways).flatMap((gateway): readonly SiteLink[] => {
      const to = gateway.cluster === undefined ? undefined : byName.get(gateway.cluster);
      return to === undefined || to === from || gateway.refused !== undefined ? [] : [{ from, to, gateway }];
    }),
  );
}

/** What the one that is asked lets the other hear: by the rules by which its control plane lets peers in. */
export const scopeOf = ({ from, to }: SiteLink): ExportScope => ({
  granted: exportsTo(
    { cluster: from.cluster, trustDomain: from.mesh.settings.trustDomain },
    own(to.registry.peerGrants),
  ),
  segment: to.registry.peers.facts.get(from.cluster)?.segment,
});

/** What the one that asks takes of the other: by the rules to which its control plane holds what comes over a link. */
export function rulesOf({ from, gateway }: SiteLink): PeerRules {
  const target = targetOf(gateway)!;
  return { target, granted: importsFrom(target, own(from.registry.peerGrants)) };
}

/**
 * Tells each what those that it is linked to share with it, within what both grant: once, as what one tells is its own.
 * What is not taken is in `peers.denied`, as it would be of a link.
 */
export function carryAll(links: readonly SiteLink[]): void {
  // Who is heard, and what each says of itself, comes first: by that the other knows whom it tells.
  for (const { from, to } of links) {
    from.registry.peers.statuses.set(to.cluster, live(to.cluster, from));
    for (const [cluster, said] of to.registry.exports.facts.entries()) from.registry.peers.facts.set(cluster, said);
  }
  flushAll(links);
  for (const link of links) carry(link);
  flushAll(links);
}

/** What was heard of a cluster over a link that is no more: all of it goes at once (contract peering.md 2.13). */
export function forget({ from, to }: SiteLink): void {
  const { peers } = from.registry;
  const prefix = `${to.cluster}/`;
  for (const source of [peers.federated, peers.denied, peers.workloads]) source.replace(prefix, []);
  peers.facts.delete(to.cluster);
  peers.statuses.delete(to.cluster);
  from.graph.flush();
}

function flushAll(links: readonly SiteLink[]): void {
  for (const { graph } of new Set(links.map(({ from }) => from))) graph.flush();
}

function carry(link: SiteLink): void {
  const { from, to } = link;
  const [scope, rules] = [scopeOf(link), rulesOf(link)];
  const { peers } = from.registry;
  const { services, workloads, facts } = to.registry.exports;
  const said = facts.get(to.cluster);
  const heard = [...services.entries()].filter(([, service]) => mayHear(scope, service));
  const verdicts = heard.map(([key, service]) => [key, service, checkService(key, service, rules)] as const);
  const prefix = `${to.cluster}/`;
  peers.federated.replace(
    prefix,
    verdicts.flatMap(([key, service, verdict]) => (verdict === undefined ? [[key, service] as const] : [])),
  );
  peers.denied.replace(
    prefix,
    verdicts.flatMap(([key, , verdict]) => (verdict === undefined ? [] : [[key, verdict] as const])),
  );
  peers.workloads.replace(
    prefix,
    [...workloads.entries()].flatMap(([uid, workload]) => {
      const seen = asHeard(scope, workload);
      return seen === undefined || checkWorkload(uid, seen, rules) !== undefined
        ? []
        : [[uid, trimmed(seen, said)] as const];
    }),
  );
}

const live = (cluster: ClusterId, { facts }: Site): PeerStatus => ({
  ...{ cluster, state: "live", everSynced: true, reason: undefined, message: "", lastError: undefined },
  ...{ sinceMs: facts.readAt, dataPlane: "unknown", staleness: "fresh" },
});
