import { AUTHORIZATION_POLICIES } from "../../kube/resource-types.ts";
import type { KubeObject } from "../../kube/object.ts";
import { isFields } from "../../registry/kube/fields.ts";
import { selects } from "../../registry/kube/labels.ts";
import { nearestName } from "../../nearest-name.ts";
import type { Finding } from "../finding.ts";
import { analysed, type Subject } from "./codes.ts";
import { isTold, type Member } from "./shared-services.ts";
import { originOf, own, writtenIn, type Site } from "./site.ts";

/** Policies of several clusters: drift between them, identities that nobody has, and what they bind. */
export const policyFindings = (
  sites: readonly Site[],
  shared: ReadonlyMap<string, readonly Member[]>,
): readonly Finding[] => [...drift(sites, shared), ...foreignDomains(sites), ...sites.flatMap(bindsNothing)];

const titleOf = ({ kind, metadata }: KubeObject): string =>
  `${kind} ${metadata.namespace ?? "default"}/${metadata.name}`;

/** Where several clusters share a service of a namespace, a policy of one name there is meant to be one policy. */
function drift(sites: readonly Site[], shared: ReadonlyMap<string, readonly Member[]>): readonly Finding[] {
  const together = [...shared].filter(([, members]) => members.filter(isTold).length > 1);
  const namespaces = new Set(together.map(([name]) => name.split("/")[0]!));
  const byName = new Map<string, { readonly site: Site; readonly policy: KubeObject }[]>();
  for (const site of sites)
    for (const policy of writtenIn(site, AUTHORIZATION_POLICIES))
      if (namespaces.has(policy.metadata.namespace ?? "default"))
        byName.set(titleOf(policy), [...(byName.get(titleOf(policy)) ?? []), { site, policy }]);
  return [...byName].flatMap(([object, all]) => {
    const specs = new Map(all.map((each) => [canonical(each.policy["spec"]), each]));
    if (specs.size < 2) return [];
    const { site, policy } = all.at(-1)!;
    const names = all.map(({ site }) => site.facts.cluster).join(", ");
    return [
      analysed(
        "CWY2403",
        { cluster: undefined, object, field: "spec", origin: originOf(site.facts, policy) },
        `it is not the same in clusters ${names}, which share services of its namespace: who may call depends on where a call ends`,
      ),
    ];
  });
}

/** Equal for what is equal, whatever the order of its fields. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    isFields(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  ) ?? "";

/** Identities are compared as text: a policy of a domain that no caller has matches nobody (contract peering.md 1.2, B44). */
function foreignDomains(sites: readonly Site[]): readonly Finding[] {
  const known = new Set(
    sites.flatMap(({ mesh, registry }) => [
      mesh.settings.trustDomain,
      ...own(registry.peerGateways).map(({ trustDomain }) => trustDomain),
    ]),
  );
  return sites.flatMap((site) =>
    writtenIn(site, AUTHORIZATION_POLICIES).flatMap((policy) => {
      const subject = subjectOf(site, policy, "spec.rules");
      const domains = new Set(principalsOf(policy).flatMap(domainOf));
      return [...domains]
        .filter((domain) => !known.has(domain))
        .sort()
        .map((domain) => {
          const meant = nearestName(domain, known);
          return analysed(
            "CWY2407",
            subject,
            `it names identities of trust domain ${domain}, which no cluster has (${[...known].sort().join(", ")}), so it matches none of them`,
            meant === undefined ? {} : { fix: `did you mean ${meant}?` },
          );
        });
    }),
  );
}

const subjectOf = ({ facts }: Site, policy: KubeObject, field: string): Subject => ({
  ...{ cluster: facts.cluster, object: titleOf(policy), field },
  origin: originOf(facts, policy),
});

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const textsOf = (value: unknown): readonly string[] =>
  listOf(value).filter((item): item is string => typeof item === "string");

function principalsOf({ spec }: KubeObject): readonly string[] {
  const rules = listOf(isFields(spec) ? spec["rules"] : undefined).filter(isFields);
  const sources = rules
    .flatMap(({ from }) => listOf(from))
    .filter(isFields)
    .map(({ source }) => source)
    .filter(isFields);
  const conditions = rules.flatMap(({ when }) => listOf(when)).filter(isFields);
  return [
    ...sources.flatMap(({ principals }) => textsOf(principals)),
    ...conditions.filter(({ key }) => key === "source.principal").flatMap(({ values }) => textsOf(values)),
  ];
}

/** None of a pattern that may fit any. */
const domainOf = (principal: string): readonly string[] => {
  const [, domain] = /^(?:spiffe:\/\/)?([a-z0-9._-]+)\/ns\//.exec(principal) ?? [];
  return domain === undefined ? [] : [domain];
};

/** Only where pods are known: of what nobody read nothing is said. */
function bindsNothing({ registry, facts, mesh }: Site): readonly Finding[] {
  const { authorizationPolicies, pods, workloadEntries, serviceEntries } = registry.objects;
  if (pods.size === 0) return [];
  const placed = [
    ...own(pods).map(({ namespace, placement: { labels } }) => ({ namespace, labels })),
    ...own(workloadEntries).map(({ id: { namespace }, entry: { labels } }) => ({ namespace, labels })),
    ...own(serviceEntries).flatMap(({ id: { namespace }, endpoints }) =>
      endpoints.map(({ labels }) => ({ namespace, labels })),
    ),
  ];
  return own(authorizationPolicies).flatMap(({ id, selector, targeted }) => {
    const everywhere = id.namespace === mesh.settings.rootNamespace;
    const bound = (each: (typeof placed)[number]): boolean =>
      (everywhere || each.namespace === id.namespace) && selects(selector!, each.labels);
    if (selector === undefined || targeted || placed.some(bound)) return [];
    const pairs = selector.pairs.map(([key, value]) => `${key}=${value}`).join(",");
    return [
      analysed(
        "CWY2408",
        {
          ...{ cluster: facts.cluster, object: `AuthorizationPolicy ${id.namespace}/${id.name}` },
          ...{ field: "spec.selector", origin: id.origin },
        },
        `no workload of cluster ${facts.cluster} has the labels ${pairs}`,
      ),
    ];
  });
}
