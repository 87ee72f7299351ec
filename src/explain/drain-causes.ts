import { clusterId, objectKey } from "../names.ts";
import { timeOfDrain } from "../registry/drains.ts";
import { recordKey } from "../registry/global-candidate.ts";
import { DRAIN_UNTIL, DRAIN_UNTIL_FIELD } from "../registry/kube/peering-annotations.ts";
import type { Cause, Contribution, ExplainFacts, Place } from "./explanation.ts";
import { atGateway } from "./gateway-place.ts";
import { type Target, unannotated } from "./mending.ts";
import type { Question } from "./question.ts";

/** What drains a peer, or the Service of our own, and how that is taken back. */
export function drainPlace(peer: string | undefined, question: Question, facts: ExplainFacts): Place {
  const takenBack = (target: Target): string =>
    `it ends by itself; before that: ${unannotated(target, DRAIN_UNTIL, facts)}`;
  if (peer !== undefined)
    return atGateway(peer, facts, ({ namespace, name }, local) => ({
      field: DRAIN_UNTIL_FIELD,
      fix: takenBack({ cluster: local, kind: "Gateway", namespace, name }),
    }));
  const { localCluster } = facts.registry.globalCandidates.inputs.options;
  const { namespace, name } = question;
  return {
    object: `Service ${namespace}/${name}`,
    cluster: localCluster,
    field: DRAIN_UNTIL_FIELD,
    fix: takenBack({ cluster: localCluster, kind: "Service", namespace, name }),
  };
}

/** Drains that one would think were in force, and that nobody else's endpoints allow; and ours, as others see it. */
export function drainWarnings(
  question: Question,
  contributions: readonly Contribution[],
  facts: ExplainFacts,
): readonly Cause[] {
  const { drains, globalCandidates } = facts.registry;
  const { localCluster } = globalCandidates.inputs.options;
  const { namespace, name } = question;
  const own = drains.states.get(`Service ${objectKey(localCluster, namespace, name)}`);
  const shown =
    own !== undefined &&
    own.state !== "far" &&
    !contributions.some(
      ({ cause }) =>
        cause?.reason === "drained" && cause.cluster === localCluster && cause.object.startsWith("Service "),
    );
  const ofOwn = shown
    ? [
        {
          reason: "drained",
          message:
            own.state === "spared"
              ? `Service ${namespace}/${name} is to be drained until ${timeOfDrain(own.untilMs)}, and keeps its calls: no peer that is not drained has a ready endpoint of it.`
              : `Service ${namespace}/${name} is drained until ${timeOfDrain(own.untilMs)}: peers are told that none of its endpoints here is ready.`,
          ...drainPlace(undefined, question, facts),
        },
      ]
    : [];
  return [...ofOwn, ...contributions.flatMap((each) => sparedPeer(question, each, facts))];
}

function sparedPeer(question: Question, { cluster, via }: Contribution, facts: ExplainFacts): readonly Cause[] {
  const { drains, globalCandidates } = facts.registry;
  const peer = clusterId(cluster);
  const untilMs = via === "peer" ? globalCandidates.inputs.paths.standings.get(peer)?.drainedUntilMs : undefined;
  if (untilMs === undefined || drains.spared.get(recordKey(peer, question)) === undefined) return [];
  return [
    {
      reason: "drained",
      message: `Cluster ${cluster} is drained here until ${timeOfDrain(untilMs)}, and is called all the same: nobody else has a ready endpoint of ${question.host}.`,
      ...drainPlace(cluster, question, facts),
    },
  ];
}
