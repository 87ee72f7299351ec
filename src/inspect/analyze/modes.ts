import type { Namespace } from "../../registry/kube/namespace.ts";
import type { Finding } from "../finding.ts";
import { analysed } from "./codes.ts";
import { pairsOf } from "./pairs.ts";
import { networkOf, own, type Site } from "./site.ts";

const INJECTION = "istio-injection";
const MODE = "istio.io/dataplane-mode";

const injected = ({ labels: { map } }: Namespace): boolean => map.get(INJECTION) === "enabled";
const ambient = ({ labels: { map } }: Namespace): boolean => map.get(MODE) === "ambient";

/** Sidecars beside ambient mode: not in one namespace, and not in one service across networks (contract peering.md 5, row 17). */
export const modeFindings = (sites: readonly Site[]): readonly Finding[] => [
  ...sites.flatMap(bothAtOnce),
  ...pairsOf(sites).flatMap(([a, b]) => [...acrossNetworks(a, b), ...acrossNetworks(b, a)]),
];

function bothAtOnce({ registry, facts }: Site): readonly Finding[] {
  return own(registry.namespaces)
    .filter((namespace) => injected(namespace) && ambient(namespace))
    .map(({ name, origin }) =>
      analysed(
        "CWY2012",
        { cluster: facts.cluster, object: `Namespace ${name}`, field: `metadata.labels[${INJECTION}]`, origin },
        `it is labelled ${INJECTION}: enabled and ${MODE}: ambient, and a pod with a sidecar is left out of ambient mode`,
        { fix: `kubectl --context ${facts.context ?? facts.cluster} label namespace ${name} ${INJECTION}-` },
      ),
    );
}

function acrossNetworks(withSidecars: Site, inAmbient: Site): readonly Finding[] {
  if (networkOf(withSidecars) === networkOf(inAmbient)) return [];
  const theirs = new Map(own(inAmbient.registry.namespaces).map((namespace) => [namespace.name, namespace]));
  return own(withSidecars.registry.namespaces).flatMap((namespace) => {
    const other = theirs.get(namespace.name);
    if (!injected(namespace) || ambient(namespace) || other === undefined || !ambient(other)) return [];
    return [
      analysed(
        "CWY2109",
        {
          ...{ cluster: withSidecars.facts.cluster, object: `Namespace ${namespace.name}` },
          ...{ field: `metadata.labels[${INJECTION}]`, origin: namespace.origin },
        },
        `its pods have sidecars in cluster ${withSidecars.facts.cluster} and are in ambient mode in ${inAmbient.facts.cluster}, on another network: sidecars cannot call through HBONE gateways`,
      ),
    ];
  });
}
