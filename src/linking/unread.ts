import type { ResourceType } from "../kube/api.ts";
import { whyUnknown } from "../inspect/cluster-facts.ts";
import type { Finding } from "../inspect/finding.ts";
import * as types from "../kube/resource-types.ts";
import { nameOf, type Side } from "./side.ts";

/** What nobody can say of a cluster of which a kind may not be read, as what follows `what`. */
const RESTS_ON: readonly (readonly [ResourceType, (cluster: string) => string])[] = [
  [types.SERVICES, (cluster) => `What ${cluster} shares is not known`],
  [types.SEGMENTS, (cluster) => `By which names ${cluster} calls its services is not known`],
  [types.PEER_GRANTS, (cluster) => `What PeerGrants and Workspaces leave out in ${cluster} is not known`],
  [types.PODS, (cluster) => `How many endpoints ${cluster} has ready is not known`],
  [types.ENDPOINT_SLICES, (cluster) => `How many endpoints ${cluster} has ready is not known`],
];

/** Kinds that a forecast would need, and that were hidden from whoever asked. */
export const unreadFindings = (side: Side): readonly Finding[] =>
  RESTS_ON.flatMap(([type, text]): readonly Finding[] => {
    const why = whyUnknown(side.facts, type);
    if (why === undefined) return [];
    // Of what only its own team may see one finding says enough.
    if (side.offered === true && type !== types.SERVICES) return [];
    const fix =
      side.offered === true
        ? "its team knows; once both are linked, causeway services shows it"
        : `let yourself list ${type.plural} there`;
    const evidence = `${text(nameOf(side))}: ${why}`;
    return [
      { code: "CWY3020", level: "warning", cluster: side.cluster, object: nameOf(side), field: "", evidence, fix },
    ];
  });

/** Whether it can be said which names a cluster has. */
export const namesKnown = ({ facts }: Side): boolean =>
  [types.SERVICES, types.NAMESPACES, types.SEGMENTS].every((type) => whyUnknown(facts, type) === undefined);

/** Whether it can be said how many endpoints are ready. */
export const readinessKnown = ({ facts }: Side): boolean =>
  [types.PODS, types.ENDPOINT_SLICES].every((type) => whyUnknown(facts, type) === undefined);
