import type { ClusterId } from "../../names.ts";
import type { PeerGateway, PeerStatus } from "../../registry/model/peer.ts";
import { exportsTo, importsFrom, takesIn } from "../../registry/model/granted.ts";
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

/** Tells each what those that it is linked to share with it, within what both grant: once, as what one tells is its own. */
export function carryAll(links: readonly SiteLink[]): void {
  for (const { from, to } of links) from.registry.peers.statuses.set(to.cluster, live(to.cluster, from));
  for (const { from } of links) from.graph.flush();
  for (const { from, to } of links) {
    carry(from, to);
    from.graph.flush();
  }
}

function carry(from: Site, to: Site): void {
  const { peers, peerGrants: imports } = from.registry;
  const { exports, peerGrants: grants } = to.registry;
  const given = exportsTo({ cluster: from.cluster, trustDomain: from.mesh.settings.trustDomain }, own(grants));
  const taken = importsFrom({ cluster: to.cluster, trustDomain: to.mesh.settings.trustDomain }, own(imports));
  const prefix = `${to.cluster}/`;
  const shared = [...exports.services.entries()].filter(
    ([, { namespace, name }]) => takesIn(given, namespace, name) && takesIn(taken, namespace, name),
  );
  peers.federated.replace(prefix, shared);
  peers.workloads.replace(prefix, exports.workloads.entries());
  for (const [cluster, said] of exports.facts.entries()) peers.facts.set(cluster, said);
}

const live = (cluster: ClusterId, { facts }: Site): PeerStatus => ({
  ...{ cluster, state: "live", everSynced: true, reason: undefined, message: "", lastError: undefined },
  ...{ sinceMs: facts.readAt, dataPlane: "unknown", staleness: "fresh" },
});
