import { contributionsTo } from "../explain/contributions.ts";
import type { Cause } from "../explain/explanation.ts";
import { questionOf } from "../explain/question.ts";
import { sharingOf } from "../explain/sharing.ts";
import type { SiteLink } from "../inspect/analyze/linked-sites.ts";
import { scopeOf } from "../inspect/analyze/linked-sites.ts";
import { mayHear } from "../peering/export.ts";
import { globalHostname } from "../registry/global-hosts.ts";
import type { FederatedService } from "../registry/model/federated-service.ts";
import { DEFAULT_GLOBAL_DOMAIN } from "../registry/model/peer.ts";
import type { ImaginedMesh } from "./imagined-mesh.ts";

/** One service of a cluster, and what becomes of it in another that is linked to it. */
export interface Told {
  readonly reader: string;
  readonly peer: string;
  /** As `shop/cart`. */
  readonly service: string;
  /** What callers of the reader could say, the global name first; empty if they do not reach it. */
  readonly names: readonly string[];
  readonly endpoints: number;
  readonly ready: number;
  readonly ports: readonly number[];
  /** Why callers do not reach it, as `explain` would say it there; undefined if they do. */
  readonly cause: Cause | undefined;
}

/** What the one that is asked shares at all, each with its fate on the way, by name. */
export function toldOver(link: SiteLink, mesh: ImaginedMesh): readonly Told[] {
  const { from, to } = link;
  const { federated } = from.registry.globalCandidates.inputs.offers;
  const causeOf = causesOf(link, mesh);
  return [...to.registry.exports.services.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, service]) => {
      const cause = causeOf(service);
      const names = cause === undefined ? (federated.get(key)?.names ?? []) : [];
      return {
        ...{ reader: from.cluster, peer: to.cluster, service: `${service.namespace}/${service.name}` },
        ...{ names: names.map(({ host }) => host), endpoints: service.total, ready: service.ready, cause },
        ports: service.ports.map(({ number }) => number),
      };
    });
}

/** First what its own cluster keeps from the reader, then what the reader does not take, or cannot use. */
function causesOf(link: SiteLink, mesh: ImaginedMesh): (service: FederatedService) => Cause | undefined {
  const { from, to } = link;
  const scope = scopeOf(link);
  const [here, there] = [mesh.explainFacts(from), mesh.explainFacts(to)];
  const domain = to.registry.exports.facts.get(to.cluster)?.domain ?? DEFAULT_GLOBAL_DOMAIN;
  return (service) => {
    const host = globalHostname(service.name, service.namespace, domain);
    if (!mayHear(scope, service)) {
      const { readers } = sharingOf(questionOf(host, to.registry), there);
      return readers.find(({ cluster }) => cluster === from.cluster)?.cause;
    }
    const all = contributionsTo(questionOf(host, from.registry), here);
    const cause = all.find(({ cluster, via }) => via === "peer" && cluster === to.cluster)?.cause;
    // These come back by themselves, and the name leads there meanwhile.
    return cause?.reason === "no ready pods" || cause?.reason === "drained" ? undefined : cause;
  };
}
