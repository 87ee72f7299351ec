import { objectKey } from "../names.ts";
import { isSaid } from "../registry/service-offers.ts";
import type { LoadBalancing } from "../registry/model/service.ts";
import type { ExplainFacts, NameView } from "./explanation.ts";
import type { Question } from "./question.ts";

/** What the name is to ztunnels of this cluster. */
export function nameView(question: Question, { registry }: ExplainFacts): NameView {
  const { key, host, namespace, name } = question;
  const { offers, owners, options, shared } = registry.globalCandidates.inputs;
  const service = registry.services.get(key);
  const global = offers.hosts.get(key);
  return {
    host,
    kind: kindOf(question, registry),
    service: `${namespace}/${name}`,
    owner: owners.get(key) ?? "",
    addresses: service?.addresses.map(({ network, ip }) => `${network}/${ip}`) ?? [],
    ports: service?.ports.map(({ servicePort }) => servicePort) ?? [],
    distribution: distributionText(service?.loadBalancing, isSaid(global?.distribution)),
    segment: shared.segments.ofCluster.get(options.localCluster)?.segment ?? "",
    identities: service?.subjectAltNames ?? [],
    others: Array.from(offers.hosts.entries(), ([, each]) => each)
      .filter((each) => each.host !== host && each.namespace === namespace && each.name === name)
      .map((each) => each.host),
  };
}

function kindOf({ key, isLocal, namespace, name }: Question, registry: ExplainFacts["registry"]): NameView["kind"] {
  const { offers, objects, options } = registry.globalCandidates.inputs;
  const global = offers.hosts.get(key);
  if (global?.kind === "local") return "taken over";
  if (global !== undefined) return global.kind;
  if (isLocal && objects.services.get(objectKey(options.localCluster, namespace, name)) !== undefined) return "local";
  return registry.services.get(key) === undefined ? "unknown" : isLocal ? "local" : "other";
}

/** As operators say it. */
function distributionText(balancing: LoadBalancing | undefined, said: boolean): string {
  const { mode = "unspecified", preference = [] } = balancing ?? {};
  if (mode === "passthrough") return "to the address that the caller has";
  if (preference.length === 0) return "all endpoints alike";
  const near = preference.map((scope) => `own ${scope}`).join(", then ");
  const text = mode === "strict" ? `${near} only` : `${near} first, the rest if that has none that is healthy`;
  return said || mode === "strict" ? text : `${text} (nobody said otherwise)`;
}
