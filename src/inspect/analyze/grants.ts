import { nearestName } from "../../nearest-name.ts";
import type { Finding } from "../finding.ts";
import { analysed } from "./codes.ts";
import { own, type Site } from "./site.ts";

/** PeerGrants for clusters and trust domains that nobody knows: whoever was meant is not limited, as grants limit only whom they name. */
export function grantFindings(sites: readonly Site[]): readonly Finding[] {
  if (sites.length < 2) return [];
  const clusters = new Set<string>(sites.flatMap(({ cluster, registry }) => [cluster, ...leadsTo(registry)]));
  const trustDomains = new Set(sites.map(({ mesh }) => mesh.settings.trustDomain));
  return sites.flatMap(({ registry, facts }) =>
    own(registry.peerGrants).flatMap(({ id, cluster, trustDomain }) => {
      const [field, name, known] =
        cluster !== undefined && !clusters.has(cluster)
          ? ["spec.cluster", cluster, clusters]
          : ["spec.trustDomain", trustDomain, trustDomains];
      if (name === undefined || known.has(name)) return [];
      const meant = nearestName(name, known);
      return [
        analysed(
          "CWY2216",
          {
            ...{ cluster: facts.cluster, object: `PeerGrant ${id.namespace}/${id.name}` },
            ...{ field, origin: id.origin },
          },
          `${field} is ${name}, which is none of ${[...known].sort().join(", ")}: it limits nobody`,
          { fix: meant === undefined ? "name a peer, or delete the grant" : `did you mean ${meant}?` },
        ),
      ];
    }),
  );
}

const leadsTo = (registry: Site["registry"]): readonly string[] =>
  own(registry.peerGateways).flatMap(({ cluster }) => cluster ?? []);
