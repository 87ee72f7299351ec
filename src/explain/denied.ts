import type { ClusterId } from "../names.ts";
import { recordKey } from "../registry/global-candidate.ts";
import { linkPlace, networkPlace, trustDomainPlace } from "./gateway-place.ts";
import type { Cause, ExplainFacts } from "./explanation.ts";
import { limitPlace } from "./limit-place.ts";
import type { Question } from "./question.ts";

/** Why what a peer said of a service was not taken: it is the word of an import rule, and each has its own remedy. */
export function whyDenied(cluster: ClusterId, question: Question, facts: ExplainFacts): Cause {
  const { namespace, name } = question;
  const { registry } = facts;
  const { localCluster } = registry.globalCandidates.inputs.options;
  const denial = registry.peers.denied.get(recordKey(cluster, question));
  const message = `What cluster ${cluster} says of Service ${namespace}/${name} is not taken: ${denial?.message ?? ""}.`;
  const service = { object: `Service ${namespace}/${name}`, cluster, field: "" };
  switch (denial?.reason) {
    case "namespace":
    case "workspace": {
      const by = denial.reason === "workspace" ? "Workspace" : "PeerGrant";
      return { reason: "import denied", message, ...limitPlace(cluster, question, { by, direction: "import" }, facts) };
    }
    case "trust-domain": {
      const [, found] = /spiffe:\/\/([a-z0-9._-]+)\//.exec(denial.message) ?? [];
      return { reason: "SAN refused", message, ...trustDomainPlace(cluster, found, facts) };
    }
    case "quota":
      return {
        ...{ reason: "quota", message, ...service },
        fix: `share less in cluster ${cluster}, or let it bring less here: a PeerGrant with spec.cluster: ${cluster} and spec.import.namespaces`,
      };
    default:
      return {
        ...{ reason: "import denied", message, ...service },
        fix: `run the same release of Causeway in cluster ${cluster} and in ${localCluster}; if that is so, report it`,
      };
  }
}

/**
 * Why nothing of a peer counts yet: its link is not up; or it is, and what the cluster says of itself was not taken, as it
 * is not what its Gateway says.
 */
export function whyUnheard(cluster: ClusterId, message: string, facts: ExplainFacts): Cause {
  const denials = facts.peers.find((peer) => peer.cluster === cluster)?.denials ?? [];
  const denial = denials.find(({ name }) => name === cluster);
  const said = `What cluster ${cluster} says of itself is not taken: ${denial?.message ?? ""}.`;
  switch (denial?.reason) {
    case "network": {
      const [, found] = /^it says network ([^,]*),/.exec(denial.message) ?? [];
      return { reason: "network mismatch", message: said, ...networkPlace(cluster, found, facts) };
    }
    case "trust-domain": {
      const [, found] = /^it says trust domain ([^,]*),/.exec(denial.message) ?? [];
      return { reason: "SAN refused", message: said, ...trustDomainPlace(cluster, found, facts) };
    }
    default:
      return { reason: "never synced", message: denial === undefined ? message : said, ...linkPlace(cluster, facts) };
  }
}
